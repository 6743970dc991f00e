//! Drives one running build: reads, reports, watches the limits, and ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::SandboxError;
use crate::limits::Limits;
use crate::log::LogFile;
use crate::output::{Splitter, TailBuffer};
use crate::progress::{Event, Reporter, Stream};
use crate::sys::status::{self, Message, Watched};
use crate::sys::{Running, Supervisor};
use crate::watch::{self, Usage};

const READ_SIZE: usize = 64 << 10;
/// Reads of one stream before the others get a look.
const READS_IN_A_ROW: usize = 16;
const RESULT_MAX: usize = 4 << 20;
const CAPTURE_MAX: usize = 64 << 10;
/// After SIGKILL: when the supervisor itself is killed, and when waiting is given up.
const FORCE_AFTER: Duration = Duration::from_secs(2);
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);
/// How long output is read once nothing is left that could write any.
const DRAIN_FOR: Duration = Duration::from_secs(1);
const DISK_EVERY: Duration = Duration::from_secs(1);

/// Why the sandbox ended a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Cancelled,
    Wall,
    Silent,
    LogSize,
    Disk { used: u64 },
    Memory { used: u64 },
    Processes { used: u64 },
    OpenFiles,
}

/// What the driver needs to know besides the plan.
pub(crate) struct Job<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) grace: Duration,
    pub(crate) log: Option<LogFile>,
    /// Directories whose size is limited.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) capture: bool,
}

/// How a run ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Raw wait status of the phase process, if it ended by itself.
    pub(crate) status: Option<i32>,
    pub(crate) setup_failed: Option<(&'static str, io::Error)>,
    pub(crate) cause: Option<Cause>,
    /// The supervisor reported that nothing is left.
    pub(crate) finished: bool,
    pub(crate) proven: bool,
    pub(crate) stuck: bool,
    pub(crate) result: Vec<u8>,
    pub(crate) captured: Vec<u8>,
    pub(crate) bytes: u64,
    pub(crate) tail: String,
    pub(crate) peak_memory: u64,
    pub(crate) duration: Duration,
    pub(crate) log_error: Option<SandboxError>,
}

struct Output {
    pipe: Option<Receiver>,
    splitter: Splitter,
}

struct Driver<'a> {
    job: Job<'a>,
    token: &'a CancellationToken,
    reporter: &'a dyn Reporter,
    supervisor: Option<Supervisor>,
    outputs: [Output; 2],
    result: Option<Receiver>,
    status: Option<Receiver>,
    messages: Vec<u8>,
    buffer: Vec<u8>,
    tail: TailBuffer,
    ended: Ended,
    started: Instant,
    last_output: Instant,
    kill_at: Option<Instant>,
    killed_at: Option<Instant>,
    forced: bool,
    disk: Option<JoinHandle<Usage>>,
    disk_due: Instant,
}

/// Drives a started build to its end. Dropping the future ends the build.
pub(crate) async fn run(
    running: Running,
    started: Instant,
    job: Job<'_>,
    token: &CancellationToken,
    reporter: &dyn Reporter,
) -> Result<Ended, SandboxError> {
    let Running {
        supervisor,
        status,
        stdout,
        stderr,
        result,
    } = running;
    let output = |fd: OwnedFd, stream| -> Result<Output, SandboxError> {
        Ok(Output {
            pipe: Some(receiver(fd)?),
            splitter: Splitter::new(stream),
        })
    };
    let mut driver = Driver {
        job,
        token,
        reporter,
        supervisor: Some(supervisor),
        outputs: [
            output(stdout, Stream::Stdout)?,
            output(stderr, Stream::Stderr)?,
        ],
        result: result.map(receiver).transpose()?,
        status: Some(receiver(status)?),
        messages: Vec::new(),
        buffer: vec![0; READ_SIZE],
        tail: TailBuffer::default(),
        ended: Ended::default(),
        started,
        last_output: started,
        kill_at: None,
        killed_at: None,
        forced: false,
        disk: None,
        disk_due: started + DISK_EVERY,
    };
    driver.until_supervisor_ends().await;
    driver.finish().await
}

fn receiver(fd: OwnedFd) -> Result<Receiver, SandboxError> {
    Receiver::from_owned_fd(fd).map_err(|source| SandboxError::Start {
        step: "register a pipe with the runtime",
        source,
    })
}

async fn readable(pipe: Option<&Receiver>) {
    match pipe {
        Some(pipe) => {
            let _ = pipe.readable().await;
        }
        None => std::future::pending().await,
    }
}

