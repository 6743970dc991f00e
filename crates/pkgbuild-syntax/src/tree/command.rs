use std::sync::Arc;

use super::{Arithmetic, Few, Redirect, Subscript, Word};
use crate::span::Span;

/// Statements one after another.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// From the first statement to the last; empty when there is none.
    pub span: Span,
    /// In order.
    pub statements: Vec<Statement>,
}

/// A command and what ends it.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The command with its terminator, unless that is a line feed.
    pub span: Span,
    /// The command.
    pub command: Command,
    /// What ends it.
    pub terminator: Terminator,
}

/// What ends a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// A line feed, a closing bracket or word, or the end of the text.
    Line,
    /// `;`.
    Semicolon,
    /// `&`: the command runs in the background.
    Background,
}

/// One command of any kind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Assignments, a command's words, or redirections alone.
    Simple(Box<SimpleCommand>),
    /// Commands joined by `|`, or one behind `!` or `time`.
    Pipeline(Box<Pipeline>),
    /// Commands joined by `&&` and `||`.
    AndOr(Box<AndOr>),
    /// `{ … }`, `if`, `[[ … ]]` and so on.
    Compound(Box<CompoundCommand>),
    /// A function definition.
    Function(Arc<Function>),
    /// `coproc`.
    Coprocess(Box<Coprocess>),
}

impl Command {
    /// Where the command is.
    pub fn span(&self) -> Span {
        match self {
            Self::Simple(simple) => simple.span,
            Self::Pipeline(pipeline) => pipeline.span,
            Self::AndOr(list) => list.span,
            Self::Compound(compound) => compound.span,
            Self::Function(function) => function.span,
            Self::Coprocess(coprocess) => coprocess.span,
        }
    }
}

/// Assignments, words and redirections of a simple command; each sequence in its order.
#[derive(Clone, Debug)]
pub struct SimpleCommand {
    /// From the first piece to the last.
    pub span: Span,
    pub(crate) assignments: Few<Assignment>,
    /// The command name and its arguments.
    pub arguments: Vec<Argument>,
    /// Anywhere in the command.
    pub redirects: Vec<Redirect>,
}

impl SimpleCommand {
    /// The assignments in front of the command name, or alone.
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }
}

/// A word of a simple command.
#[derive(Clone, Debug)]
pub enum Argument {
    /// A plain word.
    Word(Word),
    /// An assignment behind `declare`, `typeset`, `local`, `export`, `readonly`, `alias`, `eval`
    /// or `let`. bash does not split or glob its value.
    Assignment(Box<Assignment>),
}

impl Argument {
    /// Where the argument is.
    pub fn span(&self) -> Span {
        match self {
            Self::Word(word) => word.span,
            Self::Assignment(assignment) => assignment.span,
        }
    }
}

/// `name=value`, `name[index]+=value`, `name=(…)`.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The whole assignment.
    pub span: Span,
    /// The variable's name.
    pub name: Span,
    /// `[…]` behind the name.
    pub subscript: Option<Box<Subscript>>,
    /// `+=`.
    pub append: bool,
    /// What is assigned.
    pub value: Value,
}

/// The right side of an assignment.
#[derive(Clone, Debug)]
pub enum Value {
    /// One word, which may be empty.
    Scalar(Word),
    /// `(…)`.
    Array(ArrayLiteral),
}

/// `(…)` on the right side of an assignment.
#[derive(Clone, Debug)]
pub struct ArrayLiteral {
    /// With the brackets.
    pub span: Span,
    pub(crate) elements: Few<ArrayElement>,
}

impl ArrayLiteral {
    /// The elements in order.
    pub fn elements(&self) -> &[ArrayElement] {
        &self.elements
    }
}

/// `value`, `[index]=value` or `[index]+=value` in an array literal.
#[derive(Clone, Debug)]
pub struct ArrayElement {
    /// The whole element.
    pub span: Span,
    /// The subscript, with what is between the brackets.
    pub index: Option<Box<Subscript>>,
    /// `[index]+=`.
    pub append: bool,
    /// The value; may be empty behind an index. Without an index it is expanded, split and
    /// globbed like an argument; with one, like a scalar's value.
    pub value: Word,
}

/// A pipeline, or a single command with a prefix.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// From the prefix to the last command.
    pub span: Span,
    /// Behind `time` (with or without `-p`).
    pub timed: bool,
    /// Behind an odd number of `!`.
    pub negated: bool,
    /// At least one, unless the prefix stands alone.
    pub stages: Vec<Stage>,
}

/// A command of a pipeline.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The command.
    pub command: Command,
    /// `|&` follows: its standard error joins the pipe.
    pub joins_errors: bool,
}

/// `first && second || third`; both operators bind equally, from the left.
#[derive(Clone, Debug)]
pub struct AndOr {
    /// From the first command to the last.
    pub span: Span,
    /// The command that always runs.
    pub first: Command,
    /// The others.
    pub rest: Vec<(AndOrOperator, Command)>,
}

/// `&&` or `||`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AndOrOperator {
    /// `&&`.
    And,
    /// `||`.
    Or,
}

/// A function definition.
#[derive(Clone, Debug)]
pub struct Function {
    /// From `function` or the name to the end of the body and its redirections.
    pub span: Span,
    /// The name.
    pub name: Span,
    /// Usually a [`Compound::Group`]; its span gives the exact text with the braces.
    pub body: CompoundCommand,
}

