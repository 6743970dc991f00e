//! Names of packages (`lint_pkgbase`, `lint_pkgname`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::lint::rules;

impl Lint<'_> {
    pub(super) fn names(&mut self) {
        let package = &self.recipe.package;
        match package.pkgbase.get() {
            Ok("") => {}
            Ok(name) => {
                self.verdict(
                    Code::NameInvalid,
                    package.pkgbase.span(),
                    rules::name("pkgbase", name),
                );
            }
            Err(reason) => self.undecided([reason]),
        }
        self.undecided(package.pkgname.reasons());
        if package.pkgname.elements() == Ok(&[]) {
            self.verdict(
                Code::NameInvalid,
                package.pkgname.span(),
                rules::name("pkgname", ""),
            );
        }
        for (name, span) in package.pkgname.known() {
            self.verdict(Code::NameInvalid, span, rules::name("pkgname", name));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "pkgbase=b\npkgname=.a",
        &[(Code::NameInvalid, "pkgname=.a")],
    ),
    ("pkgname=('')\npkgbase=b", &[(Code::NameInvalid, "*")]),
    ("pkgbase=-b", &[(Code::NameInvalid, "pkgbase=-b")]),
    ("pkgname=a@b.c_d+e-f", &[]),
];
