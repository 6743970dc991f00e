use std::collections::BTreeMap;

use crate::error::SandboxError;
use crate::script::MARK_DECLARED;

/// The value of a shell variable. Bytes that are not UTF-8 are replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A plain variable.
    Scalar(String),
    /// An indexed array, in order; unset elements are left out.
    Array(Vec<String>),
    /// An associative array.
    Map(BTreeMap<String, String>),
}

/// What a recipe declared when bash sourced it.
///
/// It is what the recipe chose to show: a recipe can print anything, so treat it as untrusted text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declarations {
    /// Variables that were not set before, by name.
    pub variables: BTreeMap<String, Value>,
    /// Functions, in alphabetical order.
    pub functions: Vec<String>,
}

const MEMBERS_MAX: usize = 65536;

impl Declarations {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SandboxError> {
        let bad = |problem| SandboxError::Declarations { problem };
        let mut fields = bytes.split(|b| *b == 0).map(String::from_utf8_lossy);
        let mut next = || {
            fields
                .next()
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(|| bad("the list is cut short"))
        };
        if next()?.as_bytes() != MARK_DECLARED {
            return Err(bad("the list does not start as it should"));
        }
        let mut declarations = Self::default();
        loop {
            match next()?.as_str() {
                "end" => break,
                "f" => declarations.functions.push(next()?),
                "s" => {
                    let name = next()?;
                    declarations.variables.insert(name, Value::Scalar(next()?));
                }
                kind @ ("a" | "A") => {
                    let name = next()?;
                    let count: usize = next()?
                        .parse()
                        .map_err(|_| bad("a count is not a number"))?;
                    if count > MEMBERS_MAX {
                        return Err(bad("an array has more than 65536 members"));
                    }
                    let mut members = Vec::new();
                    for _ in 0..count {
                        members.push((next()?, next()?));
                    }
                    let value = if kind == "a" {
                        Value::Array(members.into_iter().map(|(_, value)| value).collect())
                    } else {
                        Value::Map(members.into_iter().collect())
                    };
                    declarations.variables.insert(name, value);
                }
                _ => return Err(bad("a record has an unknown kind")),
            }
        }
        declarations.functions.sort();
        declarations.functions.dedup();
        Ok(declarations)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hostile_lists_are_refused() {
        for bytes in [
            &b""[..],
            b"declared",
            b"declared\0",
            b"declared\0s\0name",
            b"declared\0a\0name\099999999999999999999\0",
            b"declared\0a\0name\x0070000\0",
            b"declared\0a\0name\x002\x000\0x\0",
            b"declared\0z\0",
            b"junk\0end\0",
        ] {
            assert!(Declarations::parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(Declarations::parse(b"declared\0end\0junk").is_ok());
    }
}
