//! Writes the files of a checkout on every processor, and an index that knows them.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use git2::Oid;
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::index::{self, Row};
use crate::extract::{UMASK, has_other_umask, open_directory};
use crate::git::attributed::Attributes;
use crate::git::blobs::Blobs;
use crate::git::convert::{Conversion, Purpose};
use crate::git::error::GitProblem;
use crate::git::pack::{Packs, Place, io_problem, unreadable};
use crate::git::threads;
use crate::git::tree::{self, Entry, Kind};

/// Most entries a thread takes at once. Neighbours are mostly in one directory, which the kernel locks for
/// each new file, so many at once keep the threads out of each other's way.
const MAX_BATCH: usize = 128;
/// Batches for each thread, so that none is left with much when the others have nothing more to do.
const BATCHES: usize = 8;

/// Notes how each file changes on its way to disk, by the attributes of the commit.
///
/// # Errors
/// [`GitProblem::Conversion`], [`GitProblem::Limit`], [`GitProblem::Cancelled`].
pub(super) fn set_conversions(plan: &Plan<'_>, entries: &mut [Entry]) -> Result<(), GitProblem> {
    let objects = plan.mirror.path().join("objects");
    let packs = Packs::open(&objects)
        .map_err(|error| unreadable(error, plan.mirror.path(), plan.url, "read the packs"))?;
    let mut blobs = Blobs::new(&packs, plan.mirror.path(), plan.url, plan.token);
    let Some(attributes) = Attributes::read(&mut blobs, &packs, plan.url, entries)? else {
        return Ok(());
    };
    let mut found = Vec::new();
    let mut walk = attributes.walk(plan.limits.comparisons, plan.token);
    for (number, entry) in tree::in_order(entries) {
        let values = walk.next(entry)?;
        if !matches!(entry.kind, Kind::File | Kind::Executable) {
            continue;
        }
        let conversion = Conversion::of(&values).map_err(|source| GitProblem::Conversion {
            url: plan.url.to_owned(),
            path: entry.path.escape_ascii().to_string(),
            source,
        })?;
        if conversion.is_some() {
            found.push((number, conversion));
        }
    }
    for (number, conversion) in found {
        if let Some(entry) = entries.get_mut(number) {
            entry.conversion = conversion;
        }
    }
    Ok(())
}

/// Writes `entries` below `top`; returns the bytes of all files.
///
/// Every directory and file is created and never opened, so a tree that holds a name twice, once as a link, ends
/// in an error and not behind the link.
pub(super) fn write(plan: &Plan<'_>, top: &Path, entries: &[Entry]) -> Result<u64, GitProblem> {
    let objects = plan.mirror.path().join("objects");
    let failed = |error| unreadable(error, plan.mirror.path(), plan.url, "read the packs");
    let packs = Packs::open(&objects).map_err(failed)?;
    let writer = Writer {
        url: plan.url,
        mirror: plan.mirror.path(),
        token: plan.token,
        limit: plan.limits.checkout_bytes,
        top,
        packs: &packs,
        work: order(&packs, entries).map_err(failed)?,
        batch: (entries.len() / (threads::count() * BATCHES)).clamp(1, MAX_BATCH),
        next: AtomicUsize::new(0),
        written: AtomicU64::new(0),
        done: Mutex::new(Vec::with_capacity(entries.len())),
        mask_differs: has_other_umask(),
    };
    let opened = |path: &Path| {
        if writer.mask_differs {
            return open_directory(path).map_err(io_problem("change the mode of", path));
        }
        Ok(())
    };
    opened(top)?;
    for entry in entries {
        if matches!(entry.kind, Kind::Directory | Kind::Submodule) {
            let place = writer.place(entry);
            fs::create_dir(&place).map_err(|error| writer.collision(entry, error))?;
            opened(&place)?;
        }
    }
    threads::run(|| writer.work())?;
    let mut done = writer
        .done
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let path = top.join(".git/index");
    index::write(&mut done, &path).map_err(io_problem("write", path))?;
    Ok(writer.written.into_inner())
}

/// What is to be written, in the order it lies on the disk; what is in no pack comes first.
fn order<'a>(packs: &Packs, entries: &'a [Entry]) -> io::Result<Vec<(Option<Place>, &'a Entry)>> {
    let entries: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.kind != Kind::Directory)
        .collect();
    let ids: Vec<Oid> = entries.iter().map(|entry| entry.id).collect();
    let mut work: Vec<_> = packs.locate(&ids)?.into_iter().zip(entries).collect();
    work.sort_by_key(|(place, _)| *place);
    Ok(work)
}

