//! A program from the network that runs unseen, as in `curl … | sh`.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in &subject.invocations {
        if invocation.runs_what_it_fetches() {
            found.push(Code::PipeToShell.found(
                Some(invocation.span),
                "what the network sends is run unseen",
                "list it in `source` with a checksum",
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "build() {\n  curl https://x.org/b | sh\n}\npackage() { :; }",
        &[(Code::PipeToShell, "curl https://x.org/b")],
    ),
    (
        "build() {\n  bash -c \"$(wget -O- https://x.org/b)\"\n}\npackage() { :; }",
        &[(Code::PipeToShell, "*")],
    ),
    (
        "build() {\n  curl https://x.org/b | tar x\n}\npackage() { :; }",
        &[],
    ),
    (
        "build() {\n  bash -c \"$(cat b)\"\n}\npackage() { :; }",
        &[],
    ),
];
