//! What is wrong with a recipe that can be sourced: makepkg's own rules, and what a careful reader
//! looks for.

mod allow;
#[cfg(test)]
mod cases;
mod diagnostic;
mod makepkg;
mod makepkg_functions;
mod reader;
mod rules;

pub use self::diagnostic::{Code, Diagnostic, Edit, Severity, fixed};
pub(crate) use self::makepkg::{Findings, check};
use crate::evaluate::Evaluation;
use crate::package::{PackageError, Recipe};

/// Checks an evaluated recipe: makepkg's `lint_pkgbuild` first, then the rest; see [`Code`].
///
/// `is_file` tells whether a path, relative to the recipe's folder, is a regular file there.
/// Values that are not known are not judged, but reported as [`Code::ValueUnknown`]. A comment
/// `# lint: allow(code, …)` allows what other rules than makepkg's own find in its line, or alone in
/// a line, in the next one; `# lint: allow-file(code, …)` in the whole recipe.
///
/// # Errors
/// When makepkg could not source the recipe.
///
/// ```
/// use pkgbuild_syntax::{Code, Environment, evaluate, lint, parse};
///
/// let recipe = parse("pkgname=hello\npkgver=1-0\npkgrel=1\narch=(any)\n");
/// let evaluation = evaluate(&recipe.file, &Environment::default());
/// let found = lint(&evaluation, |_| false)?;
/// assert_eq!(found[0].code, Code::PkgverInvalid);
/// # Ok::<(), pkgbuild_syntax::PackageError>(())
/// ```
pub fn lint(
    evaluation: &Evaluation,
    is_file: impl Fn(&str) -> bool,
) -> Result<Vec<Diagnostic>, PackageError> {
    let recipe = Recipe::read(evaluation)?;
    let mut found = check(&recipe, &is_file).diagnostics;
    reader::check(evaluation, &recipe.package, &mut found);
    allow::apply(evaluation.file(), &mut found);
    Ok(found)
}
