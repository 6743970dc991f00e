//! What an expression may assign, without evaluating it.

use super::ASSIGNMENT;

/// The names that an expression may assign, judged by the operators beside them.
pub(crate) fn assigned(text: &str) -> Vec<&str> {
    if !text.contains('=') && !text.contains("++") && !text.contains("--") {
        return Vec::new();
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| c.is_ascii_alphabetic() || c == '_') {
        let start = at + start;
        let length = text[start..]
            .find(|c| !is_name(c))
            .unwrap_or(text.len() - start);
        at = start + length;
        let mut after = text[at..].trim_start();
        if after.starts_with('[') {
            // Where the subscript ends matters little: any assignment behind it will do.
            after = after
                .rfind(']')
                .map_or("", |end| after[end + 1..].trim_start());
            if text[at..].contains('=') {
                names.push(&text[start..at]);
                continue;
            }
        }
        let assigns = (after.starts_with('=') && !after.starts_with("=="))
            || ASSIGNMENT
                .iter()
                .any(|operator| after.starts_with(operator))
            || after.starts_with("++")
            || after.starts_with("--")
            || text[..start].trim_end().ends_with("++")
            || text[..start].trim_end().ends_with("--");
        if assigns {
            names.push(&text[start..at]);
        }
    }
    names
}
