//! Checkouts that are not fixed to a commit or tag.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    // A recipe that follows a branch has a `pkgver()`, and then it is no oversight.
    if subject.package.has_function("pkgver") {
        return;
    }
    for one in subject.groups.iter().flat_map(|group| &group.sources) {
        let source = &one.source;
        if source.version_control.is_some() && !source.is_fixed() {
            found.push(Code::SourceMoving.found(
                one.span,
                format!(
                    "the checkout `{}` is not fixed to a commit or tag",
                    source.location
                ),
                "append `#commit=…` or `#tag=…`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(git+https://x.org/b#branch=m)\nsha256sums=(SKIP)",
        &[(Code::SourceMoving, "git+https://x.org/b#branch=m")],
    ),
    (
        "source=(git+https://x.org/b)",
        &[(Code::SourceMoving, "git+https://x.org/b")],
    ),
    (
        "makedepends=(git)\nsource=(git+https://x.org/b#tag=1)\nsha256sums=(SKIP)",
        &[],
    ),
    (
        "makedepends=(git)\nsource=(git+https://x.org/b)\nsha256sums=(SKIP)\npkgver() { echo 1; }",
        &[],
    ),
];
