//! Values that only a shell could decide, and what else interrupts an evaluation.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::Exhausted;
use crate::span::{Position, Span};

/// Why a value is not known without running the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicReason {
    /// What would have to happen.
    pub kind: DynamicKind,
    /// Where, in the text of the evaluated file.
    pub span: Span,
}

/// What would have to happen to know a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DynamicKind {
    /// An external command would have to run.
    Command(String),
    /// A builtin or filter was asked for something that is not interpreted.
    Unsupported {
        /// The builtin, filter or construct.
        what: String,
        /// What is not interpreted about it.
        detail: String,
    },
    /// A variable that the host or the moment decides, such as `HOME` or `RANDOM`.
    Host(String),
    /// A file outside the environment would have to be read, written or looked for.
    File(String),
    /// The outcome would not be valid UTF-8.
    Encoding,
}

impl fmt::Display for DynamicKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(name) => write!(formatter, "`{name}` would have to run"),
            Self::Unsupported { what, detail } => {
                write!(formatter, "`{what}` is not interpreted here: {detail}")
            }
            Self::Host(name) => write!(formatter, "`{name}` depends on the host"),
            Self::File(path) => write!(formatter, "the file `{path}` is not part of the recipe"),
            Self::Encoding => write!(formatter, "the value is not valid UTF-8"),
        }
    }
}

impl DynamicReason {
    /// The reason with its line, for people; `source` is the text that was evaluated.
    pub fn describe(&self, source: &[u8]) -> String {
        format!(
            "{}, line {}",
            self.kind,
            Position::of(source, self.span.start).line
        )
    }
}

impl fmt::Display for DynamicReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)
    }
}

/// A value of the recipe, or why it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluated<T> {
    /// Exactly what bash would have.
    Known(T),
    /// Only running the recipe tells.
    Dynamic(DynamicReason),
}

impl<T> Evaluated<T> {
    /// The value when it is known.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Dynamic(_) => None,
        }
    }

    /// The reason when it is not known.
    pub fn reason(&self) -> Option<&DynamicReason> {
        match self {
            Self::Known(_) => None,
            Self::Dynamic(reason) => Some(reason),
        }
    }
}

/// A shared reason, carried by every value that it makes unknown.
pub(crate) type Reason = Arc<DynamicReason>;

/// One string that is known or not.
pub(crate) type Field = Result<String, Reason>;

/// What a failing command or expansion does to the commands round it.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// The value asked for is unknown.
    Dynamic(Reason),
    /// bash reports an error: the simple command fails, or the shell ends when `fatal`.
    Failed { message: String, fatal: bool },
    /// A budget ran out: the evaluation ends.
    Exhausted(Exhausted),
}

impl Stop {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            fatal: false,
        }
    }
}

impl From<Exhausted> for Stop {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Dynamic(reason)
    }
}
