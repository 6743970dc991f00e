//! Fields that a package function cannot set (`lint_package_function_variable`).

use super::{Lint, never_overridden};
use crate::lint::diagnostic::Code;

impl Lint<'_> {
    pub(super) fn overrides(&mut self) {
        let arches = self.arches();
        let mut names: Vec<String> = never_overridden().map(str::to_owned).collect();
        for arch in arches.iter().filter(|arch| *arch != "any") {
            names.extend(never_overridden().map(|name| format!("{name}_{arch}")));
        }
        for name in names {
            if self.is_assigned(&name, true) || self.is_assigned(&name, false) {
                self.report(
                    Code::OverrideForbidden,
                    None,
                    format!("`{name}` is assigned in a package function"),
                    format!("assign `{name}` at the top level, or make the variable `local`"),
                );
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() {\n  pkgver=2\n:\n}",
        &[(Code::OverrideForbidden, "")],
    ),
    (
        "package() {\n  makedepends=(x)\n:\n}",
        &[(Code::OverrideForbidden, "")],
    ),
    ("package() {\n  local pkgver=2\n  depends=(x)\n:\n}", &[]),
];
