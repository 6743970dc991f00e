//! Words, assignments and conditions as `declare -f` prints them.

use super::Printer;
use crate::evaluate::quote;
use crate::span::Span;
use crate::tree::{
    ArrayLiteral, Assignment, BinaryOperator, Condition, ConditionKind, File, List, Operation,
    ParameterExpansion, Subscript, SubstitutionBody, Value, Word, WordPart,
};

pub(super) fn assignment_text(file: &File, assignment: &Assignment) -> String {
    let mut text = file.text_lossy(assignment.name).into_owned();
    if let Some(subscript) = &assignment.subscript {
        text.push_str(&subscript_text(file, subscript));
    }
    text.push_str(if assignment.append { "+=" } else { "=" });
    match &assignment.value {
        Value::Scalar(word) => text.push_str(&word_text(file, word)),
        Value::Array(literal) => text.push_str(&array_text(file, literal)),
    }
    text
}

fn subscript_text(file: &File, subscript: &Subscript) -> String {
    match subscript {
        Subscript::At => "[@]".to_owned(),
        Subscript::Star => "[*]".to_owned(),
        Subscript::Index(word) => format!("[{}]", word_text(file, word)),
    }
}

/// Elements end up on one line, without comments.
fn array_text(file: &File, literal: &ArrayLiteral) -> String {
    let elements: Vec<String> = literal
        .elements
        .iter()
        .map(|element| {
            let mut text = String::new();
            if let Some(index) = &element.index {
                text.push_str(&subscript_text(file, index));
                text.push_str(if element.append { "+=" } else { "=" });
            }
            text.push_str(&word_text(file, &element.value));
            text
        })
        .collect();
    format!("({})", elements.join(" "))
}

pub(super) fn condition_text(file: &File, condition: &Condition) -> String {
    match &condition.kind {
        ConditionKind::Not(inner) => format!("! {}", condition_text(file, inner)),
        ConditionKind::Group(inner) => format!("( {} )", condition_text(file, inner)),
        ConditionKind::And(left, right) => {
            format!(
                "{} && {}",
                condition_text(file, left),
                condition_text(file, right)
            )
        }
        ConditionKind::Or(left, right) => {
            format!(
                "{} || {}",
                condition_text(file, left),
                condition_text(file, right)
            )
        }
        ConditionKind::Word(word) => format!("-n {}", word_text(file, word)),
        ConditionKind::Unary { operator, operand } => {
            format!("-{} {}", operator.letter(), word_text(file, operand))
        }
        ConditionKind::Binary {
            left,
            operator,
            right,
        } => {
            let written = match operator {
                BinaryOperator::Equal => {
                    // `=` and `==` mean the same and are printed as written.
                    let between = Span::new(left.span.end, right.span.start);
                    let double = file.text(between).windows(2).any(|pair| pair == b"==");
                    if double { "==" } else { "=" }
                }
                BinaryOperator::NotEqual => "!=",
                BinaryOperator::Matches => "=~",
                BinaryOperator::Before => "<",
                BinaryOperator::After => ">",
                BinaryOperator::NumberEqual => "-eq",
                BinaryOperator::NumberNotEqual => "-ne",
                BinaryOperator::NumberLess => "-lt",
                BinaryOperator::NumberLessEqual => "-le",
                BinaryOperator::NumberGreater => "-gt",
                BinaryOperator::NumberGreaterEqual => "-ge",
                BinaryOperator::SameFile => "-ef",
                BinaryOperator::NewerThan => "-nt",
                BinaryOperator::OlderThan => "-ot",
            };
            format!(
                "{} {written} {}",
                word_text(file, left),
                word_text(file, right)
            )
        }
    }
}

/// A word as bash keeps it: line continuations gone, `$'…'` decoded, `$(…)` printed anew.
pub(super) fn word_text(file: &File, word: &Word) -> String {
    let mut text = String::new();
    rendered(file, word.span, word.parts().iter(), false, &mut text);
    text
}

/// The text of a span in which the parts are rendered and the rest is copied. Between double quotes
/// what `$'…'` gives stands without quotes of its own.
fn rendered<'p>(
    file: &File,
    span: Span,
    parts: impl Iterator<Item = &'p WordPart>,
    quoted: bool,
    out: &mut String,
) {
    let mut at = span.start;
    for part in parts {
        let here = part.span();
        if here.start < at {
            continue;
        }
        copied(file, Span::new(at, here.start), out);
        part_text(file, part, quoted, out);
        at = here.end;
    }
    copied(file, Span::new(at, span.end), out);
}

fn copied(file: &File, span: Span, out: &mut String) {
    out.push_str(&file.text_lossy(span).replace("\\\n", ""));
}

fn part_text(file: &File, part: &WordPart, quoted: bool, out: &mut String) {
    match part {
        WordPart::Literal(_) | WordPart::Escaped(_) | WordPart::SingleQuoted(_) => {
            out.push_str(&file.text_lossy(part.span()));
        }
        WordPart::AnsiCQuoted(_) => {
            let text = part.static_text(file).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if quoted {
                out.push_str(&text);
            } else {
                out.push_str(&quote::single(&text));
            }
        }
        WordPart::DoubleQuoted(inner) => {
            let dollar = file.text(inner.span).starts_with(b"$");
            let span = Span::new(inner.span.start + u32::from(dollar), inner.span.end);
            rendered(file, span, inner.parts().iter(), true, out);
        }
        WordPart::Parameter(expansion) => {
            let parts = operands(expansion);
            let quoted = quoted && expansion.operation.operand().is_some();
            rendered(file, expansion.span, parts.into_iter(), quoted, out);
        }
        WordPart::Arithmetic(expansion) => {
            rendered(
                file,
                expansion.span,
                expansion.expression.parts().iter(),
                false,
                out,
            );
        }
        WordPart::Command(substitution) => match &substitution.body {
            SubstitutionBody::Backquoted(_) => out.push_str(&file.text_lossy(substitution.span)),
            SubstitutionBody::Commands(list) => commands_text(file, "$(", list, out),
        },
        WordPart::Process(substitution) => {
            let opening = if substitution.output { ">(" } else { "<(" };
            commands_text(file, opening, &substitution.body, out);
        }
    }
}

fn commands_text(file: &File, opening: &str, list: &List, out: &mut String) {
    let mut printer = Printer::new(file, false);
    printer.list(list);
    printer.documents();
    out.push_str(opening);
    if printer.out.starts_with('(') {
        out.push(' ');
    }
    out.push_str(&printer.out);
    out.push(')');
}

/// The pieces nested in a parameter expansion, in order.
fn operands(expansion: &ParameterExpansion) -> Vec<&WordPart> {
    let mut parts: Vec<&WordPart> = Vec::new();
    if let Some(Subscript::Index(word)) = &expansion.subscript {
        parts.extend(word.parts());
    }
    match &expansion.operation {
        Operation::Default { word, .. }
        | Operation::Assign { word, .. }
        | Operation::Error { word, .. }
        | Operation::Alternative { word, .. } => parts.extend(word.parts()),
        Operation::RemovePrefix { pattern, .. }
        | Operation::RemoveSuffix { pattern, .. }
        | Operation::Case { pattern, .. } => parts.extend(pattern.parts()),
        Operation::Replace {
            pattern,
            replacement,
            ..
        } => {
            parts.extend(pattern.parts());
            if let Some(replacement) = replacement {
                parts.extend(replacement.parts());
            }
        }
        Operation::Substring { offset, length } => {
            parts.extend(offset.parts());
            if let Some(length) = length {
                parts.extend(length.parts());
            }
        }
        _ => {}
    }
    parts
}
