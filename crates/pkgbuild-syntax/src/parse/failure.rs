//! How a parser of this module says that it cannot go on.

use nom::error::{ErrorKind, ParseError};

use super::cursor::Cursor;
use crate::error::SyntaxErrorKind;
use crate::span::Span;

/// Result of every parser here.
pub(super) type Step<'s, T> = nom::IResult<Cursor<'s>, T, Failure>;

/// Why a parser failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something else may stand here; another alternative is tried.
    Mismatch,
    /// A mistake that is not reported yet. Boxed, because results are passed through every level.
    Mistake(Box<Mistake>),
    /// A mistake was reported after which the rest of the text is not read.
    Stopped,
}

/// A mistake before line, column and excerpt are known.
#[derive(Clone, Debug)]
pub(super) struct Mistake {
    pub(super) kind: SyntaxErrorKind,
    pub(super) span: Span,
    pub(super) opened: Option<Span>,
    pub(super) help: Option<&'static str>,
}

impl<'s> ParseError<Cursor<'s>> for Failure {
    fn from_error_kind(_: Cursor<'s>, _: ErrorKind) -> Self {
        Self::Mismatch
    }

    fn append(_: Cursor<'s>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl Failure {
    /// "expected …, found …" at the cursor.
    pub(super) fn unexpected(input: Cursor<'_>, expected: &'static str) -> nom::Err<Self> {
        Self::unexpected_with(input, expected, None)
    }

    /// Adds where the construct began that the mistake is in.
    pub(super) fn opened_at(mut self, opened: Span) -> Self {
        if let Self::Mistake(mistake) = &mut self {
            mistake.opened = Some(opened);
        }
        self
    }

    /// The same with the likely fix.
    pub(super) fn unexpected_with(
        input: Cursor<'_>,
        expected: &'static str,
        help: Option<&'static str>,
    ) -> nom::Err<Self> {
        let length = token_length(input.rest());
        let found = String::from_utf8_lossy(&input.rest()[..length]).into_owned();
        nom::Err::Failure(Self::Mistake(Box::new(Mistake {
            kind: SyntaxErrorKind::Unexpected { expected, found },
            span: input.span_of(length),
            opened: None,
            help,
        })))
    }
}

/// Longest text quoted as found, in bytes.
const LONGEST_FOUND: usize = 24;

/// Length of what a person would call the token at the start of `text`.
fn token_length(text: &[u8]) -> usize {
    let Some(&first) = text.first() else { return 0 };
    let operator = |byte: &u8| b";&|<>()".contains(byte);
    if operator(&first) {
        let run = text
            .iter()
            .take(3)
            .take_while(|byte| **byte == first)
            .count();
        return if matches!(first, b'(' | b')') { 1 } else { run };
    }
    let ends = |byte: &u8| byte.is_ascii_whitespace() || operator(byte);
    let length = text
        .iter()
        .position(ends)
        .unwrap_or(text.len())
        .clamp(1, LONGEST_FOUND);
    (length..text.len().min(length + 4))
        .find(|&at| text[at] & 0xc0 != 0x80)
        .unwrap_or(length)
}
