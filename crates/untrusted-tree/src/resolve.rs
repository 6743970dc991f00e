//! Links that stay inside of their tree.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, openat, readlinkat};
use rustix::io::Errno;

use crate::chain::DIRECTORY;
use crate::error::TreeError;
use crate::tree::Tree;

/// How many links lead on at most, as for the kernel (`path_resolution(7)`).
const MAX_LINKS: usize = 40;
/// How many directories lie on the way at most; each is held open.
const MAX_DEPTH: usize = 64;

impl Tree {
    /// The path relative to this directory, without links, of what is at `below`.
    ///
    /// Links are followed as long as they stay inside; absolute ones and `..` above the root do
    /// not. Nothing is opened but directories, and the last component need not exist.
    ///
    /// To open what was found, give the answer to [`Tree::open_file`] or [`Tree::open_below`],
    /// which follow no link that has been put there since.
    ///
    /// # Errors
    /// [`TreeError::LeadsOutside`], [`TreeError::NotADirectory`] for a file on the way,
    /// [`TreeError::Limit`] for more than 64 directories on the way, [`TreeError::Io`], also for
    /// more than 40 links.
    pub fn resolve(&self, below: impl AsRef<Path>) -> Result<PathBuf, TreeError> {
        let below = below.as_ref();
        let at = || self.path().join(below);
        let mut pending: VecDeque<OsString> = VecDeque::new();
        queue(&mut pending, below).ok_or_else(|| TreeError::LeadsOutside { path: at() })?;
        let mut found: Vec<(OsString, OwnedFd)> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                found
                    .pop()
                    .ok_or_else(|| TreeError::LeadsOutside { path: at() })?;
                continue;
            }
            let parent = found.last().map_or(self.as_fd(), |(_, fd)| fd.as_fd());
            match readlinkat(parent, &name, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TreeError::io("resolve", at())(Errno::LOOP));
                    }
                    queue(
                        &mut pending,
                        Path::new(OsStr::from_bytes(target.as_bytes())),
                    )
                    .ok_or_else(|| TreeError::LeadsOutside { path: at() })?;
                    continue;
                }
                // Whatever is not a link.
                Err(Errno::INVAL) => {}
                Err(Errno::NOENT) if pending.is_empty() => {}
                Err(errno) => return Err(TreeError::io("resolve", at())(errno)),
            }
            if pending.is_empty() {
                let mut path: PathBuf = found.iter().map(|(name, _)| name).collect();
                path.push(name);
                return Ok(path);
            }
            if found.len() == MAX_DEPTH {
                return Err(TreeError::Limit {
                    what: "levels of directories",
                    limit: MAX_DEPTH as u64,
                    path: at(),
                });
            }
            let fd =
                openat(parent, &name, DIRECTORY, Mode::empty()).map_err(|errno| match errno {
                    Errno::NOTDIR | Errno::LOOP => TreeError::NotADirectory { path: at() },
                    errno => TreeError::io("open", at())(errno),
                })?;
            found.push((name, fd));
        }
        Ok(found.into_iter().map(|(name, _)| name).collect())
    }
}

/// Puts the components of `path` before what is pending; nothing for an absolute path.
fn queue(pending: &mut VecDeque<OsString>, path: &Path) -> Option<()> {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => pending.push_front(name.to_owned()),
            Component::ParentDir => pending.push_front(OsString::from("..")),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(())
}
