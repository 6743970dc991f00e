//! More or fewer checksums than sources.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for group in &subject.groups {
        for (key, _, sums) in &group.sums {
            let count = sums.known().count();
            if count != group.sources.len() {
                found.push(Code::ChecksumCount.found(
                    sums.span(),
                    format!(
                        "`{key}` has {count} elements for {} sources in `{}`",
                        group.sources.len(),
                        group.key
                    ),
                    "give each source one checksum, or `SKIP`",
                ));
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(b c)\nb2sums=(SKIP)",
        &[(Code::ChecksumCount, "b2sums=(SKIP)")],
    ),
    (
        "source=(b)\nb2sums=(SKIP SKIP)",
        &[(Code::ChecksumCount, "b2sums=(SKIP SKIP)")],
    ),
    ("source=(b c)\nb2sums=(SKIP SKIP)", &[]),
    ("source=(b $(curl x))\nb2sums=(SKIP)", &[]),
];
