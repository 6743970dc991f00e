//! What two packages say differently, whatever they were read from.

use serde::Serialize;

use super::{Array, Metadata, Package, Value};

/// A field that two packages hold differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// The package whose own value it is; `None` for what holds for all.
    pub pkgname: Option<String>,
    /// The field, with its architecture where it has one.
    pub field: String,
    /// What it held; empty for a field that was not there.
    pub before: Vec<String>,
    /// What it holds now.
    pub after: Vec<String>,
}

/// What stands for a value that only a shell could tell.
const UNKNOWN: &str = "(not known)";

impl Package {
    /// The fields that differ, those of all packages first. What a `.SRCINFO` does not tell is left
    /// aside: functions, output, and whether a list was added to or replaced.
    ///
    /// ```
    /// use pkgbuild_syntax::{Environment, Package, evaluate, parse};
    ///
    /// let read = |text: &str| {
    ///     let evaluation = evaluate(&parse(text).file, &Environment::default());
    ///     Package::from_evaluation(&evaluation)
    /// };
    /// let old = read("pkgname=a\npkgver=1\npkgrel=1\narch=(any)\n")?;
    /// let new = read("pkgname=a\npkgver=2\npkgrel=1\narch=(any)\ndepends=(b)\n")?;
    /// let changes = old.difference(&new);
    /// let changes: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
    /// assert_eq!(changes, ["pkgver", "depends"]);
    /// # Ok::<(), pkgbuild_syntax::PackageError>(())
    /// ```
    pub fn difference(&self, new: &Self) -> Vec<FieldChange> {
        let mut changes = Vec::new();
        let mut compare = |field: String, before: Vec<String>, after: Vec<String>| {
            if before != after {
                changes.push(FieldChange {
                    pkgname: None,
                    field,
                    before,
                    after,
                });
            }
        };
        compare("pkgbase".to_owned(), one(&self.pkgbase), one(&new.pkgbase));
        compare("pkgname".to_owned(), all(&self.pkgname), all(&new.pkgname));
        metadata(None, &self.common, &new.common, &mut changes);
        let empty = Metadata::default();
        let own =
            |package: &Self, name: &str| package.overrides(name).map(|own| own.metadata.clone());
        let names = self.overrides.iter().chain(&new.overrides);
        let mut seen: Vec<&str> = Vec::new();
        for overrides in names {
            let name = overrides.pkgname.as_str();
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let before = own(self, name).unwrap_or_else(|| empty.clone());
            let after = own(new, name).unwrap_or_else(|| empty.clone());
            metadata(Some(name), &before, &after, &mut changes);
        }
        changes
    }
}

fn metadata(
    pkgname: Option<&str>,
    before: &Metadata,
    after: &Metadata,
    changes: &mut Vec<FieldChange>,
) {
    let mut add = |field: String, before: Option<Vec<String>>, after: Option<Vec<String>>| {
        if before != after {
            changes.push(FieldChange {
                pkgname: pkgname.map(str::to_owned),
                field,
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
            });
        }
    };
    for field in super::StringField::ALL {
        let text = |metadata: &Metadata| metadata.string(field).map(one);
        add(field.name().to_owned(), text(before), text(after));
    }
    let mut keys: Vec<_> = before.arrays.keys().chain(after.arrays.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let list = |metadata: &Metadata| metadata.arrays.get(key).map(all);
        add(key.to_string(), list(before), list(after));
    }
}

/// Runs of white space count as one, as in a `.SRCINFO`.
fn one(value: &Value) -> Vec<String> {
    let text = value.get().unwrap_or(UNKNOWN);
    let words: Vec<&str> = text
        .split(super::is_space)
        .filter(|word| !word.is_empty())
        .collect();
    vec![words.join(" ")]
}

fn all(array: &Array) -> Vec<String> {
    match array.elements() {
        Ok(elements) => elements.iter().flat_map(one).collect(),
        Err(_) => vec![UNKNOWN.to_owned()],
    }
}
