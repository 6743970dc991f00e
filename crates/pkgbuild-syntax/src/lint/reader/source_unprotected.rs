//! Sources over connections that anybody on the way can change, with nothing that proves them.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for one in subject.judged() {
        let source = &one.source;
        if one.proofs().next().is_none() && !source.is_commit() && source.is_plain() {
            found.push(Code::SourceUnprotected.found(
                one.span,
                format!(
                    "nothing proves `{}`, which anybody on the way can replace",
                    source.location
                ),
                "use `https:`, or add a checksum",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(http://x.org/b)\nsha256sums=(SKIP)",
        &[(Code::SourceUnprotected, "http://x.org/b")],
    ),
    (
        "source=(git://x.org/b#tag=1)\nsha256sums=(SKIP)",
        &[(Code::SourceUnprotected, "git://x.org/b#tag=1")],
    ),
    (
        "source=(git+http://x.org/b#tag=1)",
        &[(Code::SourceUnprotected, "*")],
    ),
    ("source=(git://x.org/b#commit=1)\nsha256sums=(SKIP)", &[]),
    ("source=(http://x.org/b)\nsha256sums=(1)", &[]),
];
