//! Architecture names.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An architecture as `arch=()` names it: one or more letters, digits and underscores.
///
/// Any such name will do, as in makepkg: `x86_64`, `aarch64`, `riscv64`, a name of your own, or
/// [`any`](Self::is_any).
///
/// ```
/// use pkgbuild_syntax::Arch;
///
/// let arch: Arch = "loong64".parse()?;
/// assert_eq!(arch.suffixed("source"), "source_loong64");
/// assert!("x86-64".parse::<Arch>().is_err());
/// # Ok::<(), pkgbuild_syntax::InvalidArch>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Arch(String);

/// A text that makepkg does not take for an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not an architecture: only letters, digits and `_` can stand in one")]
pub struct InvalidArch {
    /// The text.
    pub text: String,
}

impl Arch {
    /// The architecture `any`, of packages that run everywhere.
    pub fn any() -> Self {
        Self("any".to_owned())
    }

    /// Whether it is `any`, which has no suffixed fields.
    pub fn is_any(&self) -> bool {
        self.0 == "any"
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The variable that holds what `field` has for this architecture only, such as
    /// `source_x86_64`.
    pub fn suffixed(&self, field: &str) -> String {
        format!("{field}_{}", self.0)
    }
}

impl FromStr for Arch {
    type Err = InvalidArch;

    /// Source of the rule: makepkg, `lint_arch`.
    fn from_str(text: &str) -> Result<Self, InvalidArch> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Arch {
    type Error = InvalidArch;

    fn try_from(text: String) -> Result<Self, InvalidArch> {
        if text.is_empty()
            || !text
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_')
        {
            return Err(InvalidArch { text });
        }
        Ok(Self(text))
    }
}

impl From<Arch> for String {
    fn from(arch: Arch) -> Self {
        arch.0
    }
}

impl Borrow<str> for Arch {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn makepkg_rule() {
        for good in ["x86_64", "any", "armv7h", "E2K", "_"] {
            assert_eq!(good.parse::<Arch>().unwrap().as_str(), good);
        }
        for bad in ["", "x86-64", "i686 x86_64", "a.b", "!x"] {
            assert_eq!(bad.parse::<Arch>().unwrap_err().text, bad);
        }
    }
}
