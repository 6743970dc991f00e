//! The private directory that becomes `srcdir`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::error::FetchError;
use crate::extract::{Extraction, check_links, open_directory, set_times};

/// Beside `srcdir`, so that a rename moves it there; removed on drop.
///
/// A lock on it tells a running fetch from one that was killed.
#[derive(Debug)]
pub(crate) struct Staging {
    root: PathBuf,
    srcdir: PathBuf,
    /// It is in `srcdir` and not beside it.
    is_inside: bool,
    gone: CancellationToken,
    _lock: File,
}

/// One source in the staging directory, ready to be moved into the tree.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Name in `srcdir`.
    pub(crate) name: String,
    /// The file or directory.
    pub(crate) path: PathBuf,
    /// What it was unpacked to, and where.
    pub(crate) unpacked: Option<(PathBuf, Extraction)>,
}

impl Staging {
    /// Makes the directory and removes those of dead fetches; `gone` is cancelled once it is removed.
    ///
    /// # Errors
    /// [`FetchError::SrcdirNotEmpty`] or [`FetchError::Io`].
    pub(crate) fn create(srcdir: &Path, gone: CancellationToken) -> Result<Self, FetchError> {
        // A link to a directory stands for that.
        let srcdir = match fs::canonicalize(srcdir) {
            Ok(found) => found,
            Err(_) => std::path::absolute(srcdir).map_err(FetchError::io("resolve", srcdir))?,
        };
        let beside = srcdir.parent().unwrap_or(Path::new("/")).to_owned();
        fs::create_dir_all(&beside).map_err(FetchError::io("create", &beside))?;
        let prefix = prefix(&srcdir);
        // Nothing is moved into a file system of its own, so the directory is made in there.
        let is_inside = is_mount_point(&srcdir, &beside);
        let parent = if is_inside { srcdir.clone() } else { beside };
        sweep(&parent, &prefix);
        require_empty(&srcdir)?;
        loop {
            let mut name = prefix.clone();
            name.push(format!("{:016x}", fastrand::u64(..)));
            let root = parent.join(name);
            let made = fs::DirBuilder::new().mode(0o700).create(&root);
            match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(FetchError::io("create", &root))?,
            }
            // Between the two calls another fetch may have taken it for a dead one.
            let lock = match File::open(&root) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(FetchError::io("open", &root))?,
            };
            if lock.try_lock().is_err() {
                continue;
            }
            let staging = Self {
                root,
                srcdir,
                is_inside,
                gone,
                _lock: lock,
            };
            for directory in [staging.tree(), staging.root.join("file")] {
                fs::create_dir(&directory).map_err(FetchError::io("create", &directory))?;
                open_directory(&directory)
                    .map_err(FetchError::io("change the mode of", &directory))?;
            }
            return Ok(staging);
        }
    }

    /// Where a source's own file or checkout goes.
    pub(crate) fn file(&self, index: usize) -> PathBuf {
        self.root.join("file").join(index.to_string())
    }

    /// Where a source is unpacked.
    pub(crate) fn unpacked(&self, index: usize) -> PathBuf {
        self.root.join("unpacked").join(index.to_string())
    }

    fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// Moves everything into one tree, in the order of the recipe; a later source overwrites
    /// an earlier one's file, as when makepkg extracts them one after another.
    ///
    /// # Errors
    /// [`FetchError::Extract`] when a link leads outside now that the sources are together,
    /// [`FetchError::Io`] when a file is where a directory should be.
    pub(crate) fn assemble(
        &self,
        sources: &[Staged],
        token: &CancellationToken,
    ) -> Result<(), FetchError> {
        let tree = self.tree();
        for source in sources {
            let target = tree.join(&source.name);
            fs::rename(&source.path, &target).map_err(FetchError::io("create", &target))?;
            if let Some((root, _)) = &source.unpacked {
                merge(root, &tree, token)?;
            }
        }
        for source in sources {
            if let Some((_, extraction)) = &source.unpacked {
                check_links(&tree, &extraction.links, token)
                    .map_err(|stop| stop.into_error(&source.name))?;
            }
        }
        // Last, because a directory may be read-only and its time changes with its content.
        for source in sources {
            let Some((_, extraction)) = &source.unpacked else {
                continue;
            };
            for (path, mode, mtime) in extraction.directories.iter().rev() {
                let path = tree.join(path);
                if !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                    continue;
                }
                if let Some(mode) = mode {
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
                        .map_err(FetchError::io("change the mode of", &path))?;
                }
                set_times(&path, *mtime).map_err(FetchError::io("change the time of", &path))?;
            }
        }
        Ok(())
    }

    /// Makes the tree `srcdir`, in one step that does not block for long. Where that is a mount point its entries appear one
    /// after the other, and all of them or none.
    ///
    /// # Errors
    /// [`FetchError::SrcdirNotEmpty`] when something has appeared there meanwhile.
    pub(crate) fn publish(&self) -> Result<(), FetchError> {
        if self.is_inside {
            return self.move_entries();
        }
        fs::rename(self.tree(), &self.srcdir).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
                FetchError::SrcdirNotEmpty {
                    path: self.srcdir.clone(),
                }
            }
            _ => FetchError::io("create", &self.srcdir)(error),
        })
    }
}

