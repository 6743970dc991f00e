//! The expression inside `[[ … ]]`. Source: bash(1), "CONDITIONAL EXPRESSIONS".

use nom::Parser;
use nom::branch::alt;
use nom::multi::separated_list1;

use super::compound::operator;
use super::cursor::Cursor;
use super::failure::{Failure, Step};
use super::lexical::{at_word, blanks, class, keyword, lines, run_without};
use super::word::{Mode, no_word, required_word};
use crate::tree::{
    BinaryOperator, Condition, ConditionKind, LeafKind, UnaryOperator, Word, WordPart,
};

const OPERAND: &str = "an operand";

/// Alternatives joined by `||`.
pub(super) fn condition(input: Cursor<'_>) -> Step<'_, Condition> {
    let (rest, terms) = separated_list1(operator("||"), conjunction).parse(input)?;
    Ok((rest, joined(terms, ConditionKind::Or)))
}

/// Terms joined by `&&`.
fn conjunction(input: Cursor<'_>) -> Step<'_, Condition> {
    let (rest, terms) = separated_list1(operator("&&"), spaced_term).parse(input)?;
    Ok((rest, joined(terms, ConditionKind::And)))
}

/// Builds a balanced tree, since a long chain must not become a deep one.
fn joined(
    mut terms: Vec<Condition>,
    join: fn(Box<Condition>, Box<Condition>) -> ConditionKind,
) -> Condition {
    while terms.len() > 1 {
        let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
        let mut rest = terms.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Condition {
                    span: left.span.to(right.span),
                    kind: join(Box::new(left), Box::new(right)),
                },
                None => left,
            });
        }
        terms = pairs;
    }
    match terms.pop() {
        Some(condition) => condition,
        None => Condition {
            span: crate::Span::default(),
            kind: ConditionKind::Word(Word::absent(0)),
        },
    }
}

fn spaced_term(input: Cursor<'_>) -> Step<'_, Condition> {
    let (rest, term) = alt((negation, group, test)).parse(lines(input))?;
    Ok((lines(rest), term))
}

fn negation(input: Cursor<'_>) -> Step<'_, Condition> {
    let Some(rest) = keyword(input, "!") else {
        return Err(nom::Err::Error(Failure::Mismatch));
    };
    let (rest, term) = rest.nested(spaced_term)?;
    let span = crate::Span::new(input.offset(), term.span.end);
    Ok((
        rest,
        Condition {
            span,
            kind: ConditionKind::Not(Box::new(term)),
        },
    ))
}

fn group(input: Cursor<'_>) -> Step<'_, Condition> {
    let (rest, _) = operator("(").parse(input)?;
    let (rest, inner) = rest.nested(condition)?;
    let rest = lines(rest);
    if rest.peek() != Some(b')') {
        return Err(Failure::unexpected(rest, "`&&`, `||` or `)`"));
    }
    let rest = rest.take_leaf(LeafKind::Operator, 1);
    let span = input.span_to(rest);
    Ok((
        rest,
        Condition {
            span,
            kind: ConditionKind::Group(Box::new(inner)),
        },
    ))
}

/// `word`, `-f word` or `left == right`.
fn test(input: Cursor<'_>) -> Step<'_, Condition> {
    let (rest, first) = operand(input, Mode::Word)?;
    let after = blanks(rest);
    if let Some(operator) = unary(&first, input) {
        let (rest, operand) = operand(after, Mode::Word)?;
        let span = input.span_to(rest);
        return Ok((
            rest,
            Condition {
                span,
                kind: ConditionKind::Unary { operator, operand },
            },
        ));
    }
    if ends_term(after) {
        let span = first.span;
        return Ok((
            after,
            Condition {
                span,
                kind: ConditionKind::Word(first),
            },
        ));
    }
    if after.peek() == Some(b'\n') {
        // Reported, and then read as if the operator and operand were not missing.
        let failure = Failure::unexpected(after, "a conditional operator such as `==`");
        if let nom::Err::Failure(Failure::Mistake(mistake)) = failure {
            input.state.report(*mistake);
        }
        let span = first.span;
        return Ok((
            after,
            Condition {
                span,
                kind: ConditionKind::Word(first),
            },
        ));
    }
    let (after, operator) = binary(after)?;
    let mode = match operator {
        BinaryOperator::Matches => Mode::Regex,
        _ => Mode::Word,
    };
    let (rest, right) = operand(blanks(after), mode)?;
    let span = input.span_to(rest);
    Ok((
        rest,
        Condition {
            span,
            kind: ConditionKind::Binary {
                left: first,
                operator,
                right,
            },
        },
    ))
}

fn operand(input: Cursor<'_>, mode: Mode) -> Step<'_, Word> {
    let group = mode != Mode::Word && input.peek() == Some(b'(');
    if at_word(input, "]]") || no_word(input) && !group {
        return Err(Failure::unexpected(input, OPERAND));
    }
    required_word(input, mode, OPERAND)
}

/// Whether nothing more belongs to the term.
fn ends_term(input: Cursor<'_>) -> bool {
    at_word(input, "]]")
        || matches!(input.peek(), None | Some(b')'))
        || input.starts_with(b"&&")
        || input.starts_with(b"||")
}

fn unary(word: &Word, input: Cursor<'_>) -> Option<UnaryOperator> {
    let [WordPart::Literal(span)] = word.parts() else {
        return None;
    };
    match &input.state.source()[span.range()] {
        &[b'-', letter] => UnaryOperator::of(letter),
        _ => None,
    }
}

fn binary(input: Cursor<'_>) -> Step<'_, BinaryOperator> {
    let length = match input.peek() {
        Some(b'<' | b'>') => 1,
        _ => run_without(input.rest(), class::META),
    };
    let operator = match &input.rest()[..length] {
        b"==" | b"=" => BinaryOperator::Equal,
        b"!=" => BinaryOperator::NotEqual,
        b"=~" => BinaryOperator::Matches,
        b"<" => BinaryOperator::Before,
        b">" => BinaryOperator::After,
        b"-eq" => BinaryOperator::NumberEqual,
        b"-ne" => BinaryOperator::NumberNotEqual,
        b"-lt" => BinaryOperator::NumberLess,
        b"-le" => BinaryOperator::NumberLessEqual,
        b"-gt" => BinaryOperator::NumberGreater,
        b"-ge" => BinaryOperator::NumberGreaterEqual,
        b"-ef" => BinaryOperator::SameFile,
        b"-nt" => BinaryOperator::NewerThan,
        b"-ot" => BinaryOperator::OlderThan,
        _ => {
            return Err(Failure::unexpected(
                input,
                "a conditional operator such as `==`",
            ));
        }
    };
    Ok((input.take_leaf(LeafKind::Operator, length), operator))
}
