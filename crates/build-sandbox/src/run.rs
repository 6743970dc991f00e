//! Drives one running build: reads, reports, watches the limits, and ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::SandboxError;
use crate::limits::Limits;
use crate::log::LogFile;
use crate::output::{Splitter, TailBuffer};
use crate::progress::{Event, Reporter, Stream};
use crate::sys::{Running, Supervisor};
use crate::watch::Usage;

mod ending;
mod reading;

const READ_SIZE: usize = 64 << 10;
/// Enough for what most runs print, which is little or nothing.
const FIRST_READ_SIZE: usize = 1 << 10;
/// After SIGKILL: when waiting is given up.
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
    /// Bytes on disk that no name leads to.
    unlinked: u64,
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
        network: _,
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
        buffer: vec![0; FIRST_READ_SIZE],
        tail: TailBuffer::default(),
        ended: Ended::default(),
        started,
        last_output: started,
        kill_at: None,
        killed_at: None,
        forced: false,
        disk: None,
        disk_due: started + DISK_EVERY,
        unlinked: 0,
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

    async fn finish(mut self) -> Result<Ended, SandboxError> {
        if let Some(supervisor) = self.supervisor.take()
            && !self.ended.stuck
            && timeout(GIVE_UP_AFTER, supervisor.ended()).await.is_err()
        {
            self.ended.stuck = true;
        }
        // Nothing can write any more, unless a descriptor left the sandbox through a socket.
        let deadline = Instant::now() + DRAIN_FOR;
        while (self.outputs.iter().any(|output| output.pipe.is_some()) || self.result.is_some())
            && Instant::now() < deadline
        {
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
