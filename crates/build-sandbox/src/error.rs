use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::isolation::Isolation;
use crate::limits::LimitKind;

/// The last lines of output before a failure, for showing below the error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail(pub(crate) String);

impl Tail {
    /// The text, at most 8 KiB, both streams mixed in the order of reading.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last: Vec<&str> = self.0.lines().rev().take(20).collect();
        if !last.is_empty() {
            f.write_str("; last output:")?;
        }
        last.iter()
            .rev()
            .try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// Why a run did not succeed.
///
/// The variants keep apart what the build did ([`Failed`](Self::Failed),
/// [`Signalled`](Self::Signalled), one variant for each limit and the recipe's faults),
/// what the caller asked for ([`Cancelled`](Self::Cancelled)) and what the sandbox or the host
/// could not do (all others).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A field of the [`BuildSpec`](crate::BuildSpec) cannot be used.
    #[error("`{field}` {problem}: `{value}`")]
    InvalidSpec {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
        /// Its value, at most 200 characters.
        value: String,
    },
    /// An added environment variable was refused.
    #[error("environment variable `{name}` {problem}")]
    InvalidVariable {
        /// Its name.
        name: String,
        /// Why it was refused. The value is not shown, as it may be a secret.
        problem: &'static str,
    },
    /// The host does not offer the isolation that the build requires.
    #[error("the build requires isolation `{required}`, but {reason}")]
    IsolationUnavailable {
        /// The minimum or the exact tier asked for.
        required: Isolation,
        /// What is missing, per tier.
        reason: String,
    },
    /// A file or directory could not be made ready.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A directory that a build could have replaced is a symbolic link.
    #[error("`{path}` is a symbolic link or not a directory; remove it and start the build afresh")]
    NotADirectory {
        /// The offending path.
        path: PathBuf,
    },
    /// The caller is root, and there is no other user that the build could run as.
    #[error(
        "the caller is root, and there is no other user for the build: {reason}; run as an ordinary user, or name a range of user ids that exists here"
    )]
    NoBuildUser {
        /// Why there is none.
        reason: String,
    },
    /// The caller is root, and the build's user cannot reach a directory of the build.
    #[error(
        "the build's user may not pass `{parent}` on the way to `{path}`; choose a place that every user may pass, or the isolation `namespaces`"
    )]
    Unreachable {
        /// What has to be reached.
        path: PathBuf,
        /// The directory that is in the way.
        parent: PathBuf,
    },
    /// The directories of the build could not be handed to its user.
    #[error("failed to hand the build's directories to its user")]
    HandOver {
        /// Why it failed.
        source: untrusted_tree::TreeError,
    },
    /// The supervisor could not be started.
    #[error("failed to {step} while starting the sandbox")]
    Start {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The sandbox was set up only in part; nothing of the build has run.
    #[error("failed to {step} inside the sandbox (`{isolation}`)")]
    Setup {
        /// The tier.
        isolation: Isolation,
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The system refused to start the program: it, or the interpreter it asks for, is missing or
    /// of another format (execve(2), "ERRORS").
    #[error("the program of `{phase}` could not be started in the sandbox")]
    Execute {
        /// Phase name, `evaluate` or the program.
        phase: String,
        /// Why not.
        source: io::Error,
    },
    /// The supervisor ended without a result, so processes may be left.
    #[error(
        "the supervisor of `{phase}` disappeared (was it killed from outside?); processes of the build may be left"
    )]
    SupervisorLost {
        /// What ran.
        phase: String,
    },
    /// Processes did not end although they were killed.
    #[error(
        "processes of `{phase}` did not end {waited:?} after SIGKILL; they are stuck inside the kernel"
    )]
    Unkillable {
        /// What ran.
        phase: String,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The recipe could not be sourced.
    #[error("the recipe cannot be sourced (bash status {status}){tail}")]
    Recipe {
        /// Exit status of bash.
        status: i32,
        /// Last lines of output.
        tail: Tail,
    },
    /// The recipe lacks a function that is required.
    #[error("the recipe has no function `{function}()`")]
    MissingFunction {
        /// `package` or `package_<name>`.
        function: String,
    },
    /// `pkgver()` printed something that is no version.
    #[error("`pkgver()` printed `{output}`, which {problem}")]
    InvalidPkgver {
        /// What it printed, at most 200 characters.
        output: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What `evaluate` printed could not be read.
    #[error("the declarations of the recipe cannot be read: {problem}")]
    Declarations {
        /// What is wrong.
        problem: &'static str,
    },
    /// The build ran and failed.
    #[error("`{phase}` failed with status {status}{tail}")]
    Failed {
        /// What ran.
        phase: String,
        /// Its exit status.
        status: i32,
        /// Last lines of output.
        tail: Tail,
    },
    /// The build was ended by a signal that the sandbox did not send.
    #[error("`{phase}` was killed by signal {signal}{tail}")]
    Signalled {
        /// What ran.
        phase: String,
        /// The signal.
        signal: i32,
        /// Last lines of output.
        tail: Tail,
    },
    /// The build ran longer than [`Limits::wall`](crate::Limits::wall) or was silent for longer
    /// than [`Limits::silent`](crate::Limits::silent).
    #[error(
        "`{phase}` exceeded the limit on {limit} of {allowed:?}; raise it if the build needs longer{tail}"
    )]
    TimedOut {
        /// What ran.
        phase: String,
        /// [`LimitKind::Wall`] or [`LimitKind::Silent`].
        limit: LimitKind,
        /// The limit.
        allowed: Duration,
        /// Last lines of output.
        tail: Tail,
    },
    /// The build used more memory than [`Limits::memory`](crate::Limits::memory).
    #[error(
        "`{phase}` used {used} bytes of memory of {allowed} allowed; lower the number of jobs, or raise the limit (`--memory-limit`) if it needs that much{tail}"
    )]
    Memory {
        /// What ran.
        phase: String,
        /// The limit in bytes.
        allowed: u64,
        /// What was measured.
        used: u64,
        /// Last lines of output.
        tail: Tail,
    },
    /// More processes than [`Limits::processes`](crate::Limits::processes).
    #[error(
        "`{phase}` ran {used} processes of {allowed} allowed; lower the number of jobs, or raise the limit (`--process-limit`){tail}"
    )]
    Processes {
        /// What ran.
        phase: String,
        /// The limit.
        allowed: u64,
        /// What was counted.
        used: u64,
        /// Last lines of output.
        tail: Tail,
    },
    /// A file grew to [`Limits::file_size`](crate::Limits::file_size).
    #[error("`{phase}` wrote a file larger than {allowed} bytes{tail}")]
    FileSize {
        /// What ran.
        phase: String,
        /// The limit in bytes.
        allowed: u64,
        /// Last lines of output.
        tail: Tail,
    },
    /// A process had [`Limits::open_files`](crate::Limits::open_files) descriptors open.
    #[error("`{phase}` had {allowed} files open, the limit{tail}")]
    OpenFiles {
        /// What ran.
        phase: String,
        /// The limit.
        allowed: u64,
        /// Last lines of output.
        tail: Tail,
    },
    /// The build directories grew past [`Limits::disk`](crate::Limits::disk).
    #[error(
        "the directories of `{phase}` take {used} bytes of {allowed} allowed; raise the limit (`--disk-limit`) if the build needs that much{tail}"
    )]
    Disk {
        /// What ran.
        phase: String,
        /// The limit in bytes.
        allowed: u64,
        /// What was measured.
        used: u64,
        /// Last lines of output.
        tail: Tail,
    },
    /// More output than [`Limits::log`](crate::Limits::log).
    #[error("`{phase}` wrote more than {allowed} bytes of output{tail}")]
    LogSize {
        /// What ran.
        phase: String,
        /// The limit in bytes.
        allowed: u64,
        /// Last lines of output.
        tail: Tail,
    },
    /// The token was cancelled; no process of the build is left.
    #[error("`{phase}` was cancelled")]
    Cancelled {
        /// What ran.
        phase: String,
    },
}

impl SandboxError {
    /// The last lines of output, where the error has them.
    pub fn tail(&self) -> Option<&str> {
        match self {
            Self::Recipe { tail, .. }
            | Self::Failed { tail, .. }
            | Self::Signalled { tail, .. }
            | Self::TimedOut { tail, .. }
            | Self::Memory { tail, .. }
            | Self::Processes { tail, .. }
            | Self::FileSize { tail, .. }
            | Self::OpenFiles { tail, .. }
            | Self::Disk { tail, .. }
            | Self::LogSize { tail, .. } => Some(tail.text()),
            _ => None,
        }
    }

    /// Whether the caller's token ended the run.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }
}
