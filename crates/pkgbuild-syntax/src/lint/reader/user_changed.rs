//! Programs that become another user, above all root.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in subject.invocations {
        let name = invocation.name();
        if matches!(name, "sudo" | "doas" | "pkexec" | "su") {
            let span = invocation.words.first().map(|word| word.span);
            found.push(Code::UserChanged.found(
                span,
                format!("`{name}` runs a command as another user"),
                "drop it: a build runs as one user, who owns its files",
            ));
        }
    }
}
