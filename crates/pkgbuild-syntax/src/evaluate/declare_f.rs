//! Prints a function as `declare -f` does, to the byte: `eval` reads that text again, and makepkg
//! looks for assignments in its lines. Source: bash 5.2, `print_cmd.c`.

mod redirect;
mod word;

use std::fmt::Write as _;

use self::word::{assignment_text, condition_text, word_text};
use super::scope::FunctionValue;
use crate::span::Span;
use crate::tree::{
    AndOrOperator, Argument, CaseArm, CaseEnd, Command, Compound, CompoundCommand, File, Function,
    IfArm, List, SimpleCommand, Terminator, Word,
};

/// The text that `declare -f name` prints.
pub(crate) fn print(function: &FunctionValue) -> String {
    let mut printer = Printer::new(&function.file, true);
    let name = function
        .file
        .text_lossy(function.function.name)
        .into_owned();
    let _ = writeln!(printer.out, "{name} () ");
    printer.function_body(&function.function);
    printer.out.push('\n');
    printer.out
}

struct Printer<'f> {
    file: &'f File,
    out: String,
    indentation: usize,
    /// The next command continues the line.
    skip_indent: bool,
    /// Statements go on lines of their own.
    in_function: bool,
    /// Here-documents whose body follows at the end of the line.
    deferred: Vec<String>,
    /// A here-document was just written, hence no `;` may follow.
    was_document: bool,
}

impl<'f> Printer<'f> {
    fn new(file: &'f File, in_function: bool) -> Self {
        Self {
            file,
            out: String::new(),
            indentation: 0,
            skip_indent: true,
            in_function,
            deferred: Vec::new(),
            was_document: false,
        }
    }

    fn indent(&mut self) {
        self.out
            .extend(std::iter::repeat_n(' ', self.indentation * 4));
    }

    fn newline(&mut self, text: &str) {
        self.out.push('\n');
        self.indent();
        self.out.push_str(text);
    }

    fn semicolon(&mut self) {
        if self.out.ends_with(['&', '\n']) {
            return;
        }
        self.out.push(';');
    }

    fn function_body(&mut self, function: &Function) {
        self.indent();
        self.out.push_str("{ \n");
        self.indentation += 1;
        let outer = std::mem::replace(&mut self.in_function, true);
        self.skip_indent = false;
        match &function.body.compound {
            Compound::Group(list) => self.list(list),
            _ => self.compound(&function.body, true),
        }
        self.documents();
        self.in_function = outer;
        self.indentation -= 1;
        self.newline("}");
        self.was_document = false;
        if matches!(function.body.compound, Compound::Group(_)) {
            self.redirects(&function.body.redirects);
        }
    }

    fn begin(&mut self) {
        if std::mem::take(&mut self.skip_indent) {
            return;
        }
        self.indent();
    }

    fn list(&mut self, list: &List) {
        for (index, statement) in list.statements.iter().enumerate() {
            self.command(&statement.command);
            let before = index.checked_sub(1).map(|before| &list.statements[before]);
            // bash joins commands in pairs and writes the bodies behind each pair; what `&` joins is a
            // pair of its own, right of the `;` in front of it.
            let pair = match (statement.terminator, before) {
                (_, None) => false,
                (Terminator::Background, Some(before)) => {
                    before.terminator == Terminator::Background
                }
                (_, Some(_)) => true,
            };
            if pair {
                self.documents();
            }
            let last = index + 1 == list.statements.len();
            if statement.terminator == Terminator::Background {
                self.out.push_str(" &");
                if !self.deferred.is_empty() {
                    self.documents();
                    self.out.push(' ');
                }
                if !last {
                    self.out.push(' ');
                    self.skip_indent = true;
                }
            } else if !last {
                if self.deferred.is_empty() {
                    if !std::mem::take(&mut self.was_document) {
                        self.out.push(';');
                    }
                } else {
                    if !self.in_function {
                        self.out.push(';');
                    }
                    self.documents();
                }
                if self.in_function {
                    self.out.push('\n');
                } else {
                    self.out.push(' ');
                    self.skip_indent = true;
                }
            }
        }
    }