struct Writer<'a> {
    url: &'a str,
    mirror: &'a Path,
    token: &'a CancellationToken,
    limit: u64,
    top: &'a Path,
    packs: &'a Packs,
    work: Vec<(Option<Place>, &'a Entry)>,
    batch: usize,
    next: AtomicUsize,
    written: AtomicU64,
    done: Mutex<Vec<Row<'a>>>,
    /// The process creates with another mode than makepkg would.
    mask_differs: bool,
}

impl<'a> Writer<'a> {
    fn place(&self, entry: &Entry) -> PathBuf {
        self.top.join(OsStr::from_bytes(&entry.path))
    }

    /// Takes batches until none is left, or until one thread has failed.
    fn work(&self) -> Result<(), GitProblem> {
        let result = self.batches();
        if result.is_err() {
            self.next.store(self.work.len(), Ordering::Relaxed);
        }
        result
    }

    fn batches(&self) -> Result<(), GitProblem> {
        let mut blobs = Blobs::new(self.packs, self.mirror, self.url, self.token);
        let mut mine: Vec<Row<'a>> = Vec::new();
        loop {
            let start = self.next.fetch_add(self.batch, Ordering::Relaxed);
            let batch = self.work.get(start..).unwrap_or_default();
            if batch.is_empty() {
                break;
            }
            for (place, entry) in &batch[..batch.len().min(self.batch)] {
                if self.token.is_cancelled() {
                    return Err(GitProblem::Cancelled);
                }
                let path = self.place(entry);
                let mut target = Target {
                    writer: self,
                    entry,
                    path: &path,
                    begun: false,
                    file: None,
                };
                if entry.kind != Kind::Submodule {
                    let mut sink = |length, piece: &[u8]| target.put(length, piece);
                    let is_blob = match entry.conversion {
                        Some(conversion) => blobs.converted(
                            *place,
                            entry,
                            conversion,
                            Purpose::Checkout,
                            &mut sink,
                        )?,
                        None => blobs.read(*place, entry.id, &mut sink)?,
                    };
                    if !is_blob {
                        return Err(target.no_blob());
                    }
                }
                mine.push(Row::new(entry, &target.metadata()?));
            }
        }
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut mine);
        Ok(())
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

/// A file or link that is being written.
struct Target<'a, 'b> {
    writer: &'a Writer<'b>,
    entry: &'a Entry,
    path: &'a Path,
    begun: bool,
    file: Option<File>,
}

impl Target<'_, '_> {
    /// Takes the next bytes of `length` in all.
    fn put(&mut self, length: u64, piece: &[u8]) -> Result<(), GitProblem> {
        let writer = self.writer;
        if writer.token.is_cancelled() {
            return Err(GitProblem::Cancelled);
        }
        if !self.begun {
            self.begun = true;
            let before = writer.written.fetch_add(length, Ordering::Relaxed);
            if before.saturating_add(length) > writer.limit {
                return Err(GitProblem::Limit {
                    url: writer.url.to_owned(),
                    unit: "bytes",
                    limit: writer.limit,
                });
            }
            if self.entry.kind == Kind::Link {
                // What comes in pieces is longer than any path.
                let whole = piece.len() as u64 == length;
                let target = if whole { piece } else { b"" };
                return symlink(OsStr::from_bytes(target), self.path)
                    .map_err(|error| writer.collision(self.entry, error));
            }
            let mode = match self.entry.kind {
                Kind::Executable => 0o777,
                _ => 0o666,
            } & !UMASK;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(mode);
            let file = options.open(self.path);
            let file = file.map_err(|error| writer.collision(self.entry, error))?;
            if writer.mask_differs {
                file.set_permissions(fs::Permissions::from_mode(mode))
                    .map_err(io_problem("change the mode of", self.path))?;
            }
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file
                .write_all(piece)
                .map_err(io_problem("write", self.path)),
            None => Ok(()),
        }
    }

    fn metadata(&self) -> Result<fs::Metadata, GitProblem> {
        match &self.file {
            Some(file) => file.metadata(),
            None => fs::symlink_metadata(self.path),
        }
        .map_err(io_problem("read", self.path))
    }

    /// Something else under the name of a file can only be a hostile tree.
    fn no_blob(&self) -> GitProblem {
        self.writer
            .collision(self.entry, io::ErrorKind::InvalidData.into())
    }
}
