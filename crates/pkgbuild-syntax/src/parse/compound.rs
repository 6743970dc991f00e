//! Compound commands and function definitions. Source: bash(1), "Compound Commands".

use std::sync::Arc;

use nom::Parser;
use nom::branch::alt;
use nom::combinator::{map, opt};
use nom::multi::{many0, separated_list1};
use nom::sequence::{delimited, preceded, terminated};

use super::condition::condition;
use super::cursor::Cursor;
use super::failure::{Failure, Step};
use super::lexical::{Closer, at_word, blanks, keyword, lines};
use super::redirect::redirect;
use super::statement::{body, list, recover};
use super::word::{Mode, arithmetic, no_word, required_word};
use crate::span::Span;
use crate::tree::{
    CaseArm, CaseEnd, Command, Compound, CompoundCommand, Function, IfArm, LeafKind, List, Word,
};

const MISMATCH: nom::Err<Failure> = nom::Err::Error(Failure::Mismatch);

/// The compound command at the cursor with its redirections, or a mismatch.
pub(super) fn compound(input: Cursor<'_>) -> Step<'_, Box<CompoundCommand>> {
    let parser = match input.peek() {
        Some(b'{') if at_word(input, "{") => group,
        Some(b'(') => parenthesised,
        Some(b'[') if at_word(input, "[[") => condition_command,
        Some(b'i') if at_word(input, "if") => if_command,
        Some(b'f') if at_word(input, "for") => for_command,
        Some(b'w') if at_word(input, "while") => while_command,
        Some(b'u') if at_word(input, "until") => while_command,
        Some(b'c') if at_word(input, "case") => case_command,
        Some(b's') if at_word(input, "select") => select_command,
        _ => return Err(MISMATCH),
    };
    redirected(input, parser)
}

/// A compound command and the redirections behind it.
fn redirected<'s>(
    input: Cursor<'s>,
    parser: fn(Cursor<'s>) -> Step<'s, Compound>,
) -> Step<'s, Box<CompoundCommand>> {
    let (rest, compound) = input.nested(parser)?;
    let command = Box::new(CompoundCommand {
        span: input.span_to(rest),
        body_span: input.span_to(rest),
        compound,
        redirects: Vec::new(),
    });
    with_redirects(rest, command)
}

fn with_redirects(
    input: Cursor<'_>,
    mut command: Box<CompoundCommand>,
) -> Step<'_, Box<CompoundCommand>> {
    let (rest, redirects) = many0(preceded(skip(blanks), redirect)).parse(input)?;
    command.span.end = rest.offset();
    command.redirects = redirects;
    Ok((rest, command))
}

fn group(input: Cursor<'_>) -> Step<'_, Compound> {
    bracketed(input, Closer::Brace, "the group", Compound::Group)
}

/// The same group, but messages speak of a function.
fn function_group(input: Cursor<'_>) -> Step<'_, Compound> {
    bracketed(input, Closer::Brace, "the function body", Compound::Group)
}

/// A parser from a function that only moves on.
fn skip<'s>(
    parser: impl Fn(Cursor<'s>) -> Cursor<'s>,
) -> impl Parser<Cursor<'s>, Output = (), Error = Failure> {
    move |input| Ok((parser(input), ()))
}

/// One operator of exactly these bytes.
pub(super) fn operator<'s>(
    text: &'static str,
) -> impl Parser<Cursor<'s>, Output = Span, Error = Failure> {
    move |input: Cursor<'s>| {
        if !input.starts_with(text.as_bytes()) {
            return Err(MISMATCH);
        }
        let rest = input.take_leaf(LeafKind::Operator, text.len());
        Ok((rest, input.span_to(rest)))
    }
}

/// Runs a parser of commands that also end at the given closers.
fn until<'s, T>(
    input: Cursor<'s>,
    closers: u16,
    parser: impl FnOnce(Cursor<'s>) -> Step<'s, T>,
) -> Step<'s, T> {
    input.state.also_until(closers, || parser(input))
}

/// Takes the closer, or reports that what was opened is still open.
fn close<'s>(input: Cursor<'s>, closer: Closer, opened: Span, what: &'static str) -> Cursor<'s> {
    if Closer::peek(input) == Some(closer) {
        let kind = match closer {
            Closer::Paren => LeafKind::Operator,
            _ => LeafKind::Keyword,
        };
        return input.take_leaf(kind, closer.text().len());
    }
    let help = (closer == Closer::Brace).then_some("add `}` on a line of its own");
    input.report_unclosed(opened, what, closer.text(), help);
    input
}

