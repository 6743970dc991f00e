//! makepkg's `lint_pkgbuild`, in its order.

mod arch;
mod arch_specific;
mod backup;
mod dependencies;
mod files;
mod kinds;
mod lists;
mod names;
mod options;
mod overrides;
mod package_functions;
mod provides;
mod source;
mod version;

use super::diagnostic::{Code, Diagnostic};
use super::rules::Verdict;
use crate::evaluate::{DynamicReason, Evaluated};
use crate::package::{Array, ArrayField, Recipe, StringField};
use crate::span::Span;

/// What makepkg's lints say.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Each is a reason for makepkg to refuse the recipe.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Why it is not known whether there are more.
    pub(crate) undecided: Vec<DynamicReason>,
}

/// Fields that cannot have an architecture, arrays before strings, as makepkg's schema has them.
fn never_suffixed() -> impl Iterator<Item = &'static str> {
    let arrays = ArrayField::ALL
        .into_iter()
        .filter(|field| !field.takes_suffix());
    arrays.map(ArrayField::name).chain(strings())
}

/// Fields of one value, `pkgbase` included.
fn strings() -> impl Iterator<Item = &'static str> {
    StringField::ALL
        .into_iter()
        .map(StringField::name)
        .chain(["pkgbase"])
}

/// Fields that a package function cannot set.
fn never_overridden() -> impl Iterator<Item = &'static str> {
    let arrays = ArrayField::ALL
        .into_iter()
        .filter(|field| !field.overridable());
    let strings = StringField::ALL
        .into_iter()
        .filter(|field| !field.overridable());
    let names = arrays
        .map(ArrayField::name)
        .chain(strings.map(StringField::name));
    names.chain(["pkgbase"])
}

pub(crate) fn check(recipe: &Recipe<'_>, is_file: &dyn Fn(&str) -> bool) -> Findings {
    let mut lint = Lint {
        recipe,
        is_file,
        arches: recipe
            .package
            .common
            .array(ArrayField::Arch)
            .cloned()
            .unwrap_or_default(),
        findings: Findings::default(),
    };
    lint.arch();
    lint.arch_specific();
    lint.lists();
    lint.files();
    lint.version();
    lint.package_functions();
    lint.names();
    lint.source();
    lint.kinds();
    lint.overrides();
    lint.findings
}

struct Lint<'recipe> {
    recipe: &'recipe Recipe<'recipe>,
    is_file: &'recipe dyn Fn(&str) -> bool,
    arches: Array,
    findings: Findings,
}

impl Lint<'_> {
    fn report(&mut self, code: Code, span: Option<Span>, message: String, fix: impl Into<String>) {
        self.findings
            .diagnostics
            .push(code.found(span, message, fix));
    }

    fn verdict(&mut self, code: Code, span: Option<Span>, verdict: Verdict) {
        if let Err((message, fix)) = verdict {
            self.report(code, span, message, fix);
        }
    }

    fn undecided<'reason>(&mut self, reasons: impl IntoIterator<Item = &'reason DynamicReason>) {
        self.findings.undecided.extend(reasons.into_iter().cloned());
    }

    fn span(&self, name: &str) -> Option<Span> {
        self.recipe.evaluation.span(name)
    }

    /// `declare -p name` succeeds.
    fn is_declared(&mut self, name: &str) -> bool {
        match self.recipe.evaluation.array(name) {
            Some(Evaluated::Known(_)) => true,
            // Nor is it known whether it is set at all, or a list.
            Some(Evaluated::Dynamic(reason)) => {
                self.findings.undecided.push(reason);
                false
            }
            None => self.recipe.evaluation.is_array(name),
        }
    }

    /// The architectures, each once; `lint_arch` deals with the odd ones.
    fn arches(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self
            .arches
            .known()
            .flat_map(|(text, _)| text.split_ascii_whitespace())
        {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

#[cfg(test)]
pub(super) const TABLES: &[&[super::cases::Case]] = &[
    arch::CASES,
    arch_specific::CASES,
    backup::CASES,
    dependencies::CASES,
    files::CASES,
    kinds::CASES,
    names::CASES,
    options::CASES,
    overrides::CASES,
    package_functions::CASES,
    provides::CASES,
    source::CASES,
    version::CASES,
];
