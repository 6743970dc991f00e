//! Redirections and here-documents.

use super::cursor::Cursor;
use super::failure::{Failure, Mistake, Step};
use super::lexical::{blanks, line_length, name_length};
use super::word::{Mode, no_word, parts, required_word};
use crate::error::SyntaxErrorKind;
use crate::span::Span;
use crate::tree::{
    Descriptor, HereDocument, HereDocumentId, LeafKind, Redirect, RedirectOperator, RedirectTarget,
    Word, WordPart,
};

/// The operators, longer ones before their prefixes.
const OPERATORS: [(&[u8], RedirectOperator); 13] = [
    (b"&>>", RedirectOperator::AppendBoth),
    (b"&>", RedirectOperator::WriteBoth),
    (b"<<<", RedirectOperator::HereString),
    (b"<<-", RedirectOperator::HereDocument),
    (b"<<", RedirectOperator::HereDocument),
    (b"<&", RedirectOperator::DuplicateInput),
    (b"<>", RedirectOperator::ReadWrite),
    (b"<", RedirectOperator::Read),
    (b">>", RedirectOperator::Append),
    (b">&", RedirectOperator::DuplicateOutput),
    (b">|", RedirectOperator::Clobber),
    (b">", RedirectOperator::Write),
    (b"", RedirectOperator::Write),
];

/// Length of the descriptor in front of a redirection at the cursor; `None` when there is none.
fn descriptor(input: Cursor<'_>) -> Option<(usize, Option<Descriptor>)> {
    let text = input.rest();
    let (length, descriptor) = match text.first()? {
        b'0'..=b'9' => {
            let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = text[..length].iter().fold(0_u32, |number, digit| {
                number
                    .saturating_mul(10)
                    .saturating_add(u32::from(digit - b'0'))
            });
            (length, Some(Descriptor::Number(number)))
        }
        b'{' => {
            let length = name_length(&text[1..]);
            if length == 0 || text.get(length + 1) != Some(&b'}') {
                return None;
            }
            (
                length + 2,
                Some(Descriptor::Variable(input.advance(1).span_of(length))),
            )
        }
        b'&' => return (text.get(1) == Some(&b'>')).then_some((0, None)),
        _ => (0, None),
    };
    match (text.get(length)?, text.get(length + 1)) {
        (b'<' | b'>', Some(b'(')) if length == 0 => None,
        (b'<' | b'>', _) => Some((length, descriptor)),
        _ => None,
    }
}

/// Whether a redirection starts at the cursor.
pub(super) fn starts_redirect(input: Cursor<'_>) -> bool {
    descriptor(input).is_some()
}

