//! A program from the network that runs unseen, as in `curl … | sh`.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};

fn is_shell(name: &str) -> bool {
    matches!(
        name,
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "python" | "python3" | "perl"
    )
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in subject.invocations {
        let fetches = matches!(invocation.name(), "curl" | "wget");
        let piped = fetches && invocation.pipes_into.as_deref().is_some_and(is_shell);
        let starts = ["$(curl ", "<(curl ", "$(wget ", "<(wget "];
        let given =
            matches!(invocation.name(), "eval" | "source" | ".") || is_shell(invocation.name());
        let given = given
            && invocation
                .arguments()
                .iter()
                .any(|word| starts.iter().any(|start| word.raw.contains(start)));
        if piped || given {
            found.push(Code::PipeToShell.found(
                Some(invocation.span),
                "what the network sends is run unseen",
                "list it in `source` with a checksum",
            ));
        }
    }
}
