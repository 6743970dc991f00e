//! Times and modes of what is unpacked.

use std::fs;
use std::io;
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
    let time = Timespec {
        tv_sec: mtime.seconds,
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

/// Reads the process's file mode mask; an ordinary user's `bsdtar -x` applies it too.
pub(crate) fn umask() -> u32 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or(0o022)
}