/// `coproc [NAME] command`.
#[derive(Clone, Debug)]
pub struct Coprocess {
    /// From the keyword to the end.
    pub span: Span,
    /// The array that gets the descriptors; `COPROC` when absent.
    pub name: Option<Span>,
    /// What runs.
    pub command: Command,
}

/// A compound command and its redirections.
#[derive(Clone, Debug)]
pub struct CompoundCommand {
    /// With the redirections.
    pub span: Span,
    /// Without the redirections.
    pub body_span: Span,
    /// The command.
    pub compound: Compound,
    /// Behind the command.
    pub redirects: Vec<Redirect>,
}

/// The compound commands of bash(1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Compound {
    /// `{ … }`.
    Group(List),
    /// `( … )`.
    Subshell(List),
    /// `if … then … elif … else … fi`.
    If {
        /// `if` and each `elif`.
        arms: Vec<IfArm>,
        /// `else`.
        otherwise: Option<List>,
    },
    /// `for name in …; do … done`.
    For {
        /// The variable.
        name: Span,
        /// The words; absent without `in`: the positional parameters.
        words: Option<Vec<Word>>,
        /// The body.
        body: List,
    },
    /// `for ((initial; condition; step)); do … done`.
    ArithmeticFor {
        /// Evaluated once.
        initial: Arithmetic,
        /// Evaluated before each turn; empty means true.
        condition: Arithmetic,
        /// Evaluated after each turn.
        step: Arithmetic,
        /// The body.
        body: List,
    },
    /// `while …; do … done`, or `until` when negated.
    While {
        /// `until`.
        until: bool,
        /// Runs before each turn.
        condition: List,
        /// The body.
        body: List,
    },
    /// `select name in …; do … done`.
    Select {
        /// The variable.
        name: Span,
        /// The words; absent without `in`.
        words: Option<Vec<Word>>,
        /// The body.
        body: List,
    },
    /// `case word in … esac`.
    Case {
        /// What is compared.
        word: Word,
        /// In order.
        arms: Vec<CaseArm>,
    },
    /// `[[ … ]]`.
    Condition(Condition),
    /// `(( … ))`.
    Arithmetic(Arithmetic),
}

/// A condition and what it guards.
#[derive(Clone, Debug)]
pub struct IfArm {
    /// Between `if` or `elif` and `then`.
    pub condition: List,
    /// Behind `then`.
    pub body: List,
}

/// `pattern|pattern) … ;;`.
#[derive(Clone, Debug)]
pub struct CaseArm {
    /// From the first pattern to the terminator.
    pub span: Span,
    /// The alternatives.
    pub patterns: Vec<Word>,
    /// The commands.
    pub body: List,
    /// How it ends.
    pub end: CaseEnd,
}

/// What follows a matching case arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseEnd {
    /// `;;`, or `esac` at once: the case is done.
    Break,
    /// `;&`: the next arm's commands run untested.
    FallThrough,
    /// `;;&`: the next patterns are tested.
    Continue,
}

/// A conditional expression of `[[ … ]]`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The whole expression.
    pub span: Span,
    /// What it is.
    pub kind: ConditionKind,
}

/// The forms of a conditional expression.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConditionKind {
    /// `! …`.
    Not(Box<Condition>),
    /// `… && …`.
    And(Box<Condition>, Box<Condition>),
    /// `… || …`.
    Or(Box<Condition>, Box<Condition>),
    /// `( … )`.
    Group(Box<Condition>),
    /// A word alone: true when it is not empty.
    Word(Word),
    /// `-f word` and its kin.
    Unary {
        /// The test.
        operator: UnaryOperator,
        /// The operand.
        operand: Word,
    },
    /// `left == right` and its kin.
    Binary {
        /// The left operand.
        left: Word,
        /// The test.
        operator: BinaryOperator,
        /// The right operand: a pattern for `==` and `!=`, a regular expression for `=~`.
        right: Word,
    },
}

/// A test of one operand, by the letter behind the dash: one of
/// `a b c d e f g h k n o p r s t u v w x z G L N O R S`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnaryOperator(u8);

impl UnaryOperator {
    pub(crate) fn of(letter: u8) -> Option<Self> {
        let known = b"abcdefghknoprstuvwxzGLNORS".contains(&letter);
        known.then_some(Self(letter))
    }

    /// The letter behind the dash.
    pub fn letter(self) -> char {
        char::from(self.0)
    }
}

/// A test of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinaryOperator {
    /// `==` or `=`: matches the pattern.
    Equal,
    /// `!=`.
    NotEqual,
    /// `=~`.
    Matches,
    /// `<`: sorts before.
    Before,
    /// `>`: sorts after.
    After,
    /// `-eq`.
    NumberEqual,
    /// `-ne`.
    NumberNotEqual,
    /// `-lt`.
    NumberLess,
    /// `-le`.
    NumberLessEqual,
    /// `-gt`.
    NumberGreater,
    /// `-ge`.
    NumberGreaterEqual,
    /// `-ef`: the same file.
    SameFile,
    /// `-nt`.
    NewerThan,
    /// `-ot`.
    OlderThan,
}
