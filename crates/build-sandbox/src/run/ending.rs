//! When a build is ended, and how.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Cause, DISK_EVERY, Driver, GIVE_UP_AFTER};
use crate::watch::{self, Usage};

/// After SIGKILL: when the supervisor itself is killed.
const FORCE_AFTER: Duration = Duration::from_secs(2);

impl Driver<'_> {
    pub(super) fn next_timer(&self) -> Instant {
        let limits = self.job.limits;
        let far = self.started + Duration::from_hours(24 * 365);
        let ending = self.ended.cause.is_some();
        let at = |from: Instant, wait: Duration| from.checked_add(wait).unwrap_or(far);
        let mut next = far;
        if let Some(killed) = self.killed_at {
            let wait = if self.forced {
                GIVE_UP_AFTER
            } else {
                FORCE_AFTER
            };
            next = next.min(at(killed, wait));
        } else if let Some(kill) = self.kill_at {
            next = next.min(kill);
        } else if !ending {
            next = next
                .min(at(self.started, limits.wall))
                .min(at(self.last_output, limits.silent));
            if self.disk.is_none() {
                next = next.min(self.disk_due);
            }
        }
        next
    }

    pub(super) fn on_timer(&mut self) {
        let now = Instant::now();
        let limits = self.job.limits;
        if let Some(killed) = self.killed_at {
            if now >= killed + GIVE_UP_AFTER {
                self.ended.stuck = true;
            } else if now >= killed + FORCE_AFTER && !self.forced {
                self.forced = true;
                if let Some(supervisor) = &mut self.supervisor {
                    supervisor.force();
                }
            }
        } else if let Some(kill) = self.kill_at {
            if now >= kill {
                self.kill();
            }
        } else if now >= self.started + limits.wall {
            self.end(Cause::Wall);
        } else if now >= self.last_output + limits.silent {
            self.end(Cause::Silent);
        } else if now >= self.disk_due && self.disk.is_none() {
            let roots = self.job.roots.clone();
            let began = now;
            self.disk_due = began;
            self.disk = Some(spawn_blocking(move || watch::measure(&roots)));
        }
    }

    pub(super) fn measured(&mut self, usage: Usage) {
        self.disk = None;
        // At most a tenth of the time goes into walking a large tree.
        let took = self.disk_due.elapsed();
        self.disk_due = Instant::now() + DISK_EVERY.max(took * 9);
        let used = usage.disk.saturating_add(self.unlinked);
        if used > self.job.limits.disk {
            self.end(Cause::Disk { used });
        }
    }

    /// Starts the end of the build, softly if there is a grace period.
    pub(super) fn end(&mut self, cause: Cause) {
        if self.ended.cause.is_some() {
            return;
        }
        self.ended.cause = Some(cause);
        if self.job.grace.is_zero() {
            self.kill();
        } else {
            self.kill_at = Some(Instant::now() + self.job.grace);
            if let Some(supervisor) = &self.supervisor {
                supervisor.terminate();
            }
        }
    }

    pub(super) fn kill(&mut self) {
        self.killed_at = Some(Instant::now());
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.kill();
        }
    }
}
