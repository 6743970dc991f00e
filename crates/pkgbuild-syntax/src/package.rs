//! The package model: what a recipe says, field by field.

mod difference;
mod error;
mod extract;
mod field;
mod resolve;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::difference::FieldChange;
pub use self::error::PackageError;
pub(crate) use self::extract::{Recipe, is_space};
pub use self::field::{Algorithm, ArrayField, ArrayKey, StringField, UnknownField};
pub use self::resolve::{Checksum, ResolvedPackage, ResolvedSource};
pub use self::value::{Array, Value};
use crate::arch::Arch;
use crate::evaluate::{DynamicReason, Evaluation};

/// Everything PKGBUILD(5) lets a recipe say.
///
/// Built from a recipe by [`from_evaluation`](Self::from_evaluation), or from a `.SRCINFO` by
/// [`from_srcinfo`](Self::from_srcinfo). A value that only a shell could find out is carried as
/// such, and is an error only for whoever asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The name of the recipe: `pkgbase`, or the first `pkgname`.
    pub pkgbase: Value,
    /// `pkgname`: the names of the packages that the recipe makes.
    pub pkgname: Array,
    /// What holds for all of them.
    pub common: Metadata,
    /// For each known name in [`pkgname`](Self::pkgname), what its package function overrides.
    pub overrides: Vec<Overrides>,
    /// Which of makepkg's functions the recipe defines: `verify`, `prepare`, `pkgver`, `build`, `check`,
    /// `package` and `package_*`. A `.SRCINFO` does not tell.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub functions: BTreeSet<String>,
    /// What the recipe prints when makepkg sources it, which its `.SRCINFO` then begins with.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub printed: Value,
    /// Why it is not even known whether makepkg can source the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<DynamicReason>,
}

/// Fields with a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The fields of one value; those that are empty are absent, except in [`Overrides`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub strings: BTreeMap<StringField, Value>,
    /// The lists; those that are empty are absent, except in [`Overrides`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arrays: BTreeMap<ArrayKey, Array>,
}

/// What one package says other than [`Package::common`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// The package.
    pub pkgname: String,
    /// The fields that its package function assigns, with their whole values: what `+=` added is
    /// already behind the common value.
    pub metadata: Metadata,
    /// The lists of [`metadata`](Self::metadata) that the function only adds to, with `+=`. A
    /// `.SRCINFO` does not tell; there a list counts that begins with the whole common one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub appended: BTreeSet<ArrayKey>,
}

impl Metadata {
    /// A field of one value.
    pub fn string(&self, field: StringField) -> Option<&Value> {
        self.strings.get(&field)
    }

    /// The list for every architecture.
    pub fn array(&self, field: ArrayField) -> Option<&Array> {
        self.arrays.get(&ArrayKey::common(field))
    }

    /// The list for one architecture only, such as `depends_x86_64`.
    pub fn suffixed(&self, field: ArrayField, arch: &Arch) -> Option<&Array> {
        self.arrays.get(&ArrayKey::suffixed(field, arch.clone()))
    }

    /// Why some of it is not known.
    pub fn reasons(&self) -> impl Iterator<Item = &DynamicReason> {
        let strings = self.strings.values().filter_map(|value| value.get().err());
        strings.chain(self.arrays.values().flat_map(Array::reasons))
    }
}

impl Package {
    /// Reads the fields out of an evaluated recipe, as makepkg's `get_pkgbuild_attribute` does.
    ///
    /// In particular the overrides of a package are the lines of its package function (as
    /// `declare -f` prints it) that begin with an assignment to the field, evaluated one after
    /// another: both branches of an `if` count, and so does a nested function, but `local` does
    /// not. A missing `package_x` is replaced by `package`.
    ///
    /// # Errors
    /// When makepkg could not source the recipe either.
    pub fn from_evaluation(evaluation: &Evaluation) -> Result<Self, PackageError> {
        Ok(Recipe::read(evaluation)?.package)
    }

    /// A field of one value as it is for all packages.
    ///
    /// # Errors
    /// [`PackageError::Dynamic`] when it is not known.
    pub fn string(&self, field: StringField) -> Result<Option<&str>, PackageError> {
        let value = self.common.string(field).map(Value::get).transpose();
        value.map_err(|reason| PackageError::dynamic([reason]))
    }

