//! The commands of a recipe as the rules look at them.

use crate::span::Span;
use crate::tree::{
    Command, File, Function, Parameter, RedirectOperator, RedirectTarget, SimpleCommand, Visitor,
    Word, WordPart, walk,
};

/// A word of a command.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) span: Span,
    /// As it is written.
    pub(super) raw: String,
    /// What it holds, where nothing in it is expanded.
    pub(super) known: Option<String>,
}

/// A command with its words.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    /// The top-level function that it stands in.
    pub(super) function: Option<String>,
    pub(super) span: Span,
    pub(super) words: Vec<Text>,
    /// Files that it writes to.
    pub(super) written: Vec<Text>,
    /// The name of the next command of its pipeline.
    pub(super) pipes_into: Option<String>,
    /// A variable in front of it that is set to nothing, as in `pkgver= 1`.
    pub(super) emptied: Option<(String, Span)>,
    /// `$pkgdir` and `$srcdir` without quotes in its words.
    pub(super) unquoted: Vec<Span>,
}

impl Invocation {
    /// The program's name without its folder; empty when it is computed.
    pub(super) fn name(&self) -> &str {
        let first = self.words.first().and_then(|word| word.known.as_deref());
        let name = first.unwrap_or_default();
        name.rsplit('/').next().unwrap_or(name)
    }

    /// The words behind the name.
    pub(super) fn arguments(&self) -> &[Text] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The words that are no options.
    pub(super) fn operands(&self) -> impl Iterator<Item = &Text> {
        let arguments = self.arguments().iter();
        arguments.filter(|word| !word.raw.starts_with('-') || word.raw == "-")
    }

    /// Whether a short option has the letter.
    pub(super) fn has_flag(&self, letter: char) -> bool {
        self.arguments().iter().any(|word| {
            word.raw.starts_with('-') && !word.raw.starts_with("--") && word.raw.contains(letter)
        })
    }

    /// Whether it is in `package()` or a `package_*()`.
    pub(super) fn packages(&self) -> bool {
        self.function
            .as_deref()
            .is_some_and(|name| name == "package" || name.starts_with("package_"))
    }
}

/// Every command of a file; what stands between backquotes is left aside.
pub(super) fn all(file: &File) -> Vec<Invocation> {
    let mut collector = Collector {
        source: file.source().as_ptr(),
        function: None,
        found: Vec::new(),
        pipes_into: None,
    };
    walk::file(&mut collector, file);
    collector.found
}

struct Collector {
    source: *const u8,
    function: Option<String>,
    found: Vec<Invocation>,
    pipes_into: Option<String>,
}

impl Visitor for Collector {
    fn function(&mut self, file: &File, function: &Function) {
        let outer = self.function.clone();
        if outer.is_none() {
            self.function = Some(file.text_lossy(function.name).into_owned());
        }
        self.compound(file, &function.body);
        self.function = outer;
    }

    fn command(&mut self, file: &File, command: &Command) {
        let Command::Pipeline(pipeline) = command else {
            walk::command(self, file, command);
            return;
        };
        let outer = self.pipes_into.take();
        for (index, (stage, _)) in pipeline.commands.iter().enumerate() {
            let next = pipeline.commands.get(index + 1);
            self.pipes_into = next
                .and_then(|(next, _)| name_of(file, next))
                .or(outer.clone());
            self.command(file, stage);
        }
        self.pipes_into = outer;
    }

    fn command_line(&mut self, file: &File, command: &SimpleCommand) {
        if file.source().as_ptr() != self.source {
            return;
        }
        let words = command
            .arguments
            .iter()
            .filter_map(|argument| match argument {
                crate::tree::Argument::Word(word) => Some(word),
                crate::tree::Argument::Assignment(_) => None,
            });
        let words: Vec<&Word> = words.collect();
        let written = command.redirects.iter().filter(|redirect| {
            !matches!(
                redirect.operator,
                RedirectOperator::Read
                    | RedirectOperator::HereString
                    | RedirectOperator::HereDocument
                    | RedirectOperator::DuplicateInput
                    | RedirectOperator::DuplicateOutput
            )
        });
        let written = written.filter_map(|redirect| match &redirect.target {
            RedirectTarget::Word(word) => Some(text(file, word)),
            RedirectTarget::HereDocument(_) => None,
        });
        let emptied = match command.assignments.as_slice() {
            [only] if !words.is_empty() && only.span.end == only.name.end + 1 => {
                Some((file.text_lossy(only.name).into_owned(), only.span))
            }
            _ => None,
        };
        self.found.push(Invocation {
            function: self.function.clone(),
            span: command.span,
            unquoted: words.iter().flat_map(|word| unquoted(file, word)).collect(),
            words: words.into_iter().map(|word| text(file, word)).collect(),
            written: written.collect(),
            pipes_into: self.pipes_into.clone(),
            emptied,
        });
        let outer = self.pipes_into.take();
        walk::command_line(self, file, command);
        self.pipes_into = outer;
    }
}

fn text(file: &File, word: &Word) -> Text {
    let known = word.static_text(file);
    Text {
        span: word.span,
        raw: file.text_lossy(word.span).into_owned(),
        known: known.and_then(|text| String::from_utf8(text.into_owned()).ok()),
    }
}

fn name_of(file: &File, command: &Command) -> Option<String> {
    match command {
        Command::Simple(simple) => {
            let first = simple.arguments.first()?;
            let name = file.text_lossy(first.span()).into_owned();
            Some(name.rsplit('/').next().unwrap_or(&name).to_owned())
        }
        _ => None,
    }
}

fn unquoted(file: &File, word: &Word) -> Vec<Span> {
    let parts = word.parts().iter().filter_map(|part| match part {
        WordPart::Parameter(expansion) => match expansion.parameter {
            Parameter::Variable(name)
                if matches!(file.text(name), b"pkgdir" | b"srcdir" | b"startdir") =>
            {
                Some(expansion.span)
            }
            _ => None,
        },
        _ => None,
    });
    parts.collect()
}
