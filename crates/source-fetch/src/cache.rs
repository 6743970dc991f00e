//! The store of downloaded files, shared by processes.
//!
//! A file lies under its strongest declared digest, or under its URL when it declares none:
//! `files/<kind>/<first two digits>/<digest>`, with `.json` (what is known about it), `.part`
//! and `.part.json` (an unfinished download) and `.lock` beside it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::checksum::{Algorithm, Checksum, Expected, digest_text};
use crate::error::FetchError;

/// Largest side file that is read, in bytes.
const MAX_META: u64 = 64 * 1024;

/// Where one downloaded file lies in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    path: PathBuf,
}

/// What is remembered about a file or an unfinished download.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Digest of the request's URL, so that a part is only resumed from where it began.
    pub(crate) url_digest: String,
    /// Final URL without user, password and query.
    pub(crate) final_url: String,
    /// Whether every hop was over TLS.
    pub(crate) tls: bool,
    /// Validator of the representation.
    pub(crate) etag: Option<String>,
    /// Validator of the representation.
    pub(crate) last_modified: Option<String>,
    /// Whether `last_modified` is a strong validator, RFC 9110, 8.8.2.2.
    #[serde(default)]
    pub(crate) last_modified_strong: bool,
    /// Size of the whole in bytes, if known.
    pub(crate) total: Option<u64>,
    /// SHA-256 of a finished file.
    pub(crate) sha256: Option<String>,
    /// `Content-Encoding` the server used unasked.
    #[serde(default)]
    pub(crate) encoding: Option<String>,
}

/// Held while an entry is looked at or written; released on drop.
#[derive(Debug)]
pub(crate) struct EntryLock {
    _file: File,
}

/// Returns the digest that names a URL in the cache.
pub(crate) fn url_digest(url: &str) -> String {
    hex::encode(Sha256::digest(url))
}

