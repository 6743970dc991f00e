//! Handing a tree over to another user.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, openat, statat};
use rustix::io::Errno;

use crate::cursor::{Entry, Kind, Visit};
use crate::error::TreeError;
use crate::limits::Limits;
use crate::tree::Tree;

/// Gives what `from` owns in the tree at `root`, the root included, to the user `to` and the group
/// `group`.
///
/// Whose something is, is asked of the very file that is handed over, which is held open without
/// following links: exchanging names meanwhile gives away nothing else. A file with several names
/// stays, as another name may lie outside of the tree, as in a local git clone. What is mounted
/// inside is left alone.
///
/// # Errors
/// [`TreeError::Io`], also where the caller may not change owners, [`TreeError::Cancelled`].
pub fn change_owner(
    root: impl AsRef<Path>,
    from: u32,
    to: u32,
    group: u32,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), TreeError> {
    let root = root.as_ref();
    let tree = Tree::open(root)?;
    let change = Change { from, to, group };
    let unlimited = Limits {
        depth: u64::MAX,
        entries: u64::MAX,
        ..Limits::default()
    };
    let mut walk = tree.walk(&unlimited, cancelled)?;
    while let Some(visit) = walk.next()? {
        let Visit::Entry(entry) = visit else {
            continue;
        };
        match change.apply(walk.directory(), &entry) {
            // A caller may still be removing its own temporary files here, as a fetch does.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(walk.failed("change the owner of", &entry.name, errno)),
        }
        if entry.kind == Kind::Directory {
            match walk.descend(&entry) {
                Ok(_) | Err(TreeError::MountPoint { .. } | TreeError::Changed { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // Last: until then whoever gets the tree can change nothing in it by way of its root.
    change
        .apply_to(
            &fstat(&tree).map_err(TreeError::io("look at", root))?,
            || rustix::fs::fchown(&tree, Some(change.user()), Some(change.group())),
        )
        .map_err(TreeError::io("change the owner of", root))
}

#[derive(Debug, Clone, Copy)]
struct Change {
    from: u32,
    to: u32,
    group: u32,
}

impl Change {
    fn user(self) -> Uid {
        Uid::from_raw(self.to)
    }

    fn group(self) -> Gid {
        Gid::from_raw(self.group)
    }

    fn apply_to(
        self,
        stat: &Stat,
        change: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let is_directory =
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
        if stat.st_uid == self.from && (is_directory || stat.st_nlink == 1) {
            change()
        } else {
            Ok(())
        }
    }

    #[cfg(target_os = "linux")]
    fn apply(self, parent: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
        // Most are somebody else's already, and a look that opens nothing says so.
        if statat(parent, &*entry.name, AtFlags::SYMLINK_NOFOLLOW)?.st_uid != self.from {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(parent, &*entry.name, flags, Mode::empty())?;
        self.apply_to(&fstat(&fd)?, || {
            chownat(
                &fd,
                c"",
                Some(self.user()),
                Some(self.group()),
                AtFlags::EMPTY_PATH,
            )
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn apply(self, parent: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = statat(parent, &*entry.name, flags)?;
        self.apply_to(&stat, || {
            chownat(
                parent,
                &*entry.name,
                Some(self.user()),
                Some(self.group()),
                flags,
            )
        })
    }
}
