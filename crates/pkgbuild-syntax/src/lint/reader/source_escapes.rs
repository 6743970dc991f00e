//! Sources whose file name leaves the recipe's folder.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for one in subject.groups.iter().flat_map(|group| &group.sources) {
        let source = &one.source;
        let beside = if source.is_local() {
            source.location
        } else {
            ""
        };
        let named = source.name.unwrap_or(beside);
        if named.starts_with('/') || named.split('/').any(|part| part == "..") {
            found.push(Code::SourceEscapes.found(
                one.span,
                format!("the source `{named}` leaves the folder of the recipe"),
                "use a file name without `/` and `..`",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(../b)\nsha256sums=(SKIP)",
        &[(Code::SourceEscapes, "../b")],
    ),
    (
        "source=(../x::https://x.org/b)\nsha256sums=(SKIP)",
        &[(Code::SourceEscapes, "*")],
    ),
    ("source=(/b)", &[(Code::SourceEscapes, "/b")]),
    ("source=(https://x.org/../b sub/b)", &[]),
];
