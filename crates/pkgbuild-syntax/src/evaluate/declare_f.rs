//! Prints a function as `declare -f` does, to the byte: `eval` reads that text again, and makepkg
//! looks for assignments in its lines. Source: bash 5.2, `print_cmd.c`.

use std::fmt::Write as _;

use super::quote;
use super::scope::FunctionValue;
use crate::span::Span;
use crate::tree::{
    AndOrOperator, Argument, ArrayLiteral, Assignment, BinaryOperator, CaseArm, CaseEnd, Command,
    Compound, CompoundCommand, Condition, ConditionKind, Descriptor, File, Function, IfArm, List,
    Operation, ParameterExpansion, Redirect, RedirectOperator, RedirectTarget, SimpleCommand,
    Statement, Subscript, SubstitutionBody, Terminator, UnaryOperator, Value, Word, WordPart,
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
            self.statement(statement);
            let last = index + 1 == list.statements.len();
            if statement.terminator == Terminator::Background {
                self.out.push_str(" &");
                self.documents();
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

    fn statement(&mut self, statement: &Statement) {
        self.command(&statement.command);
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
                for (index, (command, joined)) in pipeline.commands.iter().enumerate() {
                    if index > 0 {
                        self.connector(" |");
                        self.out.push(' ');
                    }
                    self.command(command);
                    if *joined {
                        self.out.push_str(" 2>&1");
                    }
                }
            }
            Command::AndOr(list) => {
                self.command(&list.first);
                for (operator, command) in &list.rest {
                    self.connector(match operator {
                        AndOrOperator::And => " && ",
                        AndOrOperator::Or => " || ",
                    });
                    self.command(command);
                }
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

    fn redirects(&mut self, redirects: &[Redirect]) {
        self.was_document &= redirects.is_empty();
        for redirect in redirects {
            self.out.push(' ');
            let text = self.redirect(redirect);
            self.out.push_str(&text);
        }
    }

    fn redirect(&mut self, redirect: &Redirect) -> String {
        let (number, variable) = match redirect.descriptor {
            None => (None, None),
            Some(Descriptor::Number(number)) => (Some(number), None),
            Some(Descriptor::Variable(span)) => {
                (None, Some(self.file.text_lossy(span).into_owned()))
            }
        };
        let prefix = |default: u32| match (&variable, number) {
            (Some(name), _) => format!("{{{name}}}"),
            (None, Some(number)) if number != default => number.to_string(),
            _ => String::new(),
        };
        let target = match &redirect.target {
            RedirectTarget::Word(word) => word_text(self.file, word),
            RedirectTarget::HereDocument(id) => {
                let Some(document) = self.file.here_document(*id) else {
                    return String::new();
                };
                let delimiter = document
                    .delimiter
                    .static_text(self.file)
                    .unwrap_or_default();
                let delimiter = String::from_utf8_lossy(&delimiter).into_owned();
                let mut body = String::new();
                if document.strip_tabs {
                    let raw = self.file.text_lossy(document.span);
                    for line in raw.split_inclusive('\n') {
                        body.push_str(line.trim_start_matches('\t'));
                    }
                } else {
                    body.push_str(&self.file.text_lossy(document.span));
                }
                body.push_str(&delimiter);
                body.push('\n');
                self.deferred.push(body);
                let quoted = if document.quoted {
                    quote::single(&delimiter)
                } else {
                    delimiter
                };
                let dash = if document.strip_tabs { "-" } else { "" };
                return format!("{}<<{dash}{quoted}", prefix(0));
            }
        };
        let is_number = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
        match redirect.operator {
            RedirectOperator::Read => format!("{}< {target}", prefix(0)),
            RedirectOperator::Write => format!("{}> {target}", prefix(1)),
            RedirectOperator::Append => format!("{}>> {target}", prefix(1)),
            RedirectOperator::Clobber => format!("{}>| {target}", prefix(1)),
            RedirectOperator::ReadWrite => format!("{}<> {target}", prefix(0)),
            RedirectOperator::HereString => format!("{}<<< {target}", prefix(0)),
            RedirectOperator::HereDocument => String::new(),
            RedirectOperator::WriteBoth => format!("&> {target}"),
            RedirectOperator::AppendBoth => format!("&>> {target}"),
            RedirectOperator::DuplicateOutput => match variable {
                Some(name) => format!("{{{name}}}>&{target}"),
                None if target == "-" => format!("{}>&-", number.unwrap_or(1)),
                None if is_number => format!("{}>&{target}", number.unwrap_or(1)),
                None if number.is_none() && !target.contains('$') => format!("&> {target}"),
                None => format!("{}>&{target}", prefix(1)),
            },
            RedirectOperator::DuplicateInput => match variable {
                Some(name) => format!("{{{name}}}<&{target}"),
                None if target == "-" => format!("{}>&-", number.unwrap_or(0)),
                None if is_number => format!("{}<&{target}", number.unwrap_or(0)),
                None => format!("{}<&{target}", prefix(0)),
            },
        }
    }
}

fn assignment_text(file: &File, assignment: &Assignment) -> String {
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

fn condition_text(file: &File, condition: &Condition) -> String {
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
        ConditionKind::Unary {
            operator: UnaryOperator(letter),
            operand,
        } => {
            format!("-{} {}", char::from(*letter), word_text(file, operand))
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
fn word_text(file: &File, word: &Word) -> String {
    let mut text = String::new();
    rendered(file, word.span, word.parts().iter(), &mut text);
    text
}

/// The text of a span in which the parts are rendered and the rest is copied.
fn rendered<'p>(
    file: &File,
    span: Span,
    parts: impl Iterator<Item = &'p WordPart>,
    out: &mut String,
) {
    let mut at = span.start;
    for part in parts {
        let here = part.span();
        if here.start < at {
            continue;
        }
        copied(file, Span::new(at, here.start), out);
        part_text(file, part, out);
        at = here.end;
    }
    copied(file, Span::new(at, span.end), out);
}

fn copied(file: &File, span: Span, out: &mut String) {
    out.push_str(&file.text_lossy(span).replace("\\\n", ""));
}

fn part_text(file: &File, part: &WordPart, out: &mut String) {
    match part {
        WordPart::Literal(_) | WordPart::Escaped(_) | WordPart::SingleQuoted(_) => {
            out.push_str(&file.text_lossy(part.span()));
        }
        WordPart::AnsiCQuoted(_) => {
            let text = part.static_text(file).unwrap_or_default();
            out.push_str(&quote::single(&String::from_utf8_lossy(&text)));
        }
        WordPart::DoubleQuoted(quoted) => {
            let dollar = file.text(quoted.span).starts_with(b"$");
            let span = Span::new(quoted.span.start + u32::from(dollar), quoted.span.end);
            rendered(file, span, quoted.parts().iter(), out);
        }
        WordPart::Parameter(expansion) => {
            let parts = operands(expansion);
            rendered(file, expansion.span, parts.into_iter(), out);
        }
        WordPart::Arithmetic(expansion) => {
            rendered(
                file,
                expansion.span,
                expansion.expression.parts().iter(),
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