/// `{ … }` and `( … )`.
fn bracketed<'s>(
    input: Cursor<'s>,
    closer: Closer,
    what: &'static str,
    build: fn(List) -> Compound,
) -> Step<'s, Compound> {
    let kind = if closer == Closer::Brace {
        LeafKind::Keyword
    } else {
        LeafKind::Operator
    };
    let (rest, list) = until(input.take_leaf(kind, 1), closer.bit(), body)?;
    Ok((close(rest, closer, input.span_of(1), what), build(list)))
}

/// `(( … ))` when the brackets close as a pair, else a subshell.
fn parenthesised(input: Cursor<'_>) -> Step<'_, Compound> {
    if input.byte(1) == Some(b'(') && input.state.may_be(input) {
        let inside = input.take_leaf(LeafKind::Operator, 2);
        let (rest, expression) = arithmetic(inside, Mode::Arithmetic)?;
        if rest.at_end() {
            rest.report_unclosed(input.span_of(2), "the arithmetic command", "))", None);
        }
        if rest.at_end() || rest.starts_with(b"))") {
            return Ok((
                rest.take_leaf(LeafKind::Operator, 2),
                Compound::Arithmetic(expression),
            ));
        }
        input.state.rule_out(input, rest)?;
        return bracketed(input, Closer::Paren, "the `((`", Compound::Subshell);
    }
    bracketed(input, Closer::Paren, "the subshell", Compound::Subshell)
}

fn condition_command(input: Cursor<'_>) -> Step<'_, Compound> {
    let (rest, condition) = condition(input.take_leaf(LeafKind::Keyword, 2))?;
    let rest = lines(rest);
    if let Some(rest) = keyword(rest, "]]") {
        return Ok((rest, Compound::Condition(condition)));
    }
    if !rest.at_end() {
        let failure = Failure::unexpected(rest, "`&&`, `||` or `]]`");
        return Err(failure.map(|failure| failure.opened_at(input.span_of(2))));
    }
    rest.report_unclosed(input.span_of(2), "the condition", "]]", None);
    Ok((rest, Compound::Condition(condition)))
}

fn if_command(input: Cursor<'_>) -> Step<'_, Compound> {
    const CLOSERS: u16 =
        Closer::Then.bit() | Closer::Elif.bit() | Closer::Else.bit() | Closer::Fi.bit();
    let opened = input.span_of(2);
    let mut rest = input.take_leaf(LeafKind::Keyword, 2);
    let mut arms = Vec::new();
    let mut otherwise = None;
    loop {
        let (after, condition) = until(rest, CLOSERS, body)?;
        let (after, body) = opened_by(after, Closer::Then, CLOSERS)?;
        arms.push(IfArm { condition, body });
        rest = after;
        match Closer::peek(rest) {
            Some(Closer::Elif) => rest = rest.take_leaf(LeafKind::Keyword, 4),
            Some(Closer::Else) => {
                let after = rest.take_leaf(LeafKind::Keyword, 4);
                let (after, list) = until(after, Closer::Fi.bit(), body_of)?;
                otherwise = Some(list);
                rest = after;
                break;
            }
            _ => break,
        }
    }
    Ok((
        close(rest, Closer::Fi, opened, "the `if`"),
        Compound::If { arms, otherwise },
    ))
}

fn body_of(input: Cursor<'_>) -> Step<'_, List> {
    body(input)
}

/// `then` or `do` and the commands behind it. When the word is missing that is reported, and the
/// commands are empty.
fn opened_by(input: Cursor<'_>, opener: Closer, closers: u16) -> Step<'_, List> {
    if Closer::peek(input) == Some(opener) {
        let rest = input.take_leaf(LeafKind::Keyword, opener.text().len());
        return until(rest, closers, body);
    }
    if !input.at_end() {
        let expected = if opener == Closer::Then {
            "`then`"
        } else {
            "`do`"
        };
        if let nom::Err::Failure(Failure::Mistake(mistake)) = Failure::unexpected(input, expected) {
            input.state.report(*mistake);
        }
    }
    let (rest, list) = until(input, closers | opener.bit(), list)?;
    if Closer::peek(rest) == Some(opener) {
        return until(
            rest.take_leaf(LeafKind::Keyword, opener.text().len()),
            closers,
            body,
        );
    }
    Ok((rest, list))
}

/// `do … done`.
fn do_done<'s>(input: Cursor<'s>, opened: Span, what: &'static str) -> Step<'s, List> {
    let (rest, list) = opened_by(input, Closer::Do, Closer::Done.bit())?;
    Ok((close(rest, Closer::Done, opened, what), list))
}

/// `do … done`, or the `{ … }` that bash takes instead behind `for` and `select`.
fn loop_body<'s>(input: Cursor<'s>, opened: Span, what: &'static str) -> Step<'s, List> {
    if !at_word(input, "{") {
        return do_done(input, opened, what);
    }
    let inside = input.take_leaf(LeafKind::Keyword, 1);
    let (rest, list) = until(inside, Closer::Brace.bit(), body)?;
    Ok((
        close(
            rest,
            Closer::Brace,
            input.span_of(1),
            "the body of the loop",
        ),
        list,
    ))
}

fn while_command(input: Cursor<'_>) -> Step<'_, Compound> {
    const CLOSERS: u16 = Closer::Do.bit() | Closer::Done.bit();
    let opened = input.span_of(5);
    let inside = input.take_leaf(LeafKind::Keyword, 5);
    let (rest, condition) = until(inside, CLOSERS, body)?;
    let (rest, body) = do_done(rest, opened, "the loop")?;
    let until = input.peek() == Some(b'u');
    Ok((
        rest,
        Compound::While {
            until,
            condition,
            body,
        },
    ))
}

/// The words behind `in`, up to the end of the line or `;`.
fn loop_words(input: Cursor<'_>) -> Step<'_, Option<Vec<Word>>> {
    let listed = lines(input);
    if !at_word(listed, "in") {
        return Ok((input, None));
    }
    let rest = listed.take_leaf(LeafKind::Keyword, 2);
    let word = |input| {
        if no_word(input) || input.peek() == Some(b'#') {
            return Err(MISMATCH);
        }
        required_word(input, Mode::Word, "a word")
    };
    map(many0(preceded(skip(blanks), word)), Some).parse(rest)
}

/// `name [in words] separator`.
fn loop_head(input: Cursor<'_>) -> Step<'_, (Span, Option<Vec<Word>>)> {
    let start = blanks(input);
    if no_word(start) {
        return Err(Failure::unexpected(start, "the name of a variable"));
    }
    let (rest, name) = required_word(start, Mode::Word, "the name of a variable")?;
    start.state.leaf(LeafKind::Name, start.at(), rest.at());
    let (rest, words) = loop_words(rest)?;
    let (rest, _) = opt(preceded(skip(blanks), operator(";"))).parse(rest)?;
    let end = lines(rest);
    Ok((end, (name.span, words)))
}

fn for_command(input: Cursor<'_>) -> Step<'_, Compound> {
    let opened = input.span_of(3);
    let start = blanks(input.take_leaf(LeafKind::Keyword, 3));
    if start.starts_with(b"((") {
        return arithmetic_for(start, opened);
    }
    let (rest, (name, words)) = loop_head(start)?;
    let (rest, body) = loop_body(rest, opened, "the loop")?;
    Ok((rest, Compound::For { name, words, body }))
}

fn arithmetic_for(input: Cursor<'_>, opened: Span) -> Step<'_, Compound> {
    let clause = |input| arithmetic(input, Mode::ArithmeticClause);
    let inside = input.take_leaf(LeafKind::Operator, 2);
    let wrong = "three expressions in `((…; …; …))`";
    let semicolon = |input| {
        operator(";")
            .parse(input)
            .map_err(|_: nom::Err<Failure>| Failure::unexpected(input, wrong))
    };
    let (rest, (initial, condition, step)) = (
        terminated(clause, semicolon),
        terminated(clause, semicolon),
        clause,
    )
        .parse(inside)?;
    if !rest.starts_with(b"))") {
        return Err(Failure::unexpected(rest, "`))`"));
    }
    let rest = blanks(rest.take_leaf(LeafKind::Operator, 2));
    let (rest, _) = opt(operator(";")).parse(rest)?;
    let (rest, body) = loop_body(lines(rest), opened, "the loop")?;
    Ok((
        rest,
        Compound::ArithmeticFor {
            initial,
            condition,
            step,
            body,
        },
    ))
}

fn select_command(input: Cursor<'_>) -> Step<'_, Compound> {
    let opened = input.span_of(6);
    let (rest, (name, words)) = loop_head(input.take_leaf(LeafKind::Keyword, 6))?;
    let (rest, body) = loop_body(rest, opened, "the loop")?;
    Ok((rest, Compound::Select { name, words, body }))
}

fn case_command(input: Cursor<'_>) -> Step<'_, Compound> {
    let opened = input.span_of(4);
    let start = blanks(input.take_leaf(LeafKind::Keyword, 4));
    let (rest, word) = required_word(start, Mode::Word, "the word that is compared")?;
    let rest = lines(rest);
    let mut rest = match keyword(rest, "in") {
        Some(rest) => rest,
        None => match Failure::unexpected(rest, "`in`") {
            nom::Err::Failure(Failure::Mistake(mistake))
                if rest.previous() == Some(b'\n') || rest.previous() == Some(b' ') =>
            {
                rest.state.report(*mistake);
                rest
            }
            failure => return Err(failure),
        },
    };
    let mut arms = Vec::new();
    loop {
        rest = lines(rest);
        if rest.at_end() || at_word(rest, "esac") {
            break;
        }
        match case_arm(rest) {
            Ok((after, arm)) => {
                rest = after;
                arms.push(arm);
            }
            Err(failure) => {
                rest = recover(rest, failure)?;
                continue;
            }
        }
        if Closer::peek(rest).is_some_and(|closer| closer != Closer::Esac) {
            break;
        }
    }
    Ok((
        close(rest, Closer::Esac, opened, "the `case`"),
        Compound::Case { word, arms },
    ))
}

fn case_arm(input: Cursor<'_>) -> Step<'_, CaseArm> {
    let pattern = |input| required_word(input, Mode::Word, "a pattern");
    let patterns = separated_list1(
        operator("|"),
        delimited(skip(blanks), pattern, skip(blanks)),
    );
    let (rest, (_, patterns)) = (opt(operator("(")), patterns).parse(input)?;
    if rest.peek() != Some(b')') {
        return Err(Failure::unexpected(rest, "`|` or `)` behind the pattern"));
    }
    let rest = rest.take_leaf(LeafKind::Operator, 1);
    let (rest, body) = until(rest, Closer::Arm.bit() | Closer::Esac.bit(), list)?;
    let ends = alt((
        map(operator(";;&"), |_| CaseEnd::Continue),
        map(operator(";;"), |_| CaseEnd::Break),
        map(operator(";&"), |_| CaseEnd::FallThrough),
    ));
    let (rest, end) = opt(ends).parse(rest)?;
    let span = input.span_to(rest);
    Ok((
        rest,
        CaseArm {
            span,
            patterns,
            body,
            end: end.unwrap_or(CaseEnd::Break),
        },
    ))
}

/// The body of a function, from behind its name or brackets on.
pub(super) fn function_body(input: Cursor<'_>) -> Step<'_, Box<CompoundCommand>> {
    let start = lines(input);
    let outcome = match start.peek() {
        Some(b'{') if at_word(start, "{") => redirected(start, function_group),
        _ => compound(start),
    };
    match outcome {
        Err(nom::Err::Error(_)) => Err(Failure::unexpected(
            start,
            "a function body such as `{ … }`",
        )),
        outcome => outcome,
    }
}

/// `function name [()] body`.
pub(super) fn function_definition(input: Cursor<'_>) -> Step<'_, Command> {
    let start = blanks(input.take_leaf(LeafKind::Keyword, 8));
    if no_word(start) {
        return Err(Failure::unexpected(start, "the name of the function"));
    }
    let (rest, name) = required_word(start, Mode::Word, "the name of the function")?;
    start.state.leaf(LeafKind::Name, start.at(), rest.at());
    let brackets = (skip(blanks), operator("("), skip(blanks), operator(")"));
    let before = rest;
    let (rest, found) = opt(brackets).parse(rest)?;
    let rest = if found.is_some() { rest } else { before };
    let (rest, body) = function_body(rest)?;
    let function = Function {
        span: input.span_to(rest),
        name: name.span,
        body: *body,
    };
    Ok((rest, Command::Function(Arc::new(function))))
}
