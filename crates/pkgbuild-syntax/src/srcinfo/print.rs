//! `makepkg --printsrcinfo` as a whole: the lints, then the writer.

use thiserror::Error;

use crate::evaluate::{DynamicReason, Evaluation};
use crate::lint::{Diagnostic, Findings, check};
use crate::package::{PackageError, Recipe};

/// Why there is no `.SRCINFO`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrintError {
    /// makepkg cannot source the recipe.
    #[error(transparent)]
    Package(PackageError),
    /// makepkg's lints refuse the recipe.
    #[error("makepkg refuses the recipe: {}", Messages(diagnostics))]
    Refused {
        /// What is wrong, never empty.
        diagnostics: Vec<Diagnostic>,
    },
    /// Something that stands in the `.SRCINFO`, or that decides whether makepkg refuses the
    /// recipe, can only be found out by running it.
    #[error("only running the recipe would tell: {}", Messages(reasons))]
    Dynamic {
        /// All reasons, each once, never empty.
        reasons: Vec<DynamicReason>,
    },
}

/// What `makepkg --printsrcinfo` prints for an evaluated recipe: checks makepkg's lints, then
/// writes the `.SRCINFO`.
///
/// `is_file` tells whether a path, relative to the recipe's folder, is a regular file there;
/// makepkg refuses a recipe whose `install` or `changelog` file is missing.
///
/// # Errors
/// When makepkg would print an error instead, and when only running the recipe would tell what it
/// prints. An error that is certain wins over a value that is not.
///
/// ```
/// use pkgbuild_syntax::{Environment, evaluate, parse, printsrcinfo};
///
/// let recipe = parse("pkgname=hello\npkgver=1.0\npkgrel=1\narch=(any)\n");
/// let evaluation = evaluate(&recipe.file, &Environment::default());
/// let srcinfo = printsrcinfo(&evaluation, |_| false)?;
/// assert_eq!(
///     srcinfo,
///     "pkgbase = hello\n\tpkgver = 1.0\n\tpkgrel = 1\n\tarch = any\n\npkgname = hello\n",
/// );
/// # Ok::<(), pkgbuild_syntax::PrintError>(())
/// ```
pub fn printsrcinfo(
    evaluation: &Evaluation,
    is_file: impl Fn(&str) -> bool,
) -> Result<String, PrintError> {
    let recipe = Recipe::read(evaluation).map_err(PrintError::Package)?;
    let Findings {
        diagnostics,
        undecided,
    } = check(&recipe, &is_file);
    // A recipe of unknown fate may never reach the lints.
    if let Some(reason) = &recipe.package.uncertain {
        return Err(dynamic(PackageError::dynamic([reason])));
    }
    if !diagnostics.is_empty() {
        return Err(PrintError::Refused { diagnostics });
    }
    let srcinfo = recipe.package.srcinfo().map_err(dynamic)?;
    if !undecided.is_empty() {
        return Err(dynamic(PackageError::dynamic(&undecided)));
    }
    Ok(srcinfo)
}

fn dynamic(error: PackageError) -> PrintError {
    match error {
        PackageError::Dynamic { reasons } => PrintError::Dynamic { reasons },
        error => PrintError::Package(error),
    }
}

struct Messages<'error, T>(&'error [T]);

impl<T: std::fmt::Display> std::fmt::Display for Messages<'_, T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, message) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{message}")?;
        }
        Ok(())
    }
}
