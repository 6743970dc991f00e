//! Starting a supervisor in a copy of a prepared root.
//!
//! A process with more than one thread may not enter a user namespace, so a process between does,
//! for some microseconds, see [`beside`]. It takes hold of the build's
//! directories, enters the namespaces of the root and starts the supervisor as a sibling of its own
//! (`CLONE_PARENT`), which therefore is this program's child as always.
//!
//! The rules of [`super`] hold for it too; besides, it may not change its own user, as the kernel
//! would then make this program's memory undumpable.

use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use nix::libc;

use super::beside::{self, Stack};
use super::call::{self, Result};
use super::namespaces::{self, Held};
use super::plan::{NamespacePlan, Plan, Prepared};
use super::spawn::{Blocked, wait};
use super::supervise::{self, Descriptors, Inherited};
use super::walk::proc_path;

/// Stacks that are not in use.
static STACKS: Mutex<Vec<Stack>> = Mutex::new(Vec::new());
const STACKS_MAX: usize = 8;

/// What the process between gets and answers.
struct Launch<'a> {
    plan: &'a Plan,
    view: &'a NamespacePlan,
    prepared: &'a Prepared,
    fds: &'a Descriptors,
    /// Whether this program may take hold of mounts by itself.
    privileged: bool,
    /// The supervisor, or 0.
    supervisor: i32,
    errno: i32,
}

/// Starts the supervisor; it waits for its word to go on, and its users are mapped.
pub(super) fn start(
    plan: &Plan,
    view: &NamespacePlan,
    prepared: &Prepared,
    fds: &Descriptors,
) -> io::Result<(i32, OwnedFd)> {
    let mut launch = Launch {
        plan,
        view,
        prepared,
        fds,
        privileged: nix::unistd::Uid::effective().is_root(),
        supervisor: 0,
        errno: 0,
    };
    // To map and to take down memory stops all other threads of this program, so stacks are kept.
    let kept = STACKS.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let stack = kept.map_or_else(Stack::new, Ok);
    let stack = stack.map_err(io::Error::from_raw_os_error)?;
    let blocked = Blocked::all()?;
    // SAFETY: the child follows the rules of this module, and this thread, which waits, does not
    // touch `launch` before it has ended.
    let between = unsafe { beside::start(&stack, 0, enter, (&raw mut launch).cast()) };
    drop(blocked);
    let mut stacks = STACKS.lock().unwrap_or_else(PoisonError::into_inner);
    if stacks.len() < STACKS_MAX {
        stacks.push(stack);
    }
    drop(stacks);
    let between = between.map_err(io::Error::from_raw_os_error)?;
    call::take(between);
    let supervisor = match launch.supervisor {
        0 => None,
        pid => Some(hold(pid)?),
    };
    match (launch.errno, supervisor) {
        (0, Some(supervisor)) => Ok((launch.supervisor, supervisor)),
        (errno, supervisor) => {
            if let Some(supervisor) = supervisor {
                let _ = call::pidfd_send_signal(supervisor.as_raw_fd(), libc::SIGKILL);
                wait(&supervisor);
            }
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// A descriptor of a child that nobody else takes.
fn hold(pid: i32) -> io::Result<OwnedFd> {
    match call::pidfd_open(pid) {
        // SAFETY: the call returned a new descriptor that nothing else owns.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(errno) => {
            let _ = call::kill(pid, libc::SIGKILL);
            call::take(pid);
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

extern "C" fn enter(argument: *mut c_void) -> i32 {
    // SAFETY: `start` passes a `Launch` that nobody else uses while this runs.
    let launch = unsafe { &mut *argument.cast::<Launch<'_>>() };
    if let Err(errno) = launch.run() {
        launch.errno = errno;
    }
    call::exit(0)
}

impl Launch<'_> {
    fn run(&mut self) -> Result<()> {
        let root = &self.prepared.root;
        let (user, mounts) = (root.user.as_raw_fd(), root.mounts.as_raw_fd());
        let network = self.view.network.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        supervise::close_foreign(self.fds, [user, mounts, network]);
        // The copy of the root shows no process of the host.
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let proc = call::open_at(libc::AT_FDCWD, c"/proc", flags, 0)?;
        let held = self.grab(user)?;
        call::enter_namespace(mounts, libc::CLONE_NEWNS)?;
        call::close(user);
        call::close(mounts);
        let mut flags = libc::CLONE_PARENT
            | libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        if network >= 0 {
            call::enter_namespace(network, libc::CLONE_NEWNET)?;
            call::close(network);
        } else if self.view.private_network {
            flags |= libc::CLONE_NEWNET;
        }
        let pid = call::clone(u64::from(flags.cast_unsigned()), &mut 0)?;
        if pid == 0 {
            let inherited = Inherited {
                proc,
                held,
                covers: &self.prepared.covers,
            };
            supervise::begin(self.plan, self.fds, Some(&inherited));
        }
        self.supervisor = pid;
        self.map_identity(proc, pid)
    }

    /// Takes hold of the run's own mounts, as they are now, and enters the user namespace.
    fn grab(&self, user: i32) -> Result<Held> {
        let mounts = &self.view.tree.mounts;
        if self.privileged {
            match namespaces::grab(mounts) {
                Ok(held) => {
                    call::enter_namespace(user, libc::CLONE_NEWUSER)?;
                    return Ok(held);
                }
                // Root of a container that may not mount.
                Err((_, libc::EPERM, _)) => {}
                Err((_, errno, _)) => return Err(errno),
            }
        }
        call::enter_namespace(user, libc::CLONE_NEWUSER)?;
        call::unshare(libc::CLONE_NEWNS)?;
        namespaces::grab(mounts).map_err(|(_, errno, _)| errno)
    }

    /// Writes the id maps of the supervisor, which only its parent namespace may.
    fn map_identity(&self, proc: i32, pid: i32) -> Result<()> {
        let write = |file: &[u8], text: &CStr| -> Result<()> {
            let mut path = [0u8; 32];
            let path = proc_path(pid, file, &mut path).ok_or(libc::ENAMETOOLONG)?;
            let fd = call::open_at(proc, path, libc::O_WRONLY, 0)?;
            let written = call::write(fd, text.to_bytes());
            call::close(fd);
            written.map(drop)
        };
        if !self.view.drop_groups {
            write(b"setgroups", c"deny")?;
        }
        let [users, groups] = &self.view.maps;
        write(b"gid_map", groups)?;
        write(b"uid_map", users)
    }
}
