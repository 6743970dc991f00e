//! Assignments and array literals.

use super::cursor::Cursor;
use super::expansion::subscript;
use super::failure::{Failure, Mistake, Step};
use super::lexical::lines;
use super::word::{Mode, no_word, word};
use crate::error::SyntaxErrorKind;
use crate::tree::{ArrayElement, ArrayLiteral, Assignment, Few, LeafKind, Subscript, Value};

/// Whether the word at the cursor may be an assignment; it begins with a name of `length` bytes.
pub(super) fn may_assign(input: Cursor<'_>, length: usize) -> bool {
    length > 0 && matches!(input.byte(length), Some(b'=' | b'+' | b'['))
}

/// The assignment at the cursor, or a mismatch when the word there, which begins with a name of
/// `length` bytes, is not one.
pub(super) fn assignment(input: Cursor<'_>, length: usize) -> Step<'_, Assignment> {
    const MISMATCH: nom::Err<Failure> = nom::Err::Error(Failure::Mismatch);
    let name = input.span_of(length);
    let mut rest = input.advance(length);
    let mut index = None;
    match rest.peek() {
        Some(b'=') => {}
        Some(b'+') if rest.byte(1) == Some(b'=') => {}
        Some(b'[') if input.state.may_be(input) => {
            input.state.leaf(LeafKind::Name, input.at(), rest.at());
            let (after, found) = rest.nested(subscript)?;
            if assigns(after).is_none() {
                input.state.rule_out(input, after)?;
                return Err(MISMATCH);
            }
            rest = after;
            index = Some(Box::new(found));
        }
        _ => return Err(MISMATCH),
    }
    if index.is_none() {
        input.state.leaf(LeafKind::Name, input.at(), rest.at());
    }
    let sign = assigns(rest).ok_or(MISMATCH)?;
    rest = rest.take_leaf(LeafKind::Operator, sign);
    let (rest, value) = if rest.peek() == Some(b'(') {
        let (rest, array) = rest.nested(array_literal)?;
        (rest, Value::Array(array))
    } else {
        let (rest, word) = word(rest, Mode::Word)?;
        (rest, Value::Scalar(word))
    };
    let span = input.span_to(rest);
    Ok((
        rest,
        Assignment {
            span,
            name,
            subscript: index,
            append: sign == 2,
            value,
        },
    ))
}

/// Length of the `=` or `+=` at the cursor.
fn assigns(input: Cursor<'_>) -> Option<usize> {
    match (input.peek(), input.byte(1)) {
        (Some(b'='), _) => Some(1),
        (Some(b'+'), Some(b'=')) => Some(2),
        _ => None,
    }
}

/// `(…)` behind `=`.
fn array_literal(input: Cursor<'_>) -> Step<'_, ArrayLiteral> {
    let mut elements = Few::new();
    let mut rest = input.take_leaf(LeafKind::Operator, 1);
    loop {
        rest = lines(rest);
        if rest.at_end() {
            rest.report_unclosed(input.span_of(1), "the array", ")", Some(CLOSE_ARRAY));
            break;
        }
        if rest.peek() == Some(b')') {
            rest = rest.take_leaf(LeafKind::Operator, 1);
            break;
        }
        if no_word(rest) {
            return Err(misplaced(input, rest));
        }
        let (after, element) = element(rest)?;
        rest = after;
        elements.push(element);
    }
    Ok((
        rest,
        ArrayLiteral {
            span: input.span_to(rest),
            elements,
        },
    ))
}

const CLOSE_ARRAY: &str = "add `)` behind the last element";

/// An operator in an array: either it should be quoted or the array should have ended before.
fn misplaced(opening: Cursor<'_>, operator: Cursor<'_>) -> nom::Err<Failure> {
    let between = &opening.rest()[..operator.at() - opening.at()];
    let quote = Some("quote the element if the character belongs to it");
    if operator.peek() != Some(b'(') || !between.contains(&b'\n') {
        return Failure::unexpected_with(operator, "an array element or `)`", quote);
    }
    nom::Err::Failure(Failure::Mistake(Box::new(Mistake {
        kind: SyntaxErrorKind::Unclosed {
            what: "the array",
            closing: ")",
        },
        span: operator.span_of(1),
        opened: Some(opening.span_of(1)),
        help: Some(CLOSE_ARRAY),
    })))
}

/// `value` or `[index]=value`.
fn element(input: Cursor<'_>) -> Step<'_, ArrayElement> {
    let mut index: Option<Box<Subscript>> = None;
    let mut append = false;
    let mut rest = input;
    if input.peek() == Some(b'[') && input.state.may_be(input) {
        let (after, found) = input.nested(subscript)?;
        if let Some(sign) = assigns(after) {
            rest = after.take_leaf(LeafKind::Operator, sign);
            index = Some(Box::new(found));
            append = sign == 2;
        } else {
            input.state.rule_out(input, after)?;
        }
    }
    let (rest, value) = word(rest, Mode::Word)?;
    Ok((
        rest,
        ArrayElement {
            span: input.span_to(rest),
            index,
            append,
            value,
        },
    ))
}
