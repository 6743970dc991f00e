//! Receives a pack on a thread that may block, and leaves it as a whole pack or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::{GitProblem, ProtocolError};

/// How far a pack has come; shared with the side that reports.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes: AtomicU64,
    pub(super) objects: AtomicU64,
    pub(super) total_objects: AtomicU64,
    /// Set once the peer has sent everything; without it the end of the channel is a broken transfer.
    pub(super) complete: AtomicBool,
}

/// A pack that is indexed but not yet part of the mirror; removed when dropped.
#[derive(Debug)]
pub(super) struct Quarantine {
    directory: tempfile::TempDir,
    name: Option<String>,
}

impl Quarantine {
    /// Indexes what arrives in `chunks`; bases that the pack leaves out are looked up in `mirror`.
    pub(super) fn receive(
        mirror: &Path,
        url: &str,
        mut chunks: mpsc::Receiver<Bytes>,
        counters: &Arc<Counters>,
        max_objects: u64,
        token: &CancellationToken,
    ) -> Result<Self, GitProblem> {
        let git = |action, source| GitProblem::Git {
            url: url.to_owned(),
            action,
            source,
        };
        let damaged = |reason: String| GitProblem::Protocol {
            url: url.to_owned(),
            source: ProtocolError::Pack(reason),
        };
        let directory = tempfile::Builder::new()
            .prefix("incoming-")
            .tempdir_in(mirror)
            .map_err(io_problem("create a directory in", mirror))?;
        let repository =
            git2::Repository::open_bare(mirror).map_err(|e| git("open the mirror", e))?;
        let odb = repository.odb().map_err(|e| git("open the mirror", e))?;
        let mut indexer = git2::Indexer::new(Some(&odb), directory.path(), 0o444, false)
            .map_err(|e| git("index the pack", e))?;
        let too_many = Arc::new(AtomicBool::new(false));
        indexer.progress({
            let (counters, token, too_many) = (counters.clone(), token.clone(), too_many.clone());
            move |progress| {
                let total = progress.total_objects() as u64;
                counters.total_objects.store(total, Ordering::Relaxed);
                counters
                    .objects
                    .store(progress.indexed_objects() as u64, Ordering::Relaxed);
                too_many.fetch_or(total > max_objects, Ordering::Relaxed);
                total <= max_objects && !token.is_cancelled()
            }
        });

        let mut header = Vec::with_capacity(12);
        let mut received = 0;
        let stopped = |reason: String| {
            if token.is_cancelled() {
                GitProblem::Cancelled
            } else if too_many.load(Ordering::Relaxed) {
                GitProblem::Limit {
                    url: url.to_owned(),
                    unit: "objects",
                    limit: max_objects,
                }
            } else {
                damaged(reason)
            }
        };
        while let Some(chunk) = chunks.blocking_recv() {
            if token.is_cancelled() {
                return Err(GitProblem::Cancelled);
            }
            if header.len() < 12 {
                header.extend_from_slice(&chunk[..chunk.len().min(12 - header.len())]);
            }
            received += chunk.len() as u64;
            counters.bytes.store(received, Ordering::Relaxed);
            indexer
                .write_all(&chunk)
                .map_err(|error| stopped(error.to_string()))?;
        }
        if token.is_cancelled() || !counters.complete.load(Ordering::Acquire) {
            return Err(GitProblem::Cancelled);
        }
        // libgit2 takes an empty pack for a broken one; it is what a server sends when nothing new is needed.
        let name = if header.len() == 12 && header[8..] == [0; 4] {
            None
        } else {
            Some(
                indexer
                    .commit()
                    .map_err(|error| stopped(error.message().to_owned()))?,
            )
        };
        Ok(Self { directory, name })
    }

    /// Moves the pack into the mirror: the index last, since that makes the pack visible.
    pub(super) fn install(self, mirror: &Path) -> Result<(), GitProblem> {
        let Some(name) = &self.name else {
            return Ok(());
        };
        let target = mirror.join("objects/pack");
        for extension in ["pack", "idx"] {
            let file = format!("pack-{name}.{extension}");
            let (from, to) = (self.directory.path().join(&file), target.join(&file));
            sync(&from)?;
            fs::rename(&from, &to).map_err(io_problem("create", &to))?;
        }
        sync(&target)
    }
}

/// Flushes a file or directory to the disk.
pub(super) fn sync(path: &Path) -> Result<(), GitProblem> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(io_problem("flush", path))
}

pub(super) fn io_problem(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> GitProblem {
    let path = path.into();
    move |source| GitProblem::Io {
        action,
        path,
        source,
    }
}
