//! `$pkgdir` and `$srcdir` without quotes, which a blank in the path tears apart.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic, Edit};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in &subject.invocations {
        for span in &invocation.unquoted {
            let raw = subject.file.text_lossy(*span);
            let edit = Edit {
                span: *span,
                text: format!("\"{raw}\""),
            };
            found.push(
                Code::UnquotedDirectory
                    .found(
                        Some(*span),
                        format!("a blank in the path tears `{raw}` apart"),
                        format!("write \"{raw}\""),
                    )
                    .with_edits(vec![edit]),
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() {\n  cp b $pkgdir/usr\n}",
        &[(Code::UnquotedDirectory, "$pkgdir")],
    ),
    (
        "build() {\n  cd ${srcdir}/b\n}\npackage() { :; }",
        &[(Code::UnquotedDirectory, "${srcdir}")],
    ),
    (
        "package() {\n  local x=$pkgdir/usr\n  [[ -e $pkgdir/usr ]] && cd \"$srcdir\"\n}",
        &[],
    ),
];
