//! Programs that run as soon as the recipe is read.

use std::collections::HashSet;

use super::Subject;
use super::blank_around_equals::is_field;
use crate::evaluate::DynamicKind;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::lint::makepkg_functions::is_makepkgs;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for reason in subject.evaluation.dynamic() {
        if let DynamicKind::Command(name) = &reason.kind
            && !is_makepkgs(name)
            // Another rule tells that a blank is too much there.
            && !is_field(name)
            && seen.insert(reason.span)
        {
            found.push(Code::TopLevelCommand.found(
                Some(reason.span),
                format!("`{name}` runs as soon as the recipe is read"),
                "move it into a function such as `prepare()` or `pkgver()`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("_x=$(curl x) || true", &[(Code::TopLevelCommand, "*")]),
    ("pkgver = 2", &[]),
    ("make x", &[(Code::TopLevelCommand, "*")]),
    ("in_array x y z || true\n:", &[]),
    ("_x=$(echo 1 | sed s/1/2/)", &[]),
    ("prepare() { make x; }\npackage() { :; }", &[]),
];
