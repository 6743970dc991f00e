//! What the end of a run means.

use nix::libc;

use crate::error::{SandboxError, Tail};
use crate::limits::{Enforcement, LimitKind, Limits};
use crate::run::{Cause, Ended};
use crate::script;
use crate::spec::check_pkgver;

pub(crate) fn failed(ended: &Ended) -> bool {
    ended.status.is_some_and(|status| status != 0)
}

/// Turns the end of a run into its error, if it is one.
pub(crate) fn judge(what: &str, ended: &Ended, limits: &Limits) -> Result<(), SandboxError> {
    let phase = what.to_owned();
    let tail = Tail(ended.tail.clone());
    if let Some(cause) = ended.cause {
        return Err(match cause {
            Cause::Cancelled => SandboxError::Cancelled { phase },
            Cause::Wall => SandboxError::TimedOut {
                phase,
                limit: LimitKind::Wall,
                allowed: limits.wall,
                tail,
            },
            Cause::Silent => SandboxError::TimedOut {
                phase,
                limit: LimitKind::Silent,
                allowed: limits.silent,
                tail,
            },
            Cause::LogSize => SandboxError::LogSize {
                phase,
                allowed: limits.log,
                tail,
            },
            Cause::Disk { used } => SandboxError::Disk {
                phase,
                allowed: limits.disk,
                used,
                tail,
            },
            Cause::Memory { used } => SandboxError::Memory {
                phase,
                allowed: limits.memory.unwrap_or(0),
                used,
                tail,
            },
            Cause::Processes { used } => SandboxError::Processes {
                phase,
                allowed: limits.processes,
                used,
                tail,
            },
            Cause::OpenFiles => SandboxError::OpenFiles {
                phase,
                allowed: limits.open_files,
                tail,
            },
        });
    }
    let Some(status) = ended.status else {
        return Err(SandboxError::SupervisorLost { phase });
    };
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        if signal == libc::SIGXFSZ {
            return Err(SandboxError::FileSize {
                phase,
                allowed: limits.file_size,
                tail,
            });
        }
        return Err(SandboxError::Signalled {
            phase,
            signal,
            tail,
        });
    }
    match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        code if code == 128 + libc::SIGXFSZ => Err(SandboxError::FileSize {
            phase,
            allowed: limits.file_size,
            tail,
        }),
        // The kernel tells only the process itself, so what it printed is the evidence.
        _ if tail.text().contains("Too many open files") => Err(SandboxError::OpenFiles {
            phase,
            allowed: limits.open_files,
            tail,
        }),
        status => Err(SandboxError::Failed {
            phase,
            status,
            tail,
        }),
    }
}

pub(crate) fn printed_version(result: &[u8]) -> Result<String, SandboxError> {
    let printed = &result[(script::MARK_CALLED.len() + 1).min(result.len())..];
    let text = String::from_utf8_lossy(printed);
    // As `$(...)` in makepkg: newlines at the end do not count.
    let version = text.trim_end_matches('\n');
    check_pkgver(version).map_err(|problem| SandboxError::InvalidPkgver {
        output: version.chars().take(200).collect(),
        problem,
    })?;
    Ok(version.to_owned())
}

/// What holds each limit on this kind of host.
pub(crate) fn enforcement(by_group: &[LimitKind]) -> Vec<(LimitKind, Enforcement)> {
    let mut all = vec![
        (LimitKind::Wall, Enforcement::Counted),
        (LimitKind::Silent, Enforcement::Counted),
        (LimitKind::Memory, Enforcement::Watched),
        (LimitKind::Processes, Enforcement::Watched),
        (LimitKind::FileSize, Enforcement::Kernel),
        (LimitKind::OpenFiles, Enforcement::Kernel),
        (LimitKind::Disk, Enforcement::Watched),
        (LimitKind::Log, Enforcement::Counted),
    ];
    for (limit, enforcement) in &mut all {
        if by_group.contains(limit) {
            *enforcement = Enforcement::ControlGroup;
        }
    }
    all
}
