//! Room on file systems.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::FetchError;

/// Turns an I/O error on `path` into ours, naming the file system when it is full.
pub(crate) fn io_error(action: &'static str, path: PathBuf, problem: io::Error) -> FetchError {
    if is_full(&problem) {
        return no_space(path, 0);
    }
    FetchError::Io {
        action,
        path,
        problem,
    }
}

/// Tells whether an error means that a file system or a quota is full.
pub(crate) fn is_full(problem: &io::Error) -> bool {
    matches!(
        problem.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Makes the error for a full file system below `path`; `needed` is in bytes, 0 if unknown.
pub(crate) fn no_space(path: PathBuf, needed: u64) -> FetchError {
    let available = available(&path).unwrap_or(0);
    FetchError::NoSpace {
        filesystem: mount_point(&path),
        needed: needed.max(available + 1),
        available,
        path,
    }
}

/// Fails when fewer than `needed` bytes are free where `path` lies.
///
/// # Errors
/// [`FetchError::NoSpace`]. An unreadable file system is left for the write to find.
pub(crate) fn require(path: &Path, needed: u64) -> Result<(), FetchError> {
    match available(path) {
        Some(free) if free < needed => Err(FetchError::NoSpace {
            filesystem: mount_point(path),
            path: path.to_owned(),
            needed,
            available: free,
        }),
        _ => Ok(()),
    }
}

fn available(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(existing(path)).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The nearest ancestor that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}

fn mount_point(path: &Path) -> PathBuf {
    let existing = existing(path);
    let path = existing.canonicalize().unwrap_or_else(|_| existing.into());
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(std::ffi::OsStr::from_bytes(&unescape(field))))
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.components().count())
        .unwrap_or_else(|| "/".into())
}

/// Undoes the octal escapes of proc(5), "mountinfo".
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if let [
            b'\\',
            a @ b'0'..=b'3',
            b @ b'0'..=b'7',
            c @ b'0'..=b'7',
            after @ ..,
        ] = rest
        {
            out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}
