//! The assigning lines of package functions, as makepkg greps them.

use super::OUTPUT;
use crate::evaluate::{DynamicReason, Evaluated, Evaluation};
use crate::package::{ArrayKey, StringField};
use crate::span::Span;
use crate::tree::{self, Command, CompoundCommand, File, List, SimpleCommand, Visitor, walk};

/// The assigning lines of a package function; unknown when the function's text is.
#[derive(Debug)]
pub(crate) struct FunctionLines(pub(crate) Result<Vec<Line>, DynamicReason>);

/// A line of `declare -f` that begins with an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The variable.
    pub(crate) name: String,
    /// Whether an array literal follows, by makepkg's expressions `name\+?=\(` and
    /// `name\+?=[^(]`; a line that ends behind the `=` is neither and not among the lines.
    pub(crate) is_array: bool,
    /// The line from the `=` or `+=` on.
    pub(super) rest: String,
    /// Where it stands in the recipe; the whole function where that cannot be told.
    pub(super) span: Span,
}

impl FunctionLines {
    pub(super) fn read(evaluation: &Evaluation, pkgname: &str) -> Self {
        let own = format!("package_{pkgname}");
        let name = [own.as_str(), "package"]
            .into_iter()
            .find(|name| evaluation.function(name).is_some());
        let Some(name) = name else {
            return Self(Ok(Vec::new()));
        };
        Self(match evaluation.declare_f(name) {
            None => Ok(Vec::new()),
            Some(Evaluated::Known(text)) => {
                let mut lines: Vec<_> = text.split('\n').filter_map(Line::parse).collect();
                place(&mut lines, evaluation, name);
                Ok(lines)
            }
            Some(Evaluated::Dynamic(reason)) => Err(reason),
        })
    }

    /// The first line that also does something else than to assign a field.
    pub(super) fn surprise(&self) -> Option<&Line> {
        let lines = self.0.as_deref().unwrap_or_default();
        lines
            .iter()
            .find(|line| is_field(&line.name) && !line.is_plain())
    }

    /// Whether every line that assigns the list adds to it.
    pub(super) fn only_append(&self, name: &str) -> bool {
        self.matching(name)
            .filter(|line| line.is_array)
            .all(|line| line.rest.starts_with('+'))
    }

    /// The lines that assign the field.
    pub(crate) fn matching(&self, name: &str) -> impl Iterator<Item = &Line> {
        let lines = self.0.as_deref().unwrap_or_default();
        lines.iter().filter(move |line| line.name == name)
    }
}

impl Line {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let declaration = line.trim_start_matches(is_space);
        let indent = &line[..line.len() - declaration.len()];
        if !indent.ends_with(' ') {
            return None;
        }
        let end = declaration
            .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))?;
        let (name, rest) = declaration.split_at(end);
        let first = rest.strip_prefix('+').unwrap_or(rest).strip_prefix('=')?;
        Some(Self {
            name: name.to_owned(),
            is_array: first.chars().next()? == '(',
            rest: rest.to_owned(),
            span: Span::default(),
        })
    }
}

impl Line {
    /// Whether it has no effect but on the one variable in front. makepkg evaluates each line
    /// several times and keeps what else it does, so that a second assignment, for example,
    /// changes the fields of all packages.
    fn is_plain(&self) -> bool {
        let parsed = crate::parse::parse(format!("{OUTPUT}{}", self.rest));
        // A line that is cut off in the middle is for the evaluation.
        if !parsed.errors.is_empty() {
            return true;
        }
        match parsed.file.commands().statements.as_slice() {
            [statement] => match &statement.command {
                tree::Command::Simple(simple) => {
                    simple.assignments.len() == 1 || !simple.arguments.is_empty()
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// Finds each line in the recipe: `declare -f` keeps the order of the commands.
fn place(lines: &mut [Line], evaluation: &Evaluation, function: &str) {
    let whole = evaluation.function(function);
    let whole = whole.and_then(Evaluated::known).unwrap_or_default();
    let mut starts = Starts::default();
    if let Some(tree) = evaluation.function_tree(function) {
        starts.compound(evaluation.file(), &tree.body);
    }
    let mut names: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let spans = starts.0.iter().filter(|(found, _)| *found == name);
        let mut spans = spans.map(|(_, span)| *span);
        let own = || lines.iter().filter(|line| line.name == name).count();
        let fit = spans.clone().count() == own();
        for line in lines.iter_mut().filter(|line| line.name == name) {
            let found = if fit { spans.next() } else { None };
            line.span = found.unwrap_or(whole);
        }
    }
}

/// The assignments that begin a command of their own, in order.
#[derive(Default)]
struct Starts(Vec<(String, Span)>);

impl Visitor for Starts {
    fn list(&mut self, file: &File, list: &List) {
        for statement in &list.statements {
            let first = leading(&statement.command).and_then(|first| first.assignments.first());
            if let Some(first) = first.filter(|first| first.subscript.is_none()) {
                let name = file.text_lossy(first.name).into_owned();
                self.0.push((name, first.span));
            }
            self.command(file, &statement.command);
        }
    }

    fn compound(&mut self, file: &File, command: &CompoundCommand) {
        // A subshell continues the line that it begins in.
        if !matches!(command.compound, tree::Compound::Subshell(_)) {
            walk::compound(self, file, command);
        }
    }

    fn word(&mut self, _: &File, _: &tree::Word) {}

    fn part(&mut self, _: &File, _: &tree::WordPart) {}
}

/// The simple command that the text of a command begins with.
fn leading(command: &Command) -> Option<&SimpleCommand> {
    match command {
        Command::Simple(simple) => Some(simple),
        Command::AndOr(list) => leading(&list.first),
        Command::Pipeline(pipeline) if !pipeline.negated && !pipeline.timed => pipeline
            .stages
            .first()
            .and_then(|first| leading(&first.command)),
        _ => None,
    }
}

fn is_field(name: &str) -> bool {
    name.parse::<ArrayKey>().is_ok() || name.parse::<StringField>().is_ok()
}

/// `[[:space:]]` in the locale C.UTF-8.
pub(crate) fn is_space(character: char) -> bool {
    matches!(
        character,
        '\t'..='\r'
            | ' '
            | '\u{1680}'
            | '\u{2000}'..='\u{2006}'
            | '\u{2008}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{205f}'
            | '\u{3000}'
    )
}