    /// Writes the bodies of the here-documents of the line.
    fn documents(&mut self) {
        if self.deferred.is_empty() {
            return;
        }
        self.out.push('\n');
        for body in std::mem::take(&mut self.deferred) {
            self.out.push_str(&body);
        }
        self.was_document = true;
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Simple(simple) => {
                self.begin();
                self.simple(simple);
            }
            Command::Pipeline(pipeline) => {
                if pipeline.timed || pipeline.negated {
                    self.begin();
                    if pipeline.timed {
                        self.out.push_str("time ");
                    }
                    if pipeline.negated {
                        self.out.push_str("! ");
                    }
                    self.skip_indent = true;
                }
                for (index, stage) in pipeline.stages.iter().enumerate() {
                    if index > 0 {
                        self.connector(" |");
                        self.out.push(' ');
                    }
                    self.command(&stage.command);
                    if stage.joins_errors {
                        self.out.push_str(" 2>&1");
                        self.was_document = false;
                    }
                }
                if pipeline.stages.len() > 1 {
                    self.documents();
                }
            }
            Command::AndOr(list) => {
                self.command(&list.first);
                for (index, (operator, command)) in list.rest.iter().enumerate() {
                    if index > 0 {
                        self.documents();
                    }
                    self.connector(match operator {
                        AndOrOperator::And => " && ",
                        AndOrOperator::Or => " || ",
                    });
                    self.command(command);
                }
                self.documents();
            }
            Command::Compound(compound) => self.compound(compound, false),
            Command::Function(function) => {
                self.begin();
                let name = self.file.text_lossy(function.name).into_owned();
                let _ = writeln!(self.out, "function {name} () ");
                self.function_body(function);
            }
            Command::Coprocess(coprocess) => {
                self.begin();
                let name = match coprocess.name {
                    Some(name) => self.file.text_lossy(name).into_owned(),
                    None => "COPROC".to_owned(),
                };
                let _ = write!(self.out, "coproc {name} ");
                self.skip_indent = true;
                self.command(&coprocess.command);
            }
        }
    }

    /// Between two commands; here-documents of the first come in between.
    fn connector(&mut self, text: &str) {
        self.out.push_str(text);
        if !self.deferred.is_empty() {
            self.documents();
            self.out.push(' ');
        }
        self.skip_indent = true;
    }

    fn simple(&mut self, simple: &SimpleCommand) {
        let mut first = true;
        let separate = |out: &mut String, first: &mut bool| {
            if !std::mem::take(first) {
                out.push(' ');
            }
        };
        for assignment in &simple.assignments {
            separate(&mut self.out, &mut first);
            let text = assignment_text(self.file, assignment);
            self.out.push_str(&text);
        }
        for argument in &simple.arguments {
            separate(&mut self.out, &mut first);
            let text = match argument {
                Argument::Word(word) => word_text(self.file, word),
                Argument::Assignment(assignment) => assignment_text(self.file, assignment),
            };
            self.out.push_str(&text);
        }
        if !simple.redirects.is_empty() {
            if first {
                let before = self.out.len();
                self.redirects(&simple.redirects);
                // A command of redirections alone has no blank in front of them.
                if self.out[before..].starts_with(' ') {
                    self.out.remove(before);
                }
            } else {
                self.redirects(&simple.redirects);
            }
        }
    }

    fn compound(&mut self, command: &CompoundCommand, body: bool) {
        if !body || !std::mem::take(&mut self.skip_indent) {
            self.begin();
        }
        match &command.compound {
            Compound::Group(list) => {
                self.out.push_str("{ ");
                if self.in_function {
                    self.out.push('\n');
                    self.indentation += 1;
                    self.skip_indent = false;
                    self.list(list);
                    self.documents();
                    self.indentation -= 1;
                    self.newline("}");
                } else {
                    self.skip_indent = true;
                    self.list(list);
                    self.documents();
                    self.semicolon();
                    self.out.push_str(" }");
                }
            }
            Compound::Subshell(list) => {
                self.out.push_str("( ");
                self.skip_indent = true;
                self.list(list);
                self.documents();
                self.out.push_str(" )");
            }
            Compound::If { arms, otherwise } => self.conditional(arms, otherwise.as_ref()),
            Compound::For { name, words, body } => {
                let head = self.loop_head("for", *name, words.as_deref());
                self.out.push_str(&head);
                self.newline("do\n");
                self.loop_body(body);
            }
            Compound::Select { name, words, body } => {
                let head = self.loop_head("select", *name, words.as_deref());
                self.out.push_str(&head);
                self.newline("do\n");
                self.loop_body(body);
            }
            Compound::ArithmeticFor {
                initial,
                condition,
                step,
                body,
            } => {
                let part = |span: Span| {
                    let text = self.file.text_lossy(span).trim().to_owned();
                    if text.is_empty() {
                        "1".to_owned()
                    } else {
                        text
                    }
                };
                let (initial, condition, step) =
                    (part(initial.span), part(condition.span), part(step.span));
                let _ = write!(self.out, "for (({initial}; {condition}; {step}))");
                self.newline("do\n");
                self.loop_body(body);
            }
            Compound::While {
                until,
                condition,
                body,
            } => {
                self.out.push_str(if *until { "until " } else { "while " });
                self.skip_indent = true;
                self.list(condition);
                self.documents();
                self.semicolon();
                self.out.push_str(" do\n");
                self.loop_body(body);
            }
            Compound::Case { word, arms } => self.case(word, arms),
            Compound::Condition(condition) => {
                let text = condition_text(self.file, condition);
                let _ = write!(self.out, "[[ {text} ]]");
            }
            Compound::Arithmetic(expression) => {
                let text = self.file.text_lossy(expression.span).into_owned();
                let _ = write!(self.out, "(({text}))");
            }
        }
        self.redirects(&command.redirects);
    }

    fn case(&mut self, word: &Word, arms: &[CaseArm]) {
        let _ = write!(self.out, "case {} in ", word_text(self.file, word));
        self.indentation += 1;
        for arm in arms {
            self.newline("");
            let patterns: Vec<String> = arm
                .patterns
                .iter()
                .map(|word| word_text(self.file, word))
                .collect();
            let _ = writeln!(self.out, "{})", patterns.join(" | "));
            self.indentation += 1;
            self.skip_indent = false;
            self.list(&arm.body);
            self.documents();
            self.indentation -= 1;
            self.newline(match arm.end {
                CaseEnd::Break => ";;",
                CaseEnd::FallThrough => ";&",
                CaseEnd::Continue => ";;&",
            });
        }
        self.indentation -= 1;
        self.newline("esac");
    }

    fn conditional(&mut self, arms: &[IfArm], otherwise: Option<&List>) {
        let Some((arm, rest)) = arms.split_first() else {
            return;
        };
        self.out.push_str("if ");
        self.skip_indent = true;
        self.list(&arm.condition);
        self.semicolon();
        self.out.push_str(" then\n");
        self.indentation += 1;
        self.skip_indent = false;
        self.list(&arm.body);
        self.documents();
        self.indentation -= 1;
        if !rest.is_empty() || otherwise.is_some() {
            self.semicolon();
            self.newline("else\n");
            self.indentation += 1;
            self.skip_indent = false;
            if rest.is_empty() {
                if let Some(list) = otherwise {
                    self.list(list);
                }
            } else {
                self.begin();
                self.conditional(rest, otherwise);
            }
            self.documents();
            self.indentation -= 1;
        }
        self.semicolon();
        self.newline("fi");
    }

    fn loop_head(&self, keyword: &str, name: Span, words: Option<&[Word]>) -> String {
        let name = self.file.text_lossy(name);
        let words = match words {
            None => "\"$@\"".to_owned(),
            Some(words) => words
                .iter()
                .map(|word| word_text(self.file, word))
                .collect::<Vec<_>>()
                .join(" "),
        };
        format!("{keyword} {name} in {words};")
    }

    fn loop_body(&mut self, body: &List) {
        self.indentation += 1;
        self.skip_indent = false;
        self.list(body);
        self.documents();
        self.indentation -= 1;
        self.semicolon();
        self.newline("done");
    }
}
