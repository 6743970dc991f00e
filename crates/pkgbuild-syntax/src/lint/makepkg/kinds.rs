//! Which variables are arrays and which are strings (`lint_variable`).

use super::{Lint, strings};
use crate::lint::diagnostic::Code;
use crate::package::ArrayField;

impl Lint<'_> {
    pub(super) fn kinds(&mut self) {
        let arrays = ArrayField::ALL
            .into_iter()
            .map(|field| field.name().to_owned());
        let arches = self.arches();
        let suffixed = arches
            .iter()
            .filter(|arch| *arch != "any")
            .flat_map(|arch| {
                ArrayField::SUFFIXED
                    .into_iter()
                    .map(move |field| format!("{}_{arch}", field.name()))
            });
        for name in arrays.chain(suffixed) {
            let declared = self.is_declared(&name) && !self.recipe.evaluation.is_array(&name);
            if declared || self.is_assigned(&name, false) {
                let span = self.span(&name);
                self.report(
                    Code::NotAnArray,
                    span,
                    format!("`{name}` should be an array"),
                    format!("write `{name}=(…)`"),
                );
            }
        }
        for name in strings() {
            if self.recipe.evaluation.is_array(name) || self.is_assigned(name, true) {
                let span = self.span(name);
                self.report(
                    Code::NotAString,
                    span,
                    format!("`{name}` should not be an array"),
                    format!("write `{name}=…` without brackets"),
                );
            }
        }
        let reasons: Vec<_> = self
            .recipe
            .functions
            .iter()
            .filter_map(|lines| lines.0.as_ref().err())
            .collect();
        self.undecided(reasons);
    }

    /// Whether a package function has a line that assigns the field so.
    pub(super) fn is_assigned(&self, name: &str, is_array: bool) -> bool {
        let mut lines = self
            .recipe
            .functions
            .iter()
            .flat_map(|lines| lines.matching(name));
        lines.any(|line| line.is_array == is_array)
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("depends=b", &[(Code::NotAnArray, "depends=b")]),
    ("url=(b)", &[(Code::NotAString, "url=(b)")]),
    ("package() {\n depends=b\n:\n}", &[(Code::NotAnArray, "")]),
    ("source_x86_64=b", &[(Code::NotAnArray, "source_x86_64=b")]),
    ("depends=(b)\nurl=b", &[]),
    ("package() {\n local depends=b\n:\n}", &[]),
];
