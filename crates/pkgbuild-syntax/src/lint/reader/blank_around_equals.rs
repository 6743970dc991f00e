//! `pkgver = 1` and `pkgver= 1`, which assign nothing.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic, Edit};
use crate::package::{ArrayKey, StringField};
use crate::span::Span;

/// Whether no program is meant by the name.
pub(super) fn is_field(name: &str) -> bool {
    matches!(name, "pkgname" | "pkgbase")
        || name.parse::<ArrayKey>().is_ok()
        || name.parse::<StringField>().is_ok()
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let top = subject
        .invocations
        .iter()
        .filter(|invocation| invocation.function.is_none());
    for invocation in top {
        let Some(first) = invocation.words.first() else {
            continue;
        };
        let (name, span, edits) = match (&invocation.emptied, invocation.words.get(1)) {
            (Some((name, span)), None) if is_field(name) => (
                name.as_str(),
                *span,
                vec![Span::new(span.end, first.span.start)],
            ),
            (None, Some(sign)) if is_field(&first.raw) && sign.raw.starts_with('=') => {
                let mut blanks = vec![Span::new(first.span.end, sign.span.start)];
                if sign.raw == "="
                    && let Some(value) = invocation.words.get(2)
                {
                    blanks.push(Span::new(sign.span.end, value.span.start));
                }
                (first.raw.as_str(), first.span, blanks)
            }
            _ => continue,
        };
        let edits = edits.into_iter().map(|span| Edit {
            span,
            text: String::new(),
        });
        found.push(
            Code::BlankAroundEquals
                .found(
                    Some(span),
                    format!("blanks round `=` make a command of it: `{name}` is not assigned"),
                    "drop the blanks",
                )
                .with_edits(edits.collect()),
        );
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("pkgver = 2", &[(Code::BlankAroundEquals, "pkgver")]),
    ("url= https://x.org", &[(Code::BlankAroundEquals, "url=")]),
    ("pkgver =2", &[(Code::BlankAroundEquals, "pkgver")]),
    ("_x= true", &[]),
    ("url= true x", &[]),
    ("package() {\n  pkgdesc = x\n}", &[]),
];
