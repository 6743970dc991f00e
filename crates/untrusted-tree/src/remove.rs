//! Removal of whole trees.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fstat, open, openat, unlinkat};
use rustix::io::Errno;

use crate::chain::open_directory;
use crate::cursor::{Entry, Kind, Visit, Walk};
use crate::error::TreeError;
use crate::limits::Limits;
use crate::tree::Tree;

/// How often a directory is read again that somebody puts files into while it is emptied.
const AGAIN: u32 = 100;
/// How often, and how far apart, a whole tree is tried again.
const PATIENCE: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(25);

/// Removes what is at `path`: a tree, or a single file or link. It is no error when there is
/// nothing.
///
/// Links are removed and never followed, read-only directories are opened up first, and what is
/// mounted inside is left alone, which is an error. Depth and number of files are not limited;
/// memory and descriptors are bounded as [`Limits`] say.
///
/// # Errors
/// [`TreeError::Io`], [`TreeError::MountPoint`], [`TreeError::Changed`], [`TreeError::Cancelled`].
pub fn remove(path: impl AsRef<Path>, cancelled: &dyn Fn() -> bool) -> Result<(), TreeError> {
    let path = path.as_ref();
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(TreeError::NotADirectory {
            path: path.to_owned(),
        });
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    // The way to the tree is the caller's own; only what is below is not trusted.
    let above = match open(
        parent,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.map_err(TreeError::io("open", parent))?,
    };
    let name = CString::new(name.as_bytes()).map_err(|_| TreeError::NotADirectory {
        path: path.to_owned(),
    })?;
    let entry = Entry {
        name,
        kind: Kind::Directory,
    };
    let root = match open_up(above.as_fd(), &entry) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return unlink(above.as_fd(), &entry, AtFlags::empty())
                .map_err(TreeError::io("remove", path));
        }
        Err(Errno::XDEV) => {
            return Err(TreeError::MountPoint {
                path: path.to_owned(),
            });
        }
        Err(errno) => return Err(TreeError::io("open", path)(errno)),
    };
    empty(&Tree::from_fd(root, path), cancelled)?;
    match unlink(above.as_fd(), &entry, AtFlags::REMOVEDIR) {
        Err(Errno::BUSY) => Err(TreeError::MountPoint {
            path: path.to_owned(),
        }),
        result => result.map_err(TreeError::io("remove", path)),
    }
}

/// Removes a tree that processes on their way out may still write to: tries again for up to five
/// seconds while a directory does not stay empty.
///
/// # Errors
/// As [`remove`].
pub fn remove_patiently(
    path: impl AsRef<Path>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), TreeError> {
    let path = path.as_ref();
    for _ in 1..PATIENCE {
        match remove(path, cancelled) {
            Err(error)
                if error.io_kind() == Some(std::io::ErrorKind::DirectoryNotEmpty)
                    || matches!(error, TreeError::Changed { .. }) =>
            {
                std::thread::sleep(BETWEEN);
            }
            result => return result,
        }
    }
    remove(path, cancelled)
}

/// Removes everything in a directory.
fn empty(root: &Tree, cancelled: &dyn Fn() -> bool) -> Result<(), TreeError> {
    let unlimited = Limits {
        depth: u64::MAX,
        entries: u64::MAX,
        ..Limits::default()
    };
    let mut walk = root.walk(&unlimited, cancelled)?;
    let mut again = 0;
    loop {
        match walk.next()? {
            None => {
                // Reading a directory while it shrinks may pass over entries.
                if is_empty(&mut walk)? {
                    return Ok(());
                }
                again += 1;
                if again > AGAIN {
                    return Err(TreeError::io("empty", root.path())(Errno::NOTEMPTY));
                }
                walk.rewind();
            }
            Some(Visit::Entry(entry)) if entry.kind == Kind::Directory => {
                go_into(&mut walk, &entry)?;
            }
            Some(Visit::Entry(entry)) => remove_file(&mut walk, &entry)?,
            Some(Visit::Leave(entry)) => {
                match unlink(walk.directory(), &entry, AtFlags::REMOVEDIR) {
                    Ok(()) => {}
                    Err(Errno::NOTEMPTY | Errno::EXIST) if again < AGAIN => {
                        again += 1;
                        go_into(&mut walk, &entry)?;
                    }
                    Err(Errno::BUSY) => {
                        return Err(TreeError::MountPoint {
                            path: walk.path(&entry),
                        });
                    }
                    Err(errno) => return Err(walk.failed("remove", &entry.name, errno)),
                }
            }
        }
    }
}

/// Whether the directory at hand has nothing in it.
fn is_empty(walk: &mut Walk<'_>) -> Result<bool, TreeError> {
    walk.rewind();
    let first = walk.next()?;
    walk.rewind();
    Ok(first.is_none())
}

fn go_into(walk: &mut Walk<'_>, entry: &Entry) -> Result<(), TreeError> {
    match open_up(walk.directory(), entry) {
        Ok(fd) => walk.enter(fd, entry),
        Err(Errno::NOENT) => Ok(()),
        // Exchanged for something else since it was listed.
        Err(Errno::NOTDIR | Errno::LOOP) => remove_file(walk, entry),
        Err(Errno::XDEV) => Err(TreeError::MountPoint {
            path: walk.path(entry),
        }),
        Err(errno) => Err(walk.failed("open", &entry.name, errno)),
    }
}

fn remove_file(walk: &mut Walk<'_>, entry: &Entry) -> Result<(), TreeError> {
    match unlink(walk.directory(), entry, AtFlags::empty()) {
        // Exchanged for a directory since it was listed.
        Err(Errno::ISDIR) => Err(TreeError::Changed {
            path: walk.path(entry),
        }),
        Err(Errno::BUSY) => Err(TreeError::MountPoint {
            path: walk.path(entry),
        }),
        result => result.map_err(|errno| walk.failed("remove", &entry.name, errno)),
    }
}

fn unlink(parent: BorrowedFd<'_>, entry: &Entry, flags: AtFlags) -> Result<(), Errno> {
    match unlinkat(parent, &*entry.name, flags) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Opens a directory that its owner may have closed to itself, so that it can be emptied.
fn open_up(parent: BorrowedFd<'_>, entry: &Entry) -> Result<OwnedFd, Errno> {
    let fd = match open_directory(parent, &entry.name) {
        Err(Errno::ACCESS) => {
            permit(parent, entry)?;
            open_directory(parent, &entry.name)?
        }
        result => result?,
    };
    let mode = fstat(&fd)?.st_mode;
    if mode & 0o700 != 0o700 {
        // Another user's is left as it is: whether it can be emptied is for the system to say.
        match fchmod(&fd, Mode::from_raw_mode((mode & 0o777) | 0o700)) {
            Ok(()) | Err(Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(fd)
}

/// Lets the owner read a directory that cannot be opened for it.
#[cfg(target_os = "linux")]
fn permit(parent: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
    use std::os::fd::AsRawFd as _;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(parent, &*entry.name, flags, Mode::empty())?;
    // A descriptor that is only a place takes no `fchmod`; by this name it is that very place.
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmod(name, Mode::RWXU)
}

#[cfg(not(target_os = "linux"))]
fn permit(parent: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
    rustix::fs::chmodat(parent, &*entry.name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)
}
