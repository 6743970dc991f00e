use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Stat, readlinkat, statat};
use rustix::io::Errno;

use crate::chain::{Chain, file_type, open_directory};
use crate::error::TreeError;
use crate::limits::Limits;
use crate::tree::{Tree, open_regular};

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

impl Kind {
    pub(crate) fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Something that a directory holds.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) name: CString,
    /// What it was when the directory was read.
    pub kind: Kind,
}

impl Entry {
    /// Its name.
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.name.as_bytes())
    }
}

/// What a walk comes to next.
#[derive(Debug, Clone)]
pub enum Visit {
    /// An entry of the directory at hand. It is not gone into unless [`Walk::descend`] is called.
    Entry(Entry),
    /// The end of a directory that was gone into; its parent is at hand again.
    Leave(Entry),
}

#[derive(Debug)]
struct Level {
    name: CString,
    /// Reads the directory; nothing before it is begun, or when it was closed to make room.
    reader: Option<Dir>,
    /// Where to read on.
    offset: Option<i64>,
}

/// A walk through a tree: see [`Tree::walk`].
pub struct Walk<'a> {
    chain: Chain<Level>,
    root: PathBuf,
    limits: Limits,
    entries: u64,
    cancelled: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Walk")
            .field("root", &self.root)
            .field("depth", &self.chain.len())
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        tree: &Tree,
        limits: Limits,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Self, TreeError> {
        let root = tree.path().to_owned();
        let chain = Chain::new(tree.duplicate()?, Level::new(CString::default()))
            .map_err(TreeError::io("look at", &root))?;
        Ok(Self {
            chain,
            root,
            limits,
            entries: 0,
            cancelled,
        })
    }

    /// The next thing there is, nothing at the end of the root.
    ///
    /// # Errors
    /// [`TreeError::Cancelled`], [`TreeError::Limit`], [`TreeError::Changed`], [`TreeError::Io`].
    #[allow(clippy::should_implement_trait)] // Its items are used together with the walk itself.
    pub fn next(&mut self) -> Result<Option<Visit>, TreeError> {
        loop {
            if (self.cancelled)() {
                return Err(TreeError::Cancelled);
            }
            let (name, kind) = match self.read() {
                Ok(Some(read)) => read,
                Ok(None) if self.chain.len() == 1 => return Ok(None),
                Ok(None) => return self.leave().map(Some),
                Err(errno) => return Err(TreeError::io("list", self.directory_path())(errno)),
            };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(self.limit("entries", self.limits.entries));
            }
            let kind = match kind {
                FileType::Unknown => match self.stat(&name) {
                    Ok(stat) => Kind::of(file_type(&stat)),
                    // Gone since.
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(self.failed("look at", &name, errno)),
                },
                kind => Kind::of(kind),
            };
            return Ok(Some(Visit::Entry(Entry { name, kind })));
        }
    }

    fn leave(&mut self) -> Result<Visit, TreeError> {
        let level = self.chain.pop().map_err(|errno| match errno {
            Errno::STALE => TreeError::Changed {
                path: self.root.clone(),
            },
            errno => TreeError::io("go up in", &self.root)(errno),
        })?;
        let name = level.map(|level| level.name).unwrap_or_default();
        Ok(Visit::Leave(Entry {
            name,
            kind: Kind::Directory,
        }))
    }

    fn read(&mut self) -> Result<Option<(CString, FileType)>, Errno> {
        let Some((fd, level)) = self.chain.last() else {
            return Ok(None);
        };
        let reader = match &mut level.reader {
            Some(reader) => reader,
            empty => {
                let mut reader = Dir::read_from(fd)?;
                #[cfg(target_os = "linux")]
                if let Some(offset) = level.offset {
                    reader.seek(offset)?;
                }
                empty.insert(reader)
            }
        };
        loop {
            let Some(entry) = reader.read() else {
                return Ok(None);
            };
            let entry = entry?;
            #[cfg(target_os = "linux")]
            {
                level.offset = Some(entry.offset());
            }
            let name = entry.file_name();
            if name != c"." && name != c".." {
                return Ok(Some((name.to_owned(), entry.file_type())));
            }
        }
    }

    /// Goes into a directory at hand; returns whether it is still there.
    ///
    /// # Errors
    /// [`TreeError::MountPoint`], [`TreeError::Changed`] when it is no directory any more,
    /// [`TreeError::Limit`], [`TreeError::Io`].
    pub fn descend(&mut self, entry: &Entry) -> Result<bool, TreeError> {
        let fd = match open_directory(self.directory(), &entry.name) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::XDEV) => {
                return Err(TreeError::MountPoint {
                    path: self.path(entry),
                });
            }
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(TreeError::Changed {
                    path: self.path(entry),
                });
            }
            Err(errno) => return Err(self.failed("open", &entry.name, errno)),
        };
        self.enter(fd, entry)?;
        Ok(true)
    }

    /// Goes into a directory at hand that is open already.
    pub(crate) fn enter(&mut self, fd: OwnedFd, entry: &Entry) -> Result<(), TreeError> {
        if self.chain.len() as u64 > self.limits.depth {
            return Err(self.limit("levels of directories", self.limits.depth));
        }
        let level = Level::new(entry.name.clone());
        let path = &self.root;
        self.chain
            .push(fd, level, |level| level.reader = None)
            .map_err(TreeError::io("look at", path))
    }

    /// Reads the directory at hand again from its beginning.
    pub(crate) fn rewind(&mut self) {
        if let Some((_, level)) = self.chain.last() {
            level.reader = None;
            level.offset = None;
        }
    }

    /// The directory at hand.
    ///
    /// # Panics
    /// Never: a chain has its root for as long as it lives.
    pub fn directory(&mut self) -> BorrowedFd<'_> {
        match self.chain.last() {
            Some((fd, _)) => fd,
            None => unreachable!("the root is never left"),
        }
    }

    /// How many directories lie above what is at hand, the root included.
    pub fn depth(&self) -> usize {
        self.chain.len()
    }

    /// The bytes of the path of `entry` relative to the root.
    pub(crate) fn path_length(&self, entry: &Entry) -> u64 {
        let above = self.chain.states().skip(1);
        let above: usize = above.map(|level| level.name.as_bytes().len() + 1).sum();
        (above + entry.name.as_bytes().len()) as u64
    }

    /// The path of `entry` relative to the root.
    pub fn relative_path(&self, entry: &Entry) -> PathBuf {
        let mut path = PathBuf::new();
        for level in self.chain.states().skip(1) {
            path.push(OsStr::from_bytes(level.name.as_bytes()));
        }
        path.push(entry.name());
        path
    }

    /// The path of `entry` with that of the root before it, for messages.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join(self.relative_path(entry))
    }

    /// Opens an entry that is a regular file, for reading. A link is not followed and a pipe not
    /// waited for.
    ///
    /// # Errors
    /// [`TreeError::NotAFile`] when it is something else by now, [`TreeError::Io`].
    pub fn open_file(&mut self, entry: &Entry) -> Result<File, TreeError> {
        let path = self.path(entry);
        open_regular(self.directory(), &*entry.name, &path)
    }

    /// The target of an entry that is a symbolic link.
    ///
    /// # Errors
    /// [`TreeError::Io`], also when it is something else by now.
    pub fn read_link(&mut self, entry: &Entry) -> Result<PathBuf, TreeError> {
        let target = match readlinkat(self.directory(), &*entry.name, Vec::new()) {
            Ok(target) => target,
            Err(errno) => return Err(self.failed("read link", &entry.name, errno)),
        };
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// The permission bits of an entry, those of a link itself for a link.
    ///
    /// # Errors
    /// [`TreeError::Io`].
    pub fn mode(&mut self, entry: &Entry) -> Result<u32, TreeError> {
        match self.stat(&entry.name) {
            Ok(stat) => Ok(stat.st_mode & 0o7777),
            Err(errno) => Err(self.failed("look at", &entry.name, errno)),
        }
    }

    pub(crate) fn stat(&mut self, name: &CStr) -> Result<Stat, Errno> {
        statat(self.directory(), name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn directory_path(&self) -> PathBuf {
        let mut path = self.root.clone();
        for level in self.chain.states().skip(1) {
            path.push(OsStr::from_bytes(level.name.as_bytes()));
        }
        path
    }

    pub(crate) fn failed(&self, action: &'static str, name: &CStr, errno: Errno) -> TreeError {
        let name = OsStr::from_bytes(name.to_bytes());
        TreeError::io(action, self.directory_path().join(name))(errno)
    }

    pub(crate) fn limit(&self, what: &'static str, limit: u64) -> TreeError {
        TreeError::Limit {
            what,
            limit,
            path: self.directory_path(),
        }
    }
}

impl Level {
    fn new(name: CString) -> Self {
        Self {
            name,
            reader: None,
            offset: None,
        }
    }
}
