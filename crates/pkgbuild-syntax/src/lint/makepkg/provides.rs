//! What a package provides (`lint_provides`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::lint::rules;
use crate::span::Span;

impl Lint<'_> {
    pub(super) fn provides(&mut self, text: &str, span: Option<Span>) {
        if text.contains(['<', '>']) {
            self.report(
                Code::ProvidesComparison,
                span,
                format!("`{text}` in `provides` compares versions"),
                "use `=` and one version",
            );
            return;
        }
        let (name, version) = match text.rsplit_once('=') {
            None => (text, None),
            Some((name, version)) => (name, Some(version)),
        };
        self.verdict(Code::NameInvalid, span, rules::name("provides", name));
        if let Some(version) = version {
            self.verdict(
                Code::PkgverInvalid,
                span,
                rules::full_version("provides", version),
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("provides=('b>=1')", &[(Code::ProvidesComparison, "'b>=1'")]),
    (
        "provides=('b=1-2-3')",
        &[(Code::PkgverInvalid, "'b=1-2-3'")],
    ),
    ("provides=('b=1:2-3' c)", &[]),
];
