use super::{
    Argument, ArrayElement, Assignment, Command, Compound, CompoundCommand, Condition,
    ConditionKind, File, Function, HereDocument, List, Operation, ParameterExpansion, Redirect,
    RedirectTarget, SimpleCommand, Subscript, SubstitutionBody, Value, Word, WordPart,
};

/// Walks a tree in the order of the text. Each method is called for every node of its kind and goes
/// on into the node; one that you write goes on only where it calls the function of its name in
/// [`walk`].
///
/// Nesting is bounded by [`MAX_DEPTH`](crate::MAX_DEPTH), and so is the stack.
///
/// ```
/// use pkgbuild_syntax::{File, SimpleCommand, Visitor, parse, walk};
///
/// #[derive(Default)]
/// struct Programs(Vec<String>);
///
/// impl Visitor for Programs {
///     fn command_line(&mut self, file: &File, command: &SimpleCommand) {
///         if let Some(name) = command.arguments.first() {
///             self.0.push(file.text_lossy(name.span()).into_owned());
///         }
///         walk::command_line(self, file, command);
///     }
/// }
///
/// let parsed = parse("build() { ./configure && make -j$(nproc); }\n");
/// let mut programs = Programs::default();
/// walk::file(&mut programs, &parsed.file);
/// assert_eq!(programs.0, ["./configure", "make", "nproc"]);
/// ```
pub trait Visitor {
    /// Commands one after another.
    fn list(&mut self, file: &File, list: &List) {
        walk::list(self, file, list);
    }
    /// A command of any kind.
    fn command(&mut self, file: &File, command: &Command) {
        walk::command(self, file, command);
    }
    /// Assignments, words and redirections of one command.
    fn command_line(&mut self, file: &File, command: &SimpleCommand) {
        walk::command_line(self, file, command);
    }
    /// `{ … }`, `if` and so on.
    fn compound(&mut self, file: &File, command: &CompoundCommand) {
        walk::compound(self, file, command);
    }
    /// A function's definition.
    fn function(&mut self, file: &File, function: &Function) {
        walk::compound(self, file, &function.body);
    }
    /// `name=…`, behind `declare` and its kin too.
    fn assignment(&mut self, file: &File, assignment: &Assignment) {
        walk::assignment(self, file, assignment);
    }
    /// An element of `(…)` in an assignment.
    fn element(&mut self, file: &File, element: &ArrayElement) {
        walk::element(self, file, element);
    }
    /// A redirection.
    fn redirect(&mut self, file: &File, redirect: &Redirect) {
        walk::redirect(self, file, redirect);
    }
    /// The text of a here-document, visited where its redirection stands.
    fn here_document(&mut self, file: &File, document: &HereDocument) {
        walk::parts(self, file, document.parts());
    }
    /// An expression of `[[ … ]]`.
    fn condition(&mut self, file: &File, condition: &Condition) {
        walk::condition(self, file, condition);
    }
    /// A word.
    fn word(&mut self, file: &File, word: &Word) {
        walk::parts(self, file, word.parts());
    }
    /// A piece of a word, of a string, of an expression or of a here-document.
    fn part(&mut self, file: &File, part: &WordPart) {
        walk::part(self, file, part);
    }
    /// `$x`, `${x…}`.
    fn expansion(&mut self, file: &File, expansion: &ParameterExpansion) {
        walk::expansion(self, file, expansion);
    }
}

/// How a [`Visitor`] goes on into each kind of node.
pub mod walk {
    #![allow(clippy::wildcard_imports, reason = "the nodes of the module around")]
    use super::*;

    /// The top-level commands of a file.
    pub fn file<V: Visitor + ?Sized>(visitor: &mut V, file: &File) {
        visitor.list(file, file.commands());
    }

    /// The statements of a list.
    pub fn list<V: Visitor + ?Sized>(visitor: &mut V, file: &File, list: &List) {
        for statement in &list.statements {
            visitor.command(file, &statement.command);
        }
    }

    /// What a command consists of.
    pub fn command<V: Visitor + ?Sized>(visitor: &mut V, file: &File, command: &Command) {
        match command {
            Command::Simple(simple) => visitor.command_line(file, simple),
            Command::Pipeline(pipeline) => {
                for stage in &pipeline.stages {
                    visitor.command(file, &stage.command);
                }
            }
            Command::AndOr(list) => {
                visitor.command(file, &list.first);
                for (_, command) in &list.rest {
                    visitor.command(file, command);
                }
            }
            Command::Compound(compound) => visitor.compound(file, compound),
            Command::Function(function) => visitor.function(file, function),
            Command::Coprocess(coprocess) => visitor.command(file, &coprocess.command),
        }
    }

    /// The assignments, then the words, then the redirections.
    pub fn command_line<V: Visitor + ?Sized>(
        visitor: &mut V,
        file: &File,
        command: &SimpleCommand,
    ) {
        for assignment in command.assignments.as_slice() {
            visitor.assignment(file, assignment);
        }
        for argument in &command.arguments {
            match argument {
                Argument::Word(word) => visitor.word(file, word),
                Argument::Assignment(assignment) => visitor.assignment(file, assignment),
            }
        }
        for redirect in &command.redirects {
            visitor.redirect(file, redirect);
        }
    }

