//! The private view of the file system, built by the first process of the namespaces.
//!
//! The root is a new, empty file system, in which only what the plan names is mounted (Linux 5.12 for
//! `mount_setattr`). All sources are taken hold of before, so that they may lie anywhere. What all
//! runs see alike can be made once, see [`super::root`], and is completed by what one run has.

use std::ffi::{CStr, CString};

use nix::libc;

use super::MOUNTS_MAX;
use super::call::{self, Result, raw};
use super::plan::{Bind, NamespacePlan, RootPlan, Tree};
use super::status::Step;

const OPEN_TREE_CLONE: u32 = 1;
const AT_RECURSIVE: u32 = 0x8000;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
const ATTR_RDONLY: u64 = 1;
const ATTR_NOSUID: u64 = 2;
const ATTR_NODEV: u64 = 4;
const PRIVATE: u64 = libc::MS_PRIVATE;

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Which step failed, with which error number, and for which mount.
pub(super) type Failure = (Step, i32, usize);

fn check(value: libc::c_long) -> Result<libc::c_long> {
    if value < 0 {
        // SAFETY: the address of the calling thread's error number is always valid.
        Err(unsafe { *libc::__errno_location() })
    } else {
        Ok(value)
    }
}

fn set_attributes(fd: i32, path: &CStr, flags: u32, set: u64) -> Result<()> {
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation: PRIVATE,
        userns: 0,
    };
    let size = size_of::<MountAttributes>();
    check(raw!(
        libc::SYS_mount_setattr,
        fd,
        path.as_ptr(),
        flags,
        &raw const attributes,
        size
    ))
    .map(drop)
}

fn mount(kind: &CStr, path: &CStr, flags: u64, options: &CStr) -> Result<()> {
    check(raw!(
        libc::SYS_mount,
        kind.as_ptr(),
        path.as_ptr(),
        kind.as_ptr(),
        flags,
        options.as_ptr()
    ))
    .map(drop)
}

const NOSUID: u64 = libc::MS_NOSUID;
const NODEV: u64 = libc::MS_NODEV;
const NOEXEC: u64 = libc::MS_NOEXEC;

type Outcome<T = ()> = std::result::Result<T, Failure>;

fn at(step: Step) -> impl Fn(i32) -> Failure {
    move |errno| (step, errno, 0)
}

/// Mounts that are held open and not yet anywhere; -1 for one that is left out.
pub(super) struct Held([i32; MOUNTS_MAX]);

/// Takes hold of the sources of mounts, with what may be done with them.
pub(super) fn grab(mounts: &[Bind]) -> Outcome<Held> {
    let mut held = Held([-1i32; MOUNTS_MAX]);
    for (index, (bind, slot)) in mounts.iter().zip(&mut held.0).enumerate() {
        let recursive = if bind.is_directory { AT_RECURSIVE } else { 0 };
        let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | recursive | AT_SYMLINK_NOFOLLOW;
        match check(raw!(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            bind.source.as_ptr(),
            flags
        )) {
            Ok(fd) => *slot = fd as i32,
            Err(_) if bind.optional => continue,
            Err(errno) => return Err((Step::Grab, errno, index)),
        }
        let mut attributes = ATTR_NOSUID;
        if !bind.device {
            attributes |= ATTR_NODEV;
        }
        if !bind.writable && !bind.device {
            attributes |= ATTR_RDONLY;
        }
        set_attributes(*slot, c"", AT_EMPTY_PATH | recursive, attributes)
            .map_err(|errno| (Step::Grab, errno, index))?;
    }
    Ok(held)
}

fn place_all(mounts: &[Bind], held: &Held) -> Outcome {
    for (index, (bind, &fd)) in mounts.iter().zip(&held.0).enumerate() {
        if fd >= 0 {
            place(bind, fd).map_err(|errno| (Step::Place, errno, index))?;
        }
    }
    Ok(())
}

/// Builds the whole view, in a copy of the host's mounts.
pub(super) fn enter(plan: &NamespacePlan) -> Outcome {
    keep_apart()?;
    let held = grab(&plan.tree.mounts)?;
    // Only now: a caller that is root names mounts below directories that the build user may not
    // pass through, such as its own home.
    take_identity(plan)?;
    build(&plan.tree, &held, Some(&plan.temporary))?;
    host_name_and_loopback(plan)
}

