//! Copies of single files.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, fstat, open, seek};
use rustix::io::Errno;

use crate::chain::file_type;
use crate::error::TreeError;
use crate::tree::open_regular_path;

/// How much is copied between two looks at whether to stop.
const PIECE: usize = 8 << 20;
/// Where the kernel cannot copy by itself.
const BUFFER: usize = 256 << 10;

/// Opens the regular file at `path` for reading. Its last component must not be a link; a pipe or
/// device is not waited for.
///
/// # Errors
/// [`TreeError::NotAFile`] for anything but a regular file, [`TreeError::Io`].
pub fn open_file(path: impl AsRef<Path>) -> Result<File, TreeError> {
    open_regular_path(path.as_ref())
}

/// Copies what the regular file `from` holds to the empty file `to`, both of which are open:
/// as [`copy_file`] does. `path` is that of `to`, for messages.
///
/// # Errors
/// [`TreeError::NotAFile`] when `from` is something else, [`TreeError::Io`],
/// [`TreeError::Cancelled`].
pub fn copy_contents(
    from: &File,
    to: &File,
    path: impl AsRef<Path>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, TreeError> {
    let path = path.as_ref();
    let stat = fstat(from).map_err(TreeError::io("look at", path))?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(TreeError::NotAFile {
            path: path.to_owned(),
        });
    }
    copy_data(from, to, u64::MAX, cancelled).map_err(|problem| problem.at(path))
}

/// Copies the regular file at `from` to the new file `to`, which must not exist, with the
/// permission bits `mode`; returns the bytes of data.
///
/// Neither path may end in a link. The copy shares the original's blocks where the file system
/// can do that (`FICLONE`), never its inode, and holes stay holes. A failed copy is removed.
///
/// # Errors
/// [`TreeError::NotAFile`], [`TreeError::Io`], also when `to` exists, [`TreeError::Cancelled`].
pub fn copy_file(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    mode: u32,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, TreeError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    copy_open_file(&open_regular_path(from)?, to, mode, cancelled)
}

/// Copies the regular file `from`, which is open already, from its beginning: see [`copy_file`].
///
/// The bytes are those of the descriptor, whatever its name leads to by now.
///
/// # Errors
/// As [`copy_file`].
pub fn copy_open_file(
    from: &File,
    to: impl AsRef<Path>,
    mode: u32,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, TreeError> {
    let to = to.as_ref();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = open(to, flags, Mode::RUSR | Mode::WUSR).map_err(TreeError::io("create", to))?;
    let target = File::from(target);
    let copied = copy_data(from, &target, u64::MAX, cancelled).and_then(|bytes| {
        rustix::fs::fchmod(&target, Mode::from_raw_mode(mode))
            .map_err(|errno| Problem::Io(errno.into()))?;
        Ok(bytes)
    });
    copied.map_err(|problem| {
        // What is left behind otherwise is worse than a removal that fails as well.
        let _ = std::fs::remove_file(to);
        problem.at(to)
    })
}

/// Why data could not be copied.
#[derive(Debug)]
pub(crate) enum Problem {
    Io(io::Error),
    Cancelled,
    /// More data than allowed.
    TooMuch,
}

impl Problem {
    pub(crate) fn at(self, path: &Path) -> TreeError {
        match self {
            Self::Io(source) => TreeError::Io {
                action: "copy",
                path: path.to_owned(),
                source,
            },
            Self::Cancelled => TreeError::Cancelled,
            Self::TooMuch => TreeError::Limit {
                what: "bytes",
                limit: 0,
                path: path.to_owned(),
            },
        }
    }
}

impl From<Errno> for Problem {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Copies what `from` holds to the empty file `to`: by sharing blocks, else extent by extent, so
/// that holes stay holes. Returns the bytes of data.
pub(crate) fn copy_data(
    from: &File,
    to: &File,
    allowed: u64,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Problem> {
    if cancelled() {
        return Err(Problem::Cancelled);
    }
    let stat = fstat(from)?;
    debug_assert_eq!(file_type(&stat), FileType::RegularFile);
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)] // The types differ between systems.
    let allocated = (stat.st_blocks as u64).saturating_mul(512).min(length);
    if allocated > allowed {
        return Err(Problem::TooMuch);
    }
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(allocated);
    }
    let mut copied = 0;
    let mut at = 0;
    while at < length {
        if cancelled() {
            return Err(Problem::Cancelled);
        }
        let Some((start, end)) = extent(from, at, length)? else {
            break;
        };
        at = start;
        while at < end {
            if cancelled() {
                return Err(Problem::Cancelled);
            }
            let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let count = copy_piece(from, to, at, wanted)?;
            // The file is shorter than it was.
            if count == 0 {
                break;
            }
            at += count;
            copied += count;
            if copied > allowed {
                return Err(Problem::TooMuch);
            }
        }
        if at < end {
            break;
        }
    }
    rustix::fs::ftruncate(to, length)?;
    Ok(copied)
}

/// The first stretch of data at or after `at`; nothing when only a hole is left.
fn extent(file: &File, at: u64, length: u64) -> Result<Option<(u64, u64)>, Errno> {
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, length))),
        Err(errno) => return Err(errno),
    };
    let end = seek(file, SeekFrom::Hole(start))?;
    Ok(Some((start, end.min(length))))
}

/// Copies up to `wanted` bytes at the same place of both files; 0 at the end of `from`.
fn copy_piece(from: &File, to: &File, at: u64, wanted: usize) -> Result<u64, Problem> {
    #[cfg(target_os = "linux")]
    {
        let (mut source, mut target) = (at, at);
        match rustix::fs::copy_file_range(
            from.as_fd(),
            Some(&mut source),
            to.as_fd(),
            Some(&mut target),
            wanted,
        ) {
            Ok(count) if count > 0 => return Ok(count as u64),
            // Two file systems, or one that cannot; some also answer 0 for files of `/proc`.
            Ok(_)
            | Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let mut buffer = vec![0; wanted.min(BUFFER)];
    let count = loop {
        match from.read_at(&mut buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result.map_err(Problem::Io)?,
        }
    };
    to.write_all_at(&buffer[..count], at).map_err(Problem::Io)?;
    Ok(count as u64)
}
