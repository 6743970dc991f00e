//! `$…` and `` `…` ``: which kind it is, and parameter expansion. Source: bash(1), "Parameter
//! Expansion".

use super::cursor::Cursor;
use super::failure::Step;
use super::lexical::{class, is, name_length};
use super::quote::{ansi_c_quoted, double_quoted};
use super::substitution::{
    arithmetic_bracket, backquoted, command_substitution, dollar_double_paren,
};
use super::word::{Mode, arithmetic, parts, word};
use crate::tree::{
    Anchor, CaseChange, LeafKind, Operation, Parameter, ParameterExpansion, Special, Subscript,
    Transformation, WordPart,
};

/// Whether the `$` or `` ` `` at the cursor starts an expansion or a quoted string.
pub(super) fn starts_expansion(input: Cursor<'_>, mode: Mode) -> bool {
    if input.peek() == Some(b'`') {
        return true;
    }
    match input.byte(1) {
        Some(b'(' | b'{' | b'[') => true,
        Some(b'\'' | b'"') => !mode.quoted() || mode == Mode::DoubleOperand { decodes: true },
        Some(byte) => is(byte, class::NAME) || is_special(byte),
        None => false,
    }
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!')
}

/// The expansion at the cursor, which [`starts_expansion`].
pub(super) fn expansion(input: Cursor<'_>, mode: Mode) -> Step<'_, WordPart> {
    if input.peek() == Some(b'`') {
        let double = matches!(mode, Mode::Double | Mode::DoubleOperand { .. });
        return backquoted(input, double);
    }
    match input.byte(1) {
        Some(b'(') if input.byte(2) == Some(b'(') => dollar_double_paren(input),
        Some(b'(') => command_substitution(input),
        Some(b'{') => input.nested(|input| braced(input, mode)),
        Some(b'[') => arithmetic_bracket(input),
        Some(b'\'') => {
            let rest = ansi_c_quoted(input);
            Ok((rest, WordPart::AnsiCQuoted(input.span_to(rest))))
        }
        Some(b'"') => {
            let (rest, quoted) = input.nested(|input| double_quoted(input, 2))?;
            Ok((rest, WordPart::DoubleQuoted(quoted)))
        }
        _ => Ok(unbraced(input)),
    }
}

/// `$x`, `$1`, `$@`.
fn unbraced(input: Cursor<'_>) -> (Cursor<'_>, WordPart) {
    let name = input.advance(1);
    let (length, parameter) = match (name_length(name.rest()), name.peek()) {
        (0, Some(digit @ b'0'..=b'9')) => (1, Parameter::Positional(u32::from(digit - b'0'))),
        (0, special) => (
            1,
            special
                .and_then(Special::of)
                .map_or(Parameter::Nothing, Parameter::Special),
        ),
        (1, Some(b'_')) => (1, Parameter::Special(Special::LastWord)),
        (length, _) => (length, Parameter::Variable(name.span_of(length))),
    };
    let rest = input.take_leaf(LeafKind::Expansion, length + 1);
    let expansion = ParameterExpansion {
        span: input.span_to(rest),
        parameter,
        subscript: None,
        indirect: false,
        operation: Operation::Value,
    };
    (rest, WordPart::Parameter(Box::new(expansion)))
}

/// A name, number or special parameter behind `${`.
fn parameter(input: Cursor<'_>) -> Option<(Cursor<'_>, Parameter)> {
    let text = input.rest();
    let length = name_length(text);
    if length > 0 {
        let name = input.span_of(length);
        let parameter = if &text[..length] == b"_" {
            Parameter::Special(Special::LastWord)
        } else {
            Parameter::Variable(name)
        };
        return Some((input.advance(length), parameter));
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 {
        let number = text[..digits].iter().fold(0_u32, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u32::from(digit - b'0'))
        });
        return Some((input.advance(digits), Parameter::Positional(number)));
    }
    let special = Special::of(*text.first()?)?;
    Some((input.advance(1), Parameter::Special(special)))
}

/// How the text between `${` and the operator begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    None,
    Length,
    Indirect,
}

