//! Checksums that are neither `SKIP` nor of the right length and digits.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::package::Algorithm;

fn is_valid(algorithm: Algorithm, digest: &str) -> bool {
    let digits = match algorithm.hex_digits() {
        None => !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_digit()),
        Some(count) => digest.len() == count && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
    };
    digits || digest == "SKIP"
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for group in &subject.groups {
        for (_, algorithm, sums) in &group.sums {
            // What is too much is another rule's.
            for (digest, span) in sums.known().take(group.sources.len()) {
                if is_valid(*algorithm, digest) {
                    continue;
                }
                let expected = match algorithm.hex_digits() {
                    None => "a decimal number".to_owned(),
                    Some(count) => format!("{count} hexadecimal digits"),
                };
                found.push(Code::ChecksumInvalid.found(
                    span,
                    format!("`{digest}` is not a checksum of `{algorithm}`: expected {expected}"),
                    "run `updpkgsums`, or write `SKIP`",
                ));
            }
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(b)\nsha256sums=(123)",
        &[(Code::ChecksumInvalid, "123")],
    ),
    (
        "source=(b)\ncksums=(0x1)",
        &[(Code::ChecksumInvalid, "0x1")],
    ),
    (
        "source=(b)\nmd5sums=(d41d8cd98f00b204e9800998ecf8427g)",
        &[(Code::ChecksumInvalid, "*")],
    ),
    (
        "source=(b)\nmd5sums=(d41d8cd98f00b204e9800998ecf8427e)",
        &[],
    ),
    ("source=(b)\ncksums=(1)", &[]),
    ("source=(b)\nb2sums=(SKIP)", &[]),
];
