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
        // What an expansion in front makes absolute is a place that the recipe was told, such as
        // `$startdir`, or comes of a variable that is missing, which is another matter.
        let raw = one.span.map_or(&b""[..], |span| subject.file.text(span));
        let computed = raw
            .trim_ascii_start()
            .strip_prefix(b"\"")
            .unwrap_or(raw)
            .starts_with(b"$");
        let absolute = named.starts_with('/') && !computed;
        if absolute || named.split('/').any(|part| part == "..") {
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
    ("source=(\"$_mirror/b\" $_x/c ${startdir}/d)", &[]),
    ("source=($_x/../b)", &[(Code::SourceEscapes, "$_x/../b")]),
];
