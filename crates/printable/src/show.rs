use std::borrow::Cow;

/// Longest colour sequence that is left, in bytes; no real one is as long.
const MAX_COLOUR: usize = 32;

const RESET: &str = "\x1b[0m";

/// Shows `text` with everything escaped that a terminal obeys or a reader does not see, as
/// `\u{1b}`. Line feeds and tabs stay.
///
/// Nothing is copied where nothing is escaped.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push(&mut shown, character);
    }
    Cow::Owned(shown)
}

/// Shows `text` as [`text`](fn@text) does, but leaves colours: ECMA-48, 8.3.117, "SGR", with numbers
/// separated by `;` or `:`. At the end of each line that has any they are reset.
pub fn coloured(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut is_coloured = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            shown.push_str(&rest[..length]);
            is_coloured = true;
            rest = &rest[length..];
            continue;
        }
        if character == '\n' && is_coloured {
            shown.push_str(RESET);
            is_coloured = false;
        }
        push(&mut shown, character);
        rest = &rest[character.len_utf8()..];
    }
    if is_coloured {
        shown.push_str(RESET);
    }
    Cow::Owned(shown)
}

/// The length of the colour sequence that `text` begins with.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers
        .bytes()
        .take(MAX_COLOUR)
        .position(|byte| !(byte.is_ascii_digit() || matches!(byte, b';' | b':')))?;
    (numbers.as_bytes()[end] == b'm').then_some(2 + end + 1)
}

fn push(shown: &mut String, character: char) {
    if is_shown(character) {
        shown.push(character);
    } else {
        shown.extend(character.escape_unicode());
    }
}

fn is_shown(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        _ => !(character.is_control() || is_unseen(character)),
    }
}

/// Whether a character has no width, or turns what is around it.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        // Soft hyphen, joiners, fillers, the byte order mark. The two variation selectors that make a
        // sign a picture or a letter are in ordinary text.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
        // Direction (UAX #9), and line and paragraph separators.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates, deprecated format characters.
        | '\u{2060}'..='\u{206f}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // Tags and further variation selectors.
        | '\u{e0000}'..='\u{e0fff}'
    )
}
