//! The private folder of one provision, removed however the provision ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use untrusted_tree::Tree;

use crate::error::ProvisionError;
use crate::lock::FileLock;
use crate::store::Package;

/// The prefix of every workspace's name.
const PREFIX: &str = "worker-provisioner-";

/// The ending of the lock file beside a workspace, which says that its owner lives.
const LOCK_SUFFIX: &str = ".lock";

/// The directories of one build, as makepkg lays them out: `startdir`, `srcdir`, `pkgdir`.
///
/// They are in a directory of their own with an unpredictable name and the mode 0700, which a build
/// is never given: it may open `startdir` to everybody, and nobody gets there. Dropping it removes
/// everything below; what a killed owner leaves is removed by [`sweep`].
#[derive(Debug)]
pub(crate) struct Workspace {
    enclosure: PathBuf,
    startdir: PathBuf,
    // Held until the directory is gone: nobody sweeps it away before.
    lock: Option<FileLock>,
}

impl Workspace {
    /// Creates the folders below `temp_dir` and writes the recipe into `startdir`.
    pub(crate) fn create(temp_dir: &Path, recipe: &str) -> Result<Self, ProvisionError> {
        let failed = |source| ProvisionError::io("create a build folder in", temp_dir, source);
        // The phases see real paths, so that a build that resolves links finds the same names.
        let temp_dir = temp_dir.canonicalize().map_err(failed)?;
        let (lock, enclosure) = create_locked(&temp_dir).map_err(failed)?;
        let workspace = Self {
            startdir: enclosure.join("build"),
            enclosure,
            lock: Some(lock),
        };
        private_directory(&workspace.startdir).map_err(failed)?;
        let path = workspace.recipe();
        fs::write(&path, recipe).map_err(|source| ProvisionError::io("write", &path, source))?;
        Ok(workspace)
    }

    /// The folder that holds the recipe (PKGBUILD(5), "startdir").
    pub(crate) fn startdir(&self) -> &Path {
        &self.startdir
    }

    /// The recipe's own file.
    pub(crate) fn recipe(&self) -> PathBuf {
        self.startdir.join("PKGBUILD")
    }

    /// Where the sources are (PKGBUILD(5), "srcdir").
    pub(crate) fn srcdir(&self) -> PathBuf {
        self.startdir.join("src")
    }

    /// Where the package `name` is installed to (PKGBUILD(5), "pkgdir").
    pub(crate) fn pkgdir(&self, name: &str) -> PathBuf {
        self.startdir.join("pkg").join(name)
    }

    /// Removes everything and says when something could not be removed.
    pub(crate) fn remove(mut self) -> Result<(), ProvisionError> {
        let removed = match self.lock.take() {
            Some(lock) => remove_locked(&self.enclosure, lock),
            None => Ok(()),
        };
        removed.map_err(|source| ProvisionError::io("remove", &self.enclosure, source))
    }
}

/// The packages of these names below `startdir`, which the build has had in its hands.
///
/// # Errors
/// [`ProvisionError::Io`] when a `pkgdir` is no directory any more, or leads elsewhere.
pub(crate) fn packages(startdir: &Path, names: &[String]) -> Result<Vec<Package>, ProvisionError> {
    let open = |name: &String| {
        let below = Path::new("pkg").join(name);
        let tree = Tree::open(startdir)
            .and_then(|tree| tree.open_below(&below))
            .map_err(|source| ProvisionError::tree("open", &startdir.join(&below), source))?;
        let name = name.clone();
        Ok(Package { name, tree })
    };
    names.iter().map(open).collect()
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let Some(lock) = self.lock.take() else { return };
        let path = std::mem::take(&mut self.enclosure);
        let remove = move || {
            if let Err(error) = remove_locked(&path, lock) {
                tracing::warn!(%error, path = %path.display(), "the build folder was not removed");
            }
        };
        // A future is dropped on a thread of the runtime, which must not wait for a file system.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Creates `<temp_dir>/<prefix><random>` and, before it and locked, `<the same>.lock`.
fn create_locked(temp_dir: &Path) -> io::Result<(FileLock, PathBuf)> {
    loop {
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(LOCK_SUFFIX)
            .tempfile_in(temp_dir)?;
        let path = file.into_temp_path().keep().map_err(|error| error.error)?;
        // A sweeper may hold the lock of a file that it takes for a dead owner's: choose another.
        let Some(lock) = FileLock::try_acquire(&path)? else {
            continue;
        };
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let folder = temp_dir.join(name.trim_end_matches(LOCK_SUFFIX));
        match private_directory(&folder) {
            Ok(()) => return Ok((lock, folder)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Removes the build folders below `temp_dir` whose owners are dead, and only those; returns how
/// many there were.
pub(crate) fn sweep(temp_dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(temp_dir) else {
        return 0;
    };
    let mut swept = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(folder) = name
            .to_str()
            .and_then(|name| name.strip_suffix(LOCK_SUFFIX))
        else {
            continue;
        };
        let mine = entry.metadata().is_ok_and(|metadata| {
            // In a shared temporary folder other people's files of that name are theirs.
            metadata.is_file() && metadata.uid() == nix::unistd::geteuid().as_raw()
        });
        if !folder.starts_with(PREFIX) || !mine {
            continue;
        }
        if let Ok(Some(lock)) = FileLock::try_acquire(&entry.path()) {
            match remove_locked(&temp_dir.join(folder), lock) {
                Ok(()) => swept += 1,
                Err(error) => {
                    tracing::warn!(%error, folder, "a stale build folder was not removed");
                }
            }
        }
    }
    swept
}

/// Removes a build folder, then its lock; the lock's file stays where the folder does, so that the
/// next sweep finds both.
fn remove_locked(enclosure: &Path, lock: FileLock) -> io::Result<()> {
    // Processes on their way out may still write to it.
    let removed = untrusted_tree::remove_patiently(enclosure, &|| false).map_err(io::Error::from);
    if removed.is_err() {
        lock.leave();
    }
    removed
}

/// Removes a tree of whatever depth, also what is read-only, as cargo's and go's caches are.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    Ok(untrusted_tree::remove(path, &|| false)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_dropped_workspace_is_gone_with_read_only_folders() {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(temp.path(), "pkgname=x\n").unwrap();
        for directory in [workspace.startdir(), &workspace.enclosure] {
            let mode = fs::metadata(directory).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        let locked = workspace.srcdir().join("cache");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, Permissions::from_mode(0o500)).unwrap();
        drop(workspace);
        assert_eq!(names(temp.path()), 0);
    }

    #[test]
    fn only_the_folders_of_dead_owners_are_swept() {
        let temp = tempfile::tempdir().unwrap();
        let living = Workspace::create(temp.path(), "").unwrap();
        let mut dead = Workspace::create(temp.path(), "").unwrap();
        // What a kill leaves: the files, and a lock that the kernel has released.
        let lock_path = PathBuf::from(format!("{}{LOCK_SUFFIX}", dead.enclosure.display()));
        drop(dead.lock.take());
        fs::write(&lock_path, "").unwrap();
        fs::write(temp.path().join("worker-provisioner-x"), "somebody's file").unwrap();

        assert_eq!(sweep(temp.path()), 1);
        assert!(living.startdir().is_dir());
        assert!(!dead.enclosure.exists() && !lock_path.exists());
        assert!(temp.path().join("worker-provisioner-x").exists());
        drop(living);
        assert_eq!(names(temp.path()), 1);
    }
}
