//! A provisioning process of its own, which can be watched, stopped and killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use worker_provisioner::{Happening, ProvisionEvent, ProvisionPhase};

/// A process that has not ended by then never will.
const PATIENCE: Duration = Duration::from_mins(3);

/// Lines that are read ahead of whoever wants them.
const READ_AHEAD: usize = 256;

/// A started `xtask provision --json`, or another command whose output is not of interest.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
    last: String,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The last line it printed: the artifact or the error.
    pub(crate) last: String,
    /// Whether it had to be killed because it did not end.
    pub(crate) hung: bool,
}

impl Child {
    /// Starts `command` and reads its standard output.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the provisioning process does not start")?;
        let stdout = process.stdout.take().context("no standard output")?;
        let (sender, lines) = sync_channel(READ_AHEAD);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            process,
            lines,
            last: String::new(),
        })
    }

    /// The next event; nothing once the process has ended.
    pub(crate) fn next_event(&mut self) -> Option<ProvisionEvent> {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if let Ok(event) = serde_json::from_str(&line) {
                return Some(event);
            }
            self.last = line;
        }
        None
    }

    /// Waits for `phase` to begin; false when the process ends before.
    pub(crate) fn until(&mut self, phase: ProvisionPhase) -> bool {
        while let Some(event) = self.next_event() {
            if event.phase == phase && event.happening == Happening::Started {
                return true;
            }
        }
        false
    }

    /// Sends a signal; the process has not been waited for, so its id is still its own.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), signal);
    }

    /// Does `work` while the process stands still.
    pub(crate) fn stopped<T>(&self, work: impl FnOnce() -> T) -> T {
        self.signal(Signal::SIGSTOP);
        let result = work();
        self.signal(Signal::SIGCONT);
        result
    }

    /// Kills the process and waits for its end.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Waits for the end, and kills what does not end.
    pub(crate) fn finish(self) -> Result<Ended> {
        self.finish_within(PATIENCE)
    }

    /// Waits for the end, and interrupts after `limit` a process that does not end by itself.
    pub(crate) fn finish_or_interrupt(mut self, limit: Duration) -> Result<Ended> {
        if !self.drain(Instant::now() + limit) {
            self.signal(Signal::SIGTERM);
        }
        self.finish_within(PATIENCE)
    }

    fn finish_within(mut self, limit: Duration) -> Result<Ended> {
        let hung = !self.drain(Instant::now() + limit);
        if hung {
            self.process.kill()?;
        }
        let status = self.process.wait()?;
        Ok(Ended {
            status,
            last: self.last,
            hung,
        })
    }

    /// Reads to the end of the output; false when it does not come before `deadline`.
    fn drain(&mut self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.last = line,
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Ended {
    /// What it says in a message.
    pub(crate) fn describe(&self) -> String {
        if self.hung {
            return "it did not end".to_owned();
        }
        format!("{}: {}", self.status, self.last)
    }
}