/// Builds what all views share, for copies of it.
pub(super) fn prepare(plan: &RootPlan) -> Outcome {
    keep_apart()?;
    let held = grab(&plan.tree.mounts)?;
    call::become_user(plan.identity.0, plan.identity.1).map_err(at(Step::Identity))?;
    build(&plan.tree, &held, None)
}

/// Adds to a copy of a prepared root what only one run has.
pub(super) fn complete(plan: &NamespacePlan, covers: &[CString], held: &Held) -> Outcome {
    take_identity(plan)?;
    temporary(&plan.temporary).map_err(at(Step::Temporary))?;
    processes().map_err(at(Step::Proc))?;
    own_devices(&plan.temporary).map_err(at(Step::Dev))?;
    for cover in covers {
        mount(c"tmpfs", cover, NOSUID | NODEV, c"mode=755").map_err(at(Step::Hide))?;
    }
    for directory in &plan.tree.directories {
        // A missing mount point is told by the mount that needs it.
        let _ = call::make_directory(directory, 0o755);
    }
    place_all(&plan.tree.mounts, held)?;
    for cover in covers {
        set_attributes(libc::AT_FDCWD, cover, 0, QUIET).map_err(at(Step::Hide))?;
    }
    host_name_and_loopback(plan)
}

/// Read-only, without set-user-id programs and devices.
const QUIET: u64 = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV;

/// Nothing that is mounted here is seen on the host, and the other way round.
fn keep_apart() -> Outcome {
    let private = libc::MS_REC | libc::MS_PRIVATE;
    check(raw!(
        libc::SYS_mount,
        0usize,
        c"/".as_ptr(),
        0usize,
        private,
        0usize
    ))
    .map(drop)
    .map_err(at(Step::Private))
}

fn take_identity(plan: &NamespacePlan) -> Outcome {
    if plan.drop_groups {
        call::drop_groups().map_err(at(Step::Identity))?;
    }
    call::become_user(plan.inside.0, plan.inside.1).map_err(at(Step::Identity))
}

/// Makes a new root, the old one gone. Without `own`, the options of file systems in memory, it
/// lacks what each run must have for itself.
fn build(tree: &Tree, held: &Held, own: Option<&CStr>) -> Outcome {
    new_root().map_err(at(Step::Root))?;
    for directory in &tree.directories {
        // A missing mount point is told by the mount that needs it.
        let _ = call::make_directory(directory, 0o755);
    }
    // While the host's is in sight: the kernel makes a new one only for who sees one already.
    processes().map_err(at(Step::Proc))?;
    devices().map_err(at(Step::Dev))?;
    if let Some(options) = own {
        temporary(options).map_err(at(Step::Temporary))?;
        own_devices(options).map_err(at(Step::Dev))?;
        // What was made there is behind the file systems that were mounted since.
        let is_behind = |path: &&CString| {
            let places: [&[u8]; 3] = [b"/tmp/", b"/dev/shm/", b"/dev/pts/"];
            places
                .iter()
                .any(|place| path.as_bytes().starts_with(place))
        };
        for directory in tree.directories.iter().filter(is_behind) {
            let _ = call::make_directory(directory, 0o755);
        }
    }
    for (target, path) in &tree.links {
        let _ = call::symlink(target, path);
    }
    for (path, text) in &tree.files {
        write_file(path, text).map_err(at(Step::Root))?;
    }
    place_all(&tree.mounts, held)?;
    for mask in &tree.masks {
        mount(c"tmpfs", mask, NOSUID | NODEV, c"mode=0,size=4k").map_err(at(Step::Hide))?;
    }
    leave_old_root().map_err(at(Step::Root))?;
    set_attributes(libc::AT_FDCWD, c"/", 0, QUIET).map_err(at(Step::ReadOnlyRoot))
}

