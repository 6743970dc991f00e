//! Quoted strings, and what becomes of those that are never closed.
//!
//! An unclosed quote swallows the rest of the text, and when a later line has quotes of its own,
//! the one left over at the end is not the one that lacks its partner. So the culprit is looked
//! for, and the text is read again with that quote taken as closed at the end of its line.

use super::cursor::Cursor;
use super::failure::{Mistake, Step};
use super::lexical::{class, is, line_length, run_without};
use super::word::{Mode, parts};
use crate::error::SyntaxErrorKind;
use crate::span::Span;
use crate::tree::{DoubleQuoted, LeafKind, WordPart};

/// The kinds of quoted strings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    Single,
    AnsiC,
    /// `"`, or `$"` with the length of the opening mark.
    Double(usize),
}

impl Quote {
    fn mark(self) -> usize {
        match self {
            Self::Single => 1,
            Self::AnsiC => 2,
            Self::Double(mark) => mark,
        }
    }

    /// What it is called, and what closes it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Single => ("the single quote", "'"),
            Self::AnsiC => ("the quote", "'"),
            Self::Double(_) => ("the double quote", "\""),
        }
    }
}

/// The end of the line, when the quote at the cursor is known to be never closed. Reports it.
fn taken_as_closed(input: Cursor<'_>, quote: Quote) -> Option<Cursor<'_>> {
    if !input.state.ends_with_its_line(input.offset()) {
        return None;
    }
    let end = input.advance(line_length(input.rest()));
    let (what, closing) = quote.names();
    input.state.report(Mistake {
        kind: SyntaxErrorKind::Unclosed { what, closing },
        span: input.span_to(end),
        opened: Some(input.span_of(quote.mark())),
        help: Some("add the closing quote"),
    });
    Some(end)
}

/// Reports that the quote opened here is not closed, and remembers which quote to blame.
pub(super) fn unclosed(opening: Cursor<'_>, quote: Quote) -> Cursor<'_> {
    opening.state.blame(opening.offset());
    let end = opening.to_end();
    let (what, closing) = quote.names();
    let help = Some("add the closing quote; one in an earlier line may lack its partner");
    end.report_unclosed(opening.span_of(quote.mark()), what, closing, help);
    end
}

/// Notes a string that looks as if its closing quote was meant to open another one: text follows
/// the quote at once, and in front of it, in a later line than the string began, there are only
/// blanks or what ends in `=` or `(`.
fn note_suspect(opening: Cursor<'_>, behind: Cursor<'_>) {
    let state = opening.state;
    if state.suspect().is_some() || !behind.peek().is_some_and(|byte| is(byte, class::NAME)) {
        return;
    }
    let text = &state.source()[opening.at()..behind.at().saturating_sub(1).max(opening.at())];
    if let Some(newline) = text.iter().rposition(|&byte| byte == b'\n') {
        let line = text[newline..].trim_ascii();
        if line.is_empty() || line.ends_with(b"=") || line.ends_with(b"(") {
            state.suspects(opening.offset());
        }
    }
}

/// `'…'`.
pub(super) fn single_quoted(input: Cursor<'_>) -> Cursor<'_> {
    let rest = taken_as_closed(input, Quote::Single).unwrap_or_else(|| {
        match memchr::memchr(b'\'', &input.rest()[1..]) {
            Some(length) => {
                let rest = input.advance(length + 2);
                note_suspect(input, rest);
                rest
            }
            None => unclosed(input, Quote::Single),
        }
    });
    input.state.leaf(LeafKind::Quoted, input.at(), rest.at());
    rest
}

/// `$'…'`.
pub(super) fn ansi_c_quoted(input: Cursor<'_>) -> Cursor<'_> {
    let rest = taken_as_closed(input, Quote::AnsiC).unwrap_or_else(|| {
        let mut rest = input.advance(2);
        loop {
            let plain = rest
                .rest()
                .iter()
                .position(|&byte| byte == b'\'' || byte == b'\\');
            match plain {
                Some(length) if rest.byte(length) == Some(b'\\') => rest = rest.advance(length + 2),
                Some(length) => return rest.advance(length + 1),
                None => return unclosed(input, Quote::AnsiC),
            }
        }
    });
    input.state.leaf(LeafKind::Quoted, input.at(), rest.at());
    rest
}

/// `"…"`, whose opening mark is `mark` bytes long.
pub(super) fn double_quoted(input: Cursor<'_>, mark: usize) -> Step<'_, DoubleQuoted> {
    let quote = Quote::Double(mark);
    let inside = input.take_leaf(LeafKind::QuoteMark, mark);
    if let Some(rest) = taken_as_closed(input, quote) {
        let text = inside.span_to(rest);
        inside.take_leaf(LeafKind::Text, text.len() as usize);
        let span = input.span_to(rest);
        let parts = literal(text);
        return Ok((rest, DoubleQuoted { span, parts }));
    }
    let plain = inside.advance(run_without(inside.rest(), class::DOUBLE | class::EXPAND));
    if plain.peek() == Some(b'"') {
        return Ok(closed(input, inside, plain));
    }
    let (mut rest, parts) = parts(inside, Mode::Double)?;
    if rest.peek() == Some(b'"') {
        rest = rest.take_leaf(LeafKind::QuoteMark, 1);
        note_suspect(input, rest);
    } else {
        unclosed(input, quote);
    }
    Ok((
        rest,
        DoubleQuoted {
            span: input.span_to(rest),
            parts: parts.into_vec(),
        },
    ))
}

/// The string from `opening` on whose text is plain from `inside` up to the quote at `closing`.
fn closed<'s>(
    opening: Cursor<'s>,
    inside: Cursor<'s>,
    closing: Cursor<'s>,
) -> (Cursor<'s>, DoubleQuoted) {
    let text = inside.span_to(closing);
    inside.take_leaf(LeafKind::Text, text.len() as usize);
    let rest = closing.take_leaf(LeafKind::QuoteMark, 1);
    note_suspect(opening, rest);
    let span = opening.span_to(rest);
    let parts = literal(text);
    (rest, DoubleQuoted { span, parts })
}

fn literal(text: Span) -> Vec<WordPart> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![WordPart::Literal(text)]
    }
}
