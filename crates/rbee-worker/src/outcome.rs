//! How a command ends: what is printed, and the exit status.

use std::io;
use std::process::ExitCode;

use printable::say_error;
use worker_provisioner::ProvisionError;

/// The exit codes, as `--help` tells them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes, of all commands:
  0    done
  1    failed; for `verify` and `doctor`, something is wrong
  2    wrong usage
  3    the worker does not run on this host, or there is no such worker
  130  cancelled by Ctrl-C or SIGTERM; nothing is left behind";

/// Tells why a command failed.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    let is_closed_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if is_closed_pipe {
        // Whoever read the output wants no more of it.
        return ExitCode::SUCCESS;
    }
    if let Some(error) = error.downcast_ref::<ProvisionError>() {
        say_error!("error: {}", error.chain());
        return code(error);
    }
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        let _ = error.print();
        return ExitCode::from(2);
    }
    say_error!("error: {error:#}");
    ExitCode::FAILURE
}

/// An error as a JSON document.
pub(crate) fn error_document(error: &ProvisionError) -> serde_json::Value {
    serde_json::json!({ "schema": SCHEMA, "error": error.chain(), "code": error.code() })
}

/// Whoever has closed the other end of a pipe wants no more, which is no failure.
pub(crate) fn unless_closed(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

/// The version of everything that `--json` prints.
pub(crate) const SCHEMA: u32 = 1;

/// The exit code of an error.
pub(crate) fn code(error: &ProvisionError) -> ExitCode {
    match error {
        ProvisionError::Cancelled => ExitCode::from(130),
        ProvisionError::Unsupported { .. }
        | ProvisionError::UnknownWorker { .. }
        | ProvisionError::UnknownHost { .. }
        | ProvisionError::RecipeArchitecture { .. }
        | ProvisionError::NotInstalled { .. } => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