async fn joined(task: Option<&mut JoinHandle<Usage>>) -> Usage {
    match task {
        Some(task) => task.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

impl Driver<'_> {
    async fn until_supervisor_ends(&mut self) {
        while self.status.is_some() && !self.ended.stuck {
            let ending = self.ended.cause.is_some();
            let timer = self.next_timer();
            let [stdout, stderr] = &self.outputs;
            tokio::select! {
                biased;
                () = self.token.cancelled(), if !ending => self.end(Cause::Cancelled),
                () = readable(self.status.as_ref()) => self.read_status(),
                () = readable(stdout.pipe.as_ref()) => self.read_output(0).await,
                () = readable(stderr.pipe.as_ref()) => self.read_output(1).await,
                () = readable(self.result.as_ref()) => self.read_result(),
                usage = joined(self.disk.as_mut()) => self.measured(usage),
                () = sleep_until(timer) => self.on_timer(),
            }
        }
    }

    fn next_timer(&self) -> Instant {
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

    fn on_timer(&mut self) {
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

    fn measured(&mut self, usage: Usage) {
        self.disk = None;
        // At most a tenth of the time goes into walking a large tree.
        let took = self.disk_due.elapsed();
        self.disk_due = Instant::now() + DISK_EVERY.max(took * 9);
        if usage.disk > self.job.limits.disk {
            self.end(Cause::Disk { used: usage.disk });
        }
    }

    /// Starts the end of the build, softly if there is a grace period.
    fn end(&mut self, cause: Cause) {
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

    fn kill(&mut self) {
        self.killed_at = Some(Instant::now());
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.kill();
        }
    }

    fn read_status(&mut self) {
        let Some(pipe) = &self.status else { return };
        let mut bytes = [0; 8 * status::SIZE];
        match pipe.try_read(&mut bytes) {
            Ok(0) => self.status = None,
            Ok(count) => self.messages.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.status = None,
        }
        while let Some((message, rest)) = self.messages.split_first_chunk() {
            let message = Message::decode(message);
            self.messages = rest.to_vec();
            match message {
                Some(Message::SetupFailed { step, errno, index }) => {
                    tracing::debug!(step, errno, index, "sandbox set-up failed");
                    self.ended.setup_failed = Some((step, io::Error::from_raw_os_error(errno)));
                }
                Some(Message::Exited { status }) => self.ended.status = Some(status),
                Some(Message::Breach { limit, used }) => {
                    let cause = match limit {
                        Watched::Memory => Cause::Memory { used },
                        Watched::Processes => Cause::Processes { used },
                        Watched::OpenFiles => Cause::OpenFiles,
                    };
                    // The supervisor is already killing.
                    self.ended.cause.get_or_insert(cause);
                    self.kill();
                }
                Some(Message::Finished {
                    proven,
                    peak_memory,
                }) => {
                    self.ended.finished = true;
                    self.ended.proven = proven;
                    self.ended.peak_memory = peak_memory;
                    // The last message; the end of the pipe would only wake this task once more.
                    self.status = None;
                }
                None => {}
            }
        }
    }

    async fn read_output(&mut self, which: usize) {
        for _ in 0..READS_IN_A_ROW {
            if !self.read_once(which).await || self.token.is_cancelled() {
                break;
            }
        }
    }

    /// Returns whether more may be there.
    async fn read_once(&mut self, which: usize) -> bool {
        let output = &mut self.outputs[which];
        let Some(pipe) = &output.pipe else {
            return false;
        };
        let count = match pipe.try_read(&mut self.buffer) {
            Ok(0) => {
                output.pipe = None;
                return false;
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => {
                output.pipe = None;
                return false;
            }
        };
        let chunk = &self.buffer[..count];
        output.splitter.push(chunk, self.reporter);
        self.tail.push(chunk);
        self.ended.bytes += count as u64;
        if self.job.capture && which == 0 {
            let room = CAPTURE_MAX
                .saturating_sub(self.ended.captured.len())
                .min(count);
            self.ended.captured.extend_from_slice(&chunk[..room]);
        }
        if let Some(log) = &mut self.job.log {
            tokio::select! {
                () = log.push(chunk) => {}
                // A disk that does not answer must not delay the end.
                () = self.token.cancelled() => {}
            }
        }
        self.last_output = Instant::now();
        if self.ended.bytes > self.job.limits.log {
            self.end(Cause::LogSize);
        }
        true
    }

    fn read_result(&mut self) {
        let Some(pipe) = &self.result else { return };
        match pipe.try_read(&mut self.buffer) {
            Ok(0) => self.result = None,
            Ok(count) => {
                let room = RESULT_MAX
                    .saturating_sub(self.ended.result.len())
                    .min(count);
                self.ended.result.extend_from_slice(&self.buffer[..room]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.result = None,
        }
    }

    async fn finish(mut self) -> Result<Ended, SandboxError> {
        if let Some(supervisor) = self.supervisor.take()
            && !self.ended.stuck
            && timeout(GIVE_UP_AFTER, supervisor.ended()).await.is_err()
        {
            self.ended.stuck = true;
        }
        // Nothing can write any more, unless a descriptor left the sandbox through a socket.
        let deadline = Instant::now() + DRAIN_FOR;
        while self.outputs.iter().any(|output| output.pipe.is_some()) || self.result.is_some() {
            let [stdout, stderr] = &self.outputs;
            tokio::select! {
                biased;
                () = readable(stdout.pipe.as_ref()) => self.read_output(0).await,
                () = readable(stderr.pipe.as_ref()) => self.read_output(1).await,
                () = readable(self.result.as_ref()) => self.read_result(),
                () = sleep_until(deadline) => break,
            }
        }
        for output in &mut self.outputs {
            output.splitter.finish(self.reporter);
        }
        if let Some(log) = self.job.log.take() {
            self.ended.log_error = log.close().await.err();
        }
        self.ended.tail = self.tail.text();
        self.ended.duration = self.started.elapsed();
        if self.forced {
            // The kernel ends a PID namespace with its first process.
            self.ended.finished = true;
            self.ended.proven = true;
        }
        self.reporter.report(Event::Finished {
            duration: self.ended.duration,
            bytes: self.ended.bytes,
        });
        Ok(self.ended)
    }
}
