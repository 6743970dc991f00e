//! Finishing or undoing what a crash has interrupted.

use std::fs;
use std::path::Path;

use super::history::{History, read_bounded};
use super::{ACTIVATING, Store, UNFINISHED, entries, folders, sha256_of, sync_folder};
use crate::error::ProvisionError;
use crate::lock::FileLock;
use crate::workspace::remove_tree;

impl Store {
    /// Repairs what dead owners have left in the whole store, and only that: what belongs to a
    /// worker whose lock somebody holds is left alone.
    ///
    /// `held` is the worker whose lock the caller holds, if any.
    ///
    /// # Errors
    /// [`ProvisionError::Io`] when something of the `held` worker cannot be repaired; others do not
    /// concern the caller.
    pub(crate) fn repair(&self, held: Option<&str>) -> Result<(), ProvisionError> {
        self.remove_stale_locks(held);
        for path in entries(&self.root)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let discarded = name.strip_prefix(UNFINISHED);
            let worker = discarded.unwrap_or(name);
            if discarded.is_none() && !has_unfinished(&path) {
                continue;
            }
            let is_held = held == Some(worker);
            let _lock = if is_held {
                None
            } else {
                match FileLock::try_acquire(&self.locks.join(worker)) {
                    Ok(Some(lock)) => Some(lock),
                    _ => continue,
                }
            };
            let repaired = if discarded.is_some() {
                remove_tree(&path).map_err(|source| ProvisionError::io("remove", &path, source))
            } else {
                repair_worker(&path)
            };
            match repaired {
                Err(error) if is_held => return Err(error),
                Err(error) => tracing::debug!(%error, worker, "another worker was not repaired"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// A lock's file is there only while somebody holds it.
    fn remove_stale_locks(&self, held: Option<&str>) {
        for path in entries(&self.locks).unwrap_or_default() {
            let is_held = held.is_some_and(|held| path.file_name() == Some(held.as_ref()));
            if !is_held
                && path
                    .symlink_metadata()
                    .is_ok_and(|metadata| metadata.is_file())
            {
                // Dropping the lock removes its file.
                drop(FileLock::try_acquire(&path));
            }
        }
    }
}

fn is_unfinished(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()))
}

fn has_unfinished(folder: &Path) -> bool {
    let unfinished = |folder: &Path| {
        entries(folder).is_ok_and(|entries| entries.iter().any(|path| is_unfinished(path)))
    };
    unfinished(folder)
        || folders(folder).is_ok_and(|versions| versions.iter().any(|version| unfinished(version)))
}

fn repair_worker(folder: &Path) -> Result<(), ProvisionError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ProvisionError::io("remove", &path, source)
    };
    finish_activation(folder)?;
    for path in entries(folder)?.iter().filter(|path| is_unfinished(path)) {
        remove_tree_or_file(path).map_err(failed(path))?;
    }
    for version in folders(folder)? {
        for path in entries(&version)?.iter().filter(|path| is_unfinished(path)) {
            remove_tree_or_file(path).map_err(failed(path))?;
        }
    }
    Ok(())
}

/// The binary of the version that was being activated is in place, or it is not: the record follows.
fn finish_activation(folder: &Path) -> Result<(), ProvisionError> {
    let path = folder.join(ACTIVATING);
    let Ok(text) = read_bounded(&path) else {
        return Ok(());
    };
    let version = History::parse(&text).installed(folder);
    let is_in_place = version.is_some_and(|version| {
        let receipt = version.receipt;
        let (Some(artifact), Some(expected)) = (&receipt.artifact, &receipt.installed_sha256)
        else {
            return false;
        };
        sha256_of(crate::Artifact::path(artifact)).is_ok_and(|found| found == *expected)
    });
    if is_in_place {
        fs::rename(&path, folder.join("current"))
            .and_then(|()| sync_folder(folder))
            .map_err(|source| ProvisionError::io("write", &path, source))?;
    }
    Ok(())
}

fn remove_tree_or_file(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        remove_tree(path)
    } else {
        fs::remove_file(path)
    }
}
