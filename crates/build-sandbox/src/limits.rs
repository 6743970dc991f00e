use std::fmt;
use std::time::Duration;

/// What a build may use. The defaults are wide enough for a large CUDA build.
///
/// Each breach ends the build with an error of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest run of one phase. Default 12 hours.
    pub wall: Duration,
    /// Longest time without a byte of output. Default 2 hours: one file of template-heavy device
    /// code can keep a compiler silent for long.
    pub silent: Duration,
    /// Bytes of memory of all processes together, `None` for the physical memory of the host: what is
    /// resident, private or shared, files without a name that live in memory, System V memory, and
    /// in [`Isolation::Namespaces`](crate::Isolation::Namespaces) what `/tmp` and `/dev/shm` hold.
    /// Watched, since `RLIMIT_AS` would count the address space that GPU and garbage-collected
    /// runtimes only reserve.
    pub memory: Option<u64>,
    /// Processes alive at once. Default 8192.
    pub processes: u64,
    /// Bytes in one file (`RLIMIT_FSIZE`). Default 64 GiB.
    pub file_size: u64,
    /// Descriptors open in one process (`RLIMIT_NOFILE`). Default 65536, lowered to what the host
    /// allows.
    pub open_files: u64,
    /// Bytes that startdir, srcdir, pkgdir and homedir may take on disk together, with files that have
    /// no name any more but are open. Default 256 GiB. Watched.
    pub disk: u64,
    /// Bytes of output on both streams. Default 4 GiB.
    pub log: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            wall: Duration::from_hours(12),
            silent: Duration::from_hours(2),
            memory: None,
            processes: 8192,
            file_size: 64 * GIB,
            open_files: 65536,
            disk: 256 * GIB,
            log: 4 * GIB,
        }
    }
}

/// The name of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// [`Limits::wall`].
    Wall,
    /// [`Limits::silent`].
    Silent,
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::processes`].
    Processes,
    /// [`Limits::file_size`].
    FileSize,
    /// [`Limits::open_files`].
    OpenFiles,
    /// [`Limits::disk`].
    Disk,
    /// [`Limits::log`].
    Log,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wall => "wall time",
            Self::Silent => "silent time",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::FileSize => "file size",
            Self::OpenFiles => "open files",
            Self::Disk => "disk",
            Self::Log => "log size",
        })
    }
}

/// What holds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// The kernel refuses the excess at once.
    Kernel,
    /// The kernel refuses the excess, counted over all processes of the build by its control group.
    ControlGroup,
    /// Usage is sampled; a short excess may pass before the build is ended.
    Watched,
    /// The sandbox counts every unit itself, so nothing passes.
    Counted,
}
