//! Comments that allow what a rule finds: `# lint: allow(source-moving)` for its own line, or alone
//! for the next one; `# lint: allow-file(…)` for all.

use super::diagnostic::Diagnostic;
use crate::span::{LineIndex, Span};
use crate::tree::{File, LeafKind};

struct Allowance<'file> {
    /// Counted from 0; `None` for the whole file.
    line: Option<u32>,
    codes: Vec<&'file str>,
}

/// Drops what comments allow. makepkg's own rules cannot be allowed: it refuses all the same.
pub(super) fn apply(file: &File, found: &mut Vec<Diagnostic>) {
    if found.is_empty() || memchr::memmem::find(file.source(), b"lint:").is_none() {
        return;
    }
    let index = LineIndex::new(file.source());
    let allowances: Vec<Allowance<'_>> = file
        .leaves()
        .filter(|leaf| leaf.kind == LeafKind::Comment)
        .filter_map(|leaf| allowance(file, &index, leaf.span))
        .collect();
    found.retain(|diagnostic| {
        let line = diagnostic.span.map(|span| index.place(span.start).line);
        let allowed = allowances.iter().any(|allowance| {
            allowance.codes.contains(&diagnostic.code.name())
                && (allowance.line.is_none() || allowance.line == line)
        });
        !allowed || diagnostic.code.is_lint_pkgbuild()
    });
}

fn allowance<'file>(
    file: &'file File,
    index: &LineIndex<'_>,
    span: Span,
) -> Option<Allowance<'file>> {
    let text = std::str::from_utf8(file.text(span)).ok()?;
    let rest = text
        .trim_start_matches('#')
        .trim_start()
        .strip_prefix("lint:")?;
    let rest = rest.trim_start();
    let (whole, rest) = match rest.strip_prefix("allow-file") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("allow")?),
    };
    let (codes, _) = rest.trim_start().strip_prefix('(')?.split_once(')')?;
    let place = index.place(span.start);
    let before = index.line(place.line)?;
    let column = usize::try_from(place.byte - index.start_of(place.line)).ok()?;
    let alone = before[..column.min(before.len())].trim_ascii().is_empty();
    Some(Allowance {
        line: (!whole).then_some(place.line + u32::from(alone)),
        codes: codes.split(',').map(str::trim).collect(),
    })
}
