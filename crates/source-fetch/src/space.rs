//! Room on file systems.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::FetchError;

/// Turns an I/O error on `path` into ours, naming the file system when it is full.
pub(crate) fn io_error(action: &'static str, path: PathBuf, problem: io::Error) -> FetchError {
    if is_full(&problem) {
        return no_space(path);
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

/// Makes the error for a file system below `path` that a write has found full.
pub(crate) fn no_space(path: PathBuf) -> FetchError {
    FetchError::NoSpace {
        filesystem: mount_point(&path),
        needed: None,
        available: available(&path).unwrap_or(0),
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
            needed: Some(needed),
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
    mount_points()
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.components().count())
        .unwrap_or_else(|| "/".into())
}

/// Whether something is mounted at `path`, also if it is another part of the same file system.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    mount_points().any(|mount| mount == path)
}

fn mount_points() -> impl Iterator<Item = PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let field = |line: &[u8]| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
    };
    let mounts: Vec<PathBuf> = table
        .split(|byte| *byte == b'\n')
        .filter_map(field)
        .collect();
    mounts.into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_system_asks_for_no_made_up_number() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let text = io_error("write", "/tmp/x".into(), full).to_string();
        assert!(text.contains("needs more room than there is, "), "{text}");
        let text = match require(Path::new("/tmp/x"), u64::MAX) {
            Err(error) => error.to_string(),
            Ok(()) => String::new(),
        };
        assert!(
            text.contains("needs 18446744073709551615 bytes, "),
            "{text}"
        );
    }
}
