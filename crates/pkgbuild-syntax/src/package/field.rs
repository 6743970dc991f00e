//! The fields of a recipe, in makepkg's order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::arch::Arch;

/// A kind of checksum that makepkg knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Algorithm {
    /// The CRC of `cksum`.
    Ck,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// `BLAKE2b` with 512 bits.
    B2,
}

impl Algorithm {
    /// All of them, in makepkg's order.
    pub const ALL: [Self; 8] = [
        Self::Ck,
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::B2,
    ];

    /// makepkg's name, such as `sha256`; the array is called `sha256sums`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ck => "ck",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::B2 => "b2",
        }
    }

    /// Hexadecimal digits of a digest; `None` for [`Ck`](Self::Ck), whose value is a decimal
    /// number.
    pub const fn hex_digits(self) -> Option<usize> {
        match self {
            Self::Ck => None,
            Self::Md5 => Some(32),
            Self::Sha1 => Some(40),
            Self::Sha224 => Some(56),
            Self::Sha256 => Some(64),
            Self::Sha384 => Some(96),
            Self::Sha512 | Self::B2 => Some(128),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A field that holds one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are those of PKGBUILD(5)")]
#[non_exhaustive]
pub enum StringField {
    Pkgdesc,
    Pkgver,
    Pkgrel,
    Epoch,
    Url,
    Install,
    Changelog,
}

impl StringField {
    /// In the order in which makepkg writes them.
    pub const ALL: [Self; 7] = [
        Self::Pkgdesc,
        Self::Pkgver,
        Self::Pkgrel,
        Self::Epoch,
        Self::Url,
        Self::Install,
        Self::Changelog,
    ];

    /// The variable's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pkgdesc => "pkgdesc",
            Self::Pkgver => "pkgver",
            Self::Pkgrel => "pkgrel",
            Self::Epoch => "epoch",
            Self::Url => "url",
            Self::Install => "install",
            Self::Changelog => "changelog",
        }
    }

    /// Whether a `package_*` function may set it.
    pub const fn overridable(self) -> bool {
        matches!(
            self,
            Self::Pkgdesc | Self::Url | Self::Install | Self::Changelog
        )
    }
}

/// A field that holds a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are those of PKGBUILD(5)")]
#[non_exhaustive]
pub enum ArrayField {
    Arch,
    Groups,
    License,
    Checkdepends,
    Makedepends,
    Depends,
    Optdepends,
    Provides,
    Conflicts,
    Replaces,
    Noextract,
    Options,
    Backup,
    Source,
    Validpgpkeys,
    /// `sha256sums` and its kin.
    Checksums(Algorithm),
}

impl ArrayField {
    /// In the order in which makepkg writes them.
    pub const ALL: [Self; 23] = [
        Self::Arch,
        Self::Groups,
        Self::License,
        Self::Checkdepends,
        Self::Makedepends,
        Self::Depends,
        Self::Optdepends,
        Self::Provides,
        Self::Conflicts,
        Self::Replaces,
        Self::Noextract,
        Self::Options,
        Self::Backup,
        Self::Source,
        Self::Validpgpkeys,
        Self::Checksums(Algorithm::Ck),
        Self::Checksums(Algorithm::Md5),
        Self::Checksums(Algorithm::Sha1),
        Self::Checksums(Algorithm::Sha224),
        Self::Checksums(Algorithm::Sha256),
        Self::Checksums(Algorithm::Sha384),
        Self::Checksums(Algorithm::Sha512),
        Self::Checksums(Algorithm::B2),
    ];

    /// Those that can have an architecture suffix, in the order in which makepkg writes them
    /// (which is another than that of [`ALL`](Self::ALL)).
    pub const SUFFIXED: [Self; 16] = [
        Self::Source,
        Self::Provides,
        Self::Conflicts,
        Self::Depends,
        Self::Replaces,
        Self::Optdepends,
        Self::Makedepends,
        Self::Checkdepends,
        Self::Checksums(Algorithm::Ck),
        Self::Checksums(Algorithm::Md5),
        Self::Checksums(Algorithm::Sha1),
        Self::Checksums(Algorithm::Sha224),
        Self::Checksums(Algorithm::Sha256),
        Self::Checksums(Algorithm::Sha384),
        Self::Checksums(Algorithm::Sha512),
        Self::Checksums(Algorithm::B2),
    ];

