//! A recipe whose values are all known.

use std::sync::Arc;

use catalog_client::Architecture;
use pkgbuild_syntax::{
    Arch, ArrayField, Environment, Evaluation, Package, ResolvedPackage, Severity,
};

use crate::error::ProvisionError;

/// An evaluated recipe whose values are all known, for this host's architecture.
#[derive(Debug)]
pub(crate) struct EvaluatedPackage {
    pub(crate) text: String,
    evaluation: Evaluation,
    pub(crate) arch: Arch,
    pub(crate) package: Package,
    pub(crate) resolved: ResolvedPackage,
}

/// Parses and evaluates a recipe, and resolves it for this host's architecture.
pub(crate) fn evaluate(
    id: &str,
    text: &str,
    environment: &Environment,
    architecture: Architecture,
) -> Result<EvaluatedPackage, ProvisionError> {
    let file = parse(id, text)?;
    let evaluation = pkgbuild_syntax::evaluate(&file, environment);
    let arch = architecture
        .to_string()
        .parse()
        .map_err(|source| ProvisionError::Evaluate {
            id: id.to_owned(),
            source: Arc::new(source),
        })?;
    EvaluatedPackage::new(id, text.to_owned(), evaluation, arch)
}

fn parse(id: &str, text: &str) -> Result<pkgbuild_syntax::File, ProvisionError> {
    let parsed = pkgbuild_syntax::parse(text);
    match parsed.errors.first() {
        None => Ok(parsed.file),
        Some(first) => Err(ProvisionError::Syntax {
            id: id.to_owned(),
            count: parsed.errors.len(),
            first: format!("{first:#}"),
        }),
    }
}

/// makepkg's own rules, among them those that keep `pkgname` from being a path.
fn refuse_what_makepkg_refuses(
    id: &str,
    text: &str,
    evaluation: &Evaluation,
) -> Result<(), ProvisionError> {
    // A catalog serves the recipe alone. What `install=` and `changelog=` name is for a package
    // manager, and nothing here looks for it.
    let is_file = |_: &str| true;
    let diagnostics =
        pkgbuild_syntax::lint(evaluation, is_file).map_err(|source| ProvisionError::Evaluate {
            id: id.to_owned(),
            source: Arc::new(source),
        })?;
    let Some(first) = diagnostics
        .iter()
        .find(|found| found.severity == Severity::Error)
    else {
        return Ok(());
    };
    Err(ProvisionError::InvalidRecipe {
        id: id.to_owned(),
        line: first.span.map(|span| line_of(text, span)),
        code: first.code.to_string(),
        problem: first.message.clone(),
        fix: first.fix.clone(),
    })
}

pub(crate) fn line_of(text: &str, span: pkgbuild_syntax::Span) -> u32 {
    pkgbuild_syntax::Position::of(text.as_bytes(), span.start).line
}

impl EvaluatedPackage {
    fn new(
        id: &str,
        text: String,
        evaluation: Evaluation,
        arch: Arch,
    ) -> Result<Self, ProvisionError> {
        let failed = |source| ProvisionError::Evaluate {
            id: id.to_owned(),
            source: Arc::new(source),
        };
        refuse_what_makepkg_refuses(id, &text, &evaluation)?;
        let package = Package::from_evaluation(&evaluation).map_err(failed)?;
        let resolved = package.resolve(&arch).map_err(|source| match source {
            pkgbuild_syntax::PackageError::Architecture {
                arch, available, ..
            } => ProvisionError::RecipeArchitecture {
                id: id.to_owned(),
                offered: available,
                host: arch.to_string(),
            },
            source => failed(source),
        })?;
        let evaluated = Self {
            text,
            evaluation,
            arch,
            package,
            resolved,
        };
        for name in &evaluated.resolved.pkgname {
            if evaluated.package.package_function(name).is_none() {
                let function = "package".to_owned();
                return Err(ProvisionError::MissingFunction {
                    id: id.to_owned(),
                    function,
                });
            }
        }
        Ok(evaluated)
    }

    /// The same recipe once `pkgver()` has printed another version.
    pub(crate) fn with_pkgver(&self, id: &str, version: &str) -> Result<Self, ProvisionError> {
        let text = pkgbuild_syntax::with_pkgver(&self.text, version);
        let file = parse(id, &text)?;
        let mut evaluation = self.evaluation.clone();
        evaluation.evaluate_again(&file);
        Self::new(id, text, evaluation, self.arch.clone())
    }

    /// The names of the packages the recipe makes, never none.
    pub(crate) fn pkgnames(&self) -> &[String] {
        &self.resolved.pkgname
    }

    /// PKGBUILD(5), "pkgver".
    pub(crate) fn pkgver(&self) -> &str {
        &self.resolved.pkgver
    }

    /// PKGBUILD(5), "pkgrel".
    pub(crate) fn pkgrel(&self) -> &str {
        &self.resolved.pkgrel
    }

    /// What all packages together provide (PKGBUILD(5), "provides"); unknown ones are left out,
    /// since they only help to find the binary.
    pub(crate) fn provides(&self) -> Vec<&str> {
        let names = self.pkgnames().iter();
        names
            .filter_map(|name| {
                self.package
                    .array_of(name, ArrayField::Provides, &self.arch)
                    .ok()
            })
            .flatten()
            .collect()
    }

    /// A `pkgver()` that asks git may count commits or describe tags.
    pub(crate) fn needs_history(&self) -> bool {
        self.evaluation
            .declare_f("pkgver")
            .is_some_and(|body| body.known().is_none_or(|text| text.contains("git")))
    }
}
