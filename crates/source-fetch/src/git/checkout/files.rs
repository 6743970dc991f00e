//! Writes the files of a checkout on every processor, and an index that knows them.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use git2::{IndexEntry, IndexTime, Repository};
use tokio_util::sync::CancellationToken;

use super::Plan;
use crate::git::error::GitProblem;
use crate::git::mirror::problem;
use crate::git::pack::io_problem;
use crate::git::tree::{Entry, Kind};

/// Entries a thread takes at once.
const BATCH: usize = 16;
/// More threads than this wait for the disk and for libgit2's locks.
const MAX_THREADS: usize = 4;

/// Writes `entries` below `top`; returns the bytes of all files.
///
/// Every directory and file is created and never opened, so a tree that holds a name twice, once as a link, ends
/// in an error and not behind the link.
pub(super) fn write(
    plan: &Plan<'_>,
    repository: &Repository,
    top: &Path,
    entries: &[Entry],
) -> Result<u64, GitProblem> {
    let writer = Writer {
        url: plan.url,
        mirror: plan.mirror.path(),
        token: plan.token,
        limit: plan.limits.checkout_bytes,
        top,
        entries,
        next: AtomicUsize::new(0),
        written: AtomicU64::new(0),
        done: Mutex::new(Vec::with_capacity(entries.len())),
    };
    for entry in entries {
        if matches!(entry.kind, Kind::Directory | Kind::Submodule) {
            fs::create_dir(writer.place(entry)).map_err(|error| writer.collision(entry, error))?;
        }
    }
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_THREADS);
    std::thread::scope(|scope| {
        let running: Vec<_> = (1..threads)
            .map(|_| scope.spawn(|| writer.work()))
            .collect();
        let mut result = writer.work();
        for thread in running {
            match thread.join() {
                Ok(other) => result = result.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })?;
    let mut done = writer
        .done
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    // Sorted, so that each insertion is at the end.
    done.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let index = || -> Result<(), git2::Error> {
        let mut index = repository.index()?;
        for entry in &done {
            index.add(entry)?;
        }
        index.write()
    };
    index().map_err(|e| problem(plan.url, "write the index", e))?;
    Ok(writer.written.into_inner())
}

struct Writer<'a> {
    url: &'a str,
    mirror: &'a Path,
    token: &'a CancellationToken,
    limit: u64,
    top: &'a Path,
    entries: &'a [Entry],
    next: AtomicUsize,
    written: AtomicU64,
    done: Mutex<Vec<IndexEntry>>,
}

impl Writer<'_> {
    fn place(&self, entry: &Entry) -> PathBuf {
        self.top.join(OsStr::from_bytes(&entry.path))
    }

    /// Takes batches until none is left, or until one thread has failed.
    fn work(&self) -> Result<(), GitProblem> {
        let result = self.batches();
        if result.is_err() {
            self.next.store(self.entries.len(), Ordering::Relaxed);
        }
        result
    }

    fn batches(&self) -> Result<(), GitProblem> {
        // A repository of its own: libgit2's handles are not shared between threads.
        let repository = Repository::open_bare(self.mirror)
            .map_err(|e| problem(self.url, "open the mirror", e))?;
        let odb = repository
            .odb()
            .map_err(|e| problem(self.url, "open the mirror", e))?;
        let mut mine = Vec::new();
        loop {
            let start = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let batch = self.entries.get(start..).unwrap_or_default();
            if batch.is_empty() {
                break;
            }
            for entry in &batch[..batch.len().min(BATCH)] {
                if self.token.is_cancelled() {
                    return Err(GitProblem::Cancelled);
                }
                if entry.kind == Kind::Directory {
                    continue;
                }
                let path = self.place(entry);
                if entry.kind != Kind::Submodule {
                    self.write(&odb, entry, &path)?;
                }
                let metadata = fs::symlink_metadata(&path).map_err(io_problem("read", &path))?;
                mine.push(index_entry(entry, &metadata));
            }
        }
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut mine);
        Ok(())
    }

    fn write(&self, odb: &git2::Odb<'_>, entry: &Entry, path: &Path) -> Result<(), GitProblem> {
        let object = odb
            .read(entry.id)
            .map_err(|e| problem(self.url, "read a file", e))?;
        if object.kind() != git2::ObjectType::Blob {
            return Err(self.collision(entry, io::ErrorKind::InvalidData.into()));
        }
        let length = object.len() as u64;
        if self
            .written
            .fetch_add(length, Ordering::Relaxed)
            .saturating_add(length)
            > self.limit
        {
            return Err(GitProblem::Limit {
                url: self.url.to_owned(),
                unit: "bytes",
                limit: self.limit,
            });
        }
        if entry.kind == Kind::Link {
            return symlink(OsStr::from_bytes(object.data()), path)
                .map_err(|error| self.collision(entry, error));
        }
        // The umask takes its part, as with git.
        let mode = if entry.kind == Kind::Executable {
            0o777
        } else {
            0o666
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(|error| self.collision(entry, error))?
            .write_all(object.data())
            .map_err(io_problem("write", path))
    }

    /// A name that is taken, or lies behind something that is no directory, can only be a hostile tree.
    fn collision(&self, entry: &Entry, error: io::Error) -> GitProblem {
        use io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotADirectory, NotFound};
        let path = entry.path.escape_ascii().to_string();
        match error.kind() {
            AlreadyExists | InvalidData | InvalidInput | NotADirectory | NotFound => {
                GitProblem::UnsafePath {
                    url: self.url.to_owned(),
                    path,
                }
            }
            _ => io_problem("create", path)(error),
        }
    }
}

/// The index keeps the low 32 bits of each figure, as git does.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index format has 32 bits"
)]
fn index_entry(entry: &Entry, metadata: &fs::Metadata) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(metadata.ctime() as i32, metadata.ctime_nsec() as u32),
        mtime: IndexTime::new(metadata.mtime() as i32, metadata.mtime_nsec() as u32),
        dev: metadata.dev() as u32,
        ino: metadata.ino() as u32,
        mode: entry.kind.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        file_size: if entry.kind == Kind::Submodule {
            0
        } else {
            metadata.size() as u32
        },
        id: entry.id,
        flags: 0,
        flags_extended: 0,
        path: entry.path.clone(),
    }
}
