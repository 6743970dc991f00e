//! A recipe whose values are all known.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog_client::Architecture;
use pkgbuild_syntax::{
    Algorithm, Arch, Array, ArrayField, ArrayKey, Environment, Evaluation, FieldValue as Value,
    Package, PackageError, ResolvedPackage, Severity, StringField,
};

use crate::dependencies::Requirement;
use crate::error::ProvisionError;
use crate::version::FullVersion;

/// An evaluated recipe whose values are all known, for this host's architecture.
#[derive(Debug)]
pub(crate) struct EvaluatedPackage {
    pub(crate) text: String,
    evaluation: Evaluation,
    pub(crate) arch: Arch,
    pub(crate) package: Package,
    pub(crate) resolved: ResolvedPackage,
    /// The names of the values that only a shell could tell.
    pub(crate) from_sandbox: Vec<String>,
}

/// What a recipe says as far as it can be known without running it.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Everything that matters is known.
    Known(Box<EvaluatedPackage>),
    /// Only a shell could tell the rest.
    Dynamic(Box<Undecided>),
}

/// A recipe some of whose values only a shell could tell.
#[derive(Debug)]
pub(crate) struct Undecided {
    text: String,
    arch: Arch,
    package: Package,
    why: PackageError,
}

/// Parses and evaluates a recipe, and resolves it for this host's architecture.
pub(crate) fn read(
    id: &str,
    text: &str,
    environment: &Environment,
    architecture: Architecture,
) -> Result<Reading, ProvisionError> {
    let file = parse(id, text)?;
    let evaluation = pkgbuild_syntax::evaluate(&file, environment);
    let arch: Arch =
        architecture
            .to_string()
            .parse()
            .map_err(|source| ProvisionError::Evaluate {
                id: id.to_owned(),
                line: None,
                source: Arc::new(source),
            })?;
    let text = text.to_owned();
    if let Ok(package) = Package::from_evaluation(&evaluation)
        && let Err(why @ PackageError::Dynamic { .. }) = package.resolve(&arch)
    {
        return Ok(Reading::Dynamic(Box::new(Undecided {
            text,
            arch,
            package,
            why,
        })));
    }
    let package = EvaluatedPackage::new(id, text, evaluation, arch)?;
    Ok(Reading::Known(Box::new(package)))
}

/// The fields of one value that a build needs.
const STRINGS: [StringField; 3] = [StringField::Pkgver, StringField::Pkgrel, StringField::Epoch];

/// The lists that a build needs, for every architecture and for one.
fn needed_lists(arch: &Arch) -> Vec<ArrayKey> {
    let fields = [
        ArrayField::Arch,
        ArrayField::Source,
        ArrayField::Noextract,
        ArrayField::Validpgpkeys,
        ArrayField::Options,
        ArrayField::Makedepends,
        ArrayField::Checkdepends,
        ArrayField::Depends,
    ];
    let sums = Algorithm::ALL.into_iter().map(ArrayField::Checksums);
    let mut keys = Vec::new();
    for field in fields.into_iter().chain(sums) {
        keys.push(ArrayKey::common(field));
        if field.takes_suffix() {
            keys.push(ArrayKey::suffixed(field, arch.clone()));
        }
    }
    keys
}

/// What a shell declared, by the variable's name; a plain variable is a list of one.
pub(crate) type Declared = BTreeMap<String, Vec<String>>;

impl Undecided {
    /// What is not known, and why.
    pub(crate) fn why(&self) -> &PackageError {
        &self.why
    }

