//! The private folder of one provision, removed however the provision ends.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::ProvisionError;

/// The prefix of every workspace's name.
pub(crate) const PREFIX: &str = "worker-provisioner-";

/// The folders of one build, as makepkg lays them out: `startdir`, `srcdir`, `pkgdir`.
///
/// The name is unpredictable and the mode 0700. Dropping it removes everything below.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: Option<TempDir>,
    startdir: PathBuf,
}

impl Workspace {
    /// Creates the folders below `temp_dir` and writes the recipe into `startdir`.
    pub(crate) fn create(temp_dir: &Path, recipe: &str) -> Result<Self, ProvisionError> {
        let failed = |source| ProvisionError::io("create a build folder in", temp_dir, source);
        let root = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(temp_dir)
            .map_err(failed)?;
        // The phases see real paths, so that a build that resolves links finds the same names.
        let startdir = root.path().canonicalize().map_err(failed)?;
        let workspace = Self { root: Some(root), startdir };
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
        let Some(root) = self.root.take() else { return Ok(()) };
        let path = root.keep();
        remove_tree(&path).map_err(|source| ProvisionError::io("remove", &path, source))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let Some(root) = self.root.take() else { return };
        let path = root.keep();
        if let Err(error) = remove_tree(&path) {
            tracing::warn!(%error, path = %path.display(), "the build folder was not removed");
        }
    }
}

/// Removes a tree even when its folders are read-only, as cargo's and go's caches are.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            open_folders(path)?;
            fs::remove_dir_all(path)
        }
    }
}

fn open_folders(root: &Path) -> io::Result<()> {
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            // `file_type` does not follow links: nothing outside the tree is touched.
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dropped_workspace_is_gone_with_read_only_folders() {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(temp.path(), "pkgname=x\n").unwrap();
        assert_eq!(fs::metadata(workspace.startdir()).unwrap().permissions().mode() & 0o777, 0o700);
        let locked = workspace.srcdir().join("cache");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, Permissions::from_mode(0o500)).unwrap();
        drop(workspace);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
