//! Why makepkg would refuse a recipe.

use std::fmt;

use crate::span::Span;
use thiserror::Error;

/// Why makepkg would refuse the recipe, or why its evaluation ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The last command at the top level failed. makepkg then stops with status 6.
    #[error(
        "the last command of the recipe returned {status}, which makepkg takes for a failure{}",
        Said(said)
    )]
    Status {
        /// The exit status.
        status: i32,
        /// The last lines that the recipe itself printed for people, in one and printable; at most
        /// 512 bytes before escaping.
        said: String,
        /// The command.
        span: Span,
    },
    /// The recipe ends the shell, with `exit` or an error that bash does not survive.
    #[error("the recipe ends the shell with status {status}{}", Said(said))]
    Exit {
        /// The exit status.
        status: i32,
        /// As in [`Status`](Self::Status).
        said: String,
        /// The command.
        span: Span,
    },
    /// An expansion that bash treats as fatal, such as `${x:?message}`.
    #[error("{message}")]
    Expansion {
        /// What bash reports.
        message: String,
        /// The command.
        span: Span,
    },
    /// makepkg refuses recipes with carriage returns.
    #[error("the recipe contains a carriage return; save it with Unix line ends")]
    CarriageReturn {
        /// The first one.
        span: Span,
    },
    /// More steps than the budget allows: an endless loop or an expansion bomb.
    #[error("the recipe takes more than {limit} steps; is there an endless loop?")]
    Steps {
        /// The budget.
        limit: u64,
        /// The command at which it ran out.
        span: Span,
    },
    /// More bytes than the budget allows.
    #[error("the recipe's values take more than {limit} bytes")]
    Memory {
        /// The budget.
        limit: u64,
        /// The command at which it ran out.
        span: Span,
    },
    /// Functions, substitutions or expressions nest too deeply.
    #[error("the recipe nests calls or expressions more than {limit} deep")]
    Depth {
        /// The budget.
        limit: u32,
        /// The command at which it ran out.
        span: Span,
    },
}

/// The recipe's own words behind a message.
struct Said<'error>(&'error str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(formatter, "; it says `{}`", self.0)
    }
}

impl EvaluateError {
    /// Where in the recipe.
    pub fn span(&self) -> Span {
        match self {
            Self::Status { span, .. }
            | Self::Exit { span, .. }
            | Self::Expansion { span, .. }
            | Self::CarriageReturn { span }
            | Self::Steps { span, .. }
            | Self::Memory { span, .. }
            | Self::Depth { span, .. } => *span,
        }
    }
}