    /// Takes from `declared` what is not known, and compares the rest.
    ///
    /// The values are added to the recipe's text as plain assignments, so that they are read and
    /// checked like any other; the recipe that is built stays as it is.
    ///
    /// # Errors
    /// [`ProvisionError::EvaluationsDisagree`] for a value that both know differently, and what
    /// reading a recipe can give.
    pub(crate) fn settle(
        self,
        id: &str,
        declared: &Declared,
        environment: &Environment,
        quote: impl Fn(&str) -> String,
    ) -> Result<EvaluatedPackage, ProvisionError> {
        let found = |name: &str| -> Vec<String> {
            let values = declared.get(name).into_iter().flatten();
            values.filter(|value| !value.is_empty()).cloned().collect()
        };
        let mut taken = Vec::new();
        // Two line ends: the last line may end in a backslash.
        let mut text = self.text.clone() + "\n\n";
        let mut settle = |name: String, known: Option<Vec<String>>, is_list: bool| {
            let found = found(&name);
            let Some(mut known) = known else {
                let quoted: Vec<_> = found.iter().map(|value| quote(value)).collect();
                let quoted = quoted.join(" ");
                let (open, close) = if is_list { ("(", ")") } else { ("", "") };
                text.extend([&name, "=", open, &quoted, close, "\n"]);
                taken.push(name);
                return Ok(());
            };
            known.retain(|value| !value.is_empty());
            if known == found {
                return Ok(());
            }
            Err(ProvisionError::EvaluationsDisagree {
                id: id.to_owned(),
                name,
                read: known,
                sourced: found,
            })
        };
        let owned = |array: &Array| {
            let texts = array.texts().ok()?;
            Some(texts.into_iter().map(str::to_owned).collect())
        };
        settle("pkgname".to_owned(), owned(&self.package.pkgname), true)?;
        if self.package.pkgbase.get().is_err() {
            settle("pkgbase".to_owned(), None, false)?;
        }
        for field in STRINGS {
            let known = match self.package.common.string(field).map(Value::get) {
                None => Some(Vec::new()),
                Some(Ok(value)) => Some(vec![value.to_owned()]),
                Some(Err(_)) => None,
            };
            settle(field.name().to_owned(), known, false)?;
        }
        for key in needed_lists(&self.arch) {
            let known = match self.package.common.arrays.get(&key) {
                None => Some(Vec::new()),
                Some(array) => owned(array),
            };
            settle(key.to_string(), known, true)?;
        }
        let file = parse(id, &text)?;
        // The shell got to the end of it, past every `command || exit 1`.
        let environment = environment.clone().with_recipe_read_to_end();
        let evaluation = pkgbuild_syntax::evaluate(&file, &environment);
        let mut package = EvaluatedPackage::new(id, text, evaluation, self.arch)?;
        package.from_sandbox = taken;
        Ok(package)
    }
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
    let diagnostics = pkgbuild_syntax::lint(evaluation, is_file)
        .map_err(|source| unreadable(id, text, source))?;
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

/// A recipe whose metadata cannot be had, with the line to blame.
fn unreadable(id: &str, text: &str, source: PackageError) -> ProvisionError {
    ProvisionError::Evaluate {
        id: id.to_owned(),
        line: source.span().map(|span| line_of(text, span)),
        source: Arc::new(source),
    }
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
        refuse_what_makepkg_refuses(id, &text, &evaluation)?;
        let package = Package::from_evaluation(&evaluation)
            .map_err(|source| unreadable(id, &text, source))?;
        let resolved = package.resolve(&arch).map_err(|source| match source {
            pkgbuild_syntax::PackageError::Architecture {
                arch, available, ..
            } => ProvisionError::RecipeArchitecture {
                id: id.to_owned(),
                offered: available,
                host: arch.to_string(),
            },
            source => unreadable(id, &text, source),
        })?;
        let evaluated = Self {
            text,
            evaluation,
            arch,
            package,
            resolved,
            from_sandbox: Vec::new(),
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
        let mut package = Self::new(id, text, evaluation, self.arch.clone())?;
        package.from_sandbox.clone_from(&self.from_sandbox);
        Ok(package)
    }

    /// The names of the packages the recipe makes, never none.
    pub(crate) fn pkgnames(&self) -> &[String] {
        &self.resolved.pkgname
    }

    /// PKGBUILD(5), "pkgver".
    pub(crate) fn pkgver(&self) -> &str {
        &self.resolved.pkgver
    }

    /// Epoch, pkgver and pkgrel.
    pub(crate) fn full_version(&self) -> FullVersion {
        FullVersion {
            epoch: self.resolved.epoch,
            pkgver: self.resolved.pkgver.clone(),
            pkgrel: self.resolved.pkgrel.clone(),
        }
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

    /// What the recipe depends on; `checkdepends` only when `check()` is run.
    ///
    /// What its own packages bring one another is left out.
    pub(crate) fn requirements(&self, runs_check: bool) -> Vec<Requirement> {
        let mut requirements = Vec::new();
        let mut add = |list, entries: Vec<String>| {
            requirements.extend(entries.into_iter().map(|entry| Requirement { list, entry }));
        };
        add("makedepends", self.resolved.makedepends.clone());
        if runs_check && self.package.has_function("check") {
            add("checkdepends", self.resolved.checkdepends.clone());
        }
        add("depends", self.resolved.depends.clone());
        for (list, field) in [
            ("depends", ArrayField::Depends),
            ("optdepends", ArrayField::Optdepends),
        ] {
            for name in self.pkgnames() {
                // What a package function computes is not needed to build.
                let entries = self.package.array_of(name, field, &self.arch);
                let entries = entries.unwrap_or_default();
                add(list, entries.into_iter().map(str::to_owned).collect());
            }
        }
        let own = self.provides();
        let own: Vec<&str> = own
            .into_iter()
            .chain(self.pkgnames().iter().map(String::as_str))
            .map(|name| name.split('=').next().unwrap_or(name))
            .collect();
        requirements.retain(|requirement| {
            let entry = requirement.entry.split(['<', '>', '=']).next();
            entry.is_none_or(|name| !own.contains(&name))
        });
        requirements
    }

    /// Whether a function of the recipe may ask git for more than the commit of a source: its history, its tags, or an
    /// abbreviated id.
    pub(crate) fn needs_history(&self) -> bool {
        let mut functions = self.evaluation.functions().into_iter();
        functions.any(|name| match self.evaluation.declare_f(name) {
            None => false,
            Some(body) => match body.known() {
                Some(text) => asks_for_history(&text),
                None => true,
            },
        })
    }
}

#[cfg(feature = "git")]
fn asks_for_history(body: &str) -> bool {
    use source_fetch::git::{History, required_history};
    required_history([body]) == History::Full
}

/// No repository is fetched then.
#[cfg(not(feature = "git"))]
fn asks_for_history(_body: &str) -> bool {
    false
}
