//! Everything that the supervisor and the phase process need, made before the fork.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::libc;

use crate::control_group::GroupFiles;
use crate::private::Private;
use crate::users::Lease;

use super::Root;

/// Instructions for one child, as plain owned memory that is only read after the fork.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct Plan {
    /// Absolute path of the program.
    pub(crate) program: CString,
    /// Its arguments, from `argv[0]`.
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value`.
    pub(crate) environment: Vec<CString>,
    /// Working directory, as the child sees it.
    pub(crate) directory: CString,
    /// End successfully instead of executing: used to try a tier.
    pub(crate) probe: bool,
    /// Present in the strongest tier.
    pub(crate) namespaces: Option<NamespacePlan>,
    /// File, network and signal rules.
    pub(crate) landlock: Option<LandlockPlan>,
    /// seccomp program; empty where there is none.
    pub(crate) filter: Arc<Vec<Instruction>>,
    /// `RLIMIT_*` and its value, soft and hard.
    pub(crate) limits: Vec<(i32, u64)>,
    /// User and group to become; inside the user namespace if there is one.
    pub(crate) identity: Option<(u32, u32)>,
    /// That user, kept from others until no process of the build is left.
    pub(crate) lease: Option<Arc<Lease>>,
    /// The directory of this run, kept as long.
    pub(crate) private: Option<Arc<Private>>,
    /// Give up all capabilities but those in `keep`.
    pub(crate) strip: bool,
    /// Bit mask of capabilities that stay with `strip`.
    pub(crate) keep: u64,
    /// Sampled limits.
    pub(crate) watch: Watch,
    /// Open descriptor of a recipe with replaced version lines.
    pub(crate) recipe: Option<Arc<OwnedFd>>,
    /// Open files of the build's control group.
    pub(crate) group: Option<Arc<GroupFiles>>,
    /// Whether descriptor 3 leads to the host.
    pub(crate) result: bool,
}

/// One BPF instruction, as the kernel wants it.
pub(crate) type Instruction = Filter;

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Filter {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

/// Limits that the supervisor samples; zero means none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    pub(crate) memory: u64,
    pub(crate) processes: u64,
    pub(crate) open_files: u64,
}

/// The private view of the file system and its identity.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct NamespacePlan {
    /// Whether the network is an empty one.
    pub(crate) private_network: bool,
    /// That of an earlier run of the build; otherwise it is new.
    pub(crate) network: Option<Arc<OwnedFd>>,
    /// User and group inside.
    pub(crate) inside: (u32, u32),
    /// Text of `uid_map` and of `gid_map`.
    pub(crate) maps: [CString; 2],
    /// Whether supplementary groups can be given up: only with privileges on the host.
    pub(crate) drop_groups: bool,
    /// Options of the file systems at `/tmp` and `/dev/shm`, such as `mode=1777`.
    pub(crate) temporary: CString,
    /// The whole root, or with `prepared` what that lacks.
    pub(crate) tree: Tree,
    /// A root to begin with.
    pub(crate) prepared: Option<Prepared>,
}

/// The copy of a prepared root that one run gets.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct Prepared {
    pub(crate) root: Arc<Root>,
    /// Empty directories of it, directly below `/`, to cover with one that has room for mount points.
    pub(crate) covers: Vec<CString>,
}

/// How a root is prepared.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct RootPlan {
    /// User and group that make it.
    pub(crate) identity: (u32, u32),
    /// Text of `uid_map` and of `gid_map`.
    pub(crate) maps: [CString; 2],
    /// Whether `setgroups` has to be given up first, as who is not privileged must.
    pub(crate) deny_groups: bool,
    pub(crate) tree: Tree,
}

/// What a root is made of.
#[derive(Debug, Default)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct Tree {
    /// Directories to make, outer before inner.
    pub(crate) directories: Vec<CString>,
    /// Symbolic links to make there: what they hold, and where.
    pub(crate) links: Vec<(CString, CString)>,
    /// Files to write there.
    pub(crate) files: Vec<(CString, Vec<u8>)>,
    /// Mounts, outer before inner.
    pub(crate) mounts: Vec<Bind>,
    /// Directories below mounts to cover with an empty one.
    pub(crate) masks: Vec<CString>,
}

/// A path of the host shown inside.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate fact about the path"
)]
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct Bind {
    pub(crate) source: CString,
    pub(crate) target: CString,
    pub(crate) writable: bool,
    /// A device node: opening it must work.
    pub(crate) device: bool,
    /// A mount point that is a file has to be made as one.
    pub(crate) is_directory: bool,
    /// Leave it out if the source does not exist.
    pub(crate) optional: bool,
}

/// Landlock rules.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct LandlockPlan {
    /// Version of the kernel's interface.
    pub(crate) abi: u32,
    /// Whether files are restricted; otherwise only scopes are.
    pub(crate) files: bool,
    /// Whether TCP is refused.
    pub(crate) refuse_tcp: bool,
    /// Paths below which something is allowed.
    pub(crate) rules: Vec<LandlockRule>,
}

/// What is allowed below a path.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct LandlockRule {
    pub(crate) path: CString,
    pub(crate) right: Right,
}

/// What may be done below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) enum Right {
    /// Listing names.
    List,
    /// Reading and executing.
    Read,
    /// Everything.
    Write,
}

/// The names of resources whose type differs between C libraries.
pub(crate) const FSIZE: i32 = libc::RLIMIT_FSIZE as i32;
pub(crate) const NOFILE: i32 = libc::RLIMIT_NOFILE as i32;
pub(crate) const NPROC: i32 = libc::RLIMIT_NPROC as i32;
pub(crate) const CORE: i32 = libc::RLIMIT_CORE as i32;