impl Staging {
    fn move_entries(&self) -> Result<(), FetchError> {
        let tree = self.tree();
        let mut moved = Vec::new();
        let mut all = || -> Result<(), FetchError> {
            for entry in fs::read_dir(&tree).map_err(FetchError::io("list", &tree))? {
                let entry = entry.map_err(FetchError::io("list", &tree))?;
                let target = self.srcdir.join(entry.file_name());
                if fs::symlink_metadata(&target).is_ok() {
                    return Err(FetchError::SrcdirNotEmpty {
                        path: self.srcdir.clone(),
                    });
                }
                fs::rename(entry.path(), &target).map_err(FetchError::io("create", &target))?;
                moved.push(entry.file_name());
            }
            Ok(())
        };
        let result = all();
        if result.is_err() {
            for name in moved {
                // What cannot be put back stays, as with any rename that the system lost.
                let _ = fs::rename(self.srcdir.join(&name), tree.join(&name));
            }
        }
        result
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let root = std::mem::take(&mut self.root);
        let gone = self.gone.clone();
        let remove = move || {
            if let Err(error) = remove_tree(&root) {
                tracing::warn!(path = %root.display(), %error, "failed to remove a staging directory");
            }
            gone.cancel();
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

fn require_empty(srcdir: &Path) -> Result<(), FetchError> {
    let not_empty = || FetchError::SrcdirNotEmpty {
        path: srcdir.to_owned(),
    };
    match fs::read_dir(srcdir) {
        // The file system's own, at the top of one that is mounted.
        Ok(mut entries) => match entries.find(|entry| {
            !entry
                .as_ref()
                .is_ok_and(|entry| entry.file_name() == "lost+found")
        }) {
            None => Ok(()),
            Some(_) => Err(not_empty()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(not_empty()),
        Err(error) => Err(FetchError::io("list", srcdir)(error)),
    }
}

/// Whether another file system begins at `srcdir`. One that is mounted from the same device is found too, since nothing can be
/// put in the place of a mount point.
fn is_mount_point(srcdir: &Path, beside: &Path) -> bool {
    let Ok(inside) = fs::metadata(srcdir) else {
        return false;
    };
    let is_other = fs::metadata(beside).is_ok_and(|beside| beside.dev() != inside.dev());
    is_other || crate::space::is_mount_point(srcdir)
}

fn prefix(srcdir: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(srcdir.file_name().unwrap_or(OsStr::new("src")));
    prefix.push(".fetch-");
    prefix
}

/// Removes what fetches that were killed have left; a failure harms nobody.
fn sweep(parent: &Path, prefix: &OsStr) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes())
        {
            continue;
        }
        if let Ok(lock) = File::open(entry.path())
            && lock.try_lock().is_ok()
        {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// Moves what is in `from` into `to`; one directory is open at a time, however deep they are.
fn merge(from: &Path, to: &Path, token: &CancellationToken) -> Result<(), FetchError> {
    let mut pending = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = pending.pop() {
        if token.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        for entry in fs::read_dir(&from).map_err(FetchError::io("list", &from))? {
            let entry = entry.map_err(FetchError::io("list", &from))?;
            let target = to.join(entry.file_name());
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let there = fs::symlink_metadata(&target);
            if is_directory && there.as_ref().is_ok_and(fs::Metadata::is_dir) {
                pending.push((entry.path(), target));
            } else {
                // An archive may be called as the directory that it holds, which then takes its place: bsdtar(1).
                if is_directory && there.is_ok() {
                    fs::remove_file(&target).map_err(FetchError::io("replace", &target))?;
                }
                fs::rename(entry.path(), &target).map_err(FetchError::io("create", &target))?;
            }
        }
    }
    Ok(())
}

/// Removes a directory with everything in it, also what is read-only.
pub(crate) fn remove_tree(root: &Path) -> io::Result<()> {
    Ok(untrusted_tree::remove(root, &|| false)?)
}
