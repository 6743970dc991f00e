//! Writes members below one directory and nowhere else, within limits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Mode;
use tokio_util::sync::CancellationToken;

use super::Stop;
use super::attributes::{Mtime, UMASK, has_other_umask, open_directory, stamps};
use super::path::{check_links, relative};
use crate::error::ExtractProblem;
use crate::policy::ExtractLimits;
use crate::space;

mod link;
#[cfg(test)]
mod tests;

/// Below this the ratio says nothing: an empty file of a few megabytes packs to almost nothing.
pub(super) const RATIO_FROM: u64 = 64 << 20;
/// How often the room on the file system is looked at, in bytes written.
const ROOM_STEP: u64 = 64 << 20;

/// Bytes of names that one archive may have kept in memory: those of directories and links, and where case folds of
/// all members.
const MAX_NAMES: u64 = 256 << 20;
/// What keeping a name takes beside its bytes.
const NAME_COST: u64 = 128;
/// Longest path of a member in bytes; the system takes none that is longer: `PATH_MAX`, limits.h.
const MAX_PATH: usize = 4095;

/// What an archive was unpacked to.
#[derive(Debug, Default)]
pub(crate) struct Extraction {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Directories, relative, with the mode and time they get once nothing moves any more.
    pub(crate) directories: Vec<(PathBuf, Option<u32>, Mtime)>,
    /// Symbolic links, relative.
    pub(crate) links: Vec<PathBuf>,
}

