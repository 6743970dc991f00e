//! The commands of a recipe as rules and comparisons look at them.

mod effects;

use crate::span::Span;
use crate::tree::{
    Command, File, Function, Parameter, RedirectOperator, RedirectTarget, SimpleCommand, Visitor,
    Word, WordPart, walk,
};

/// A word of a command.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) span: Span,
    /// As it is written.
    pub(crate) raw: String,
    /// What it holds, where nothing in it is expanded.
    pub(crate) known: Option<String>,
}

/// A command with its words.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The top-level function that it stands in.
    pub(crate) function: Option<String>,
    pub(crate) span: Span,
    pub(crate) words: Vec<Text>,
    /// Files that it writes to.
    pub(crate) written: Vec<Text>,
    /// The name of the next command of its pipeline.
    pub(crate) pipes_into: Option<String>,
    /// A variable in front of it that is set to nothing, as in `pkgver= 1`.
    pub(crate) emptied: Option<(String, Span)>,
    /// `$pkgdir` and `$srcdir` without quotes in its words.
    pub(crate) unquoted: Vec<Span>,
}

impl Invocation {
    /// The program's name without its folder; empty when it is computed.
    pub(crate) fn name(&self) -> &str {
        let first = self.words.first().and_then(|word| word.known.as_deref());
        let name = first.unwrap_or_default();
        name.rsplit('/').next().unwrap_or(name)
    }

    /// The command that it runs, where it is one like `env` or `sudo`.
    fn wrapped(&self) -> Option<Self> {
        let own_operands = match self.name() {
            "timeout" | "flock" => 1,
            "builtin" | "command" | "doas" | "env" | "exec" | "fakeroot" | "ionice" | "nice"
            | "nohup" | "setsid" | "stdbuf" | "sudo" | "time" | "xargs" => 0,
            _ => return None,
        };
        let is_operand = |word: &&Text| {
            let assigns = word.raw.split_once('=').is_some_and(|(name, _)| {
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
            !word.raw.starts_with('-') && !assigns
        };
        let mut operands = self.arguments().iter().filter(is_operand);
        let first = operands.nth(own_operands)?;
        let at = self
            .words
            .iter()
            .position(|word| std::ptr::eq(word, first))?;
        let inner = Self {
            words: self.words[at..].to_vec(),
            // Those of the whole are told already.
            unquoted: Vec::new(),
            written: Vec::new(),
            emptied: None,
            ..self.clone()
        };
        Some(inner)
    }

    /// The words behind the name.
    pub(crate) fn arguments(&self) -> &[Text] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The words that are no options.
    pub(crate) fn operands(&self) -> impl Iterator<Item = &Text> {
        let arguments = self.arguments().iter();
        arguments.filter(|word| !word.raw.starts_with('-') || word.raw == "-")
    }

    /// Whether a short option has the letter.
    pub(crate) fn has_flag(&self, letter: char) -> bool {
        self.arguments().iter().any(|word| {
            word.raw.starts_with('-') && !word.raw.starts_with("--") && word.raw.contains(letter)
        })
    }

    /// Whether it is in `package()` or a `package_*()`.
    pub(crate) fn packages(&self) -> bool {
        self.function
            .as_deref()
            .is_some_and(|name| name == "package" || name.starts_with("package_"))
    }
}

/// Every command of a file; of one between backquotes the places are those of the command around it.
pub(crate) fn all(file: &File) -> Vec<Invocation> {
    let mut collector = Collector {
        source: file.source().as_ptr(),
        around: Span::default(),
        function: None,
        found: Vec::new(),
        pipes_into: None,
    };
    walk::file(&mut collector, file);
    collector.found
}

struct Collector {
    source: *const u8,
    /// The command of the file itself that is looked at.
    around: Span,
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
        for (index, stage) in pipeline.stages.iter().enumerate() {
            let next = pipeline.stages.get(index + 1);
            self.pipes_into = next
                .and_then(|next| name_of(file, &next.command))
                .or(outer.clone());
            self.command(file, &stage.command);
        }
        self.pipes_into = outer;
    }

    fn command_line(&mut self, file: &File, command: &SimpleCommand) {
        let own = file.source().as_ptr() == self.source;
        let outer_around = self.around;
        if own {
            self.around = command.span;
        }
        let around = self.around;
        let text = |file: &File, word: &Word| {
            let mut text = text(file, word);
            if !own {
                text.span = around;
            }
            text
        };
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
            [only] if own && !words.is_empty() && only.span.end == only.name.end + 1 => {
                Some((file.text_lossy(only.name).into_owned(), only.span))
            }
            _ => None,
        };
        let invocation = Invocation {
            function: self.function.clone(),
            span: if own { command.span } else { around },
            unquoted: if own {
                words.iter().flat_map(|word| unquoted(file, word)).collect()
            } else {
                Vec::new()
            },
            words: words.into_iter().map(|word| text(file, word)).collect(),
            written: written.collect(),
            pipes_into: self.pipes_into.clone(),
            emptied,
        };
        let mut next = Some(invocation);
        while let Some(invocation) = next {
            next = invocation.wrapped();
            self.found.push(invocation);
        }
        let outer = self.pipes_into.take();
        walk::command_line(self, file, command);
        self.pipes_into = outer;
        self.around = outer_around;
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