/// The redirection at the cursor, or a mismatch.
pub(super) fn redirect(input: Cursor<'_>) -> Step<'_, Redirect> {
    let Some((length, descriptor)) = descriptor(input) else {
        return Err(nom::Err::Error(Failure::Mismatch));
    };
    let sign = input.advance(length);
    let (text, operator) = OPERATORS
        .iter()
        .find(|(text, _)| sign.starts_with(text))
        .copied()
        .unwrap_or((b"", RedirectOperator::Write));
    let rest = blanks(input.take_leaf(LeafKind::Operator, length + text.len()));
    if no_word(rest) || rest.peek() == Some(b'#') {
        return Err(Failure::unexpected(rest, "the target of the redirection"));
    }
    let (rest, word) = required_word(rest, Mode::Word, "the target of the redirection")?;
    let span = input.span_to(rest);
    let target = if operator == RedirectOperator::HereDocument {
        RedirectTarget::HereDocument(announce(rest, word, text == b"<<-"))
    } else {
        RedirectTarget::Word(word)
    };
    Ok((
        rest,
        Redirect {
            span,
            descriptor,
            operator,
            target,
        },
    ))
}

/// Registers a here-document whose body begins behind the next line feed.
fn announce(input: Cursor<'_>, delimiter: Word, strip_tabs: bool) -> HereDocumentId {
    let state = input.state;
    let raw = &state.source()[delimiter.span.range()];
    let quoted = raw.iter().any(|byte| b"'\"\\".contains(byte));
    state.announce(HereDocument {
        span: Span::empty(input.offset()),
        delimiter,
        quoted,
        strip_tabs,
        parts: Vec::new(),
    })
}

/// Reads the bodies of the here-documents announced in the line that has just ended.
pub(super) fn here_document_bodies(mut input: Cursor<'_>) -> Cursor<'_> {
    let state = input.state;
    if !state.awaits_bodies() {
        return input;
    }
    for id in state.take_announced() {
        let announced = state.document(id, |document| {
            let delimiter = delimiter_text(&document.delimiter, state.source());
            let opened = document.delimiter.span;
            (opened, document.quoted, document.strip_tabs, delimiter)
        });
        let Some((opened, quoted, strip_tabs, delimiter)) = announced else {
            continue;
        };
        let (body, after) = body_end(input, &delimiter, strip_tabs);
        let text = input.until(body.at());
        let read = if quoted {
            Ok(plain_lines(text, strip_tabs))
        } else {
            expanded(text, strip_tabs)
        };
        match read {
            Ok(parts) => state.fill(id, input.span_to(body), parts),
            Err(nom::Err::Failure(Failure::Mistake(mistake))) => {
                state.report(*mistake);
                state.leaf(LeafKind::Invalid, input.at(), body.at());
            }
            Err(_) => state.leaf(LeafKind::Invalid, input.at(), body.at()),
        }
        if let Some(after) = after {
            state.leaf(LeafKind::Delimiter, body.at(), after.at());
            input = after;
        } else {
            state.stop(Mistake {
                kind: SyntaxErrorKind::UnclosedHereDocument {
                    delimiter: String::from_utf8_lossy(&delimiter).into_owned(),
                },
                span: Span::empty(body.offset()),
                opened: Some(opened),
                help: Some(
                    "the closing line must be the delimiter alone, without blanks around it",
                ),
            });
            input = body;
        }
    }
    input
}

/// The line that ends a here-document: the delimiter without its quotes, nothing expanded.
fn delimiter_text(delimiter: &Word, source: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for part in delimiter.parts() {
        let raw = &source[part.span().range()];
        match part {
            WordPart::Escaped(_) => text.extend_from_slice(&raw[1..]),
            WordPart::SingleQuoted(_) => text.extend(raw.iter().filter(|byte| **byte != b'\'')),
            WordPart::AnsiCQuoted(_) => {
                let inside = raw.get(2..raw.len().saturating_sub(1)).unwrap_or_default();
                text.extend_from_slice(&crate::ansi_c::decode(inside));
            }
            WordPart::DoubleQuoted(_) => {
                text.extend(raw.iter().filter(|byte| !b"\"\\".contains(byte)));
            }
            _ => text.extend_from_slice(raw),
        }
    }
    text
}

/// The end of the body, and the place behind the delimiter when there is one.
fn body_end<'s>(
    input: Cursor<'s>,
    delimiter: &[u8],
    strip_tabs: bool,
) -> (Cursor<'s>, Option<Cursor<'s>>) {
    let mut line = input;
    while !line.at_end() {
        let length = line_length(line.rest());
        let mut text = &line.rest()[..length];
        if strip_tabs {
            let tabs = text.iter().take_while(|&&byte| byte == b'\t').count();
            text = &text[tabs..];
        }
        let indent = length - text.len();
        if text == delimiter {
            return (line, Some(line.advance(length + 1)));
        }
        // As bash does: in a substitution the bracket that ends it may follow the delimiter.
        if input.state.in_substitution()
            && text
                .strip_prefix(delimiter)
                .is_some_and(|tail| tail.contains(&b')'))
        {
            return (line, Some(line.advance(indent + delimiter.len())));
        }
        line = line.advance(length + 1);
    }
    (line, None)
}

/// The pieces of a body in which nothing is expanded.
fn plain_lines(body: Cursor<'_>, strip_tabs: bool) -> Vec<WordPart> {
    let mut parts = Vec::new();
    let mut rest = body;
    if !strip_tabs {
        if !rest.at_end() {
            let length = rest.rest().len();
            parts.push(WordPart::Literal(rest.span_of(length)));
            rest.take_leaf(LeafKind::Text, length);
        }
        return parts;
    }
    while !rest.at_end() {
        let tabs = rest
            .rest()
            .iter()
            .take_while(|&&byte| byte == b'\t')
            .count();
        rest = rest.take_leaf(LeafKind::Blank, tabs);
        let length = line_length(rest.rest()) + 1;
        let text = rest.span_of(length);
        if !text.is_empty() {
            parts.push(WordPart::Literal(text));
        }
        rest = rest.take_leaf(LeafKind::Text, length);
    }
    parts
}

fn expanded(mut body: Cursor<'_>, strip_tabs: bool) -> Result<Vec<WordPart>, nom::Err<Failure>> {
    if strip_tabs {
        let tabs = body
            .rest()
            .iter()
            .take_while(|&&byte| byte == b'\t')
            .count();
        body = body.take_leaf(LeafKind::Blank, tabs);
    }
    let (_, parts) = parts(body, Mode::HereDocument { strip_tabs })?;
    Ok(parts.into_vec())
}
