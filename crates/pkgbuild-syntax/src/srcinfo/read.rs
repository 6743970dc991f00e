//! The reader.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::package::{
    Array, ArrayField, ArrayKey, Metadata, Overrides, Package, StringField, Value, is_space,
};

/// Longest `.SRCINFO` that is read, in bytes. The longest real ones stay below 1 MB.
const MAX_LENGTH: usize = 32 << 20;

/// Why a text is not a `.SRCINFO`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SrcinfoError {
    /// A line is neither blank, a comment nor `name = value`.
    #[error("line {line}: expected `name = value`, found `{text}`")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The start of the line.
        text: String,
    },
    /// A name that does not exist, or not in this section.
    #[error("line {line}: `{name}` is not a field of this section")]
    Field {
        /// Counted from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// A field of one value that stands twice in a section, or a second `pkgbase`.
    #[error("line {line}: `{name}` stands here for the second time")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The field.
        name: String,
    },
    /// The text does not begin with `pkgbase`.
    #[error("line {line}: `pkgbase` must come first")]
    NoPkgbase {
        /// Counted from 1.
        line: usize,
    },
    /// The text is too long.
    #[error("the text has {length} bytes, more than the {limit} that are read")]
    TooLong {
        /// Bytes given.
        length: usize,
        /// Bytes that are read at most.
        limit: usize,
    },
}

pub(crate) fn read(text: &str) -> Result<Package, SrcinfoError> {
    if text.len() > MAX_LENGTH {
        return Err(SrcinfoError::TooLong {
            length: text.len(),
            limit: MAX_LENGTH,
        });
    }
    let mut package = Package {
        pkgbase: Value::default(),
        pkgname: Array::default(),
        common: Metadata::default(),
        overrides: Vec::new(),
        functions: BTreeSet::new(),
        printed: Value::default(),
        uncertain: None,
    };
    let mut names: Vec<String> = Vec::new();
    let mut begun = false;
    let mut last = 0;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        last = number;
        let content = line.trim_matches(is_space);
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, value) = split(content).ok_or_else(|| SrcinfoError::Line {
            line: number,
            text: content.chars().take(60).collect(),
        })?;
        match (name, begun) {
            ("pkgbase", false) => {
                package.pkgbase = Value::known(value);
                begun = true;
            }
            ("pkgbase", true) => {
                return Err(SrcinfoError::Twice {
                    line: number,
                    name: name.to_owned(),
                });
            }
            (_, false) => return Err(SrcinfoError::NoPkgbase { line: number }),
            ("pkgname", true) => {
                names.push(value.to_owned());
                package.overrides.push(Overrides {
                    pkgname: value.to_owned(),
                    metadata: Metadata::default(),
                    appended: BTreeSet::new(),
                });
            }
            (_, true) => match package.overrides.last_mut() {
                Some(overrides) => add(&mut overrides.metadata, name, value, number, true)?,
                None => add(&mut package.common, name, value, number, false)?,
            },
        }
    }
    if !begun {
        return Err(SrcinfoError::NoPkgbase { line: last.max(1) });
    }
    package.pkgname = names.into_iter().collect();
    let Package {
        common, overrides, ..
    } = &mut package;
    for overrides in overrides {
        let begins = |(key, own): (&ArrayKey, &Array)| {
            let common = common.arrays.get(key)?.elements().ok()?;
            own.elements()
                .ok()?
                .starts_with(common)
                .then(|| key.clone())
        };
        overrides.appended = overrides
            .metadata
            .arrays
            .iter()
            .filter_map(begins)
            .collect();
    }
    Ok(package)
}

/// `name = value`; the blanks may be missing.
fn split(content: &str) -> Option<(&str, &str)> {
    let (name, value) = content.split_once('=')?;
    Some((name.trim_matches(is_space), value.trim_matches(is_space)))
}

fn add(
    metadata: &mut Metadata,
    name: &str,
    value: &str,
    line: usize,
    overriding: bool,
) -> Result<(), SrcinfoError> {
    let unknown = || SrcinfoError::Field {
        line,
        name: name.to_owned(),
    };
    if let Ok(field) = name.parse::<StringField>() {
        if overriding && !field.overridable() {
            return Err(unknown());
        }
        return match metadata.strings.insert(field, Value::known(value)) {
            None => Ok(()),
            Some(_) => Err(SrcinfoError::Twice {
                line,
                name: name.to_owned(),
            }),
        };
    }
    let key: ArrayKey = name.parse().map_err(|_| unknown())?;
    if overriding && key.arch.is_none() && !key.field.in_package_section() {
        return Err(unknown());
    }
    let is_arch = key == ArrayKey::common(ArrayField::Arch);
    let array = metadata.arrays.entry(key).or_default();
    // In a package's section this is how makepkg writes an empty list.
    if overriding && value.is_empty() && !is_arch && array.elements() == Ok(&[]) {
        return Ok(());
    }
    array.push(Value::known(value));
    Ok(())
}
