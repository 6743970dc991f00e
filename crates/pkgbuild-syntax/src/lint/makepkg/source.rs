//! Gaps between sources (`lint_source`).

use super::Lint;
use crate::lint::diagnostic::Code;

impl Lint<'_> {
    pub(super) fn source(&mut self) {
        if self.recipe.evaluation.is_sparse("source") {
            self.report(
                Code::SourceSparse,
                self.span("source"),
                "the indices of `source` have gaps".to_owned(),
                "assign the sources without indices, and do not `unset` single ones",
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(a b)\nunset 'source[0]'",
        &[(Code::SourceSparse, "*")],
    ),
    ("source=(a b)", &[]),
    ("source=(a b)\nunset 'source[1]'", &[]),
];
