//! How a value is written, in the quoting style of what stands there.

use crate::tree::{File, Word, WordPart};

/// How a word is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Bare,
    Single,
    Double,
}

impl Style {
    /// The style of a word: that of its first piece.
    pub(super) fn of(word: &Word) -> Self {
        match word.parts().first() {
            Some(WordPart::SingleQuoted(_) | WordPart::AnsiCQuoted(_)) => Self::Single,
            Some(WordPart::DoubleQuoted(_)) => Self::Double,
            _ => Self::Bare,
        }
    }
}

/// The value in the style, or in the nearest one that can hold it.
pub(super) fn quoted(value: &str, style: Style) -> String {
    match style {
        Style::Bare if is_plain(value) => value.to_owned(),
        Style::Double => double(value),
        Style::Bare | Style::Single if value.contains('\'') => double(value),
        Style::Bare | Style::Single => format!("'{value}'"),
    }
}

fn double(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

/// Whether the value means itself without quotes, as a value and as an element.
fn is_plain(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:/@%,=".contains(&byte);
    !value.is_empty()
        && value.bytes().all(plain)
        && !value.starts_with('=')
        && !value.contains(":~")
}

/// The text of a word without expansions.
pub(super) fn static_text(file: &File, word: &Word) -> Option<String> {
    let text = word.static_text(file)?;
    String::from_utf8(text.into_owned()).ok()
}