/// Places members below a root that is private until it is whole.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    root: PathBuf,
    limits: &'a ExtractLimits,
    token: &'a CancellationToken,
    /// Packed bytes consumed so far.
    packed: Arc<AtomicU64>,
    /// The process creates with another mode than makepkg would.
    mask_differs: bool,
    known: HashSet<PathBuf>,
    folded: Option<HashMap<String, PathBuf>>,
    directories: BTreeMap<PathBuf, (Option<u32>, Mtime)>,
    links: HashSet<PathBuf>,
    entries: u64,
    bytes: u64,
    next_room_check: u64,
    /// Bytes of names kept.
    names: u64,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(
        root: &Path,
        limits: &'a ExtractLimits,
        token: &'a CancellationToken,
        packed: Arc<AtomicU64>,
    ) -> Result<Self, Stop> {
        fs::create_dir_all(root).map_err(|error| Stop::io(root, error))?;
        let folds = limits
            .case_insensitive
            .unwrap_or_else(|| folds_case(root).unwrap_or(false));
        Ok(Self {
            root: root.to_owned(),
            limits,
            token,
            packed,
            mask_differs: has_other_umask(),
            known: HashSet::new(),
            folded: folds.then(HashMap::new),
            directories: BTreeMap::new(),
            links: HashSet::new(),
            entries: 0,
            bytes: 0,
            next_room_check: 0,
            names: 0,
            buffer: vec![0; 128 * 1024],
        })
    }

    /// Checks that no link leads outside and returns what was written.
    pub(crate) fn finish(self) -> Result<Extraction, Stop> {
        let mut links: Vec<_> = self.links.into_iter().collect();
        links.sort_unstable();
        check_links(&self.root, &links, self.token)?;
        Ok(Extraction {
            entries: self.entries,
            bytes: self.bytes,
            directories: self
                .directories
                .into_iter()
                .map(|(path, (mode, mtime))| (path, mode, mtime))
                .collect(),
            links,
        })
    }

    /// Counts one member and turns its name into a path below the root; `None` is the root.
    pub(crate) fn enter(&mut self, name: &[u8]) -> Result<Option<PathBuf>, Stop> {
        if self.token.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(Stop::archive(ExtractProblem::TooManyEntries {
                limit: self.limits.max_entries,
            }));
        }
        let path = relative(name).map_err(|problem| Stop::member(name, problem))?;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        if path.as_os_str().len() > MAX_PATH {
            return Err(Stop::member(name, ExtractProblem::BadPath));
        }
        self.check_case(name, &path)?;
        Ok(Some(path))
    }

    /// Counts bytes of content about to be written.
    pub(crate) fn charge(&mut self, name: &[u8], count: u64) -> Result<(), Stop> {
        if self.token.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > self.limits.max_bytes {
            return Err(Stop::member(
                name,
                ExtractProblem::TooManyBytes {
                    limit: self.limits.max_bytes,
                },
            ));
        }
        let packed = self.packed.load(Ordering::Relaxed).max(1);
        if self.bytes > RATIO_FROM && self.bytes / packed > self.limits.max_ratio {
            return Err(Stop::member(
                name,
                ExtractProblem::Ratio {
                    limit: self.limits.max_ratio,
                },
            ));
        }
        if self.bytes >= self.next_room_check {
            self.next_room_check = self.bytes + ROOM_STEP;
            space::require(&self.root, count).map_err(|error| Stop::Space(Box::new(error)))?;
        }
        Ok(())
    }

    /// Counts a name about to be kept.
    fn keep(&mut self, path: &Path) -> Result<(), Stop> {
        self.names += path.as_os_str().len() as u64 + NAME_COST;
        if self.names > MAX_NAMES {
            return Err(Stop::archive(ExtractProblem::TooManyNames {
                limit: MAX_NAMES,
            }));
        }
        Ok(())
    }

    /// Reads and drops `count` bytes, which are counted as content if they are more than padding.
    pub(crate) fn skip(&mut self, input: &mut dyn Read, count: u64) -> Result<(), Stop> {
        let mut left = count;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = (|| {
            while left > 0 {
                let want =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let read = read_some(input, &mut buffer[..want]).map_err(Stop::read)? as u64;
                if read == 0 {
                    return Err(Stop::archive(super::damaged("it ends within a member")));
                }
                if count >= 512 {
                    self.charge(b"", read)?;
                }
                left -= read;
            }
            Ok(())
        })();
        self.buffer = buffer;
        result
    }

    /// Makes a directory; its mode and time are set at the very end.
    pub(crate) fn directory(
        &mut self,
        name: &[u8],
        path: &Path,
        mode: u32,
        mtime: Mtime,
    ) -> Result<(), Stop> {
        self.ensure_directory(name, path)?;
        if !self.directories.contains_key(path) {
            self.keep(path)?;
        }
        let mode = mode & 0o777 & !UMASK;
        self.directories
            .insert(path.to_owned(), (Some(mode), mtime));
        Ok(())
    }

    /// Writes a regular file from `content`, which must give exactly `size` bytes.
    pub(crate) fn file(
        &mut self,
        name: &[u8],
        path: &Path,
        (mode, mtime): (u32, Mtime),
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), Stop> {
        self.sparse_file(name, path, (mode, mtime), &[(0, size)], size, content)
    }

    /// Writes a file of `real_size` bytes whose content covers `segments` (offset, length).
    pub(crate) fn sparse_file(
        &mut self,
        name: &[u8],
        path: &Path,
        (mode, mtime): (u32, Mtime),
        segments: &[(u64, u64)],
        real_size: u64,
        content: &mut dyn Read,
    ) -> Result<(), Stop> {
        let mut file = self.create(name, path)?;
        let holes = real_size.saturating_sub(segments.iter().map(|(_, length)| length).sum());
        self.charge(name, holes)?;
        let mut position = 0;
        for (offset, length) in segments {
            if *offset != position {
                file.seek(SeekFrom::Start(*offset))
                    .map_err(|error| self.stop(name, path, error))?;
            }
            self.copy(name, path, &mut file, *length, content)?;
            position = offset + length;
        }
        // A map may end in an entry without data that only says where the end is.
        if segments.last().is_none_or(|(_, length)| *length == 0) || position < real_size {
            file.set_len(real_size)
                .map_err(|error| self.stop(name, path, error))?;
        }
        self.seal(name, path, &file, mode, mtime)
    }

    /// Writes what a single compressed file holds, dated now.
    pub(crate) fn stream(
        &mut self,
        name: &[u8],
        path: &Path,
        mode: u32,
        content: &mut dyn Read,
    ) -> Result<(), Stop> {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let mtime = Mtime {
            seconds: i64::try_from(now.as_secs()).unwrap_or(0),
            nanoseconds: now.subsec_nanos(),
        };
        self.file_until_end(name, path, (mode, mtime), content)
    }

    /// Writes a file whose content ends where the reader does.
    pub(crate) fn file_until_end(
        &mut self,
        name: &[u8],
        path: &Path,
        (mode, mtime): (u32, Mtime),
        content: &mut dyn Read,
    ) -> Result<(), Stop> {
        let mut file = self.create(name, path)?;
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let read = read_some(content, &mut buffer);
            let count = read.map_err(|error| self.stop(name, path, error))?;
            if count == 0 {
                self.buffer = buffer;
                break;
            }
            // Before it is written: not one byte more than is allowed reaches the disk.
            self.charge(name, count as u64)?;
            let written = file.write_all(&buffer[..count]);
            self.buffer = buffer;
            written.map_err(|error| self.stop(name, path, error))?;
        }
        self.seal(name, path, &file, mode, mtime)
    }

    /// Returns what stops the unpacking.
    pub(crate) fn token(&self) -> &CancellationToken {
        self.token
    }

    /// Returns the most members allowed.
    pub(crate) fn max_entries(&self) -> u64 {
        self.limits.max_entries
    }

    fn copy(
        &mut self,
        name: &[u8],
        path: &Path,
        file: &mut File,
        length: u64,
        content: &mut dyn Read,
    ) -> Result<(), Stop> {
        let mut left = length;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = (|| {
            while left > 0 {
                let want =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let count = read_some(content, &mut buffer[..want])
                    .map_err(|error| self.stop(name, path, error))?;
                if count == 0 {
                    return Err(Stop::member(name, super::damaged("it ends early")));
                }
                self.charge(name, count as u64)?;
                file.write_all(&buffer[..count])
                    .map_err(|error| self.stop(name, path, error))?;
                left -= count as u64;
            }
            Ok(())
        })();
        self.buffer = buffer;
        result
    }

    fn create(&mut self, name: &[u8], path: &Path) -> Result<File, Stop> {
        self.clear(name, path)?;
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.root.join(path))
            .map_err(|error| self.stop(name, path, error))
    }

    fn seal(
        &self,
        name: &[u8],
        path: &Path,
        file: &File,
        mode: u32,
        mtime: Mtime,
    ) -> Result<(), Stop> {
        // Only the nine permission bits: setuid, setgid and sticky are dropped.
        let mode = Mode::from_raw_mode(mode & 0o777 & !UMASK);
        rustix::fs::fchmod(file, mode)
            .and_then(|()| rustix::fs::futimens(file, &stamps(mtime)))
            .map_err(|error| self.stop(name, path, error.into()))
    }

    /// Makes the parents of `path` and removes what an earlier member left there.
    fn clear(&mut self, name: &[u8], path: &Path) -> Result<(), Stop> {
        if let Some(parent) = path.parent() {
            self.ensure_directory(name, parent)?;
        }
        let full = self.root.join(path);
        match fs::symlink_metadata(&full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.stop(name, path, error)),
            Ok(meta) if meta.is_dir() => {
                self.known.remove(path);
                self.directories.remove(path);
                fs::remove_dir(&full).map_err(|error| self.stop(name, path, error))
            }
            Ok(_) => {
                self.links.remove(path);
                fs::remove_file(&full).map_err(|error| self.stop(name, path, error))
            }
        }
    }

    fn ensure_directory(&mut self, name: &[u8], path: &Path) -> Result<(), Stop> {
        let is_missing = |part: &&Path| !part.as_os_str().is_empty() && !self.known.contains(*part);
        let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        for part in missing.into_iter().rev() {
            self.ensure_part(name, part)?;
        }
        Ok(())
    }

    fn ensure_part(&mut self, name: &[u8], path: &Path) -> Result<(), Stop> {
        if self.token.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        self.keep(path)?;
        let full = self.root.join(path);
        match fs::create_dir(&full) {
            Ok(()) if self.mask_differs => {
                open_directory(&full).map_err(|error| self.stop(name, path, error))?;
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let meta =
                    fs::symlink_metadata(&full).map_err(|error| self.stop(name, path, error))?;
                if !meta.is_dir() {
                    return Err(Stop::member(name, ExtractProblem::ThroughLink));
                }
            }
            Err(error) => return Err(self.stop(name, path, error)),
        }
        self.known.insert(path.to_owned());
        Ok(())
    }

    /// Checks that every parent of `path` is a directory of ours.
    fn walk(&self, path: &Path) -> Result<(), ()> {
        let parents = path.ancestors().skip(1);
        for parent in parents.filter(|parent| !parent.as_os_str().is_empty()) {
            if !self.known.contains(parent) {
                return Err(());
            }
        }
        Ok(())
    }

    fn check_case(&mut self, name: &[u8], path: &Path) -> Result<(), Stop> {
        let Some(folded) = &mut self.folded else {
            return Ok(());
        };
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let key = part.to_string_lossy().to_lowercase();
            if !folded.contains_key(&key) {
                self.names += 2 * part.as_os_str().len() as u64 + NAME_COST;
            }
            let first = folded.entry(key).or_insert_with(|| part.to_owned());
            if first != part {
                let other = first.to_string_lossy().into_owned();
                return Err(Stop::member(name, ExtractProblem::CaseCollision { other }));
            }
            if self.names > MAX_NAMES {
                let limit = MAX_NAMES;
                return Err(Stop::archive(ExtractProblem::TooManyNames { limit }));
            }
        }
        Ok(())
    }

    fn stop(&self, name: &[u8], path: &Path, error: io::Error) -> Stop {
        if space::is_full(&error) {
            return Stop::Space(Box::new(space::no_space(self.root.join(path))));
        }
        if self.token.is_cancelled() {
            return Stop::Cancelled;
        }
        // A decoder whose input breaks off says so while its output is copied.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Stop::member(name, super::damaged("it ends early"));
        }
        Stop::member(name, ExtractProblem::Io(error))
    }
}

fn read_some(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Asks the file system whether it tells `a` from `A`.
fn folds_case(root: &Path) -> io::Result<bool> {
    let probe = root.join(".case-probe");
    File::create(&probe)?;
    let folds = root.join(".CASE-PROBE").exists();
    fs::remove_file(&probe)?;
    Ok(folds)
}
