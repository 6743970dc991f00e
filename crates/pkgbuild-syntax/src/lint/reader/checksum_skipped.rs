//! `SKIP` for sources that could be checked.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for one in subject.judged() {
        let source = &one.source;
        let skipped = !one.checksums.is_empty() && one.proofs().next().is_none();
        if skipped && source.version_control.is_none() && !source.is_signature() {
            found.push(Code::ChecksumSkipped.found(
                one.span,
                format!(
                    "the checksum of `{}` is skipped although the file could be checked",
                    source.location
                ),
                "run `updpkgsums`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(https://x.org/b)\nsha256sums=(SKIP)",
        &[(Code::ChecksumSkipped, "https://x.org/b")],
    ),
    (
        "source=(https://x.org/b)\nsha256sums=(SKIP)\nmd5sums=(SKIP)",
        &[(Code::ChecksumSkipped, "*")],
    ),
    ("source=(https://x.org/b.sig)\nsha256sums=(SKIP)", &[]),
    (
        "source=(https://x.org/b)\nsha256sums=(SKIP)\nmd5sums=(1)",
        &[],
    ),
    ("source=(git+https://x.org/b#tag=1)\nsha256sums=(SKIP)", &[]),
];
