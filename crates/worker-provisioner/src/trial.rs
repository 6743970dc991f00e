//! Tries a new binary in the sandbox before it replaces an old one.

use std::io::ErrorKind;
use std::path::Path;

use build_sandbox::{BuildSpec, Network, Sandbox, SandboxError, Silent, Writable};
use tokio_util::sync::CancellationToken;

use crate::binary;
use crate::concession::Concession;
use crate::config::Config;
use crate::error::ProvisionError;
use crate::progress::{Emitter, ProvisionPhase};
use crate::receipt::Receipt;

/// What a worker is asked; the second only when it does not know the first.
const QUESTIONS: [&str; 2] = ["--version", "--help"];

/// The exit statuses of a shell or loader that could not start the program: sh(1), "exit status".
const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What came of asking a program.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It answered.
    Given,
    /// It did not.
    Silent {
        /// Why, with its last words.
        problem: String,
        /// Whether it cannot work at all.
        is_final: bool,
    },
}

/// Whether a stored program is still to be tried.
pub(crate) fn is_due(config: &Config, receipt: &Receipt) -> bool {
    let recorded = receipt.concessions.as_ref();
    config.trial && recorded.is_some_and(|all| all.contains(&Concession::Untried))
}

/// Starts `program` by `launcher` and tells what it answered.
///
/// # Errors
/// [`ProvisionError::Cancelled`].
pub(crate) async fn run(
    sandbox: &Sandbox,
    spec: &BuildSpec,
    launcher: &Path,
    program: &Path,
    cancel: &CancellationToken,
    emitter: &Emitter,
) -> Result<Answer, ProvisionError> {
    let mut refusal = None;
    for question in QUESTIONS {
        let command = [launcher.to_string_lossy().into_owned(), question.to_owned()];
        let asked = sandbox.run_command(
            spec,
            &command,
            Network::None,
            Writable::Private,
            cancel,
            &Silent,
        );
        match asked.await {
            Ok(outcome) => {
                let answer = outcome.stdout.lines().next().unwrap_or_default();
                emitter.note(
                    ProvisionPhase::Trial,
                    format!("`{question}` answers `{answer}`"),
                );
                return Ok(Answer::Given);
            }
            Err(SandboxError::Cancelled { .. }) => return Err(ProvisionError::Cancelled),
            Err(error) => {
                let is_silent = matches!(error, SandboxError::TimedOut { .. });
                let (problem, is_final) = diagnose(&error, program);
                if is_final || is_silent {
                    return Ok(Answer::Silent { problem, is_final });
                }
                refusal.get_or_insert(problem);
            }
        }
    }
    // It starts, only it does not know the questions: that is for its users to judge.
    Ok(Answer::Silent {
        problem: refusal.unwrap_or_default(),
        is_final: false,
    })
}

/// What went wrong, for people, and whether the program cannot work at all.
fn diagnose(error: &SandboxError, program: &Path) -> (String, bool) {
    match error {
        SandboxError::Execute { source, .. } => {
            // The program itself is there: it was found and checked a moment ago.
            let problem = match binary::interpreter(program) {
                Some(name) if source.kind() == ErrorKind::NotFound => {
                    format!("its interpreter is missing (`{name}`)")
                }
                _ => format!("it cannot be started: {source}"),
            };
            (problem, true)
        }
        SandboxError::Failed { status, tail, .. } => {
            let text = tail.text();
            let words = last_words(text);
            match explain(text) {
                Some(problem) => (problem, true),
                None if [CANNOT_EXECUTE, NOT_FOUND].contains(status) => (
                    // A shell starts it, which says no more than that something is missing.
                    binary::interpreter(program)
                        .filter(|name| !Path::new(name).exists())
                        .map_or_else(
                            || format!("it cannot be started (status {status}){words}"),
                            |name| format!("its interpreter is missing (`{name}`)"),
                        ),
                    true,
                ),
                None => (
                    format!("it fails with status {status}{words}"),
                    lacks_something(text),
                ),
            }
        }
        SandboxError::Signalled { signal, .. } => (signalled(*signal), true),
        SandboxError::TimedOut { .. } => (
            "it does not answer; does it ignore `--version` and serve at once?".to_owned(),
            false,
        ),
        other => (other.to_string(), true),
    }
}

/// What a program says when a file or module of its own is not there.
const LACKS: [&str; 5] = [
    "Cannot find module",
    "MODULE_NOT_FOUND",
    "ModuleNotFoundError",
    "ImportError",
    "cannot open shared object file",
];

fn lacks_something(text: &str) -> bool {
    // A program may well miss its own configuration, but not what its package brings.
    let misses = |line: &str| {
        line.contains("No such file or directory")
            && ["/usr/", "/opt/"].iter().any(|place| line.contains(place))
    };
    LACKS.iter().any(|words| text.contains(words)) || text.lines().any(misses)
}

/// The end of what it has said, with a mark before it.
fn last_words(text: &str) -> String {
    const LINES: usize = 3;
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() {
        return String::new();
    }
    format!(": {}", last.join(" / "))
}

fn signalled(signal: i32) -> String {
    let why = match signal {
        4 => "an illegal instruction: it is built for a newer processor",
        6 => "an abort",
        7 => "a bus error",
        11 => "a segmentation fault",
        31 => "a system call that is not allowed in the sandbox",
        _ => return format!("it was killed by signal {signal}"),
    };
    format!("it ended with {why}")
}

/// What the loader's own words mean; ld.so(8) writes them to standard error.
fn explain(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        if let Some((_, rest)) = line.split_once("error while loading shared libraries: ") {
            let library = rest.split(':').next().unwrap_or(rest);
            return Some(format!("the shared library `{library}` is missing"));
        }
        if let Some((_, symbol)) = line.split_once(": undefined symbol: ") {
            let symbol = symbol.split([',', ' ']).next().unwrap_or(symbol);
            return Some(format!(
                "a shared library of this system is older than the program needs: `{symbol}` is missing in it"
            ));
        }
        if let Some((_, rest)) = line.split_once("version `")
            && let Some((version, _)) = rest.split_once("' not found")
        {
            return Some(format!(
                "the C library of this system is older than `{version}`"
            ));
        }
        let (_, rest) = line
            .split_once(": cannot execute: required file not found")
            .map_or_else(
                || line.split_once(": bad interpreter: "),
                |(before, _)| Some((before, before)),
            )?;
        Some(format!("its interpreter is missing ({rest})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_words_are_explained() {
        let cases = [
            (
                "/x/w: error while loading shared libraries: libcudart.so.12: cannot open shared object file",
                "`libcudart.so.12` is missing",
            ),
            (
                "/x/w: /lib/libc.so.6: version `GLIBC_2.39' not found (required by /x/w)",
                "GLIBC_2.39",
            ),
            (
                "/x/w: symbol lookup error: /x/w: undefined symbol: cudaFoo, version libcudart.so.12",
                "`cudaFoo` is missing",
            ),
            (
                "bash: line 1: /x/w: cannot execute: required file not found",
                "interpreter",
            ),
            (
                "/x/w: /opt/python: bad interpreter: No such file or directory",
                "interpreter",
            ),
        ];
        for (text, part) in cases {
            let explained = explain(text);
            assert!(
                explained.as_ref().is_some_and(|text| text.contains(part)),
                "{explained:?}"
            );
        }
        assert_eq!(explain("usage: w [--port N]"), None);
    }
}
