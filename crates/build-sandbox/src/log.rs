//! The log file: written off the runtime, capped, with a note of what was left out.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::SandboxError;

const QUEUE: usize = 8;

/// Writes a copy of the output to a file.
///
/// When the cap is reached the file keeps what it has, and closes with a note and the last bytes,
/// which are where a failing build says why.
#[derive(Debug)]
pub(crate) struct LogFile {
    queue: mpsc::Sender<Vec<u8>>,
    writer: JoinHandle<io::Result<()>>,
    path: PathBuf,
}

impl LogFile {
    pub(crate) async fn open(path: &Path, cap: u64) -> Result<Self, SandboxError> {
        let path = path.to_owned();
        let fail = |source| SandboxError::Io {
            action: "open log file",
            path: path.clone(),
            source,
        };
        let file = tokio::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .await
            .map_err(fail)?
            .into_std()
            .await;
        let (queue, receiver) = mpsc::channel(QUEUE);
        let writer = tokio::task::spawn_blocking(move || write_all(file, receiver, cap));
        Ok(Self {
            queue,
            writer,
            path,
        })
    }

    /// Queues a chunk; waits while the disk is slower than the build.
    pub(crate) async fn push(&mut self, chunk: &[u8]) {
        // A closed queue means that writing failed; `close` says why.
        let _ = self.queue.send(chunk.to_vec()).await;
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The first error of writing, for example a full disk. The build is not ended by it.
    pub(crate) async fn close(self) -> Result<(), SandboxError> {
        drop(self.queue);
        let result = self
            .writer
            .await
            .unwrap_or_else(|join| Err(io::Error::other(join)));
        result.map_err(|source| SandboxError::Io {
            action: "write log file",
            path: self.path,
            source,
        })
    }
}

fn write_all(mut file: File, mut receiver: mpsc::Receiver<Vec<u8>>, cap: u64) -> io::Result<()> {
    const END: usize = 8 << 10;
    let mut room = usize::try_from(cap).unwrap_or(usize::MAX);
    let mut dropped = 0u64;
    let mut end: Vec<u8> = Vec::new();
    while let Some(chunk) = receiver.blocking_recv() {
        let take = room.min(chunk.len());
        file.write_all(&chunk[..take])?;
        room -= take;
        let rest = &chunk[take..];
        dropped += rest.len() as u64;
        end.extend_from_slice(&rest[rest.len().saturating_sub(END)..]);
        let surplus = end.len().saturating_sub(END);
        end.drain(..surplus);
    }
    dropped -= end.len() as u64;
    if dropped > 0 {
        write!(file, "\n\u{2026} {dropped} bytes dropped \u{2026}\n")?;
    }
    file.write_all(&end)
}
