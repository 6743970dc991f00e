//! Open directories from a root down, of which only the deepest are kept open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

/// How many directories of one chain are open at once. Each may have a second descriptor that
/// reads it.
///
/// Elsewhere than on Linux a directory cannot be read on from where it was left, so all stay open.
const OPEN: usize = if cfg!(target_os = "linux") {
    32
} else {
    usize::MAX
};

pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What tells a file from all others of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)] // The types differ between systems.
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
        }
    }
}

#[derive(Debug)]
struct Link<S> {
    fd: Option<OwnedFd>,
    identity: Identity,
    state: S,
}

/// The way from a root to the directory that is at hand, with something kept for each step.
#[derive(Debug)]
pub(crate) struct Chain<S> {
    links: Vec<Link<S>>,
    /// The first link that is open; all after it are.
    first_open: usize,
}

impl<S> Chain<S> {
    pub(crate) fn new(root: OwnedFd, state: S) -> Result<Self, Errno> {
        let mut chain = Self {
            links: Vec::new(),
            first_open: 0,
        };
        chain.push(root, state, |_| ())?;
        Ok(chain)
    }

    /// How many directories there are, the root included.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// The deepest directory, which is open, and its state.
    pub(crate) fn last(&mut self) -> Option<(BorrowedFd<'_>, &mut S)> {
        let link = self.links.last_mut()?;
        Some((link.fd.as_ref()?.as_fd(), &mut link.state))
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = &S> {
        self.links.iter().map(|link| &link.state)
    }

    /// Goes down; `rest` is told the state of a directory that is closed to make room.
    pub(crate) fn push(
        &mut self,
        fd: OwnedFd,
        state: S,
        rest: impl FnOnce(&mut S),
    ) -> Result<(), Errno> {
        let stat = fstat(&fd)?;
        self.links.push(Link {
            fd: Some(fd),
            identity: Identity::of(&stat),
            state,
        });
        if self.links.len() - self.first_open > OPEN {
            let link = &mut self.links[self.first_open];
            link.fd = None;
            rest(&mut link.state);
            self.first_open += 1;
        }
        Ok(())
    }

    /// Goes up, and gives back what was kept for the directory left behind. A failure leaves
    /// everything as it was.
    ///
    /// A parent that was closed is opened again as the parent of its child, and must be the same.
    ///
    /// # Errors
    /// [`Errno::STALE`] when it is another one.
    pub(crate) fn pop(&mut self) -> Result<Option<S>, Errno> {
        if let [.., parent, link] = &mut *self.links
            && parent.fd.is_none()
        {
            let child = link.fd.as_ref().ok_or(Errno::BADF)?;
            let fd = openat(child, c"..", DIRECTORY, Mode::empty())?;
            if Identity::of(&fstat(&fd)?) != parent.identity {
                return Err(Errno::STALE);
            }
            parent.fd = Some(fd);
            self.first_open = self.links.len() - 2;
        }
        Ok(self.links.pop().map(|link| link.state))
    }
}

/// Opens a directory of `parent`: no link, and on Linux nothing that is mounted there.
///
/// # Errors
/// [`Errno::NOTDIR`] or [`Errno::LOOP`] for anything else, [`Errno::XDEV`] for a mount.
pub(crate) fn open_directory(
    parent: BorrowedFd<'_>,
    name: &std::ffi::CStr,
) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve =
            ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(parent, name, DIRECTORY, Mode::empty(), resolve) {
            // A container's filter may know no `openat2` and refuse it in either way.
            Err(Errno::NOSYS | Errno::PERM) => {}
            result => return result,
        }
    }
    let fd = openat(parent, name, DIRECTORY, Mode::empty())?;
    if fstat(&fd)?.st_dev == fstat(parent)?.st_dev {
        Ok(fd)
    } else {
        Err(Errno::XDEV)
    }
}

/// What kind of file a `stat` describes.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
