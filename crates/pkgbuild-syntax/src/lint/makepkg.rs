//! makepkg's `lint_pkgbuild`, in its order.

mod kinds;
mod lists;

use super::diagnostic::{Code, Diagnostic};
use super::rules::{self, Verdict};
use crate::evaluate::{DynamicReason, Evaluated};
use crate::package::{Array, ArrayField, Recipe, StringField, Value};
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

    fn arch(&mut self) {
        let known: Vec<(String, Option<Span>)> = self
            .arches
            .known()
            .map(|(name, span)| (name.to_owned(), span))
            .collect();
        let reasons: Vec<_> = self.arches.reasons().cloned().collect();
        self.undecided(&reasons);
        if let Some((_, span)) = known.iter().find(|(name, _)| name == "any") {
            if known.len() > 1 {
                self.report(
                    Code::ArchAnyMixed,
                    *span,
                    "`any` stands in `arch` together with other architectures".to_owned(),
                    "keep `any` alone, or the other architectures",
                );
            }
            return;
        }
        for (name, span) in known {
            // makepkg accepts an empty element here.
            if !name
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_')
            {
                self.report(
                    Code::ArchInvalid,
                    span,
                    format!("the architecture `{name}` contains invalid characters"),
                    "give each architecture as an element of its own, of letters, digits and `_`",
                );
            }
        }
    }

    fn arch_specific(&mut self) {
        let mut name = String::new();
        for arch in self.arches() {
            let any = (arch == "any")
                .then_some(ArrayField::SUFFIXED)
                .into_iter()
                .flatten();
            let any = any.map(|field| (field.name(), Code::ArchAnySuffix));
            let never = never_suffixed().map(|name| (name, Code::ArchSuffix));
            for (field, code) in any.chain(never) {
                name.clear();
                name.extend([field, "_", &arch]);
                let in_function = self
                    .recipe
                    .functions
                    .iter()
                    .any(|lines| lines.matching(&name).next().is_some());
                if self.is_declared(&name) || in_function {
                    let span = self.span(&name);
                    self.report(
                        code,
                        span,
                        format!("`{field}` cannot be specific to an architecture: `{name}`"),
                        format!("rename the variable, or assign `{field}` itself"),
                    );
                }
            }
        }
    }

    fn files(&mut self) {
        let package = &self.recipe.package;
        for (field, code) in [
            (StringField::Changelog, Code::ChangelogMissing),
            (StringField::Install, Code::InstallMissing),
        ] {
            let overrides = package
                .overrides
                .iter()
                .map(|overrides| &overrides.metadata);
            let layers = [&package.common].into_iter().chain(overrides);
            for value in layers.filter_map(|metadata| metadata.string(field)) {
                match value.get() {
                    Err(reason) => self.undecided([reason]),
                    Ok(path) if path.is_empty() || (self.is_file)(path) => {}
                    // The recipe may write the file itself.
                    Ok(_) if let Some(reason) = self.recipe.evaluation.files_changed() => {
                        self.undecided([reason]);
                    }
                    Ok(path) => self.report(
                        code,
                        value.span(),
                        format!(
                            "the file `{path}` that `{}` names does not exist",
                            field.name()
                        ),
                        "add the file beside the recipe, or correct the name",
                    ),
                }
            }
        }
    }

    fn version(&mut self) {
        type Rule = fn(&str, &str) -> Verdict;
        let rules: [(StringField, Code, Rule); 3] = [
            (StringField::Epoch, Code::EpochInvalid, rules::epoch),
            (StringField::Pkgrel, Code::PkgrelInvalid, rules::pkgrel),
            (StringField::Pkgver, Code::PkgverInvalid, rules::pkgver),
        ];
        for (field, code, rule) in rules {
            // A later line that may or may not be read may set it.
            if let (None, Some(reason)) = (
                self.recipe.package.common.string(field),
                &self.recipe.package.uncertain,
            ) {
                self.undecided([reason]);
                continue;
            }
            let value = self
                .recipe
                .package
                .common
                .string(field)
                .cloned()
                .unwrap_or_default();
            match value.get() {
                Ok(text) => self.verdict(
                    code,
                    value.span(),
                    rule(&format!("`{}`", field.name()), text),
                ),
                Err(reason) => self.undecided([reason]),
            }
        }
    }

    fn package_functions(&mut self) {
        let recipe = self.recipe;
        let mut defined = |name: &str| match recipe.evaluation.function(name) {
            None => None,
            Some(Evaluated::Known(span)) => Some(Some(span)),
            Some(Evaluated::Dynamic(reason)) => {
                self.findings.undecided.push(reason);
                Some(None)
            }
        };
        let package = defined("package");
        let build = defined("build");
        let names: Vec<_> = recipe.package.pkgname.known().collect();
        let own: Vec<_> = names
            .iter()
            .map(|(name, span)| (*name, *span, defined(&format!("package_{name}"))))
            .collect();
        let Ok(count) = recipe.package.pkgname.elements().map(<[Value]>::len) else {
            return;
        };
        // How many packages there are, or what one is called, may not be known.
        if own.len() < count || recipe.package.uncertain.is_some() {
            let reasons = recipe.package.pkgname.reasons();
            let reasons = reasons.chain(&recipe.package.uncertain);
            self.findings.undecided.extend(reasons.cloned());
            return;
        }
        if let ([(name, _, own)], 1) = (own.as_slice(), count) {
            match (package, own) {
                (Some(span), Some(_)) => self.report(
                    Code::PackageFunctionConflict,
                    span,
                    format!("both `package()` and `package_{name}()` are defined"),
                    "keep one of the two functions",
                ),
                (None, None) if build.is_some() => self.report(
                    Code::PackageFunctionMissing,
                    build.flatten(),
                    "there is a `build()` function but no `package()` function".to_owned(),
                    "add a `package()` function that installs into \"$pkgdir\"",
                ),
                _ => {}
            }
            return;
        }
        if let Some(span) = package {
            self.report(
                Code::PackageFunctionConflict,
                span,
                "`package()` is defined, but the recipe makes several packages".to_owned(),
                "rename it to `package_<name>()`, one for each name in `pkgname`",
            );
        }
        for (name, span, function) in own {
            if function.is_none() {
                self.report(
                    Code::PackageFunctionMissing,
                    span,
                    format!("there is no function `package_{name}()`"),
                    format!("add `package_{name}()`, or drop `{name}` from `pkgname`"),
                );
            }
        }
    }

    fn names(&mut self) {
        let package = &self.recipe.package;
        match package.pkgbase.get() {
            Ok("") => {}
            Ok(name) => {
                self.verdict(
                    Code::NameInvalid,
                    package.pkgbase.span(),
                    rules::name("pkgbase", name),
                );
            }
            Err(reason) => self.undecided([reason]),
        }
        self.undecided(package.pkgname.reasons());
        if package.pkgname.elements() == Ok(&[]) {
            self.verdict(
                Code::NameInvalid,
                package.pkgname.span(),
                rules::name("pkgname", ""),
            );
        }
        for (name, span) in package.pkgname.known() {
            self.verdict(Code::NameInvalid, span, rules::name("pkgname", name));
        }
    }

    fn source(&mut self) {
        if self.recipe.evaluation.is_sparse("source") {
            self.report(
                Code::SourceSparse,
                self.span("source"),
                "the indices of `source` have gaps".to_owned(),
                "assign the sources without indices, and do not `unset` single ones",
            );
        }
    }
}
