use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, open, openat, statat};
use rustix::io::Errno;

use crate::chain::{DIRECTORY, file_type};
use crate::cursor::Walk;
use crate::error::TreeError;
use crate::limits::Limits;

/// The root of a directory tree, held open.
///
/// What the path names later does not matter: everything is done relative to the descriptor.
#[derive(Debug)]
pub struct Tree {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

impl Tree {
    /// Opens the directory at `path`. Its last component must not be a link; the ones before are
    /// the caller's and are followed.
    ///
    /// # Errors
    /// [`TreeError::NotADirectory`] for a link or anything else, [`TreeError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TreeError> {
        let path = path.as_ref();
        let fd =
            open(path, DIRECTORY, Mode::empty()).map_err(|errno| not_a_directory(errno, path))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Opens the directory at `below`, relative to this one. No component may be a link or `..`.
    ///
    /// # Errors
    /// As [`Tree::open`].
    pub fn open_below(&self, below: impl AsRef<Path>) -> Result<Self, TreeError> {
        let mut fd: Option<OwnedFd> = None;
        let mut path = self.path.clone();
        for part in below.as_ref().components() {
            let std::path::Component::Normal(name) = part else {
                return Err(TreeError::NotADirectory {
                    path: self.path.join(below),
                });
            };
            path.push(name);
            let parent = fd.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            let next = openat(parent, name, DIRECTORY, Mode::empty())
                .map_err(|errno| not_a_directory(errno, &path))?;
            fd = Some(next);
        }
        let fd = match fd {
            Some(fd) => fd,
            None => self.fd.try_clone().map_err(|source| TreeError::Io {
                action: "open",
                path: path.clone(),
                source,
            })?,
        };
        Ok(Self { fd, path })
    }

    /// Opens the regular file at `below` for reading, relative to this directory. No component may
    /// be a link or `..`; a pipe or device is not waited for.
    ///
    /// # Errors
    /// [`TreeError::NotAFile`] for anything but a regular file, [`TreeError::Io`].
    pub fn open_file(&self, below: impl AsRef<Path>) -> Result<File, TreeError> {
        let below = below.as_ref();
        let path = self.path.join(below);
        let Some(name) = below.file_name() else {
            return Err(TreeError::NotAFile { path });
        };
        let parent = self.open_below(below.parent().unwrap_or(Path::new("")))?;
        open_regular(parent.as_fd(), name, &path)
    }

    /// Whether the directory has an entry of this name, a link that leads nowhere included.
    pub fn contains(&self, name: impl AsRef<OsStr>) -> bool {
        statat(&self.fd, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The path that the tree was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Walks through the tree, in no order; a directory's own entry comes before what it holds.
    ///
    /// `cancelled` is asked at every step.
    ///
    /// # Errors
    /// [`TreeError::Io`].
    pub fn walk<'a>(
        &self,
        limits: &Limits,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Walk<'a>, TreeError> {
        Walk::new(self, limits.clone(), cancelled)
    }

    pub(crate) fn from_fd(fd: OwnedFd, path: &Path) -> Self {
        Self {
            fd,
            path: path.to_owned(),
        }
    }

    /// A second handle of the same directory.
    pub(crate) fn duplicate(&self) -> Result<OwnedFd, TreeError> {
        openat(&self.fd, c".", DIRECTORY, Mode::empty()).map_err(TreeError::io("open", &self.path))
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn not_a_directory(errno: Errno, path: &Path) -> TreeError {
    match errno {
        Errno::NOTDIR | Errno::LOOP => TreeError::NotADirectory {
            path: path.to_owned(),
        },
        errno => TreeError::io("open", path)(errno),
    }
}

/// Opens a regular file of `parent` for reading, without following a link or waiting.
pub(crate) fn open_regular(
    parent: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
    path: &Path,
) -> Result<File, TreeError> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let not_a_file = || TreeError::NotAFile {
        path: path.to_owned(),
    };
    let fd = openat(parent, name, flags, Mode::empty()).map_err(|errno| match errno {
        // `NXIO` is a socket.
        Errno::LOOP | Errno::NXIO => not_a_file(),
        errno => TreeError::io("open", path)(errno),
    })?;
    let stat = fstat(&fd).map_err(TreeError::io("look at", path))?;
    if file_type(&stat) == FileType::RegularFile {
        Ok(File::from(fd))
    } else {
        Err(not_a_file())
    }
}

/// Opens the regular file at `path` for reading; its last component must not be a link.
pub(crate) fn open_regular_path(path: &Path) -> Result<File, TreeError> {
    open_regular(CWD, path, path)
}
