//! A package for one architecture, its sources paired with their checksums.

use serde::{Deserialize, Serialize};

use super::{Algorithm, Array, ArrayField, ArrayKey, Package, PackageError, StringField};
use crate::arch::Arch;
use crate::span::Span;

/// What building for one architecture needs. Everything in it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedPackage {
    /// The architecture: that of the machine, even if the package is for `any`.
    pub arch: Arch,
    /// The name of the recipe.
    pub pkgbase: String,
    /// The names of the packages, in order.
    pub pkgname: Vec<String>,
    /// The version of the software.
    pub pkgver: String,
    /// The release of the recipe.
    pub pkgrel: String,
    /// The epoch; 0 when there is none, or one that is not a number.
    pub epoch: u64,
    /// The sources: the common ones, then those for this architecture.
    pub sources: Vec<ResolvedSource>,
    /// Names of sources that are not extracted.
    pub noextract: Vec<String>,
    /// Fingerprints of the keys that may have signed the sources.
    pub validpgpkeys: Vec<String>,
    /// Switches such as `!strip`.
    pub options: Vec<String>,
    /// Packages needed to build.
    pub makedepends: Vec<String>,
    /// Packages needed to test.
    pub checkdepends: Vec<String>,
    /// Packages needed to run.
    pub depends: Vec<String>,
}

/// One source with what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedSource {
    /// The element of `source`, such as `name::https://example.org/x.tar.gz`.
    pub source: String,
    /// The list that it comes from.
    pub key: ArrayKey,
    /// The checksums at the same place in the checksum lists, `SKIP` included.
    pub checksums: Vec<Checksum>,
    /// Where it stands in the recipe.
    #[serde(skip)]
    pub span: Option<Span>,
}

/// A checksum as the recipe gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// The kind.
    pub algorithm: Algorithm,
    /// The digest, or `SKIP`; not validated.
    pub digest: String,
    /// Where it stands in the recipe.
    #[serde(skip)]
    pub span: Option<Span>,
}

impl Checksum {
    /// Whether the source is not to be checked.
    pub fn is_skip(&self) -> bool {
        self.digest == "SKIP"
    }
}

impl Package {
    /// Merges what holds for `arch` into the common fields, as makepkg's `merge_arch_attrs` does:
    /// suffixed lists are appended, they do not replace.
    ///
    /// A checksum belongs to the source at the same place; this is counted for the common and the
    /// suffixed lists apart, as makepkg checks them. A kind of checksum that a list of sources
    /// lacks altogether is no error.
    ///
    /// # Errors
    /// Any needed value that is not known (all reasons are listed), a recipe for other
    /// architectures, no `pkgver`, and a list of checksums that is shorter or longer than that of
    /// the sources.
    pub fn resolve(&self, arch: &Arch) -> Result<ResolvedPackage, PackageError> {
        self.check_needed(arch)?;
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let available = self.array(ArrayField::Arch, &Arch::any())?;
        if !available
            .iter()
            .any(|name| *name == "any" || *name == arch.as_str())
        {
            return Err(PackageError::Architecture {
                arch: arch.clone(),
                available: owned(available),
                span: self.common.array(ArrayField::Arch).and_then(Array::span),
            });
        }
        let required = |field: StringField| {
            self.string(field)?
                .map(str::to_owned)
                .ok_or(PackageError::Missing { name: field.name() })
        };
        let mut sources = self.paired(None)?;
        if !arch.is_any() {
            sources.extend(self.paired(Some(arch))?);
        }
        let list = |field| self.array(field, arch).map(owned);
        Ok(ResolvedPackage {
            arch: arch.clone(),
            pkgbase: self.pkgbase.get().unwrap_or_default().to_owned(),
            pkgname: self
                .pkgname
                .known()
                .map(|(name, _)| name.to_owned())
                .collect(),
            pkgver: required(StringField::Pkgver)?,
            pkgrel: required(StringField::Pkgrel)?,
            epoch: self
                .string(StringField::Epoch)?
                .and_then(|epoch| epoch.parse().ok())
                .unwrap_or(0),
            sources,
            noextract: list(ArrayField::Noextract)?,
            validpgpkeys: list(ArrayField::Validpgpkeys)?,
            options: list(ArrayField::Options)?,
            makedepends: list(ArrayField::Makedepends)?,
            checkdepends: list(ArrayField::Checkdepends)?,
            depends: list(ArrayField::Depends)?,
        })
    }

    /// Collects every reason at once, so that a user need not find them one by one.
    fn check_needed(&self, arch: &Arch) -> Result<(), PackageError> {
        let strings = [StringField::Pkgver, StringField::Pkgrel, StringField::Epoch];
        let strings = strings
            .into_iter()
            .filter_map(|field| self.common.string(field)?.get().err());
        let arrays = self.common.arrays.iter().filter(|(key, _)| {
            let own = key.arch.as_ref().is_none_or(|suffix| suffix == arch);
            own && matches!(
                key.field,
                ArrayField::Arch
                    | ArrayField::Source
                    | ArrayField::Checksums(_)
                    | ArrayField::Noextract
                    | ArrayField::Validpgpkeys
                    | ArrayField::Options
                    | ArrayField::Makedepends
                    | ArrayField::Checkdepends
                    | ArrayField::Depends
            )
        });
        let reasons: Vec<_> = self
            .pkgname
            .reasons()
            .chain(self.pkgbase.get().err())
            .chain(strings)
            .chain(arrays.flat_map(|(_, array)| array.reasons()))
            .collect();
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(PackageError::dynamic(reasons))
        }
    }

    fn paired(&self, arch: Option<&Arch>) -> Result<Vec<ResolvedSource>, PackageError> {
        let key = |field| ArrayKey {
            field,
            arch: arch.cloned(),
        };
        let list = |field| self.common.arrays.get(&key(field));
        let mut sources: Vec<_> = list(ArrayField::Source)
            .into_iter()
            .flat_map(Array::known)
            .map(|(source, span)| ResolvedSource {
                source: source.to_owned(),
                key: key(ArrayField::Source),
                checksums: Vec::new(),
                span,
            })
            .collect();
        for algorithm in Algorithm::ALL {
            let field = ArrayField::Checksums(algorithm);
            let Some(sums) = list(field) else { continue };
            let checksums = sums.known().count();
            if checksums != sources.len() {
                return Err(PackageError::ChecksumCount {
                    algorithm,
                    name: key(field).to_string(),
                    source_name: key(ArrayField::Source).to_string(),
                    sources: sources.len(),
                    checksums,
                    span: sums.span(),
                });
            }
            for (source, (digest, span)) in sources.iter_mut().zip(sums.known()) {
                source.checksums.push(Checksum {
                    algorithm,
                    digest: digest.to_owned(),
                    span,
                });
            }
        }
        Ok(sources)
    }
}
