//! Programs that become another user, above all root.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in &subject.invocations {
        if invocation.changes_user() {
            let name = invocation.name();
            let span = invocation.words.first().map(|word| word.span);
            found.push(Code::UserChanged.found(
                span,
                format!("`{name}` runs a command as another user"),
                "drop it: a build runs as one user, who owns its files",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "package() {\n  sudo make install\n}",
        &[(Code::UserChanged, "sudo")],
    ),
    (
        "prepare() {\n  /usr/bin/su -c x\n}\npackage() { :; }",
        &[(Code::UserChanged, "/usr/bin/su")],
    ),
    (
        "package() {\n  install -Dm4755 sudo \"$pkgdir/usr/bin/sudo\"\n}",
        &[],
    ),
];
