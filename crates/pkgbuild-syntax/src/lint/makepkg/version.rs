//! The parts of the version (`lint_epoch`, `lint_pkgrel`, `lint_pkgver`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::lint::rules::{self, Verdict};
use crate::package::StringField;

impl Lint<'_> {
    pub(super) fn version(&mut self) {
        type Rule = fn(&str, &str) -> Verdict;
        let rules: [(StringField, Code, Rule); 3] = [
            (StringField::Epoch, Code::EpochInvalid, rules::epoch),
            (StringField::Pkgrel, Code::PkgrelInvalid, rules::pkgrel),
            (StringField::Pkgver, Code::PkgverInvalid, rules::pkgver),
        ];
        for (field, code, rule) in rules {
            // A later line that may or may not be read may set it.
            if let (None, Some(reason)) = (
                self.recipe.package.common.string(field),
                &self.recipe.package.uncertain,
            ) {
                self.undecided([reason]);
                continue;
            }
            let value = self
                .recipe
                .package
                .common
                .string(field)
                .cloned()
                .unwrap_or_default();
            match value.get() {
                Ok(text) => self.verdict(
                    code,
                    value.span(),
                    rule(&format!("`{}`", field.name()), text),
                ),
                Err(reason) => self.undecided([reason]),
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("epoch=x", &[(Code::EpochInvalid, "epoch=x")]),
    ("pkgrel=x", &[(Code::PkgrelInvalid, "pkgrel=x")]),
    ("pkgver=1-2", &[(Code::PkgverInvalid, "pkgver=1-2")]),
    ("pkgver=", &[(Code::PkgverInvalid, "")]),
    ("epoch=1\npkgrel=1.2\npkgver=1.2_rc+3", &[]),
    ("unset pkgrel\ncurl x || exit 1\npkgrel=2", &[]),
    ("curl x || exit 1\npkgrel=2\npackage() { :; }", &[]),
];
