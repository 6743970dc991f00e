//! Files that are kept (`lint_backup`).

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::span::Span;

impl Lint<'_> {
    pub(super) fn backup(&mut self, text: &str, span: Option<Span>) {
        if text.starts_with('/') {
            self.report(
                Code::BackupAbsolute,
                span,
                format!("`{text}` in `backup` has a leading slash"),
                "drop the leading slash",
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("backup=(etc/a /etc/b)", &[(Code::BackupAbsolute, "/etc/b")]),
    ("backup=(etc/a)", &[]),
];
