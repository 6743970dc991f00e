//! Blanks, comments, line feeds, names and reserved words.

use super::cursor::Cursor;
use super::redirect::here_document_bodies;
use crate::tree::LeafKind;

/// Byte classes, as bits of [`CLASS`].
pub(super) mod class {
    /// Ends an unquoted word.
    pub(crate) const META: u16 = 1;
    /// `'`.
    pub(crate) const SINGLE: u16 = 1 << 1;
    /// `"`.
    pub(crate) const DOUBLE: u16 = 1 << 2;
    /// `$`, `` ` `` and `\`.
    pub(crate) const EXPAND: u16 = 1 << 3;
    /// `}`.
    pub(crate) const BRACE: u16 = 1 << 4;
    /// `/`.
    pub(crate) const SLASH: u16 = 1 << 5;
    /// `[` and `]`.
    pub(crate) const BRACKET: u16 = 1 << 6;
    /// `(` and `)`.
    pub(crate) const PAREN: u16 = 1 << 7;
    /// `;`.
    pub(crate) const SEMICOLON: u16 = 1 << 8;
    /// `:` and `?`.
    pub(crate) const TERNARY: u16 = 1 << 9;
    /// A line feed.
    pub(crate) const LINE: u16 = 1 << 10;
    /// May stand in a name.
    pub(crate) const NAME: u16 = 1 << 11;
    /// May stand at the start of a name.
    pub(crate) const NAME_START: u16 = 1 << 12;
    /// `<`, `>`: process substitution inside a word.
    pub(crate) const ANGLE: u16 = 1 << 13;
}

/// The classes of every byte.
pub(super) static CLASS: [u16; 256] = classes();

const fn classes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let mut bits = match byte {
            b' ' | b'\t' | b'&' | b'|' => class::META,
            b'<' | b'>' => class::META | class::ANGLE,
            b'\n' => class::META | class::LINE,
            b';' => class::META | class::SEMICOLON,
            b'(' | b')' => class::META | class::PAREN,
            b'\'' => class::SINGLE,
            b'"' => class::DOUBLE,
            b'$' | b'`' | b'\\' => class::EXPAND,
            b'}' => class::BRACE,
            b'/' => class::SLASH,
            b'[' | b']' => class::BRACKET,
            b':' | b'?' => class::TERNARY,
            b'0'..=b'9' => class::NAME,
            _ => 0,
        };
        if byte == b'_' || byte.is_ascii_alphabetic() {
            bits |= class::NAME | class::NAME_START;
        }
        table[byte as usize] = bits;
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// Whether a byte has one of the classes.
#[inline]
pub(super) fn is(byte: u8, classes: u16) -> bool {
    CLASS[usize::from(byte)] & classes != 0
}

/// Length of the run at the start of `text` without a byte of the classes.
#[inline]
pub(super) fn run_without(text: &[u8], classes: u16) -> usize {
    text.iter()
        .position(|&byte| is(byte, classes))
        .unwrap_or(text.len())
}

/// Length of the text up to the first line feed.
pub(super) fn line_length(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).unwrap_or(text.len())
}

/// Length of the name at the start of `text`; 0 when there is none.
#[inline]
pub(super) fn name_length(text: &[u8]) -> usize {
    match text.first() {
        Some(&first) if is(first, class::NAME_START) => text
            .iter()
            .position(|&byte| !is(byte, class::NAME))
            .unwrap_or(text.len()),
        _ => 0,
    }
}

/// Whether an unquoted word ends at this byte or at the end of the text.
#[inline]
pub(super) fn ends_word(byte: Option<u8>) -> bool {
    byte.is_none_or(|byte| is(byte, class::META))
}

/// Skips spaces, tabs and line continuations.
#[inline]
pub(super) fn blanks(input: Cursor<'_>) -> Cursor<'_> {
    match input.peek() {
        Some(b' ' | b'\t' | b'\\') => some_blanks(input),
        _ => input,
    }
}

fn some_blanks(mut input: Cursor<'_>) -> Cursor<'_> {
    loop {
        match input.peek() {
            Some(b' ' | b'\t') => {
                let length = input
                    .rest()
                    .iter()
                    .position(|&byte| byte != b' ' && byte != b'\t')
                    .unwrap_or(input.rest().len());
                input = input.take_leaf(LeafKind::Blank, length);
            }
            Some(b'\\') if input.byte(1) == Some(b'\n') => {
                input = input.take_leaf(LeafKind::Continuation, 2);
            }
            _ => return input,
        }
    }
}

/// Skips a comment when one starts here.
#[inline]
pub(super) fn comment(input: Cursor<'_>) -> Cursor<'_> {
    if input.peek() == Some(b'#') {
        input.take_leaf(LeafKind::Comment, line_length(input.rest()))
    } else {
        input
    }
}

/// Skips one line feed, which must be there, and the here-documents whose bodies follow it.
pub(super) fn line_feed(input: Cursor<'_>) -> Cursor<'_> {
    let rest = input.take_leaf(LeafKind::Newline, 1);
    if !rest.state.awaits_bodies() {
        return rest;
    }
    here_document_bodies(rest)
}

/// Skips blanks, comments and line feeds.
pub(super) fn lines(mut input: Cursor<'_>) -> Cursor<'_> {
    loop {
        input = comment(blanks(input));
        match input.peek() {
            Some(b'\n') => input = line_feed(input),
            _ => return input,
        }
    }
}

/// A word or bracket that ends a list of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closer {
    Then,
    Elif,
    Else,
    Fi,
    Do,
    Done,
    Esac,
    Brace,
    Paren,
    /// `;;`, `;&` or `;;&`.
    Arm,
}

impl Closer {
    pub(super) const fn bit(self) -> u16 {
        1 << (self as u16)
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Then => "then",
            Self::Elif => "elif",
            Self::Else => "else",
            Self::Fi => "fi",
            Self::Do => "do",
            Self::Done => "done",
            Self::Esac => "esac",
            Self::Brace => "}",
            Self::Paren => ")",
            Self::Arm => ";;",
        }
    }

    /// The closer at the cursor, which must be where a command can start.
    pub(super) fn peek(input: Cursor<'_>) -> Option<Self> {
        let closer = match input.peek()? {
            b')' => return Some(Self::Paren),
            b';' => {
                return matches!(input.byte(1), Some(b';' | b'&')).then_some(Self::Arm);
            }
            b'}' => Self::Brace,
            b't' => Self::Then,
            b'f' => Self::Fi,
            b'd' if input.starts_with(b"done") => Self::Done,
            b'd' => Self::Do,
            b'e' if input.starts_with(b"esac") => Self::Esac,
            b'e' if input.starts_with(b"elif") => Self::Elif,
            b'e' => Self::Else,
            _ => return None,
        };
        at_word(input, closer.text()).then_some(closer)
    }
}

/// Whether the unquoted word at the cursor is exactly `word`.
#[inline]
pub(super) fn at_word(input: Cursor<'_>, word: &str) -> bool {
    let length = word.len();
    input.starts_with(word.as_bytes())
        && match input.byte(length) {
            // What a line continuation joins may be the end of the word.
            Some(b'\\') => {
                input.byte(length + 1) == Some(b'\n') && ends_word(input.byte(length + 2))
            }
            next => ends_word(next),
        }
}

/// Consumes the reserved word when it stands at the cursor.
pub(super) fn keyword<'s>(input: Cursor<'s>, word: &str) -> Option<Cursor<'s>> {
    at_word(input, word).then(|| input.take_leaf(LeafKind::Keyword, word.len()))
}
