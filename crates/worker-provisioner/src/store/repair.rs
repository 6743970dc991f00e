//! Finishing or undoing what a crash has interrupted.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::history::{History, read_bounded};
use super::unfinished::{ACTIVATING, Begun};
use super::{Store, entries, lock_key, sha256_of, sync_folder};
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
        // Once for a start: each of many provisions at once would ask for the locks of all others.
        if !self.locks_swept.swap(true, Ordering::Relaxed) || held.is_none() {
            self.remove_stale_locks(held);
        }
        let begun = self.unfinished.list();
        let begun = begun.map_err(|source| ProvisionError::io("list", &self.root, source))?;
        for begun in begun {
            let is_held = held.map(lock_key) == Some(lock_key(&begun.worker));
            let _lock = if is_held {
                None
            } else {
                match self.try_lock(&begun.worker) {
                    Ok(Some(lock)) => Some(lock),
                    _ => continue,
                }
            };
            match self.end(&begun) {
                Err(source) if is_held => {
                    return Err(ProvisionError::io("repair", &begun.path, source));
                }
                Err(error) => tracing::debug!(%error, ?begun, "another worker was not repaired"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Finishes what can be finished, and removes the rest.
    fn end(&self, begun: &Begun) -> io::Result<()> {
        if begun.rest == ACTIVATING {
            let folder = self.root.join(&begun.worker);
            if is_in_place(&folder, &begun.path) {
                fs::rename(&begun.path, folder.join("current"))?;
                return sync_folder(&folder);
            }
        }
        match begun.path.symlink_metadata() {
            // Its owner has ended it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(metadata) if metadata.is_dir() => remove_tree(&begun.path),
            Ok(_) => fs::remove_file(&begun.path),
        }
    }

    /// A lock's file is there only while somebody holds it.
    fn remove_stale_locks(&self, held: Option<&str>) {
        for path in entries(&self.locks).unwrap_or_default() {
            let is_held =
                held.is_some_and(|held| path.file_name() == Some(lock_key(held).as_ref()));
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

/// Whether the binary of the version that was being activated is in place.
fn is_in_place(folder: &Path, note: &Path) -> bool {
    let version = read_bounded(note)
        .ok()
        .and_then(|text| History::parse(&text).installed(folder));
    version.is_some_and(|version| {
        let receipt = version.receipt;
        let (Some(artifact), Some(expected)) = (&receipt.artifact, &receipt.installed_sha256)
        else {
            return false;
        };
        sha256_of(crate::Artifact::path(artifact)).is_ok_and(|found| found == *expected)
    })
}
