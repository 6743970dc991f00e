//! Interprets a recipe's top level as bash would, without running anything.

mod assoc;
mod budget;
mod dynamic;
mod environment;
mod scope;

use std::borrow::Cow;

use thiserror::Error;

pub use self::dynamic::{DynamicKind, DynamicReason, Evaluated};
pub use self::environment::{Budget, Environment, Uname};
use crate::span::Span;
use crate::tree::File;

/// Why makepkg would refuse the recipe, or why its evaluation ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The last command at the top level failed. makepkg then stops with status 6.
    #[error("the last command of the recipe returned {status}, which makepkg takes for a failure")]
    Status {
        /// The exit status.
        status: i32,
        /// The command.
        span: Span,
    },
    /// The recipe ends the shell, with `exit` or an error that bash does not survive.
    #[error("the recipe ends the shell with status {status}")]
    Exit {
        /// The exit status.
        status: i32,
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

/// What a recipe's variables and functions are after its top level was interpreted.
///
/// Cloning copies the variables; a clone is the place to [`eval`](Self::eval) in.
#[derive(Debug, Clone)]
pub struct Evaluation {
    file: File,
}

/// Interprets the top level of `file` as makepkg sources it.
///
/// Total: an endless loop, a failing command or a value that only a shell could find out are data
/// in the [`Evaluation`]. Nothing outside `environment` is looked at.
pub fn evaluate(file: &File, environment: &Environment) -> Evaluation {
    let _ = environment;
    Evaluation { file: file.clone() }
}

impl Evaluation {
    /// The file that was evaluated.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// `${name}`: of an array the element 0. `None` when unset.
    pub fn scalar(&self, name: &str) -> Option<Evaluated<Cow<'_, str>>> {
        let _ = name;
        None
    }

    /// `"${name[@]}"`, in bash's order; a scalar is an array of one. `None` when unset.
    pub fn array(&self, name: &str) -> Option<Evaluated<Vec<Evaluated<Cow<'_, str>>>>> {
        let _ = name;
        None
    }

    /// Whether the variable is an indexed or associative array, as `${name@a}` tells.
    pub fn is_array(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Whether the variable is an indexed array with a gap before its last element.
    pub fn is_sparse(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The last assignment to a variable.
    pub fn span(&self, name: &str) -> Option<Span> {
        let _ = name;
        None
    }

    /// The names of all set variables that the recipe assigned, sorted.
    pub fn variables(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The names of all functions, sorted.
    pub fn functions(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Whether a function is defined; dynamic when that depends on something unknown.
    pub fn function(&self, name: &str) -> Option<Evaluated<Span>> {
        let _ = name;
        None
    }

    /// What `declare -f name` prints, to the byte.
    pub fn declare_f(&self, name: &str) -> Option<Evaluated<String>> {
        let _ = name;
        None
    }

    /// Every reason that was met, in order, whether or not its value reached a variable.
    pub fn dynamic(&self) -> &[DynamicReason] {
        &[]
    }

    /// Set when it is not even known whether the recipe can be sourced: a command with an unknown
    /// status decides about an `exit`, or a text that is not known was evaluated.
    pub fn uncertain(&self) -> Option<&DynamicReason> {
        None
    }

    /// Why makepkg would refuse the recipe, or why the evaluation ended early.
    pub fn failure(&self) -> Option<&EvaluateError> {
        None
    }

    /// What the top level prints on standard output; makepkg's `.SRCINFO` begins with it.
    pub fn stdout(&self) -> Evaluated<&str> {
        Evaluated::Known("")
    }

    /// Sets a variable in the global scope.
    pub fn assign(&mut self, name: &str, value: &str) {
        let _ = (name, value);
    }

    /// Runs `text` as bash's `eval` does, with the variables and functions as they are, extended
    /// globs on: that is how makepkg applies the assigning lines of a `package_*` function.
    pub fn eval(&mut self, text: &str) {
        let _ = text;
    }

    /// Sources the recipe again on top of what is there, as makepkg does once `pkgver()` has
    /// changed the file; see [`with_pkgver`].
    pub fn evaluate_again(&mut self, file: &File) {
        self.file = file.clone();
    }
}

/// The recipe's text after makepkg has written the version that `pkgver()` printed into it: at the
/// start of a line `pkgver=` up to the next space is replaced, and `pkgrel=` becomes 1.
///
/// Source: makepkg, `update_pkgver`.
pub fn with_pkgver(text: &str, version: &str) -> String {
    let mut updated = String::with_capacity(text.len() + version.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |line| (line, "\n"));
        let replaced = [("pkgver=", version), ("pkgrel=", "1")]
            .into_iter()
            .find_map(|(key, value)| {
                let rest = line.strip_prefix(key)?;
                let kept = rest.find(' ').map_or("", |at| &rest[at..]);
                Some(format!("{key}{value}{kept}"))
            });
        updated.push_str(replaced.as_deref().unwrap_or(line));
        updated.push_str(end);
    }
    if !updated.is_empty() && !updated.ends_with('\n') {
        updated.push('\n');
    }
    updated
}