fn prefix(input: Cursor<'_>) -> (Cursor<'_>, Prefix) {
    let behind = input.advance(1);
    match (input.peek(), behind.peek()) {
        (Some(b'#'), Some(next)) if next != b'}' => {
            // `${#-x}` is an operator on `$#`, `${#-}` is the length of `$-`.
            let counts = parameter(behind).is_some_and(|(rest, parameter)| {
                !matches!(parameter, Parameter::Special(special) if special != Special::LastWord)
                    || rest.peek() == Some(b'}')
                    || matches!(
                        parameter,
                        Parameter::Special(Special::All | Special::Joined)
                    )
            });
            if counts {
                (behind, Prefix::Length)
            } else {
                (input, Prefix::None)
            }
        }
        (Some(b'!'), Some(next)) if is(next, class::NAME) || matches!(next, b'#' | b'@' | b'*') => {
            (behind, Prefix::Indirect)
        }
        _ => (input, Prefix::None),
    }
}

/// `${…}`.
fn braced(input: Cursor<'_>, mode: Mode) -> Step<'_, WordPart> {
    let (start, prefix) = prefix(input.advance(2));
    let Some((mut rest, parameter)) = parameter(start) else {
        let start = input.take_leaf(LeafKind::Expansion, 2);
        let (rest, operation) = bad(start)?;
        let parameter = Parameter::Nothing;
        let rest = close_brace(input, rest);
        return Ok((
            rest,
            expanded(input, rest, parameter, None, false, operation),
        ));
    };
    input.state.leaf(LeafKind::Expansion, input.at(), rest.at());
    let mut subscript = None;
    if rest.peek() == Some(b'[') && matches!(parameter, Parameter::Variable(_)) {
        let (after, found) = self::subscript(rest)?;
        rest = after;
        subscript = Some(found);
    }
    let (rest, operation) = match (prefix, rest.peek()) {
        (Prefix::Length, Some(b'}')) => (rest, Operation::Length),
        (Prefix::Length, _) => bad(rest)?,
        (Prefix::Indirect, Some(b'}'))
            if matches!(subscript, Some(Subscript::At | Subscript::Star)) =>
        {
            (rest, Operation::Keys)
        }
        (Prefix::Indirect, Some(sign @ (b'@' | b'*')))
            if rest.byte(1) == Some(b'}') && matches!(parameter, Parameter::Variable(_)) =>
        {
            (
                rest.take_leaf(LeafKind::Expansion, 1),
                Operation::Names {
                    joined: sign == b'*',
                },
            )
        }
        _ => operation(rest, mode)?,
    };
    let indirect = prefix == Prefix::Indirect
        && !matches!(operation, Operation::Keys | Operation::Names { .. });
    let rest = close_brace(input, rest);
    Ok((
        rest,
        expanded(input, rest, parameter, subscript, indirect, operation),
    ))
}

fn expanded(
    input: Cursor<'_>,
    rest: Cursor<'_>,
    parameter: Parameter,
    subscript: Option<Subscript>,
    indirect: bool,
    operation: Operation,
) -> WordPart {
    let span = input.span_to(rest);
    let expansion = ParameterExpansion {
        span,
        parameter,
        subscript,
        indirect,
        operation,
    };
    WordPart::Parameter(Box::new(expansion))
}

fn close_brace<'s>(opening: Cursor<'s>, input: Cursor<'s>) -> Cursor<'s> {
    if input.peek() == Some(b'}') {
        return input.take_leaf(LeafKind::Expansion, 1);
    }
    input.report_unclosed(opening.span_of(2), "the parameter expansion", "}", None);
    input
}

/// `[…]` behind a name.
pub(super) fn subscript(input: Cursor<'_>) -> Step<'_, Subscript> {
    let inside = input.take_leaf(LeafKind::Operator, 1);
    let (rest, subscript) = if inside.starts_with(b"@]") {
        (inside.take_leaf(LeafKind::Operator, 1), Subscript::At)
    } else if inside.starts_with(b"*]") {
        (inside.take_leaf(LeafKind::Operator, 1), Subscript::Star)
    } else {
        let (rest, word) = word(inside, Mode::Subscript)?;
        (rest, Subscript::Index(word))
    };
    if rest.peek() == Some(b']') {
        return Ok((rest.take_leaf(LeafKind::Operator, 1), subscript));
    }
    rest.report_unclosed(input.span_of(1), "the subscript", "]", None);
    Ok((rest, subscript))
}

/// What bash would call a bad substitution, up to the `}`.
fn bad(input: Cursor<'_>) -> Step<'_, Operation> {
    let (rest, _) = parts(input, Mode::Operand { slash: false })?;
    Ok((rest, Operation::Bad(input.span_to(rest))))
}

/// The operator behind the parameter and its operands.
fn operation(input: Cursor<'_>, mode: Mode) -> Step<'_, Operation> {
    let operator = |length| input.take_leaf(LeafKind::Expansion, length);
    let Some(first) = input.peek() else {
        return Ok((input, Operation::Value));
    };
    let doubled = input.byte(1) == Some(first);
    let length = 1 + usize::from(doubled);
    match first {
        b'}' => Ok((input, Operation::Value)),
        b':' => match input.byte(1) {
            Some(sign @ (b'-' | b'=' | b'?' | b'+')) => conditional(operator(2), sign, true, mode),
            _ => substring(operator(1)),
        },
        b'-' | b'=' | b'?' | b'+' => conditional(operator(1), first, false, mode),
        b'#' | b'%' => {
            let (rest, pattern) = word(operator(length), Mode::Operand { slash: false })?;
            let operation = if first == b'#' {
                Operation::RemovePrefix {
                    longest: doubled,
                    pattern,
                }
            } else {
                Operation::RemoveSuffix {
                    longest: doubled,
                    pattern,
                }
            };
            Ok((rest, operation))
        }
        b'/' => replace(input),
        b'^' | b',' | b'~' => {
            let (rest, pattern) = word(operator(length), Mode::Operand { slash: false })?;
            let change = match first {
                b'^' => CaseChange::Upper,
                b',' => CaseChange::Lower,
                _ => CaseChange::Toggle,
            };
            Ok((
                rest,
                Operation::Case {
                    change,
                    all: doubled,
                    pattern,
                },
            ))
        }
        b'@' => match (input.byte(1), input.byte(2)) {
            (Some(letter), Some(b'}')) => match Transformation::of(letter) {
                Some(transformation) => Ok((operator(2), Operation::Transform(transformation))),
                None => bad(input),
            },
            _ => bad(input),
        },
        _ => bad(input),
    }
}

fn conditional(input: Cursor<'_>, sign: u8, or_empty: bool, mode: Mode) -> Step<'_, Operation> {
    let mode = match mode {
        Mode::Word | Mode::Regex | Mode::Whole | Mode::Operand { .. } | Mode::Subscript => {
            Mode::Operand { slash: false }
        }
        Mode::Double | Mode::DoubleOperand { decodes: true } => {
            Mode::DoubleOperand { decodes: true }
        }
        _ => Mode::DoubleOperand { decodes: false },
    };
    let (rest, word) = word(input, mode)?;
    let operation = match sign {
        b'-' => Operation::Default { or_empty, word },
        b'=' => Operation::Assign { or_empty, word },
        b'?' => Operation::Error { or_empty, word },
        _ => Operation::Alternative { or_empty, word },
    };
    Ok((rest, operation))
}

fn substring(input: Cursor<'_>) -> Step<'_, Operation> {
    let (rest, offset) = arithmetic(input, Mode::ArithmeticOperand)?;
    if rest.peek() != Some(b':') {
        return Ok((
            rest,
            Operation::Substring {
                offset,
                length: None,
            },
        ));
    }
    let rest = rest.take_leaf(LeafKind::Expansion, 1);
    let (rest, length) = arithmetic(rest, Mode::ArithmeticOperand)?;
    Ok((
        rest,
        Operation::Substring {
            offset,
            length: Some(length),
        },
    ))
}

fn replace(input: Cursor<'_>) -> Step<'_, Operation> {
    let (anchor, length) = match input.byte(1) {
        Some(b'/') => (Anchor::All, 2),
        Some(b'#') => (Anchor::Start, 2),
        Some(b'%') => (Anchor::End, 2),
        _ => (Anchor::First, 1),
    };
    let rest = input.take_leaf(LeafKind::Expansion, length);
    let (rest, pattern) = word(rest, Mode::Operand { slash: true })?;
    if rest.peek() != Some(b'/') {
        return Ok((
            rest,
            Operation::Replace {
                anchor,
                pattern,
                replacement: None,
            },
        ));
    }
    let rest = rest.take_leaf(LeafKind::Expansion, 1);
    let (rest, replacement) = word(rest, Mode::Operand { slash: false })?;
    Ok((
        rest,
        Operation::Replace {
            anchor,
            pattern,
            replacement: Some(replacement),
        },
    ))
}
