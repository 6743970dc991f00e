//! Files that lie beside the recipe or that a `file` URL names.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio_util::sync::CancellationToken;

use crate::checksum::{Algorithm, Digests, Hashers, copy_hashed};
use crate::error::FetchError;
use crate::space;

/// A file to copy.
#[derive(Debug, Clone)]
pub(crate) struct LocalFile {
    pub(crate) source_name: String,
    pub(crate) path: PathBuf,
    /// The directory that the file must be in.
    pub(crate) within: Option<PathBuf>,
    pub(crate) max_bytes: u64,
}

/// Copies the file to `target` with its mode and time, and hashes what it copies.
///
/// # Errors
/// [`FetchError::LocalMissing`], [`FetchError::LocalRefused`], [`FetchError::TooLarge`],
/// [`FetchError::NoSpace`], [`FetchError::Io`], [`FetchError::Cancelled`].
pub(crate) fn copy(
    local: &LocalFile,
    target: &Path,
    algorithms: &[Algorithm],
    token: &CancellationToken,
    step: &dyn Fn(u64, u64),
) -> Result<(u64, Digests), FetchError> {
    let mut file = open(local)?;
    let meta = file
        .metadata()
        .map_err(FetchError::io("stat", &local.path))?;
    if meta.len() > local.max_bytes {
        return Err(FetchError::TooLarge {
            source_name: local.source_name.clone(),
            limit: local.max_bytes,
        });
    }
    space::require(target, meta.len())?;
    let mut output = File::create_new(target).map_err(FetchError::io("create", target))?;
    let mut hashers = Hashers::new(algorithms.iter().copied());
    // Only the size that was seen: a log that somebody writes to would never end.
    let mut input = io::Read::take(&mut file, meta.len());
    let copied = copy_hashed(&mut input, &mut hashers, &mut output, |done| {
        if token.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        step(done, meta.len());
        Ok(())
    });
    if token.is_cancelled() {
        return Err(FetchError::Cancelled);
    }
    let bytes = copied.map_err(FetchError::io("copy", &local.path))?;
    let mode = meta.permissions().mode() & 0o777;
    output
        .set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| match meta.modified() {
            Ok(time) => output.set_modified(time),
            Err(_) => Ok(()),
        })
        .map_err(FetchError::io("change the mode of", target))?;
    Ok((bytes, hashers.finish()))
}

fn open(local: &LocalFile) -> Result<File, FetchError> {
    let refused = || FetchError::LocalRefused {
        source_name: local.source_name.clone(),
        path: local.path.clone(),
    };
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FetchError::LocalMissing {
            source_name: local.source_name.clone(),
            path: local.path.clone(),
        },
        _ => FetchError::io("open", &local.path)(error),
    };
    let path = local.path.canonicalize().map_err(missing)?;
    if let Some(within) = &local.within {
        let within = within
            .canonicalize()
            .map_err(FetchError::io("resolve", within))?;
        if !path.starts_with(within) {
            return Err(refused());
        }
    }
    if !fs::symlink_metadata(&path).map_err(missing)?.is_file() {
        return Err(refused());
    }
    // A pipe put there in between must not make the open wait for a writer.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&path)
        .map_err(missing)?;
    if file.metadata().is_ok_and(|meta| meta.is_file()) {
        Ok(file)
    } else {
        Err(refused())
    }
}
