//! Fields that only running the recipe would tell.

use std::collections::HashSet;

use super::Subject;
use super::blank_around_equals::is_field;
use crate::evaluate::DynamicKind;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for reason in subject.package.reasons() {
        let blank = matches!(&reason.kind, DynamicKind::Command(name) if is_field(name));
        if !blank && seen.insert(reason.span) {
            found.push(Code::ValueUnknown.found(
                Some(reason.span),
                format!("a field is not known before the recipe runs: {reason}"),
                "write the value itself",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("pkgver = 2", &[]),
    ("pkgdesc=$(curl x)", &[(Code::ValueUnknown, "*")]),
    (
        "package() {\n  depends=($(curl x))\n:\n}",
        &[(Code::ValueUnknown, "*")],
    ),
    ("_x=$(curl x)\n:", &[]),
];