fn host_name_and_loopback(plan: &NamespacePlan) -> Outcome {
    let name = crate::environment::HOST_NAME;
    check(raw!(libc::SYS_sethostname, name.as_ptr(), name.len())).map_err(at(Step::HostName))?;
    if plan.private_network && plan.network.is_none() {
        loopback_up().map_err(at(Step::Loopback))?;
    }
    Ok(())
}

fn temporary(options: &CStr) -> Result<()> {
    mount(c"tmpfs", c"/tmp", NOSUID | NODEV, options)
}

fn processes() -> Result<()> {
    mount(c"proc", c"/proc", NOSUID | NODEV | NOEXEC, c"")
}

/// Makes an empty file system the root, with the host's at `/.host`.
fn new_root() -> Result<()> {
    mount(c"tmpfs", c"/tmp", NOSUID | NODEV, c"mode=755")?;
    call::make_directory(c"/tmp/.host", 0o700)?;
    call::change_directory(c"/tmp")?;
    check(raw!(libc::SYS_pivot_root, c".".as_ptr(), c".host".as_ptr()))?;
    call::change_directory(c"/")
}

fn leave_old_root() -> Result<()> {
    check(raw!(
        libc::SYS_umount2,
        c"/.host".as_ptr(),
        libc::MNT_DETACH
    ))?;
    check(raw!(
        libc::SYS_unlinkat,
        libc::AT_FDCWD,
        c"/.host".as_ptr(),
        libc::AT_REMOVEDIR
    ))
    .map(drop)
}

fn write_file(path: &CStr, mut text: &[u8]) -> Result<()> {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_EXCL;
    let fd = match call::open_at(libc::AT_FDCWD, path, flags, 0o644) {
        Err(libc::EEXIST) => return Ok(()),
        other => other?,
    };
    while !text.is_empty() {
        let written = call::write(fd, text)?;
        text = text.get(written..).unwrap_or_default();
    }
    call::close(fd);
    Ok(())
}

fn place(bind: &Bind, fd: i32) -> Result<()> {
    if !bind.is_directory {
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW;
        if let Ok(made) = call::open_at(libc::AT_FDCWD, &bind.target, flags, 0o644) {
            call::close(made);
        }
    }
    let moved = check(raw!(
        libc::SYS_move_mount,
        fd,
        c"".as_ptr(),
        libc::AT_FDCWD,
        bind.target.as_ptr(),
        MOVE_MOUNT_F_EMPTY_PATH
    ));
    call::close(fd);
    moved.map(drop)
}

/// What `/dev` has besides the device nodes, which are mounts of the plan.
fn devices() -> Result<()> {
    for (target, path) in [
        (c"/proc/self/fd", c"/dev/fd"),
        (c"/proc/self/fd/0", c"/dev/stdin"),
        (c"/proc/self/fd/1", c"/dev/stdout"),
        (c"/proc/self/fd/2", c"/dev/stderr"),
        (c"pts/ptmx", c"/dev/ptmx"),
        (c"../tmp", c"/var/tmp"),
    ] {
        call::symlink(target, path)?;
    }
    for (path, mode) in [(c"/dev/pts", 0o755), (c"/dev/shm", 0o1777)] {
        match call::make_directory(path, mode) {
            // On the way to something that the plan shows there.
            Ok(()) | Err(libc::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// What of `/dev` each run has for itself.
fn own_devices(temporary: &CStr) -> Result<()> {
    mount(c"tmpfs", c"/dev/shm", NOSUID | NODEV, temporary)?;
    mount(
        c"devpts",
        c"/dev/pts",
        NOSUID | NOEXEC,
        c"newinstance,ptmxmode=0666,mode=620",
    )
}

fn loopback_up() -> Result<()> {
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: i16,
        padding: [u8; 22],
    }
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let socket = check(raw!(libc::SYS_socket, libc::AF_INET, kind, 0))? as i32;
    let mut request = Request {
        name: [0; 16],
        flags: 0,
        padding: [0; 22],
    };
    request.name[..2].copy_from_slice(b"lo");
    request.flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    let result = check(raw!(
        libc::SYS_ioctl,
        socket,
        libc::SIOCSIFFLAGS,
        &raw const request
    ));
    call::close(socket);
    result.map(drop)
}
