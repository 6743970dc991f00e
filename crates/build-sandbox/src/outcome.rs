use std::time::Duration;

use crate::isolation::{Isolation, Kill};
use crate::limits::{Enforcement, LimitKind};
use crate::phase::Phase;

/// Whose files a packaging phase made, as it saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// The phase saw itself and its files as owned by root, as under fakeroot.
    Root,
    /// The phase saw the files as owned by the build's user.
    Plain,
}

/// Which privileges the build had on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// Those of the caller, who is an ordinary user, or root of a user namespace that holds no
    /// other user, which is an ordinary user outside of it.
    Caller,
    /// The caller is root; the build ran as this user id, which was its own.
    Dropped(u32),
}

/// How a run was kept apart and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// The tier in force.
    pub isolation: Isolation,
    /// How sure it is that nothing is left.
    pub kill: Kill,
    /// What held each limit.
    pub limits: Vec<(LimitKind, Enforcement)>,
    /// Whose files the run made.
    pub ownership: Ownership,
    /// The privileges of the run.
    pub credentials: Credentials,
    /// Wall time from start until nothing was left.
    pub duration: Duration,
    /// Bytes of output on both streams.
    pub output_bytes: u64,
    /// Largest sampled memory in bytes; 0 for a run shorter than a sample.
    pub peak_memory: u64,
}

/// What became of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseStatus {
    /// Its function ran and succeeded.
    Ran,
    /// The recipe has no such function, or the check policy skips it.
    Skipped,
    /// `check()` failed with this status, which the policy allows.
    CheckFailed(i32),
}

/// The result of a phase that did not fail.
#[derive(Clone, Debug)]
pub struct PhaseOutcome {
    /// The phase.
    pub phase: Phase,
    /// What became of it.
    pub status: PhaseStatus,
    /// What `pkgver()` printed, checked; only for [`Phase::Pkgver`].
    pub pkgver: Option<String>,
    /// How it was run; `None` if the policy skipped it without running anything.
    pub report: Option<RunReport>,
}

/// The result of a command that did not fail.
#[derive(Clone, Debug)]
pub struct CommandOutcome {
    /// The first 64 KiB of its standard output, decoded lossily.
    pub stdout: String,
    /// How it was run.
    pub report: RunReport,
}