    /// The variable's name without a suffix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arch => "arch",
            Self::Groups => "groups",
            Self::License => "license",
            Self::Checkdepends => "checkdepends",
            Self::Makedepends => "makedepends",
            Self::Depends => "depends",
            Self::Optdepends => "optdepends",
            Self::Provides => "provides",
            Self::Conflicts => "conflicts",
            Self::Replaces => "replaces",
            Self::Noextract => "noextract",
            Self::Options => "options",
            Self::Backup => "backup",
            Self::Source => "source",
            Self::Validpgpkeys => "validpgpkeys",
            Self::Checksums(algorithm) => match algorithm {
                Algorithm::Ck => "cksums",
                Algorithm::Md5 => "md5sums",
                Algorithm::Sha1 => "sha1sums",
                Algorithm::Sha224 => "sha224sums",
                Algorithm::Sha256 => "sha256sums",
                Algorithm::Sha384 => "sha384sums",
                Algorithm::Sha512 => "sha512sums",
                Algorithm::B2 => "b2sums",
            },
        }
    }

    /// Whether `name_<architecture>` is a field too.
    pub fn takes_suffix(self) -> bool {
        Self::SUFFIXED.contains(&self)
    }

    /// Whether a `package_*` function may set it, by makepkg's lint.
    pub const fn overridable(self) -> bool {
        matches!(
            self,
            Self::Arch
                | Self::License
                | Self::Groups
                | Self::Depends
                | Self::Optdepends
                | Self::Provides
                | Self::Conflicts
                | Self::Replaces
                | Self::Backup
                | Self::Options
        )
    }

    /// Whether makepkg writes it, unsuffixed, in the section of a package. That `checkdepends` is
    /// among them although its lint forbids the override is makepkg's.
    pub const fn in_package_section(self) -> bool {
        self.overridable() || matches!(self, Self::Checkdepends)
    }
}

/// The name of a list, with or without an architecture: `depends`, `depends_aarch64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArrayKey {
    /// Which list.
    pub field: ArrayField,
    /// For which architecture only.
    pub arch: Option<Arch>,
}

/// A name that no field has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{name}` is not a field of a recipe")]
pub struct UnknownField {
    /// The name.
    pub name: String,
}

impl ArrayKey {
    /// The list for every architecture.
    pub const fn common(field: ArrayField) -> Self {
        Self { field, arch: None }
    }

    /// The list for one architecture.
    pub const fn suffixed(field: ArrayField, arch: Arch) -> Self {
        Self {
            field,
            arch: Some(arch),
        }
    }
}

impl fmt::Display for ArrayKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.field.name())?;
        match &self.arch {
            Some(arch) => write!(formatter, "_{arch}"),
            None => Ok(()),
        }
    }
}

impl From<ArrayKey> for String {
    fn from(key: ArrayKey) -> Self {
        key.to_string()
    }
}

impl FromStr for ArrayKey {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        for field in ArrayField::ALL {
            let Some(rest) = name.strip_prefix(field.name()) else {
                continue;
            };
            if rest.is_empty() {
                return Ok(Self::common(field));
            }
            let arch = rest.strip_prefix('_').and_then(|arch| arch.parse().ok());
            if let (Some(arch), true) = (arch, field.takes_suffix()) {
                return Ok(Self::suffixed(field, arch));
            }
        }
        Err(UnknownField {
            name: name.to_owned(),
        })
    }
}

impl TryFrom<String> for ArrayKey {
    type Error = UnknownField;

    fn try_from(name: String) -> Result<Self, UnknownField> {
        name.parse()
    }
}

impl FromStr for StringField {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        Self::ALL
            .into_iter()
            .find(|field| field.name() == name)
            .ok_or_else(|| UnknownField {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_round_trip() {
        for name in [
            "depends",
            "depends_x86_64",
            "source_aarch64",
            "b2sums_i686",
            "arch",
        ] {
            assert_eq!(name.parse::<ArrayKey>().unwrap().to_string(), name);
        }
        for name in ["depends_", "arch_x86_64", "dependsx", "pkgver", ""] {
            assert_eq!(name.parse::<ArrayKey>().unwrap_err().name, name);
        }
    }

    #[test]
    fn algorithms_name_their_array() {
        for algorithm in Algorithm::ALL {
            assert_eq!(
                ArrayField::Checksums(algorithm).name(),
                format!("{algorithm}sums")
            );
        }
    }
}
