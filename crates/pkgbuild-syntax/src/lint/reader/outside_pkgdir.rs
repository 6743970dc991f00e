//! Commands that write to the host instead of "$pkgdir".

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::lint::invocation::{Invocation, Text};

const HOST: &[&str] = &[
    "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/opt", "/root", "/sbin", "/srv", "/usr",
    "/var",
];

fn on_host(word: &Text) -> bool {
    let path = word.known.as_deref().unwrap_or_default();
    HOST.iter().any(|folder| {
        let rest = path.strip_prefix(folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The words that name what is written.
fn targets(invocation: &Invocation) -> Vec<&Text> {
    let operands: Vec<&Text> = invocation.operands().collect();
    match invocation.name() {
        "rm" | "rmdir" | "mkdir" | "touch" | "tee" | "unlink" => operands,
        "chmod" | "chown" | "chgrp" => operands.into_iter().skip(1).collect(),
        "install" if invocation.has_flag('d') => operands,
        "install" | "cp" | "mv" | "ln" => {
            let arguments = invocation.arguments();
            let into = arguments.iter().position(|word| {
                word.raw.starts_with('-') && !word.raw.starts_with("--") && word.raw.ends_with('t')
            });
            match into {
                Some(at) => arguments.get(at + 1).into_iter().collect(),
                // A single operand is put into the current folder.
                None if operands.len() < 2 => Vec::new(),
                None => operands.last().copied().into_iter().collect(),
            }
        }
        _ => Vec::new(),
    }
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for invocation in subject.invocations {
        let builds = matches!(
            invocation.function.as_deref(),
            Some("prepare" | "pkgver" | "build" | "check")
        );
        if !builds && !invocation.packages() {
            continue;
        }
        let written = invocation.written.iter();
        for target in targets(invocation).into_iter().chain(written) {
            if on_host(target) {
                found.push(Code::OutsidePkgdir.found(
                    Some(target.span),
                    format!("`{}` is written on the host itself", target.raw),
                    "put \"$pkgdir\" in front",
                ));
            }
        }
    }
}
