//! Lists, and-or lists, pipelines, simple commands.

use std::sync::Arc;

use super::array::{assignment, may_assign};
use super::compound::{compound, function_body, function_definition};
use super::cursor::Cursor;
use super::failure::{Failure, Step};
use super::lexical::{Closer, at_word, blanks, keyword, line_length, lines, name_length};
use super::redirect::{here_document_bodies, redirect, starts_redirect};
use super::word::{Mode, no_word, word};
use crate::span::Span;
use crate::tree::{
    AndOr, AndOrOperator, Argument, Command, Coprocess, Few, Function, LeafKind, List, Pipeline,
    SimpleCommand, Stage, Statement, Terminator, WordPart,
};

/// Statements up to the end of the text or to something that closes an open construct.
pub(super) fn list(input: Cursor<'_>) -> Step<'_, List> {
    let state = input.state;
    let mut statements: Vec<Statement> = Vec::new();
    let mut rest = input;
    loop {
        rest = lines(rest);
        if state.stopped() {
            rest = rest.to_end();
        }
        if rest.at_end() {
            break;
        }
        let outcome = match Closer::peek(rest) {
            Some(closer) if state.waits_for(closer.bit()) => break,
            Some(_) => {
                let help = Some("nothing is open here that it could close");
                Err(Failure::unexpected_with(rest, "a command", help))
            }
            None => statement(rest),
        };
        match outcome {
            Ok((after, statement)) => {
                statements.push(statement);
                rest = after;
            }
            Err(failure) => rest = recover(rest, failure)?,
        }
    }
    let span = match (statements.first(), statements.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => Span::empty(input.offset()),
    };
    Ok((rest, List { span, statements }))
}

/// The commands of a whole text. Mistakes are recovered from where they happen, so this cannot
/// fail.
pub(super) fn script(input: Cursor<'_>) -> List {
    let Ok((rest, list)) = list(input) else {
        return List::default();
    };
    // Reports here-documents announced in a last line without a line feed.
    here_document_bodies(rest);
    list
}

/// A list that may not be empty.
pub(super) fn body(input: Cursor<'_>) -> Step<'_, List> {
    let mistakes = input.state.mistakes();
    let (rest, list) = list(input)?;
    if list.statements.is_empty() && input.state.mistakes() == mistakes && !rest.at_end() {
        let help = Some("write `:` for a command that does nothing");
        return Err(Failure::unexpected_with(rest, "a command", help));
    }
    Ok((rest, list))
}

/// Goes on behind the line of a mistake. Inside a substitution the mistake is handed outwards,
/// because the rest of the line holds what closes it.
pub(super) fn recover(
    input: Cursor<'_>,
    failure: nom::Err<Failure>,
) -> Result<Cursor<'_>, nom::Err<Failure>> {
    let state = input.state;
    if state.in_substitution() {
        return Err(failure);
    }
    let failure = match failure {
        nom::Err::Failure(failure) => nom::Err::Failure(failure),
        _ => Failure::unexpected(input, "a command"),
    };
    match failure {
        nom::Err::Failure(Failure::Mistake(mistake)) => {
            let at = (mistake.span.start as usize).max(input.at());
            let newline = |byte: &u8| *byte == b'\n';
            let line = state.source()[..at]
                .iter()
                .rposition(newline)
                .map_or(0, |at| at + 1);
            // What should have been closed before this line does not spoil the line itself.
            let unclosed = mistake.opened.is_some() && line > input.at();
            state.report(*mistake);
            if unclosed {
                state.leaf(LeafKind::Invalid, line, line);
                return Ok(input.advance(line - input.at()));
            }
            let wrong = input.advance(at - input.at());
            let rest = wrong.advance(line_length(wrong.rest()));
            state.leaf(LeafKind::Invalid, wrong.at(), rest.at());
            Ok(if rest.at() > input.at() {
                rest
            } else {
                lines(rest)
            })
        }
        _ => Ok(input.to_end()),
    }
}

/// A command and its terminator.
fn statement(input: Cursor<'_>) -> Step<'_, Statement> {
    let (rest, command) = and_or(input)?;
    let end = blanks(rest);
    let (rest, terminator) = match (end.peek(), end.byte(1)) {
        (None | Some(b'\n' | b'#' | b')'), _) | (Some(b';'), Some(b';' | b'&')) => {
            (end, Terminator::Line)
        }
        (Some(b';'), _) => (end.take_leaf(LeafKind::Operator, 1), Terminator::Semicolon),
        (Some(b'&'), _) => (end.take_leaf(LeafKind::Operator, 1), Terminator::Background),
        _ if Closer::peek(end).is_some() => (end, Terminator::Line),
        _ => return Err(Failure::unexpected(end, "the end of the command")),
    };
    let end = if terminator == Terminator::Line {
        command.span().end
    } else {
        rest.offset()
    };
    Ok((
        rest,
        Statement {
            span: Span::new(input.offset(), end),
            command,
            terminator,
        },
    ))
}

/// `a && b || c`.
fn and_or(input: Cursor<'_>) -> Step<'_, Command> {
    let (mut rest, first) = pipeline(input)?;
    let mut others = Vec::new();
    loop {
        let after = blanks(rest);
        let operator = match (after.peek(), after.byte(1)) {
            (Some(b'&'), Some(b'&')) => AndOrOperator::And,
            (Some(b'|'), Some(b'|')) => AndOrOperator::Or,
            _ => break,
        };
        let (after, command) = pipeline(lines(after.take_leaf(LeafKind::Operator, 2)))?;
        rest = after;
        others.push((operator, command));
    }
    if others.is_empty() {
        return Ok((rest, first));
    }
    let span = input.span_to(rest);
    Ok((
        rest,
        Command::AndOr(Box::new(AndOr {
            span,
            first,
            rest: others,
        })),
    ))
}

/// `! time a | b |& c`.
fn pipeline(input: Cursor<'_>) -> Step<'_, Command> {
    let (mut timed, mut negated, mut prefixed) = (false, false, false);
    let mut start = input;
    loop {
        match start.peek() {
            Some(b'!') => {
                if !at_word(start, "!") {
                    break;
                }
                start = blanks(start.take_leaf(LeafKind::Keyword, 1));
                negated = !negated;
            }
            Some(b't') => {
                let Some(after) = keyword(start, "time") else {
                    break;
                };
                start = blanks(after);
                if at_word(start, "-p") {
                    start = blanks(start.take_leaf(LeafKind::Keyword, 2));
                }
                timed = true;
            }
            _ => break,
        }
        prefixed = true;
    }
    let alone = prefixed && matches!(start.peek(), None | Some(b'\n' | b';' | b')' | b'#'));
    if alone {
        let pipeline = Pipeline {
            span: input.span_to(start),
            timed,
            negated,
            stages: Vec::new(),
        };
        return Ok((start, Command::Pipeline(Box::new(pipeline))));
    }
    let (mut rest, first) = command(start)?;
    let mut after = blanks(rest);
    let pipes = |at: Cursor<'_>| at.peek() == Some(b'|') && at.byte(1) != Some(b'|');
    if !prefixed && !pipes(after) {
        return Ok((rest, first));
    }
    let stage = |command| Stage {
        command,
        joins_errors: false,
    };
    let mut stages = vec![stage(first)];
    while pipes(after) {
        let both = after.byte(1) == Some(b'&');
        if let Some(last) = stages.last_mut() {
            last.joins_errors = both;
        }
        let (next, command) = command(lines(
            after.take_leaf(LeafKind::Operator, 1 + usize::from(both)),
        ))?;
        stages.push(stage(command));
        rest = next;
        after = blanks(rest);
    }
    let pipeline = Pipeline {
        span: input.span_to(rest),
        timed,
        negated,
        stages,
    };
    Ok((rest, Command::Pipeline(Box::new(pipeline))))
}

/// One command of any kind.
pub(super) fn command(input: Cursor<'_>) -> Step<'_, Command> {
    // Most commands of a recipe are assignments.
    let name = name_length(input.rest());
    if name > 0 && input.byte(name) == Some(b'=') {
        return simple(input, name);
    }
    let reserved = match input.peek() {
        Some(b'(' | b'{' | b'[' | b'i' | b'f' | b'w' | b'u' | b'c' | b's') => {
            match compound(input) {
                Err(nom::Err::Error(_)) => {}
                outcome => {
                    let (rest, compound) = outcome?;
                    return Ok((rest, Command::Compound(compound)));
                }
            }
            match input.peek() {
                Some(b'f') if at_word(input, "function") => return function_definition(input),
                Some(b'c') if at_word(input, "coproc") => return coprocess(input),
                _ => at_word(input, "in"),
            }
        }
        // Only the first command of a pipeline may be negated.
        Some(b'!') => at_word(input, "!"),
        Some(b']') => at_word(input, "]]"),
        _ => false,
    };
    let empty = no_word(input) && !starts_redirect(input) || input.peek() == Some(b'#');
    if reserved || empty || Closer::peek(input).is_some() {
        return Err(Failure::unexpected(input, "a command"));
    }
    simple(input, name)
}

/// `coproc [NAME] command`.
fn coprocess(input: Cursor<'_>) -> Step<'_, Command> {
    let after = blanks(input.take_leaf(LeafKind::Keyword, 6));
    let named = {
        let length = name_length(after.rest());
        let behind = after.advance(length);
        let behind = behind.advance(
            behind
                .rest()
                .iter()
                .take_while(|b| b" \t".contains(b))
                .count(),
        );
        (length > 0 && behind.at() > after.at() + length && compound_starts(behind))
            .then_some(length)
    };
    let (after, name) = match named {
        Some(length) => (
            blanks(after.take_leaf(LeafKind::Name, length)),
            Some(after.span_of(length)),
        ),
        None => (after, None),
    };
    let (rest, command) = after.nested(command)?;
    let span = input.span_to(rest);
    Ok((
        rest,
        Command::Coprocess(Box::new(Coprocess {
            span,
            name,
            command,
        })),
    ))
}

fn compound_starts(input: Cursor<'_>) -> bool {
    input.peek() == Some(b'(')
        || ["{", "[[", "if", "for", "while", "until", "case", "select"]
            .iter()
            .any(|word| at_word(input, word))
}

/// The commands whose arguments may be assignments, also of arrays.
const DECLARATIONS: [&[u8]; 8] = [
    b"declare",
    b"local",
    b"export",
    b"typeset",
    b"readonly",
    b"eval",
    b"let",
    b"alias",
];

/// Assignments, words and redirections; or a function definition `name ()`. The text begins with a
/// name of `name` bytes.
fn simple(input: Cursor<'_>, name: usize) -> Step<'_, Command> {
    let mut command = SimpleCommand {
        span: Span::empty(input.offset()),
        assignments: Few::new(),
        arguments: Vec::new(),
        redirects: Vec::new(),
    };
    let mut rest = input;
    let mut end = input;
    let mut declares = false;
    let mut known_name = Some(name);
    loop {
        let word_ends = no_word(rest);
        match rest.peek() {
            Some(b'&') if rest.byte(1) != Some(b'>') => break,
            Some(b'(') => {
                if let [Argument::Word(name)] = command.arguments.as_slice()
                    && command.assignments.is_empty()
                    && command.redirects.is_empty()
                {
                    return short_function(input, name.span);
                }
                return Err(Failure::unexpected_with(
                    rest,
                    "the end of the command",
                    Some("quote the bracket if it belongs to a word"),
                ));
            }
            Some(b'#' | b'\n' | b';' | b'|' | b')') | None => break,
            Some(b'<' | b'>' | b'&') if word_ends => {
                let (after, redirect) = redirect(rest)?;
                command.redirects.push(redirect);
                end = after;
            }
            Some(byte) => {
                let redirected = match byte {
                    b'0'..=b'9' | b'{' => redirect(rest),
                    _ => Err(nom::Err::Error(Failure::Mismatch)),
                };
                end = match redirected {
                    Ok((after, redirect)) => {
                        command.redirects.push(redirect);
                        after
                    }
                    Err(nom::Err::Error(_)) => {
                        push_word(rest, known_name, &mut command, &mut declares)?
                    }
                    Err(failure) => return Err(failure),
                };
            }
        }
        rest = blanks(end);
        known_name = None;
    }
    command.span = input.span_to(end);
    Ok((end, Command::Simple(Box::new(command))))
}

/// Adds the word or assignment at the cursor.
fn push_word<'s>(
    input: Cursor<'s>,
    name: Option<usize>,
    command: &mut SimpleCommand,
    declares: &mut bool,
) -> Result<Cursor<'s>, nom::Err<Failure>> {
    let first = command.arguments.is_empty();
    if first || *declares {
        let name = name.unwrap_or_else(|| name_length(input.rest()));
        let found = if may_assign(input, name) {
            assignment(input, name)
        } else {
            Err(nom::Err::Error(Failure::Mismatch))
        };
        match found {
            Ok((after, assignment)) => {
                if first {
                    command.assignments.push(assignment);
                } else {
                    command
                        .arguments
                        .push(Argument::Assignment(Box::new(assignment)));
                }
                return Ok(after);
            }
            Err(nom::Err::Error(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    let (after, word) = word(input, Mode::Word)?;
    if first {
        *declares = match word.parts() {
            [WordPart::Literal(span)] => {
                DECLARATIONS.contains(&&input.state.source()[span.range()])
            }
            _ => false,
        };
    }
    if first {
        command.arguments.reserve_exact(4);
    }
    command.arguments.push(Argument::Word(word));
    Ok(after)
}

/// `name () body`, from its bracket on.
fn short_function(input: Cursor<'_>, name: Span) -> Step<'_, Command> {
    input
        .state
        .leaf(LeafKind::Name, name.start as usize, name.end as usize);
    let bracket = blanks(input.advance(name.len() as usize));
    let inside = blanks(bracket.take_leaf(LeafKind::Operator, 1));
    let after = match parameters(inside) {
        Some(0) => inside.take_leaf(LeafKind::Operator, 1),
        Some(length) => {
            let help = Some("a function has no parameter list, its arguments are `$1`, `$2`, …");
            let mistake = Failure::unexpected_with(inside, "`)`", help);
            if let nom::Err::Failure(Failure::Mistake(mistake)) = mistake {
                input.state.report(*mistake);
            }
            inside
                .take_leaf(LeafKind::Invalid, length)
                .take_leaf(LeafKind::Operator, 1)
        }
        None => {
            let help = Some("quote the bracket if it belongs to a word");
            return Err(Failure::unexpected_with(
                bracket,
                "the end of the command",
                help,
            ));
        }
    };
    let (rest, body) = function_body(after)?;
    let function = Function {
        span: input.span_to(rest),
        name,
        body: *body,
    };
    Ok((rest, Command::Function(Arc::new(function))))
}

/// Length of what stands between the brackets of `name (…) {`, all in one line.
fn parameters(input: Cursor<'_>) -> Option<usize> {
    if input.peek() == Some(b')') {
        return Some(0);
    }
    let line = &input.rest()[..line_length(input.rest())];
    let length = line.iter().position(|&byte| byte == b')')?;
    line[length + 1..]
        .trim_ascii()
        .starts_with(b"{")
        .then_some(length)
}