    /// The parts of a compound command, then its redirections.
    pub fn compound<V: Visitor + ?Sized>(visitor: &mut V, file: &File, command: &CompoundCommand) {
        let words = |visitor: &mut V, words: &[Word]| {
            for word in words {
                visitor.word(file, word);
            }
        };
        match &command.compound {
            Compound::Group(list) | Compound::Subshell(list) => visitor.list(file, list),
            Compound::If { arms, otherwise } => {
                for arm in arms {
                    visitor.list(file, &arm.condition);
                    visitor.list(file, &arm.body);
                }
                if let Some(list) = otherwise {
                    visitor.list(file, list);
                }
            }
            Compound::For {
                words: over, body, ..
            }
            | Compound::Select {
                words: over, body, ..
            } => {
                words(visitor, over.as_deref().unwrap_or_default());
                visitor.list(file, body);
            }
            Compound::ArithmeticFor {
                initial,
                condition,
                step,
                body,
            } => {
                for clause in [initial, condition, step] {
                    parts(visitor, file, clause.parts());
                }
                visitor.list(file, body);
            }
            Compound::While {
                condition, body, ..
            } => {
                visitor.list(file, condition);
                visitor.list(file, body);
            }
            Compound::Case { word, arms } => {
                visitor.word(file, word);
                for arm in arms {
                    words(visitor, &arm.patterns);
                    visitor.list(file, &arm.body);
                }
            }
            Compound::Condition(condition) => visitor.condition(file, condition),
            Compound::Arithmetic(expression) => parts(visitor, file, expression.parts()),
        }
        for redirect in &command.redirects {
            visitor.redirect(file, redirect);
        }
    }

    /// The subscript and the value.
    pub fn assignment<V: Visitor + ?Sized>(visitor: &mut V, file: &File, assignment: &Assignment) {
        subscript(visitor, file, assignment.subscript.as_deref());
        match &assignment.value {
            Value::Scalar(word) => visitor.word(file, word),
            Value::Array(literal) => {
                for element in literal.elements.as_slice() {
                    visitor.element(file, element);
                }
            }
        }
    }

    /// The subscript and the value.
    pub fn element<V: Visitor + ?Sized>(visitor: &mut V, file: &File, element: &ArrayElement) {
        subscript(visitor, file, element.index.as_deref());
        visitor.word(file, &element.value);
    }

    /// The word, or the delimiter and the here-document.
    pub fn redirect<V: Visitor + ?Sized>(visitor: &mut V, file: &File, redirect: &Redirect) {
        match &redirect.target {
            RedirectTarget::Word(word) => visitor.word(file, word),
            RedirectTarget::HereDocument(id) => {
                if let Some(document) = file.here_document(*id) {
                    visitor.word(file, &document.delimiter);
                    visitor.here_document(file, document);
                }
            }
        }
    }

    /// The operands.
    pub fn condition<V: Visitor + ?Sized>(visitor: &mut V, file: &File, condition: &Condition) {
        match &condition.kind {
            ConditionKind::Not(inner) | ConditionKind::Group(inner) => {
                visitor.condition(file, inner);
            }
            ConditionKind::And(left, right) | ConditionKind::Or(left, right) => {
                visitor.condition(file, left);
                visitor.condition(file, right);
            }
            ConditionKind::Word(word) => visitor.word(file, word),
            ConditionKind::Unary { operand, .. } => visitor.word(file, operand),
            ConditionKind::Binary { left, right, .. } => {
                visitor.word(file, left);
                visitor.word(file, right);
            }
        }
    }

    /// Pieces in order.
    pub fn parts<V: Visitor + ?Sized>(visitor: &mut V, file: &File, parts: &[WordPart]) {
        for part in parts {
            visitor.part(file, part);
        }
    }

    /// What is inside a piece. The commands between backquotes are visited with the file that their
    /// spans refer to.
    pub fn part<V: Visitor + ?Sized>(visitor: &mut V, file: &File, part: &WordPart) {
        match part {
            WordPart::Literal(_)
            | WordPart::Escaped(_)
            | WordPart::SingleQuoted(_)
            | WordPart::AnsiCQuoted(_) => {}
            WordPart::DoubleQuoted(quoted) => parts(visitor, file, quoted.parts()),
            WordPart::Parameter(expansion) => visitor.expansion(file, expansion),
            WordPart::Command(substitution) => match &substitution.body {
                SubstitutionBody::Commands(list) => visitor.list(file, list),
                SubstitutionBody::Backquoted(inner) => visitor.list(inner, inner.commands()),
            },
            WordPart::Arithmetic(expansion) => {
                parts(visitor, file, expansion.expression.parts());
            }
            WordPart::Process(substitution) => visitor.list(file, &substitution.body),
        }
    }

    /// The subscript and the operands.
    pub fn expansion<V: Visitor + ?Sized>(
        visitor: &mut V,
        file: &File,
        expansion: &ParameterExpansion,
    ) {
        subscript(visitor, file, expansion.subscript.as_ref());
        match &expansion.operation {
            Operation::Default { word, .. }
            | Operation::Assign { word, .. }
            | Operation::Error { word, .. }
            | Operation::Alternative { word, .. } => visitor.word(file, word),
            Operation::RemovePrefix { pattern, .. }
            | Operation::RemoveSuffix { pattern, .. }
            | Operation::Case { pattern, .. } => visitor.word(file, pattern),
            Operation::Replace {
                pattern,
                replacement,
                ..
            } => {
                visitor.word(file, pattern);
                if let Some(replacement) = replacement {
                    visitor.word(file, replacement);
                }
            }
            Operation::Substring { offset, length } => {
                parts(visitor, file, offset.parts());
                if let Some(length) = length {
                    parts(visitor, file, length.parts());
                }
            }
            Operation::Value
            | Operation::Length
            | Operation::Keys
            | Operation::Names { .. }
            | Operation::Transform(_)
            | Operation::Bad(_) => {}
        }
    }

    fn subscript<V: Visitor + ?Sized>(visitor: &mut V, file: &File, subscript: Option<&Subscript>) {
        if let Some(Subscript::Index(word)) = subscript {
            visitor.word(file, word);
        }
    }
}
