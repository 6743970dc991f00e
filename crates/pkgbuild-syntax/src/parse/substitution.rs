//! `$(…)`, `` `…` ``, `<(…)`, `$((…))` and `$[…]`.

use super::cursor::Cursor;
use super::failure::{Failure, Step};
use super::lexical::Closer;
use super::nested_file;
use super::statement::list;
use super::word::{Mode, arithmetic};
use crate::span::Span;
use crate::tree::{
    ArithmeticExpansion, CommandSubstitution, LeafKind, List, ProcessSubstitution,
    SubstitutionBody, WordPart,
};

/// `$(…)`.
pub(super) fn command_substitution(input: Cursor<'_>) -> Step<'_, WordPart> {
    substitution(input, "the command substitution")
}

/// The same; `what` is what messages call it.
fn substitution<'s>(input: Cursor<'s>, what: &'static str) -> Step<'s, WordPart> {
    let (rest, body) = input.nested(|input| commands(input, what))?;
    let span = input.span_to(rest);
    let substitution = CommandSubstitution {
        span,
        body: SubstitutionBody::Commands(body),
    };
    Ok((rest, WordPart::Command(Box::new(substitution))))
}

/// `<(…)` or `>(…)`.
pub(super) fn process_substitution(input: Cursor<'_>) -> Step<'_, WordPart> {
    let (rest, body) = input.nested(|input| commands(input, "the process substitution"))?;
    let substitution = ProcessSubstitution {
        span: input.span_to(rest),
        output: input.peek() == Some(b'>'),
        body,
    };
    Ok((rest, WordPart::Process(Box::new(substitution))))
}

/// Commands between a two-byte opening and `)`.
fn commands<'s>(input: Cursor<'s>, what: &'static str) -> Step<'s, List> {
    let parser = || list(input.take_leaf(LeafKind::Operator, 2));
    let outcome = input.state.substitution(Closer::Paren.bit(), parser);
    let (rest, body) = outcome?;
    if rest.peek() == Some(b')') {
        return Ok((rest.take_leaf(LeafKind::Operator, 1), body));
    }
    rest.report_unclosed(input.span_of(2), what, ")", None);
    Ok((rest, body))
}

/// `$((…))`, or a command substitution whose first command is a subshell. As in bash it is
/// arithmetic when the brackets close as a pair.
pub(super) fn dollar_double_paren(input: Cursor<'_>) -> Step<'_, WordPart> {
    if input.state.may_be(input) {
        let inside = input.take_leaf(LeafKind::Operator, 3);
        let (rest, expression) = inside.nested(|inside| arithmetic(inside, Mode::Arithmetic))?;
        let closed = rest.starts_with(b"))");
        if closed || rest.at_end() {
            if !closed {
                rest.report_unclosed(input.span_of(3), "the arithmetic expansion", "))", None);
            }
            let rest = rest.take_leaf(LeafKind::Operator, 2);
            let span = input.span_to(rest);
            let expansion = ArithmeticExpansion { span, expression };
            return Ok((rest, WordPart::Arithmetic(Box::new(expansion))));
        }
        input.state.rule_out(input, rest)?;
    }
    substitution(input, "the `$((`")
}

/// `$[…]`, the old form of `$((…))`.
pub(super) fn arithmetic_bracket(input: Cursor<'_>) -> Step<'_, WordPart> {
    let inside = input.take_leaf(LeafKind::Operator, 2);
    let (rest, expression) = inside.nested(|inside| arithmetic(inside, Mode::ArithmeticBracket))?;
    if rest.at_end() {
        rest.report_unclosed(input.span_of(2), "the arithmetic expansion", "]", None);
    }
    let rest = rest.take_leaf(LeafKind::Operator, 1);
    let expansion = ArithmeticExpansion {
        span: input.span_to(rest),
        expression,
    };
    Ok((rest, WordPart::Arithmetic(Box::new(expansion))))
}

/// `` `…` ``. Inside, a backslash in front of `$`, `` ` `` and `\` (and `"`, when the whole is
/// double-quoted) is removed, then the text is parsed by itself.
pub(super) fn backquoted(input: Cursor<'_>, in_double: bool) -> Step<'_, WordPart> {
    let raw = &input.rest()[1..];
    let mut text = Vec::new();
    // Where each removed backslash was, as offsets of the outcome.
    let mut removed = Vec::new();
    let mut at = 0;
    let closed = loop {
        match raw.get(at) {
            None => break false,
            Some(b'`') => break true,
            Some(b'\\') if at + 1 < raw.len() => {
                let next = raw[at + 1];
                if matches!(next, b'$' | b'`' | b'\\') || in_double && next == b'"' {
                    removed.push(text.len());
                } else {
                    text.push(b'\\');
                }
                text.push(next);
                at += 2;
            }
            Some(&byte) => {
                text.push(byte);
                at += 1;
            }
        }
    };
    let rest = input.take_leaf(LeafKind::Backquoted, at + 1 + usize::from(closed));
    if !closed {
        rest.report_unclosed(input.span_of(1), "the command substitution", "`", None);
    }
    let (_, file) = input.nested(|input| {
        let (file, mistakes) = nested_file(&text, input.state.depth());
        input.state.charge(file.leaves().len());
        let outer = |offset: u32| {
            let inside = removed.partition_point(|&at| at < offset as usize);
            input.offset() + 1 + offset + u32::try_from(inside).unwrap_or(u32::MAX)
        };
        for mut mistake in mistakes {
            mistake.span = Span::new(outer(mistake.span.start), outer(mistake.span.end));
            mistake.opened = mistake
                .opened
                .map(|span| Span::new(outer(span.start), outer(span.end)));
            if matches!(mistake.kind, crate::error::SyntaxErrorKind::TooDeep { .. }) {
                input.state.stop(mistake);
                return Err(nom::Err::Failure(Failure::Stopped));
            }
            input.state.report(mistake);
        }
        Ok((input, file))
    })?;
    let span = input.span_to(rest);
    let substitution = CommandSubstitution {
        span,
        body: SubstitutionBody::Backquoted(file),
    };
    Ok((rest, WordPart::Command(Box::new(substitution))))
}
