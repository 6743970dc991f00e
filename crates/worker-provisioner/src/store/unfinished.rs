//! Everything a store has begun and not ended, in one folder, so that looking for what dead owners
//! have left costs as much as they have left, however many workers are installed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::sync_folder;

/// Between the worker's key, which never holds it, and the rest of a name.
const SEPARATOR: char = '+';

/// What names the version whose binary is being put in place.
pub(super) const ACTIVATING: &str = "current";

/// The folder of the unfinished. Each name begins with the key of the worker it is for, whose lock
/// its owner holds.
#[derive(Debug, Clone)]
pub(super) struct Unfinished {
    folder: PathBuf,
}

/// Something that was begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) path: PathBuf,
    /// The worker's key.
    pub(super) worker: String,
    /// What it is, after the key.
    pub(super) rest: String,
}

impl Unfinished {
    pub(super) fn below(store: &Path) -> Self {
        Self {
            folder: store.join(".unfinished"),
        }
    }

    /// What was begun, by whomever.
    pub(super) fn list(&self) -> io::Result<Vec<Begun>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let begun = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (worker, rest) = name.split_once(SEPARATOR)?;
            Some(Begun {
                path: entry.path(),
                worker: worker.to_owned(),
                rest: rest.to_owned(),
            })
        });
        Ok(begun.collect())
    }

    /// Where something of a worker goes that has a name. Nothing is created.
    pub(super) fn path(&self, worker: &str, rest: &str) -> PathBuf {
        self.folder.join(format!("{worker}{SEPARATOR}{rest}"))
    }

    /// A folder to put a version together in; it is removed when dropped.
    pub(super) fn staging(&self, worker: &str) -> io::Result<Staging> {
        fs::create_dir_all(&self.folder)?;
        let folder = tempfile::Builder::new()
            .prefix(&nameless(worker))
            .tempdir_in(&self.folder)?;
        // Not removed by path and recursion: what comes in may be deep.
        Ok(Staging(folder.keep()))
    }

    /// Replaces the file at `path`, of the same file system, whole or not at all.
    pub(super) fn replace(&self, worker: &str, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(&nameless(worker))
            .tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_folder(path.parent().unwrap_or(path))
    }

    /// Notes durably what is about to be activated; the note is removed when dropped.
    pub(super) fn note(&self, worker: &str, text: &str) -> io::Result<TempPath> {
        fs::create_dir_all(&self.folder)?;
        let path = self.path(worker, ACTIVATING);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let name = path.file_name().unwrap_or_default();
        let mut file = tempfile::Builder::new()
            .prefix(name)
            .rand_bytes(0)
            .tempfile_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        sync_folder(&self.folder)?;
        Ok(file.into_temp_path())
    }
}

/// A folder that a version is put together in, until it is renamed.
#[derive(Debug)]
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = untrusted_tree::remove(&self.0, &|| false) {
            tracing::warn!(%error, path = %self.0.display(), "an unfinished version was not removed");
        }
    }
}

/// The beginning of a name that is no other's.
fn nameless(worker: &str) -> String {
    format!("{worker}{SEPARATOR}.")
}
