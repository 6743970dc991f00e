//! The tree as indented text, for comparison with a golden file.

use pkgbuild_syntax::{
    Argument, Arithmetic, ArrayElement, Assignment, Command, Compound, CompoundCommand, Condition,
    ConditionKind, Descriptor, File, HereDocument, List, Operation, Parameter, ParameterExpansion,
    Redirect, RedirectTarget, SimpleCommand, Span, Subscript, SubstitutionBody, Terminator, Value,
    Word, WordPart,
};

/// Every command of a file.
pub(crate) fn dump(file: &File) -> String {
    let mut dump = Dump {
        file,
        out: String::new(),
        indent: 0,
    };
    dump.list(file.commands());
    dump.out
}

struct Dump<'file> {
    file: &'file File,
    out: String,
    indent: usize,
}

impl Dump<'_> {
    fn line(&mut self, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn text(&self, span: Span) -> String {
        format!("{:?}", self.file.text_lossy(span))
    }

    fn node(&mut self, title: &str, children: impl FnOnce(&mut Self)) {
        self.line(title);
        self.indent += 1;
        children(self);
        self.indent -= 1;
    }

    fn list(&mut self, list: &List) {
        for statement in &list.statements {
            match statement.terminator {
                Terminator::Background => {
                    self.node("background", |dump| dump.command(&statement.command));
                }
                Terminator::Line | Terminator::Semicolon => self.command(&statement.command),
            }
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Pipeline(pipeline) => {
                let mut title = String::from("pipeline");
                if pipeline.timed {
                    title.push_str(" timed");
                }
                if pipeline.negated {
                    title.push_str(" negated");
                }
                self.node(&title, |dump| {
                    for stage in &pipeline.stages {
                        dump.command(&stage.command);
                        if stage.joins_errors {
                            dump.line("with standard error");
                        }
                    }
                });
            }
            Command::AndOr(list) => self.node("list", |dump| {
                dump.command(&list.first);
                for (operator, command) in &list.rest {
                    dump.node(&format!("{operator:?}"), |dump| dump.command(command));
                }
            }),
            Command::Compound(compound) => self.compound(compound),
            Command::Function(function) => {
                let title = format!("function {}", self.text(function.name));
                self.node(&title, |dump| dump.compound(&function.body));
            }
            Command::Coprocess(coprocess) => {
                let name = coprocess
                    .name
                    .map(|name| self.text(name))
                    .unwrap_or_default();
                self.node(&format!("coprocess {name}"), |dump| {
                    dump.command(&coprocess.command);
                });
            }
            other => panic!("the dump does not know {other:?}"),
        }
    }

    fn simple(&mut self, simple: &SimpleCommand) {
        if let ([assignment], [], []) = (
            simple.assignments(),
            simple.arguments.as_slice(),
            simple.redirects.as_slice(),
        ) {
            return self.assignment(assignment);
        }
        self.node("command", |dump| {
            for assignment in simple.assignments() {
                dump.assignment(assignment);
            }
            for argument in &simple.arguments {
                match argument {
                    Argument::Word(word) => dump.word("word", word),
                    Argument::Assignment(assignment) => dump.assignment(assignment),
                }
            }
            dump.redirects(&simple.redirects);
        });
    }

    fn assignment(&mut self, assignment: &Assignment) {
        let sign = if assignment.append { "+=" } else { "=" };
        let title = format!("assign {} {sign}", self.text(assignment.name));
        self.node(&title, |dump| {
            if let Some(subscript) = &assignment.subscript {
                dump.subscript(subscript);
            }
            match &assignment.value {
                Value::Scalar(word) => dump.word("value", word),
                Value::Array(array) => dump.node("array", |dump| {
                    for element in array.elements() {
                        dump.element(element);
                    }
                }),
            }
        });
    }

    fn element(&mut self, element: &ArrayElement) {
        let Some(index) = &element.index else {
            return self.word("element", &element.value);
        };
        let title = if element.append {
            "element +="
        } else {
            "element ="
        };
        self.node(title, |dump| {
            dump.subscript(index);
            dump.word("value", &element.value);
        });
    }

    fn subscript(&mut self, subscript: &Subscript) {
        match subscript {
            Subscript::At => self.line("subscript @"),
            Subscript::Star => self.line("subscript *"),
            Subscript::Index(word) => self.word("subscript", word),
        }
    }

    fn word(&mut self, title: &str, word: &Word) {
        self.parts(title, word.parts());
    }

    /// A single plain piece stands in the title's line.
    fn parts(&mut self, title: &str, parts: &[WordPart]) {
        match parts {
            [] => self.line(&format!("{title} (none)")),
            [part]
                if part.static_text(self.file).is_some()
                    && !matches!(part, WordPart::DoubleQuoted(_)) =>
            {
                let part = self.leaf(part);
                self.line(&format!("{title} {part}"));
            }
            _ => self.node(title, |dump| {
                for part in parts {
                    dump.part(part);
                }
            }),
        }
    }

    fn leaf(&self, part: &WordPart) -> String {
        let text = part.static_text(self.file).unwrap_or_default();
        let text = format!("{:?}", String::from_utf8_lossy(&text));
        match part {
            WordPart::Escaped(_) => format!("escaped {text}"),
            WordPart::SingleQuoted(_) => format!("single {text}"),
            WordPart::AnsiCQuoted(_) => format!("ansi-c {text}"),
            _ => text,
        }
    }

    fn part(&mut self, part: &WordPart) {
        match part {
            WordPart::Literal(_)
            | WordPart::Escaped(_)
            | WordPart::SingleQuoted(_)
            | WordPart::AnsiCQuoted(_) => {
                let leaf = self.leaf(part);
                self.line(&leaf);
            }
            WordPart::DoubleQuoted(quoted) => self.parts("double", quoted.parts()),
            WordPart::Parameter(expansion) => self.parameter(expansion),
            WordPart::Command(substitution) => match &substitution.body {
                SubstitutionBody::Commands(list) => {
                    self.node("substitution", |dump| dump.list(list));
                }
                SubstitutionBody::Backquoted(file) => {
                    let inner = dump(file);
                    self.node("backquoted", |dump| {
                        for line in inner.lines() {
                            dump.line(line);
                        }
                    });
                }
            },
            WordPart::Arithmetic(expansion) => self.arithmetic("arithmetic", &expansion.expression),
            WordPart::Process(substitution) => {
                let title = if substitution.output {
                    "process output"
                } else {
                    "process input"
                };
                self.node(title, |dump| dump.list(&substitution.body));
            }
            other => panic!("the dump does not know {other:?}"),
        }
    }

    fn arithmetic(&mut self, title: &str, expression: &Arithmetic) {
        self.parts(title, expression.parts());
    }

    fn parameter(&mut self, expansion: &ParameterExpansion) {
        let mut title = match expansion.parameter {
            Parameter::Variable(name) => format!("parameter {}", self.text(name)),
            Parameter::Positional(number) => format!("parameter {number}"),
            Parameter::Special(special) => format!("parameter {}", special.symbol()),
            Parameter::Nothing => String::from("parameter ?"),
        };
        if expansion.indirect {
            title.push_str(" indirect");
        }
        if expansion.subscript.is_none() && matches!(expansion.operation, Operation::Value) {
            return self.line(&title);
        }
        self.node(&title, |dump| {
            if let Some(subscript) = &expansion.subscript {
                dump.subscript(subscript);
            }
            dump.operation(&expansion.operation);
        });
    }

    fn operation(&mut self, operation: &Operation) {
        let flag = |set: bool, text: &'static str| if set { text } else { "" };
        match operation {
            Operation::Value => {}
            Operation::Length => self.line("length"),
            Operation::Keys => self.line("keys"),
            Operation::Names { joined } => self.line(&format!("names{}", flag(*joined, " joined"))),
            Operation::Default { or_empty, word } => {
                self.word(&format!("default{}", flag(*or_empty, " or empty")), word);
            }
            Operation::Assign { or_empty, word } => {
                self.word(&format!("assign{}", flag(*or_empty, " or empty")), word);
            }
            Operation::Error { or_empty, word } => {
                self.word(&format!("error{}", flag(*or_empty, " or empty")), word);
            }
            Operation::Alternative { or_empty, word } => {
                self.word(
                    &format!("alternative{}", flag(*or_empty, " or empty")),
                    word,
                );
            }
            Operation::RemovePrefix { longest, pattern } => {
                self.word(
                    &format!("remove{} prefix", flag(*longest, " longest")),
                    pattern,
                );
            }
            Operation::RemoveSuffix { longest, pattern } => {
                self.word(
                    &format!("remove{} suffix", flag(*longest, " longest")),
                    pattern,
                );
            }
            Operation::Replace {
                anchor,
                pattern,
                replacement,
            } => {
                self.node(&format!("replace {anchor:?}"), |dump| {
                    dump.word("pattern", pattern);
                    if let Some(replacement) = replacement {
                        dump.word("replacement", replacement);
                    }
                });
            }
            Operation::Substring { offset, length } => self.node("substring", |dump| {
                dump.arithmetic("offset", offset);
                if let Some(length) = length {
                    dump.arithmetic("length", length);
                }
            }),
            Operation::Case {
                change,
                all,
                pattern,
            } => {
                self.word(&format!("case {change:?}{}", flag(*all, " all")), pattern);
            }
            Operation::Transform(letter) => {
                self.line(&format!("transform {}", letter.letter()));
            }
            Operation::Bad(span) => {
                let text = self.text(*span);
                self.line(&format!("bad {text}"));
            }
            other => panic!("the dump does not know {other:?}"),
        }
    }

    fn compound(&mut self, command: &CompoundCommand) {
        match &command.compound {
            Compound::Group(list) => self.node("group", |dump| dump.list(list)),
            Compound::Subshell(list) => self.node("subshell", |dump| dump.list(list)),
            Compound::If { arms, otherwise } => {
                for arm in arms {
                    self.node("if", |dump| dump.list(&arm.condition));
                    self.node("then", |dump| dump.list(&arm.body));
                }
                if let Some(list) = otherwise {
                    self.node("else", |dump| dump.list(list));
                }
            }
            Compound::For { name, words, body } => {
                self.word_loop("for", *name, words.as_deref(), body);
            }
            Compound::Select { name, words, body } => {
                self.word_loop("select", *name, words.as_deref(), body);
            }
            Compound::ArithmeticFor {
                initial,
                condition,
                step,
                body,
            } => {
                self.node("for", |dump| {
                    dump.arithmetic("initial", initial);
                    dump.arithmetic("condition", condition);
                    dump.arithmetic("step", step);
                });
                self.node("do", |dump| dump.list(body));
            }
            Compound::While {
                until,
                condition,
                body,
            } => {
                self.node(if *until { "until" } else { "while" }, |dump| {
                    dump.list(condition);
                });
                self.node("do", |dump| dump.list(body));
            }
            Compound::Case { word, arms } => {
                self.word("case", word);
                for arm in arms {
                    self.node("arm", |dump| {
                        for pattern in &arm.patterns {
                            dump.word("pattern", pattern);
                        }
                        dump.list(&arm.body);
                        dump.line(&format!("{:?}", arm.end));
                    });
                }
            }
            Compound::Condition(condition) => {
                self.node("condition", |dump| dump.condition(condition));
            }
            Compound::Arithmetic(expression) => self.arithmetic("arithmetic", expression),
            other => panic!("the dump does not know {other:?}"),
        }
        self.redirects(&command.redirects);
    }

    fn word_loop(&mut self, title: &str, name: Span, words: Option<&[Word]>, body: &List) {
        let title = format!("{title} {}", self.text(name));
        self.node(&title, |dump| match words {
            Some(words) => words.iter().for_each(|word| dump.word("word", word)),
            None => dump.line("positional parameters"),
        });
        self.node("do", |dump| dump.list(body));
    }

    fn condition(&mut self, condition: &Condition) {
        match &condition.kind {
            ConditionKind::Not(inner) => self.node("not", |dump| dump.condition(inner)),
            ConditionKind::Group(inner) => self.node("group", |dump| dump.condition(inner)),
            ConditionKind::And(left, right) => self.node("and", |dump| {
                dump.condition(left);
                dump.condition(right);
            }),
            ConditionKind::Or(left, right) => self.node("or", |dump| {
                dump.condition(left);
                dump.condition(right);
            }),
            ConditionKind::Word(word) => self.word("word", word),
            ConditionKind::Unary { operator, operand } => {
                self.word(&format!("-{}", operator.letter()), operand);
            }
            ConditionKind::Binary {
                left,
                operator,
                right,
            } => {
                self.node(&format!("{operator:?}"), |dump| {
                    dump.word("left", left);
                    dump.word("right", right);
                });
            }
            other => panic!("the dump does not know {other:?}"),
        }
    }

    fn redirects(&mut self, redirects: &[Redirect]) {
        for redirect in redirects {
            let descriptor = match redirect.descriptor {
                None => String::new(),
                Some(Descriptor::Number(number)) => format!("{number} "),
                Some(Descriptor::Variable(name)) => format!("{} ", self.text(name)),
            };
            let title = format!("redirect {descriptor}{:?}", redirect.operator);
            match &redirect.target {
                RedirectTarget::Word(word) => self.word(&title, word),
                RedirectTarget::HereDocument(id) => match self.file.here_document(*id) {
                    Some(document) => self.here_document(&title, document),
                    None => self.line("no such here-document"),
                },
            }
        }
    }

    fn here_document(&mut self, title: &str, document: &HereDocument) {
        let quoted = if document.quoted { " quoted" } else { "" };
        let stripped = if document.strip_tabs {
            " without tabs"
        } else {
            ""
        };
        self.node(&format!("{title}{quoted}{stripped}"), |dump| {
            dump.word("delimiter", &document.delimiter);
            dump.parts("body", document.parts());
        });
    }
}
