//! Copies of whole trees into a fresh directory.

use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fchmod, mkdirat, openat, symlinkat};
use rustix::io::Errno;

use crate::chain::{Chain, open_directory};
use crate::cursor::{Entry, Kind, Visit, Walk};
use crate::error::TreeError;
use crate::file::{Problem, copy_data};
use crate::limits::Limits;
use crate::tree::Tree;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// Directories, files and links.
    pub entries: u64,
    /// Bytes of data; holes do not count.
    pub bytes: u64,
    /// Devices, pipes and sockets, which were left out.
    pub left_out: u64,
}

/// Copies what is in `trees`, one after the other, into the directory `to`, which nobody else can
/// write to and which was empty.
///
/// Directories that several trees have are one in the copy. Anything else that two trees have is
/// an error, and nothing is ever written through a link. Directories get mode 0755; files keep
/// their permission bits without set-user-id, set-group-id and sticky, plus reading and writing
/// for the owner, who is the caller; links keep their target, whatever it is. Devices, pipes and
/// sockets are left out. Holes stay holes. Everything is written to the disk before this returns,
/// but for the directory `to` itself.
///
/// What an error leaves in `to` is for the caller to [`remove`](crate::remove).
///
/// # Errors
/// [`TreeError::Collision`], [`TreeError::Limit`], [`TreeError::MountPoint`],
/// [`TreeError::Changed`], [`TreeError::Cancelled`], [`TreeError::Io`].
pub fn copy(
    trees: &[&Tree],
    to: &Tree,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Copied, TreeError> {
    let mut copied = Copied::default();
    for (index, tree) in trees.iter().enumerate() {
        let mut copy = Copy {
            walk: tree.walk(
                &limits.clone().with_entries(limits.entries - copied.entries),
                cancelled,
            )?,
            target: Chain::new(to.duplicate()?, ()).map_err(TreeError::io("open", to.path()))?,
            earlier: &trees[..index],
            limits,
            copied: &mut copied,
            cancelled,
        };
        copy.run()?;
    }
    Ok(copied)
}

struct Copy<'a> {
    walk: Walk<'a>,
    /// The directory that is written to, in step with the walk.
    target: Chain<()>,
    earlier: &'a [&'a Tree],
    limits: &'a Limits,
    copied: &'a mut Copied,
    cancelled: &'a dyn Fn() -> bool,
}

impl Copy<'_> {
    fn run(&mut self) -> Result<(), TreeError> {
        while let Some(visit) = self.walk.next()? {
            match visit {
                Visit::Entry(entry) => self.entry(&entry)?,
                Visit::Leave(entry) => {
                    if let Some((fd, ())) = self.target.last() {
                        rustix::fs::fsync(fd)
                            .map_err(|errno| self.failed("write", &entry, errno))?;
                    }
                    self.target
                        .pop()
                        .map_err(|errno| self.failed("leave", &entry, errno))?;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), TreeError> {
        if self.walk.path_length(entry) > self.limits.path {
            return Err(self.walk.limit("bytes in a path", self.limits.path));
        }
        match entry.kind {
            Kind::Directory => self.directory(entry)?,
            Kind::File => self.file(entry)?,
            Kind::Link => {
                let target = self.walk.read_link(entry)?;
                let Some((fd, ())) = self.target.last() else {
                    return Ok(());
                };
                match symlinkat(&target, fd, &*entry.name) {
                    Err(Errno::EXIST) => return Err(self.collision(entry)),
                    result => result.map_err(|errno| self.failed("create link", entry, errno))?,
                }
            }
            Kind::Other => {
                self.copied.left_out += 1;
                return Ok(());
            }
        }
        self.copied.entries += 1;
        Ok(())
    }

    fn directory(&mut self, entry: &Entry) -> Result<(), TreeError> {
        if !self.walk.descend(entry)? {
            return Ok(());
        }
        let Some((parent, ())) = self.target.last() else {
            return Ok(());
        };
        match mkdirat(parent, &*entry.name, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) | Ok(()) => {}
            Err(errno) => return Err(self.failed("create directory", entry, errno)),
        }
        let fd = match open_directory(parent, &entry.name) {
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(self.collision_above(entry)),
            result => result.map_err(|errno| self.failed("open", entry, errno))?,
        };
        // Whatever the caller's umask is.
        fchmod(&fd, Mode::from_raw_mode(0o755))
            .map_err(|errno| self.failed("set the mode of", entry, errno))?;
        self.target
            .push(fd, (), |()| ())
            .map_err(|errno| self.failed("look at", entry, errno))
    }

    fn file(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let source = self.walk.open_file(entry)?;
        let mode = rustix::fs::fstat(&source)
            .map_err(|errno| self.failed("look at", entry, errno))?
            .st_mode;
        let Some((parent, ())) = self.target.last() else {
            return Ok(());
        };
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = match openat(parent, &*entry.name, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => return Err(self.collision(entry)),
            result => File::from(result.map_err(|errno| self.failed("create", entry, errno))?),
        };
        let allowed = self.limits.bytes - self.copied.bytes;
        let bytes = copy_data(&source, &target, allowed, self.cancelled).map_err(|problem| {
            if matches!(problem, Problem::TooMuch) {
                return self.walk.limit("bytes", self.limits.bytes);
            }
            problem.at(&self.walk.path(entry))
        })?;
        self.copied.bytes += bytes;
        fchmod(&target, Mode::from_raw_mode((mode & 0o777) | 0o600))
            .map_err(|errno| self.failed("set the mode of", entry, errno))?;
        target.sync_all().map_err(|source| TreeError::Io {
            action: "write",
            path: self.walk.path(entry),
            source,
        })
    }

    /// The walk has gone into `entry` already.
    fn collision_above(&self, entry: &Entry) -> TreeError {
        let mut path = self.walk.relative_path(entry);
        // Its own name is the last of the directories at hand too.
        path.pop();
        self.collision_at(path)
    }

    fn collision(&self, entry: &Entry) -> TreeError {
        self.collision_at(self.walk.relative_path(entry))
    }

    fn collision_at(&self, path: PathBuf) -> TreeError {
        let has = |tree: &&Tree| {
            let above = path
                .parent()
                .and_then(|parent| tree.open_below(parent).ok());
            let name = path.file_name();
            above
                .zip(name)
                .is_some_and(|(above, name)| above.contains(name))
        };
        let first = self.earlier.iter().position(has).unwrap_or_default();
        TreeError::Collision {
            path,
            first: first + 1,
            second: self.earlier.len() + 1,
        }
    }

    fn failed(&self, action: &'static str, entry: &Entry, errno: Errno) -> TreeError {
        self.walk.failed(action, &entry.name, errno)
    }
}