    /// The full version: `epoch:pkgver-pkgrel`, without an epoch that is 0.
    ///
    /// # Errors
    /// [`PackageError::Dynamic`] when a part is not known, [`PackageError::Missing`] when `pkgver`
    /// or `pkgrel` has no value.
    pub fn version(&self) -> Result<String, PackageError> {
        let required = |field: StringField| {
            self.string(field)?
                .ok_or(PackageError::Missing { name: field.name() })
        };
        let (pkgver, pkgrel) = (
            required(StringField::Pkgver)?,
            required(StringField::Pkgrel)?,
        );
        Ok(match self.string(StringField::Epoch)? {
            Some(epoch) if epoch.bytes().any(|digit| digit != b'0') => {
                format!("{epoch}:{pkgver}-{pkgrel}")
            }
            _ => format!("{pkgver}-{pkgrel}"),
        })
    }

    /// A list for one architecture: the common elements, then those for this architecture only,
    /// as makepkg appends them.
    ///
    /// # Errors
    /// [`PackageError::Dynamic`] with every reason when an element is not known.
    pub fn array(&self, field: ArrayField, arch: &Arch) -> Result<Vec<&str>, PackageError> {
        merged(&[&self.common], field, arch)
    }

    /// The same for one of the packages, with what its function overrides: a list that the function
    /// replaces is that of the package whatever the architecture, since makepkg has appended the
    /// list for one architecture by then. A name that the recipe does not make has no overrides.
    ///
    /// # Errors
    /// As [`array`](Self::array).
    pub fn array_of(
        &self,
        pkgname: &str,
        field: ArrayField,
        arch: &Arch,
    ) -> Result<Vec<&str>, PackageError> {
        match self.overrides(pkgname) {
            Some(overrides) => {
                let common = overrides.metadata.array(field);
                let added = overrides.appended.contains(&ArrayKey::common(field));
                let replaced = common.is_some() && !added;
                if replaced {
                    merged(&[&overrides.metadata], field, arch)
                } else {
                    merged(&[&overrides.metadata, &self.common], field, arch)
                }
            }
            None => self.array(field, arch),
        }
    }

    /// What one of the packages overrides.
    pub fn overrides(&self, pkgname: &str) -> Option<&Overrides> {
        self.overrides
            .iter()
            .find(|overrides| overrides.pkgname == pkgname)
    }

    /// Whether the recipe defines the function, for example `prepare` or `package_foo`.
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    /// The function that packages `pkgname`: `package_<pkgname>`, else `package`.
    pub fn package_function(&self, pkgname: &str) -> Option<&str> {
        let own = self.functions.get(&format!("package_{pkgname}"));
        own.or_else(|| self.functions.get("package"))
            .map(String::as_str)
    }

    /// Every reason why something in it is not known.
    pub fn reasons(&self) -> impl Iterator<Item = &DynamicReason> {
        let names = self.uncertain.iter().chain(self.pkgname.reasons());
        let printed = [&self.printed, &self.pkgbase];
        let printed = printed.into_iter().filter_map(|value| value.get().err());
        let overrides = self
            .overrides
            .iter()
            .flat_map(|overrides| overrides.metadata.reasons());
        names
            .chain(printed)
            .chain(self.common.reasons())
            .chain(overrides)
    }
}

/// The first of `layers` that has the list decides, for the common and the suffixed one apart.
fn merged<'package>(
    layers: &[&'package Metadata],
    field: ArrayField,
    arch: &Arch,
) -> Result<Vec<&'package str>, PackageError> {
    let common = layers.iter().find_map(|layer| layer.array(field));
    let own = layers.iter().find_map(|layer| layer.suffixed(field, arch));
    let parts = [common, own];
    let reasons: Vec<_> = parts
        .into_iter()
        .flatten()
        .flat_map(Array::reasons)
        .collect();
    if !reasons.is_empty() {
        return Err(PackageError::dynamic(reasons));
    }
    let known = parts.into_iter().flatten().flat_map(Array::known);
    Ok(known.map(|(text, _)| text).collect())
}

impl Default for Value {
    fn default() -> Self {
        Self::known("")
    }
}

fn is_nothing(value: &Value) -> bool {
    value.get() == Ok("")
}
