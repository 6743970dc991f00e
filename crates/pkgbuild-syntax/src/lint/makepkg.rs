//! makepkg's `lint_pkgbuild`, in its order.

use super::diagnostic::{Code, Diagnostic};
use super::rules::{self, Verdict};
use crate::evaluate::{DynamicReason, Evaluated};
use crate::package::{Array, ArrayField, Metadata, Recipe, StringField, Value};
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

impl<'recipe> Lint<'recipe> {
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
        for arch in self.arches() {
            let any = (arch == "any")
                .then_some(ArrayField::SUFFIXED)
                .into_iter()
                .flatten();
            let any = any.map(|field| (field.name(), Code::ArchAnySuffix));
            let never = never_suffixed().map(|name| (name, Code::ArchSuffix));
            for (field, code) in any.chain(never) {
                let name = format!("{field}_{arch}");
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

    /// Every list of a kind: common, suffixed and overridden.
    fn all(&self, field: ArrayField) -> Vec<&'recipe Array> {
        let package = &self.recipe.package;
        let overrides = package
            .overrides
            .iter()
            .map(|overrides| &overrides.metadata);
        let layers = [&package.common].into_iter().chain(overrides);
        layers
            .flat_map(|metadata| listed(metadata, field, &self.arches))
            .collect()
    }

    fn lists(&mut self) {
        for field in [
            ArrayField::Backup,
            ArrayField::Checkdepends,
            ArrayField::Conflicts,
            ArrayField::Depends,
            ArrayField::Makedepends,
            ArrayField::Optdepends,
            ArrayField::Options,
            ArrayField::Provides,
        ] {
            let mut seen = std::collections::HashSet::new();
            for array in self.all(field) {
                self.undecided(array.reasons());
                for (text, span) in array.known() {
                    // An override repeats the common elements that `+=` left in place.
                    if seen.insert(text) {
                        self.element(field, text, span);
                    }
                }
            }
        }
    }

    fn element(&mut self, field: ArrayField, text: &str, span: Option<Span>) {
        match field {
            ArrayField::Backup if text.starts_with('/') => self.report(
                Code::BackupAbsolute,
                span,
                format!("`{text}` in `backup` has a leading slash"),
                "drop the leading slash",
            ),
            ArrayField::Backup => {}
            ArrayField::Options if rules::is_option(text) => {}
            ArrayField::Options => self.report(
                Code::OptionUnknown,
                span,
                format!("makepkg does not know the option `{text}`"),
                "use one of strip, docs, libtool, staticlibs, emptydirs, zipman, purge, debug, \
                 lto, ccache, distcc, buildflags, makeflags, or `!` and one of them",
            ),
            ArrayField::Provides => self.provides(text, span),
            _ => self.dependency(field, text, span),
        }
    }

    fn provides(&mut self, text: &str, span: Option<Span>) {
        if text.contains(['<', '>']) {
            self.report(
                Code::ProvidesComparison,
                span,
                format!("`{text}` in `provides` compares versions"),
                "use `=` and one version",
            );
            return;
        }
        let (name, version) = match text.rsplit_once('=') {
            None => (text, None),
            Some((name, version)) => (name, Some(version)),
        };
        self.verdict(Code::NameInvalid, span, rules::name("provides", name));
        if let Some(version) = version {
            self.verdict(
                Code::PkgverInvalid,
                span,
                rules::full_version("provides", version),
            );
        }
    }

    fn dependency(&mut self, field: ArrayField, text: &str, span: Option<Span>) {
        let text = match field {
            ArrayField::Optdepends => rules::without_description(text),
            _ => text,
        };
        let (name, version) = rules::constraint(text);
        self.verdict(Code::NameInvalid, span, rules::name(field.name(), name));
        // makepkg lets `depends` end in an operator (Arch bug 58776).
        if let Some(version) = version
            && !(version.is_empty() && field == ArrayField::Depends)
        {
            self.verdict(
                Code::PkgverInvalid,
                span,
                rules::full_version(field.name(), version),
            );
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

    fn kinds(&mut self) {
        let arrays = ArrayField::ALL
            .into_iter()
            .map(|field| field.name().to_owned());
        let arches = self.arches();
        let suffixed = arches
            .iter()
            .filter(|arch| *arch != "any")
            .flat_map(|arch| {
                ArrayField::SUFFIXED
                    .into_iter()
                    .map(move |field| format!("{}_{arch}", field.name()))
            });
        for name in arrays.chain(suffixed) {
            let declared = self.is_declared(&name) && !self.recipe.evaluation.is_array(&name);
            if declared || self.is_assigned(&name, false) {
                let span = self.span(&name);
                self.report(
                    Code::NotAnArray,
                    span,
                    format!("`{name}` should be an array"),
                    format!("write `{name}=(…)`"),
                );
            }
        }
        for name in strings() {
            if self.recipe.evaluation.is_array(name) || self.is_assigned(name, true) {
                let span = self.span(name);
                self.report(
                    Code::NotAString,
                    span,
                    format!("`{name}` should not be an array"),
                    format!("write `{name}=…` without brackets"),
                );
            }
        }
        self.forbidden_overrides(&arches);
        let reasons: Vec<_> = self
            .recipe
            .functions
            .iter()
            .filter_map(|lines| lines.0.as_ref().err())
            .collect();
        self.undecided(reasons);
    }

    /// Whether a package function has a line that assigns the field so.
    fn is_assigned(&self, name: &str, is_array: bool) -> bool {
        let mut lines = self
            .recipe
            .functions
            .iter()
            .flat_map(|lines| lines.matching(name));
        lines.any(|line| line.is_array == is_array)
    }

    fn forbidden_overrides(&mut self, arches: &[String]) {
        let mut names: Vec<String> = never_overridden().map(str::to_owned).collect();
        for arch in arches.iter().filter(|arch| *arch != "any") {
            names.extend(never_overridden().map(|name| format!("{name}_{arch}")));
        }
        for name in names {
            if self.is_assigned(&name, true) || self.is_assigned(&name, false) {
                self.report(
                    Code::OverrideForbidden,
                    None,
                    format!("`{name}` is assigned in a package function"),
                    format!("assign `{name}` at the top level, or make the variable `local`"),
                );
            }
        }
    }
}

/// The lists of a kind in one section: the common one and those of the recipe's architectures.
fn listed<'metadata>(
    metadata: &'metadata Metadata,
    field: ArrayField,
    arches: &Array,
) -> Vec<&'metadata Array> {
    let lists = metadata.arrays.iter().filter(|(key, _)| {
        key.field == field
            && key
                .arch
                .as_ref()
                .is_none_or(|arch| arches.known().any(|(name, _)| name == arch.as_str()))
    });
    lists.map(|(_, array)| array).collect()
}
