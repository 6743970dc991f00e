//! Commas between the elements of a list, which bash takes for parts of them.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic, Edit};
use crate::package::ArrayField;
use crate::span::Span;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for (key, array) in &subject.package.common.arrays {
        if key.field == ArrayField::Optdepends {
            continue;
        }
        for (text, span) in array.known() {
            let Some(span) = span.filter(|_| text.ends_with(',')) else {
                continue;
            };
            let raw = subject.file.text(span);
            let end = raw.iter().rposition(|&byte| byte == b',');
            let edit = end.filter(|at| raw[at + 1..].iter().all(|byte| b"'\"".contains(byte)));
            let edits = edit.and_then(|at| u32::try_from(at).ok()).map(|at| Edit {
                span: Span::new(span.start + at, span.start + at + 1),
                text: String::new(),
            });
            found.push(
                Code::CommaInList
                    .found(
                        Some(span),
                        format!("the comma is a part of `{text}` in `{key}`"),
                        "drop it: blanks separate elements",
                    )
                    .with_edits(edits.into_iter().collect()),
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("depends=(b, c)", &[(Code::CommaInList, "b,")]),
    ("arch=('x86_64',)", &[(Code::CommaInList, "'x86_64',")]),
    ("optdepends=('b: c, d' 'e: f,')", &[]),
    ("depends=(b{,-c})", &[]),
];
