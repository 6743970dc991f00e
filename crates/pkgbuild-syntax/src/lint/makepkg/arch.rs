//! The elements of `arch` (`lint_arch`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::span::Span;

impl Lint<'_> {
    pub(super) fn arch(&mut self) {
        let known: Vec<(String, Option<Span>)> = self
            .arches
            .known()
            .map(|(name, span)| (name.to_owned(), span))
            .collect();
        let reasons: Vec<_> = self.arches.reasons().cloned().collect();
        self.undecided(&reasons);
        if let Some((_, span)) = known.iter().find(|(name, _)| name == "any") {
            if known.len() > 1 {
                self.report(
                    Code::ArchAnyMixed,
                    *span,
                    "`any` stands in `arch` together with other architectures".to_owned(),
                    "keep `any` alone, or the other architectures",
                );
            }
            return;
        }
        for (name, span) in known {
            // makepkg accepts an empty element here.
            if !name
                .chars()
                .all(|character| character.is_alphanumeric() || character == '_')
            {
                self.report(
                    Code::ArchInvalid,
                    span,
                    format!("the architecture `{name}` contains invalid characters"),
                    "give each architecture as an element of its own, of letters, digits and `_`",
                );
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("arch=(any x86_64)", &[(Code::ArchAnyMixed, "any")]),
    ("arch=('x86-64')", &[(Code::ArchInvalid, "'x86-64'")]),
    ("arch=('x86_64 i686')", &[(Code::ArchInvalid, "*")]),
    ("arch=(any)", &[]),
    ("arch=(x86_64 aarch64)", &[]),
    ("arch=(x86_64 '')", &[]),
];