impl Entry {
    /// Returns where a file with these checksums, or else from this URL, belongs.
    pub(crate) fn new(cache: &Path, checksums: &[Checksum], url: &str) -> Self {
        let strongest = checksums
            .iter()
            .filter_map(|checksum| match &checksum.expected {
                // A CRC is no name for content: unlike files may share it.
                Expected::Digest(digest) if checksum.algorithm != Algorithm::Cksum => {
                    Some((checksum.algorithm, digest))
                }
                _ => None,
            })
            .max_by_key(|(algorithm, _)| *algorithm);
        let (kind, name) = match strongest {
            Some((algorithm, digest)) => (algorithm.name(), digest_text(algorithm, digest)),
            None => ("url", url_digest(url)),
        };
        let path = cache.join("files").join(kind).join(&name[..2]).join(&name);
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the name is a digest of the content, so that the content cannot change.
    pub(crate) fn is_content_addressed(&self) -> bool {
        self.declared().is_some()
    }

    /// Tells whether the file has the digest that it is named after, or the one that was
    /// written down for it.
    pub(crate) fn is_intact(&self, digests: &[(Algorithm, Vec<u8>)], meta: &Meta) -> bool {
        let of = |wanted| {
            let found = digests.iter().find(|(algorithm, _)| *algorithm == wanted);
            found.map(|(algorithm, digest)| digest_text(*algorithm, digest))
        };
        match self.declared() {
            Some((algorithm, name)) => of(algorithm).as_deref() == Some(name),
            None => meta.sha256.is_some() && of(Algorithm::Sha256) == meta.sha256,
        }
    }

    fn declared(&self) -> Option<(Algorithm, &str)> {
        let name = self.path.file_name()?.to_str()?;
        let kind = self.path.parent()?.parent()?.file_name()?.to_str()?;
        Some((Algorithm::from_name(kind)?, name))
    }

    pub(crate) fn part(&self) -> PathBuf {
        self.beside(".part")
    }

    pub(crate) fn part_meta(&self) -> PathBuf {
        self.beside(".part.json")
    }

    pub(crate) fn meta(&self) -> PathBuf {
        self.beside(".json")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    /// Waits for the entry's lock.
    ///
    /// # Errors
    /// [`FetchError::Io`], or [`FetchError::Cancelled`] while another process holds it.
    pub(crate) async fn lock(&self, token: &CancellationToken) -> Result<EntryLock, FetchError> {
        let mut pause = Duration::from_millis(5);
        loop {
            let path = self.beside(".lock");
            if let Some(lock) = blocking::run(token, move || try_lock(&path)).await? {
                return Ok(lock);
            }
            tokio::select! {
                () = token.cancelled() => return Err(FetchError::Cancelled),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Makes a verified part the entry: it is on disk in whole before it has the final name.
    pub(crate) fn commit(&self, from: &Path, meta: &Meta) -> Result<(), FetchError> {
        let file = File::open(from).map_err(FetchError::io("open", from))?;
        file.set_permissions(fs::Permissions::from_mode(0o444))
            .map_err(FetchError::io("change the mode of", from))?;
        file.sync_all().map_err(FetchError::io("sync", from))?;
        write_meta(&self.meta(), meta)?;
        fs::rename(from, &self.path).map_err(FetchError::io("rename", from))?;
        if let Some(parent) = self.path.parent() {
            File::open(parent)
                .and_then(|dir| dir.sync_all())
                .map_err(FetchError::io("sync", parent))?;
        }
        remove(&self.part_meta())
    }

    /// Forgets an unfinished download.
    pub(crate) fn drop_part(&self) -> Result<(), FetchError> {
        remove(&self.part())?;
        remove(&self.part_meta())
    }

    /// Forgets the file.
    pub(crate) fn evict(&self) -> Result<(), FetchError> {
        remove(&self.path)?;
        remove(&self.meta())
    }

    /// Marks the entry as used now, for `gc`.
    pub(crate) fn touch(&self) {
        let now = fs::FileTimes::new().set_modified(SystemTime::now());
        // A cache that cannot be written is still good to read.
        let _ = File::options()
            .append(true)
            .open(self.meta())
            .and_then(|file| file.set_times(now));
    }
}

/// Reads a side file; one that is missing, too large or damaged is as good as none.
pub(crate) fn read_meta(path: &Path) -> Option<Meta> {
    let size = fs::metadata(path).ok()?.len();
    if size > MAX_META {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a side file in one step.
pub(crate) fn write_meta(path: &Path, meta: &Meta) -> Result<(), FetchError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let bytes = serde_json::to_vec(meta)
        .map_err(io::Error::from)
        .map_err(FetchError::io("encode", path))?;
    let written = fs::write(&temporary, bytes)
        .map_err(FetchError::io("write", &temporary))
        .and_then(|()| fs::rename(&temporary, path).map_err(FetchError::io("rename", &temporary)));
    if written.is_err() {
        // On a full disk an empty file is there all the same.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FetchError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn try_lock(path: &Path) -> Result<Option<EntryLock>, FetchError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(FetchError::io("create", parent))?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(FetchError::io("open", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(FetchError::io("lock", path)(error)),
    }
    // `gc` may have removed the file between opening and locking; then the lock guards nothing.
    let held = file.metadata().map_err(FetchError::io("stat", path))?;
    match fs::metadata(path) {
        Ok(named) if named.ino() == held.ino() && named.dev() == held.dev() => {
            Ok(Some(EntryLock { _file: file }))
        }
        _ => Ok(None),
    }
}

/// What [`collect_garbage`] removed and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GarbageReport {
    /// Files removed.
    pub removed: u64,
    /// Their size in bytes.
    pub removed_bytes: u64,
    /// Size of the files left, in bytes.
    pub kept_bytes: u64,
}

/// Removes downloaded files that were not used for `max_age`, then the longest unused ones
/// until the rest is at most `max_bytes`.
///
/// Unfinished downloads count as files. Entries in use by another process stay. Git mirrors are
/// not touched. It reads and writes the disk, so call it off the runtime's threads.
///
/// # Errors
/// [`FetchError::Io`] when the cache cannot be listed or a file cannot be removed.
pub fn collect_garbage(
    cache: &Path,
    max_age: Option<Duration>,
    max_bytes: Option<u64>,
) -> Result<GarbageReport, FetchError> {
    let mut found = Vec::new();
    for kind in list(&cache.join("files"))? {
        for shelf in list(&kind)? {
            for path in list(&shelf)? {
                if path.extension().is_none_or(|ending| ending == "part") {
                    found.extend(describe(path));
                }
            }
        }
    }
    found.sort_by_key(|(used, _, _)| *used);
    let mut left: u64 = found.iter().map(|(_, size, _)| size).sum();
    let oldest = max_age.and_then(|age| SystemTime::now().checked_sub(age));
    let mut report = GarbageReport::default();
    for (used, size, path) in found {
        let expired = oldest.is_some_and(|oldest| used < oldest);
        let crowded = max_bytes.is_some_and(|limit| left > limit);
        if !(expired || crowded) {
            continue;
        }
        if remove_unlocked(&path)? {
            left -= size;
            report.removed += 1;
            report.removed_bytes += size;
        }
    }
    report.kept_bytes = left;
    Ok(report)
}

fn remove_unlocked(path: &Path) -> Result<bool, FetchError> {
    let text = path.to_string_lossy();
    let entry = Entry {
        path: text.strip_suffix(".part").unwrap_or(&text).into(),
    };
    let lock_path = entry.beside(".lock");
    let Some(lock) = try_lock(&lock_path)? else {
        return Ok(false);
    };
    if text.ends_with(".part") {
        entry.drop_part()?;
    } else {
        entry.evict()?;
    }
    if !entry.part().exists() && !entry.path.exists() {
        remove(&lock_path)?;
    }
    drop(lock);
    Ok(true)
}

fn describe(path: PathBuf) -> Option<(SystemTime, u64, PathBuf)> {
    let meta = fs::symlink_metadata(&path).ok()?;
    if !meta.is_file() {
        return None;
    }
    let side = Entry { path: path.clone() }.meta();
    let used = fs::metadata(side)
        .and_then(|side| side.modified())
        .or_else(|_| meta.modified())
        .ok()?;
    Some((used, meta.len(), path))
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, FetchError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(FetchError::io("list", dir)(error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()
        .map_err(FetchError::io("list", dir))
}
