//! Receives a pack on a thread that may block, and leaves it as a whole pack or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use git2::{ObjectType, Oid};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::{GitProblem, ProtocolError};
pub(super) use format::MAX_TREE;
use index::Completion;
pub(super) use read::{Packs, Place, Reader};
use resolve::Resolver;
use scan::{Incoming, Scanned};

mod format;
mod index;
mod read;
mod resolve;
mod scan;
#[cfg(test)]
mod tests;
mod window;

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
    ///
    /// libgit2's indexer would map the whole pack into memory, and resolve deltas on one thread after the last byte.
    pub(super) fn receive(
        mirror: &Path,
        url: &str,
        chunks: mpsc::Receiver<Bytes>,
        counters: &Counters,
        max_objects: u64,
        token: &CancellationToken,
    ) -> Result<Self, GitProblem> {
        let directory = tempfile::Builder::new()
            .prefix("incoming-")
            .tempdir_in(mirror)
            .map_err(io_problem("create a directory in", mirror))?;
        let arrival = Arrival {
            mirror,
            url,
            path: &directory.path().join("pack"),
            counters,
            token,
        };
        let failed = |error| arrival.problem(error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(arrival.path)
            .map_err(failed)?;
        let mut incoming = Incoming::new(chunks, &file, counters, token);
        let count = incoming.header().map_err(failed)?;
        counters
            .total_objects
            .store(count.into(), Ordering::Relaxed);
        if u64::from(count) > max_objects {
            return Err(GitProblem::Limit {
                url: url.to_owned(),
                unit: "objects",
                limit: max_objects,
            });
        }
        let mut scanned = incoming.entries(count).map_err(failed)?;
        if !counters.complete.load(Ordering::Acquire) {
            return Err(GitProblem::Cancelled);
        }
        // It is what a server sends when nothing new is needed.
        if count == 0 {
            return Ok(Self {
                directory,
                name: None,
            });
        }
        arrival.resolve(&file, &mut scanned)?;
        let name = hex::encode(scanned.checksum);
        let finished = directory.path().join(format!("pack-{name}.pack"));
        index::write(&scanned, &finished.with_extension("idx")).map_err(failed)?;
        fs::rename(arrival.path, &finished).map_err(failed)?;
        Ok(Self {
            directory,
            name: Some(name),
        })
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

/// A pack on its way, and where it goes.
struct Arrival<'a> {
    mirror: &'a Path,
    url: &'a str,
    path: &'a Path,
    counters: &'a Counters,
    token: &'a CancellationToken,
}

impl Arrival<'_> {
    /// Finds the id of every delta, and appends the bases of a thin pack to it.
    fn resolve(&self, file: &File, scanned: &mut Scanned) -> Result<(), GitProblem> {
        let failed = |error| self.problem(error);
        let resolver = Resolver::new(file, &scanned.entries, self.counters, self.token);
        let mut found = resolver.inside(&scanned.ids).map_err(failed)?;
        let mut completion = Completion::new(file, scanned.end);
        let missing = resolver.missing();
        let damaged = |error| unreadable(error, self.mirror, self.url, "read the packs");
        let packs = Packs::open(&self.mirror.join("objects")).map_err(damaged)?;
        let places = packs.locate(&missing).map_err(damaged)?;
        let mut reader = Reader::new(&packs, self.token);
        for (id, place) in missing.into_iter().zip(places) {
            // What an earlier base led to may have been this one.
            if !resolver.needs(id) {
                continue;
            }
            let base = match place {
                Some(place) => Some(self.packed(&mut reader, place, id)?),
                None => self.loose(id)?,
            };
            if let Some((kind, data)) = base {
                completion.append(id, kind, &data).map_err(failed)?;
                found.extend(resolver.outside(id, kind, data).map_err(failed)?);
            }
        }
        for (index, id) in found {
            if let Some(slot) = scanned.ids.get_mut(index as usize) {
                *slot = Some(id);
            }
        }
        let Completion { end, added, .. } = completion;
        if added.is_empty() {
            return Ok(());
        }
        index::seal(file, scanned, added, end, self.token).map_err(failed)
    }

    /// An object of a pack of the mirror.
    fn packed(
        &self,
        reader: &mut Reader<'_>,
        place: Place,
        id: Oid,
    ) -> Result<(ObjectType, Vec<u8>), GitProblem> {
        let different = || format::damaged("an object is not what its name says");
        let read = reader.object(place).and_then(|(kind, data)| {
            let is_same = scan::id(kind, &data)? == id;
            is_same.then_some((kind, data)).ok_or_else(different)
        });
        read.map_err(|error| {
            if self.token.is_cancelled() {
                return GitProblem::Cancelled;
            }
            unreadable(error, self.mirror, self.url, "read the base of a delta")
        })
    }

    /// An object of the mirror that is in no pack.
    fn loose(&self, id: Oid) -> Result<Option<(ObjectType, Vec<u8>)>, GitProblem> {
        let read = || -> Result<_, git2::Error> {
            let repository = git2::Repository::open_bare(self.mirror)?;
            let odb = repository.odb()?;
            let object = odb.read(id)?;
            Ok((object.kind(), object.data().to_vec()))
        };
        match read() {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(source) => Err(GitProblem::Git {
                url: self.url.to_owned(),
                action: "read the base of a delta",
                source,
            }),
        }
    }

    /// What is wrong with the pack, or with the disk.
    fn problem(&self, error: io::Error) -> GitProblem {
        let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
        // The end of an incomplete transfer says nothing; what broke it does, and is known to the other side.
        let is_broken = is_end && !self.counters.complete.load(Ordering::Acquire);
        if self.token.is_cancelled() || is_broken {
            return GitProblem::Cancelled;
        }
        let reason = match error.kind() {
            // Only what the system says has a number.
            _ if error.raw_os_error().is_some() => return io_problem("write", self.path)(error),
            io::ErrorKind::FileTooLarge => "a delta or its base is larger than 512 MiB".to_owned(),
            _ if is_end => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        GitProblem::Protocol {
            url: self.url.to_owned(),
            source: ProtocolError::Pack(reason),
        }
    }
}

/// Why an object of a mirror could not be read: the disk, or a mirror that is damaged and known as such by its
/// [`GitProblem::Git`].
pub(super) fn unreadable(
    error: io::Error,
    mirror: &Path,
    url: &str,
    action: &'static str,
) -> GitProblem {
    if error.raw_os_error().is_some() {
        return io_problem("read the packs of", mirror)(error);
    }
    let (code, class) = (git2::ErrorCode::GenericError, git2::ErrorClass::Odb);
    GitProblem::Git {
        url: url.to_owned(),
        action,
        source: git2::Error::new(code, class, error.to_string()),
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
