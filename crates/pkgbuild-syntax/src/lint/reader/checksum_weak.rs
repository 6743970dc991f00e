//! Downloads with nothing but checksums that can be forged.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::package::Algorithm;

fn is_weak(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ck | Algorithm::Md5 | Algorithm::Sha1)
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for one in subject.judged() {
        // A file beside the recipe comes with it.
        let fetched = !one.source.scheme.is_empty() && one.source.version_control.is_none();
        if fetched && one.proofs().next().is_some() && one.proofs().all(is_weak) {
            found.push(Code::ChecksumWeak.found(
                one.span,
                format!(
                    "`{}` has only checksums that can be forged",
                    one.source.location
                ),
                "add `sha256sums` or `b2sums`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(https://x.org/b)\ncksums=(1)",
        &[(Code::ChecksumWeak, "https://x.org/b")],
    ),
    (
        "source=(https://x.org/b)\nmd5sums=(1)\nsha1sums=(2)",
        &[(Code::ChecksumWeak, "*")],
    ),
    ("source=(b.patch)\ncksums=(1)", &[]),
    ("source=(https://x.org/b)\nmd5sums=(1)\nb2sums=(2)", &[]),
];
