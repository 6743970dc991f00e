//! Functions that make the packages (`lint_package_function`).

use super::Lint;
use crate::evaluate::Evaluated;
use crate::lint::diagnostic::Code;
use crate::package::Value;

impl Lint<'_> {
    pub(super) fn package_functions(&mut self) {
        let recipe = self.recipe;
        let mut defined = |name: &str| match recipe.evaluation.function(name) {
            None => None,
            Some(Evaluated::Known(span)) => Some(Some(span)),
            Some(Evaluated::Dynamic(reason)) => {
                self.findings.undecided.push(reason);
                Some(None)
            }
        };
        let package = defined("package");
        let build = defined("build");
        let names: Vec<_> = recipe.package.pkgname.known().collect();
        let own: Vec<_> = names
            .iter()
            .map(|(name, span)| (*name, *span, defined(&format!("package_{name}"))))
            .collect();
        let Ok(count) = recipe.package.pkgname.elements().map(<[Value]>::len) else {
            return;
        };
        // How many packages there are, or what one is called, may not be known.
        if own.len() < count || recipe.package.uncertain.is_some() {
            let reasons = recipe.package.pkgname.reasons();
            let reasons = reasons.chain(&recipe.package.uncertain);
            self.findings.undecided.extend(reasons.cloned());
            return;
        }
        if let ([(name, _, own)], 1) = (own.as_slice(), count) {
            match (package, own) {
                (Some(span), Some(_)) => self.report(
                    Code::PackageFunctionConflict,
                    span,
                    format!("both `package()` and `package_{name}()` are defined"),
                    "keep one of the two functions",
                ),
                (None, None) if build.is_some() => self.report(
                    Code::PackageFunctionMissing,
                    build.flatten(),
                    "there is a `build()` function but no `package()` function".to_owned(),
                    "add a `package()` function that installs into \"$pkgdir\"",
                ),
                _ => {}
            }
            return;
        }
        if let Some(span) = package {
            self.report(
                Code::PackageFunctionConflict,
                span,
                "`package()` is defined, but the recipe makes several packages".to_owned(),
                "rename it to `package_<name>()`, one for each name in `pkgname`",
            );
        }
        for (name, span, function) in own {
            if function.is_none() {
                self.report(
                    Code::PackageFunctionMissing,
                    span,
                    format!("there is no function `package_{name}()`"),
                    format!("add `package_{name}()`, or drop `{name}` from `pkgname`"),
                );
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() { :; }\npackage_a() { :; }",
        &[(Code::PackageFunctionConflict, "package() { :; }")],
    ),
    (
        "build() { :; }",
        &[(Code::PackageFunctionMissing, "build() { :; }")],
    ),
    (
        "pkgname=(a b)\npackage_a() { :; }",
        &[(Code::PackageFunctionMissing, "b")],
    ),
    (
        "pkgname=(a b)\npackage() { :; }\npackage_a() { :; }\npackage_b() { :; }",
        &[(Code::PackageFunctionConflict, "*")],
    ),
    ("package_a() { :; }", &[]),
    ("pkgname=($(curl x))\npackage() { :; }", &[]),
];
