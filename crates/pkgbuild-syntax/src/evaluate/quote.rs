//! The ways in which bash writes a string so that it reads it back.

use std::fmt::Write;

/// Whether bash falls back to `$'…'`: a character is not printable.
fn needs_ansi_c(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// `$'…'`.
fn ansi_c(text: &str) -> String {
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\x1b' => quoted.push_str("\\E"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\\' | '\'' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// `'…'`.
pub(crate) fn single(text: &str) -> String {
    if text == "'" {
        return "\\'".to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// As `${x@Q}` does.
pub(crate) fn reusable(text: &str) -> String {
    if needs_ansi_c(text) {
        ansi_c(text)
    } else {
        single(text)
    }
}

/// As `printf %q` does.
pub(crate) fn backslashed(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    if needs_ansi_c(text) {
        return ansi_c(text);
    }
    let mut quoted = String::with_capacity(text.len() + 8);
    let mut before = None;
    for c in text.chars() {
        let special = match c {
            ' ' | '!' | '"' | '$' | '&' | '\'' | '(' | ')' | '*' | ',' | ';' | '<' | '>' | '?'
            | '[' | '\\' | ']' | '^' | '`' | '{' | '|' | '}' => true,
            '#' => before.is_none(),
            '~' => matches!(before, None | Some(':' | '=')),
            _ => false,
        };
        if special {
            quoted.push('\\');
        }
        quoted.push(c);
        before = Some(c);
    }
    quoted
}

/// As `declare -p` writes a value.
pub(crate) fn declared(text: &str) -> String {
    if needs_ansi_c(text) {
        return ansi_c(text);
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// As `declare -p` writes a key of an associative array.
pub(crate) fn key(text: &str) -> String {
    if needs_ansi_c(text) {
        return ansi_c(text);
    }
    let special = |c: char| {
        matches!(
            c,
            ' ' | '\''
                | '"'
                | '\\'
                | '|'
                | '&'
                | ';'
                | '('
                | ')'
                | '<'
                | '>'
                | '!'
                | '{'
                | '}'
                | '*'
                | '['
                | '?'
                | ']'
                | '^'
                | '$'
                | '`'
                | '\t'
                | '\n'
        )
    };
    let tilde = text.starts_with('~') || text.contains(":~") || text.contains("=~");
    if text.is_empty()
        || text == "@"
        || text == "*"
        || text.starts_with('#')
        || tilde
        || text.chars().any(special)
    {
        return declared(text);
    }
    text.to_owned()
}
