//! Packages and source files that stand in their list twice.

use std::collections::HashSet;

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for (name, span) in subject.package.pkgname.known() {
        if !seen.insert(name) {
            found.push(Code::DuplicateName.found(
                span,
                format!("`{name}` stands twice in `pkgname`"),
                "drop one of the two",
            ));
        }
    }
    for group in &subject.groups {
        let mut names = HashSet::new();
        for one in &group.sources {
            let name = one.source.file_name();
            if !names.insert(name) {
                found.push(Code::DuplicateName.found(
                    one.span,
                    format!("two sources in `{}` have the file name `{name}`", group.key),
                    "give one of them another name with `name::` in front",
                ));
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("source=(b b)\ncksums=(1 1)", &[(Code::DuplicateName, "b")]),
    ("pkgname=(a a)", &[(Code::DuplicateName, "a")]),
    (
        "source=(x/b https://x.org/b)\ncksums=(1 1)",
        &[(Code::DuplicateName, "https://x.org/b")],
    ),
    ("source=(b c::b)\ncksums=(1 1)", &[]),
    ("source=(b)\nsource_x86_64=(b)", &[]),
];
