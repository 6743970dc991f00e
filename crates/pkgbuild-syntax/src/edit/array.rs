//! Changes to the elements between the brackets of `name=(…)`.

use super::write::{Style, quoted};
use crate::span::Span;
use crate::tree::{ArrayLiteral, File};

/// A piece of the text and what takes its place.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) span: Span,
    pub(super) text: String,
}

/// How elements stand beside one another.
struct Layout {
    separator: String,
    style: Style,
}

impl Layout {
    fn of(file: &File, literal: &ArrayLiteral) -> Self {
        let elements = literal.elements.as_slice();
        let style = elements
            .last()
            .map_or(Style::Single, |element| Style::of(&element.value));
        let separator = match elements {
            [.., before, last] => {
                let between = Span::new(before.span.end, last.span.start);
                let text = file.text_lossy(between);
                match text.rfind('\n') {
                    Some(at) if text[at..].trim().is_empty() => text[at..].to_owned(),
                    _ => " ".to_owned(),
                }
            }
            [only] => {
                let before = file.text(Span::new(literal.span.start, only.span.start));
                let line = memchr::memrchr(b'\n', before).map(|at| &before[at..]);
                match line.map(String::from_utf8_lossy) {
                    Some(line) if line.trim().is_empty() => line.into_owned(),
                    _ => " ".to_owned(),
                }
            }
            [] => " ".to_owned(),
        };
        Self { separator, style }
    }
}

/// The blanks that bring a line to where the first word of the line at `offset` stands, for a list
/// that begins on it to where its first element does.
fn indentation(file: &File, offset: u32) -> String {
    let before = file.text(Span::new(0, offset));
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let line = String::from_utf8_lossy(&before[start..]);
    let blanks: String = line
        .chars()
        .take_while(|c| matches!(c, ' ' | '\t'))
        .collect();
    match line.find('(') {
        Some(at) if line[blanks.len()..at].contains('=') => " ".repeat(line[..=at].chars().count()),
        _ => blanks,
    }
}

/// Adds elements behind the last one, after a comment on its line.
pub(super) fn append(file: &File, literal: &ArrayLiteral, values: &[&str]) -> Vec<Change> {
    if values.is_empty() {
        return Vec::new();
    }
    let layout = Layout::of(file, literal);
    let quoted = values.iter().map(|value| quoted(value, layout.style));
    let (at, text) = match literal.elements.as_slice().last() {
        None => {
            let words: Vec<String> = quoted.collect();
            let next = file.text(literal.span).get(1);
            let blank = if next == Some(&b'#') { " " } else { "" };
            (literal.span.start + 1, words.join(" ") + blank)
        }
        Some(last) => {
            let rest = file.text(Span::new(last.span.end, literal.span.end.saturating_sub(1)));
            let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let comment = rest[..line].trim_ascii().starts_with(b"#");
            let behind = comment && line < rest.len();
            let at = if behind { line } else { 0 };
            let at = last.span.end + u32::try_from(at).unwrap_or(0);
            let separator = if behind && !layout.separator.starts_with('\n') {
                format!("\n{}", indentation(file, last.span.start))
            } else {
                layout.separator
            };
            let text: String = quoted.flat_map(|word| [separator.clone(), word]).collect();
            (at, text)
        }
    };
    vec![Change {
        span: Span::empty(at),
        text,
    }]
}

/// Takes one element away, with the blanks in front of it; if a comment stands on its line, only
/// the element.
pub(super) fn remove(file: &File, literal: &ArrayLiteral, index: usize) -> Change {
    let elements = literal.elements.as_slice();
    let element = &elements[index];
    let inside = literal.span.start + 1;
    let start = match index.checked_sub(1) {
        Some(before) => elements[before].span.end,
        None => inside,
    };
    let blanks = file.text(Span::new(start, element.span.start));
    let end = literal.span.end.saturating_sub(1);
    let behind = file.text(Span::new(element.span.end, end));
    let line = memchr::memchr(b'\n', behind).unwrap_or(behind.len());
    let comment = behind[..line].trim_ascii().starts_with(b"#");
    // A comment in front of it, or on its line, stays where it is.
    let kept = blanks
        .iter()
        .rposition(|byte| !byte.is_ascii_whitespace())
        .map_or(0, |at| at + 1);
    let mut span = element.span;
    if kept == 0 && !comment {
        if index > 0 {
            span.start = start;
        } else {
            // Of the first one the blanks behind it go, so that the second one takes its place.
            let blank = behind.iter().take_while(|byte| byte.is_ascii_whitespace());
            let next = elements.len() > 1;
            span.end += u32::try_from(if next { blank.count() } else { 0 }).unwrap_or(0);
        }
    } else if !comment && kept > 0 {
        // The line feed that ends the comment stays; what follows it goes, up to the next one.
        let newline = blanks[kept..].iter().rposition(|&byte| byte == b'\n');
        if let Some(at) = newline
            && line < behind.len()
            && behind[..line].trim_ascii().is_empty()
        {
            span.start = start + u32::try_from(kept + at).unwrap_or(0);
        }
    }
    Change {
        span,
        text: String::new(),
    }
}

/// Makes the elements those of `values`: equal ones and those in the same place keep their text or
/// style, what is too much goes, what is missing comes behind the last one.
pub(super) fn set(
    file: &File,
    literal: &ArrayLiteral,
    current: &[Option<String>],
    values: &[&str],
) -> Vec<Change> {
    let elements = literal.elements.as_slice();
    let mut changes = Vec::new();
    for ((element, now), value) in elements.iter().zip(current).zip(values) {
        if now.as_deref() != Some(*value) {
            changes.push(Change {
                span: element.value.span,
                text: quoted(value, Style::of(&element.value)),
            });
        }
    }
    if values.len() < elements.len() {
        changes.extend((values.len()..elements.len()).map(|index| remove(file, literal, index)));
    } else {
        changes.extend(append(file, literal, &values[elements.len()..]));
    }
    changes
}
