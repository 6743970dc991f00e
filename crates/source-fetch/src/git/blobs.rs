//! Reads the files of a commit from a mirror, for one thread.

use std::io;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};
use tokio_util::sync::CancellationToken;

use super::convert::{Conversion, LineConverter, LineEnds, Purpose, Statistics};
use super::error::GitProblem;
use super::mirror::problem;
use super::pack::{Packs, Place, Reader, unreadable};
use super::tree::Entry;

/// Files up to this size are converted in memory, a few at a time.
const SMALL: u64 = 16 << 20;
/// Largest file that is converted by more than its line ends, as it is in memory before and after.
const MAX_CONVERTED: u64 = 128 << 20;
/// Larger files git archives as they are: `core.bigFileThreshold`.
const ARCHIVED_AS_IT_IS: u64 = 512 << 20;

/// Where the bytes of a file go: each time the length of the whole, and the next of them.
pub(super) type Sink<'s> = &'s mut dyn FnMut(u64, &[u8]) -> Result<(), GitProblem>;

/// Where one thread gets objects from.
pub(super) struct Blobs<'a> {
    mirror: &'a Path,
    url: &'a str,
    token: &'a CancellationToken,
    reader: Reader<'a>,
    /// For what is in no pack; opened when it is needed, as libgit2's handles are not shared between threads.
    repository: Option<Repository>,
}

impl<'a> Blobs<'a> {
    pub(super) fn new(
        packs: &'a Packs,
        mirror: &'a Path,
        url: &'a str,
        token: &'a CancellationToken,
    ) -> Self {
        Self {
            mirror,
            url,
            token,
            reader: Reader::new(packs, token),
            repository: None,
        }
    }

    /// Hands the bytes of the blob `id` to `sink`; returns false if it is no blob.
    ///
    /// # Errors
    /// What `sink` returns; [`GitProblem::Git`] for a damaged mirror, [`GitProblem::Cancelled`].
    pub(super) fn read(
        &mut self,
        place: Option<Place>,
        id: Oid,
        sink: Sink<'_>,
    ) -> Result<bool, GitProblem> {
        let Some(place) = place else {
            return self.read_loose(id, sink);
        };
        let mut stopped = None;
        let read = self.reader.blob(place, id, |length, piece| {
            sink(length, piece).map_err(|error| {
                stopped = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        match (stopped, read) {
            (Some(problem), _) => Err(problem),
            (None, Ok(is_blob)) => Ok(is_blob),
            // Only a pack that came from this machine has deltas so large.
            (None, Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                self.read_loose(id, sink)
            }
            (None, Err(error)) => Err(self.unreadable(error, "read a file")),
        }
    }

    pub(super) fn unreadable(&self, error: io::Error, action: &'static str) -> GitProblem {
        if self.token.is_cancelled() {
            return GitProblem::Cancelled;
        }
        unreadable(error, self.mirror, self.url, action)
    }

    fn read_loose(&mut self, id: Oid, sink: Sink<'_>) -> Result<bool, GitProblem> {
        let failed = |error| problem(self.url, "read a file", error);
        let repository = match &mut self.repository {
            Some(repository) => repository,
            none => none.insert(Repository::open_bare(self.mirror).map_err(failed)?),
        };
        let odb = repository.odb().map_err(failed)?;
        let object = odb.read(id).map_err(failed)?;
        if object.kind() != ObjectType::Blob {
            return Ok(false);
        }
        sink(object.len() as u64, object.data())?;
        Ok(true)
    }

    /// Reads a whole blob of at most `limit` bytes; nothing if it is no blob.
    ///
    /// # Errors
    /// What `too_large` makes, besides those of [`read`](Self::read).
    pub(super) fn whole(
        &mut self,
        place: Option<Place>,
        id: Oid,
        limit: u64,
        too_large: impl Fn() -> GitProblem,
    ) -> Result<Option<Vec<u8>>, GitProblem> {
        let mut content = Vec::new();
        let is_blob = self.read(place, id, &mut |length, piece| {
            if length > limit {
                return Err(too_large());
            }
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(is_blob.then_some(content))
    }

    /// Hands a file to `sink` as its attributes make it.
    ///
    /// # Errors
    /// [`GitProblem::Conversion`], [`GitProblem::Limit`], besides those of [`read`](Self::read).
    pub(super) fn converted(
        &mut self,
        place: Option<Place>,
        entry: &Entry,
        conversion: Conversion,
        purpose: Purpose,
        sink: Sink<'_>,
    ) -> Result<bool, GitProblem> {
        // A large file is read once for what is in it, and once more.
        let mut statistics = Statistics::default();
        let (mut content, mut is_small, mut is_left) = (Vec::new(), true, false);
        let url = self.url;
        let is_blob = self.read(place, entry.id, &mut |length, piece| {
            is_small = length <= SMALL;
            is_left = purpose == Purpose::Archive && length > ARCHIVED_AS_IT_IS;
            if is_left {
                return Ok(());
            }
            if is_small {
                content.extend_from_slice(piece);
            } else if conversion.is_by_line_ends() {
                statistics.add(piece);
            } else if length > MAX_CONVERTED {
                return Err(GitProblem::Limit {
                    url: url.to_owned(),
                    unit: "bytes of a file whose encoding or `$Id$` is converted",
                    limit: MAX_CONVERTED,
                });
            } else {
                content.extend_from_slice(piece);
            }
            Ok(())
        })?;
        if !is_blob {
            return Ok(false);
        }
        if is_left {
            return self.read(place, entry.id, sink);
        }
        if is_small || !conversion.is_by_line_ends() {
            let bytes = conversion
                .apply(content, entry.id, purpose)
                .map_err(|source| GitProblem::Conversion {
                    url: self.url.to_owned(),
                    path: entry.path.escape_ascii().to_string(),
                    source,
                })?;
            return sink(bytes.len() as u64, &bytes).map(|()| true);
        }
        self.with_line_ends(place, entry.id, &statistics, conversion.line_ends, sink)
    }

    fn with_line_ends(
        &mut self,
        place: Option<Place>,
        id: Oid,
        statistics: &Statistics,
        ends: LineEnds,
        sink: Sink<'_>,
    ) -> Result<bool, GitProblem> {
        if !statistics.converts(ends) {
            return self.read(place, id, sink);
        }
        let length = statistics.length + statistics.lone_lf;
        let (mut converter, mut converted) = (LineConverter::default(), Vec::new());
        self.read(place, id, &mut |_, piece| {
            converted.clear();
            converter.convert(piece, &mut converted);
            sink(length, &converted)
        })
    }
}
