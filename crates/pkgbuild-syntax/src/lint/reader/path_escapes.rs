//! `install` and `changelog` files outside the recipe's folder.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::package::StringField;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let overrides = subject.package.overrides.iter();
    let layers = overrides.map(|overrides| &overrides.metadata);
    for metadata in [&subject.package.common].into_iter().chain(layers) {
        for field in [StringField::Install, StringField::Changelog] {
            let Some(value) = metadata.string(field) else {
                continue;
            };
            let Ok(path) = value.get() else { continue };
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                found.push(Code::PathEscapes.found(
                    value.span(),
                    format!(
                        "`{}` names `{path}`, outside the recipe's folder",
                        field.name()
                    ),
                    "put the file beside the recipe",
                ));
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("install=../x", &[(Code::PathEscapes, "install=../x")]),
    ("changelog=/x", &[(Code::PathEscapes, "changelog=/x")]),
    ("install=here", &[]),
];
