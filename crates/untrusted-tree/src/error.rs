use std::io;
use std::path::PathBuf;

/// Why a tree could not be handled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A system call failed.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where, as far as the path is known.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The root of a tree is something else, a link for example.
    #[error("`{}` is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// A file was expected and something else is there, a link or a device for example.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A link of the tree leads out of it.
    #[error("`{}` leads out of its tree", path.display())]
    LeadsOutside {
        /// The path that was resolved.
        path: PathBuf,
    },
    /// Another file system, or another part of the same one, is mounted inside the tree.
    #[error("something is mounted at `{}`; unmount it first", path.display())]
    MountPoint {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// Two trees that are copied to one place both have this path, and it is not a directory in
    /// both.
    #[error("`{}` is in two trees, the {first}. and the {second}.", path.display())]
    Collision {
        /// The path relative to the roots.
        path: PathBuf,
        /// Which tree had it first, counted from 1.
        first: usize,
        /// Which tree has it again, counted from 1.
        second: usize,
    },
    /// The tree has more of something than [`Limits`](crate::Limits) allow.
    #[error("the tree has more than {limit} {what}, at `{}`", path.display())]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
        /// Where the limit was reached.
        path: PathBuf,
    },
    /// Somebody else changed the tree while it was handled.
    #[error("`{}` was changed by somebody else meanwhile", path.display())]
    Changed {
        /// What was changed.
        path: PathBuf,
    },
    /// The caller said to stop.
    #[error("cancelled")]
    Cancelled,
}

impl TreeError {
    /// The kind of the system's error, where it was one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.into();
        move |errno| Self::Io {
            action,
            path,
            source: errno.into(),
        }
    }
}

impl From<TreeError> for io::Error {
    fn from(error: TreeError) -> Self {
        let kind = match &error {
            TreeError::Io { source, .. } => source.kind(),
            TreeError::NotADirectory { .. } => io::ErrorKind::NotADirectory,
            TreeError::Cancelled => io::ErrorKind::Interrupted,
            TreeError::Limit { .. } => io::ErrorKind::QuotaExceeded,
            TreeError::MountPoint { .. } => io::ErrorKind::CrossesDevices,
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
