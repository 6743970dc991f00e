//! Sources without any checksum.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for one in subject.judged() {
        if one.source.version_control.is_none() && one.checksums.is_empty() {
            found.push(Code::ChecksumMissing.found(
                one.span,
                format!("`{}` has no checksum", one.source.location),
                "run `updpkgsums`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("source=(b)", &[(Code::ChecksumMissing, "b")]),
    (
        "source=(b)\nsource_x86_64=(c)\nb2sums=(SKIP)",
        &[(Code::ChecksumMissing, "c")],
    ),
    ("source=(b)\nb2sums=(SKIP)", &[]),
    ("source=(git+https://x.org/b#tag=1)", &[]),
    ("source=(b)\nb2sums=($(curl x))", &[]),
];
