//! Why an edit is refused.

use thiserror::Error;

use crate::error::SyntaxError;

/// Why a [`Document`](super::Document) refuses an edit; the text is then as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is no recipe that could be read.
    #[error("{error}: mend the syntax first")]
    Syntax {
        /// The first mistake.
        error: Box<SyntaxError>,
    },
    /// The name cannot be that of a variable or function.
    #[error("`{name}` cannot be a name: use letters, digits and `_`")]
    Name {
        /// The name.
        name: String,
    },
    /// The variable is assigned where a condition, a loop or a function decides.
    #[error("`{name}` is assigned inside another command in line {line}: edit it by hand")]
    Conditional {
        /// The variable.
        name: String,
        /// Counted from 1.
        line: u32,
    },
    /// More than one assignment makes the value.
    #[error("`{name}` is assigned in lines {first} and {second}: join the assignments by hand")]
    Several {
        /// The variable.
        name: String,
        /// Counted from 1.
        first: u32,
        /// Counted from 1.
        second: u32,
    },
    /// A list where one value is meant, or the other way round.
    #[error("`{name}` in line {line} is {found}: {help}")]
    Kind {
        /// The variable.
        name: String,
        /// Counted from 1.
        line: u32,
        /// What stands there.
        found: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Elements come out of an expansion, so that they have no place of their own.
    #[error("elements of `{name}` in line {line} come out of an expansion: write them out first")]
    Expanded {
        /// The variable.
        name: String,
        /// Counted from 1.
        line: u32,
    },
    /// The value is put together from others.
    #[error("`{name}` in line {line} is computed from `{from}`: change that instead")]
    Computed {
        /// The variable.
        name: String,
        /// Counted from 1.
        line: u32,
        /// The expression.
        from: String,
    },
    /// The variable, the element or the function is not there.
    #[error("there is no {what}")]
    Missing {
        /// What was looked for.
        what: String,
    },
    /// The name of the function also stands elsewhere.
    #[error("`{name}` is also used in line {line}: rename it there by hand")]
    Used {
        /// The function.
        name: String,
        /// Counted from 1.
        line: u32,
    },
    /// With the change the recipe would not have the value that was asked for.
    #[error("`{name}` would not read back as what was set: {why}")]
    NotReadBack {
        /// The variable.
        name: String,
        /// What it would be.
        why: String,
    },
}
