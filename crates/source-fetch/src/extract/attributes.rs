//! Times and modes of what is unpacked.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// Seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mtime {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

/// The time in the form that the system calls take.
pub(super) fn stamps(mtime: Mtime) -> Timestamps {
    // The kernel itself goes to the nearest time that the file system can hold, from where it can calculate.
    const MOST: i64 = 1 << 40;
    let time = Timespec {
        tv_sec: mtime.seconds.clamp(-MOST, MOST),
        tv_nsec: mtime.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Sets the time of a file, directory or link itself.
pub(crate) fn set_times(path: &Path, mtime: Mtime) -> io::Result<()> {
    rustix::fs::utimensat(CWD, path, &stamps(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// The file mode mask that makepkg sets, whatever its caller's is: what is built must not depend on that.
pub(crate) const UMASK: u32 = 0o022;

/// Whether the process's own mask is another, so that what it creates needs its mode set.
pub(crate) fn has_other_umask() -> bool {
    let mask = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        });
    mask != Some(UMASK)
}

/// Gives a directory that was just made the mode that it has under makepkg's mask.
pub(crate) fn open_directory(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777 & !UMASK))
}
