//! Programs that need the network where there is none: in `check()` and `package()`.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::lint::invocation::{Invocation, Text};

fn needs_network(invocation: &Invocation) -> bool {
    let verb = invocation.operands().next().map_or("", |word| &word.raw);
    // A file that is there needs no network.
    let local = |word: &Text| {
        let name = word.raw.trim_end_matches(['"', '\'']);
        let ends = [".tgz", ".tar.gz", ".whl"];
        name.starts_with("./") || ends.iter().any(|end| name.ends_with(end))
    };
    let is_local = invocation.operands().any(local);
    let has = |option: &str| invocation.arguments().iter().any(|word| word.raw == option);
    match invocation.name() {
        "curl" | "wget" | "aria2c" => true,
        "git" => {
            let local = invocation
                .operands()
                .nth(1)
                .is_some_and(|word| word.raw.contains("srcdir") || word.raw.contains("file://"));
            matches!(verb, "clone" | "fetch" | "pull") && !local
        }
        "pip" | "pip3" => {
            verb == "install"
                && !is_local
                && !has("--no-index")
                && !has("--no-deps")
                && !has("--offline")
        }
        "npm" | "pnpm" | "yarn" => {
            !is_local
                && matches!(verb, "ci" | "add" | "install")
                && !has("--offline")
                && !has("--frozen-offline")
        }
        "go" => verb == "get",
        "cargo" => verb == "fetch" && !has("--offline"),
        _ => false,
    }
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in subject.invocations {
        let function = invocation.function.as_deref().unwrap_or_default();
        if (function == "check" || invocation.packages()) && needs_network(invocation) {
            found.push(Code::NetworkOffline.found(
                Some(invocation.span),
                format!(
                    "`{}` needs the network, which `{function}()` has not",
                    invocation.name()
                ),
                "fetch in `source`, or in `prepare()`",
            ));
        }
    }
}
