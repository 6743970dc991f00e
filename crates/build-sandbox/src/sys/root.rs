//! A root that is prepared once and copied for each run.
//!
//! Most of what a build sees is the same for all builds: some forty mounts and files. A process of
//! its own makes it, in a user namespace and a mount namespace of its own, and ends at once; what
//! stays is two descriptors of this program, so that nothing is left when it ends, and nothing can
//! be seen on the host. It is read-only, and a copy of it belongs to the user namespace of a run,
//! where the kernel lets nobody change or lift one of its mounts. Source: `mount_namespaces(7)`,
//! "Restrictions on mount namespaces".

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use super::host::{Control, GO, StartError};
use super::plan::RootPlan;
use super::spawn::{Blocked, wait};
use super::status::{Message, SIZE};
use super::supervise::{close_all_but, fail, tell};
use super::{call, namespaces};

/// How long it may take before runs go on without one.
const PATIENCE: Duration = Duration::from_secs(5);
/// In milliseconds: how often it is asked whether the run that waits is wanted still.
const GLANCE: u8 = 20;
/// What the process is called.
const NAME: &CStr = c"root-maker";

/// The namespaces of a prepared root.
#[derive(Debug)]
pub(crate) struct Root {
    pub(super) user: OwnedFd,
    pub(super) mounts: OwnedFd,
}

impl Root {
    /// Makes it. Blocks for some milliseconds, at most some seconds.
    ///
    /// # Errors
    /// The step and its error, also when `cancelled`.
    pub(crate) fn prepare(
        plan: &RootPlan,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, StartError> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| ("make pipes", io::Error::from(e)));
        let (control_read, control) = pipe()?;
        let (status, status_write) = pipe()?;
        let (pid, process) = fork(plan, control_read.as_raw_fd(), status_write.as_raw_fd())
            .map_err(|error| ("fork the maker of a root", error))?;
        drop((control_read, status_write));
        let maker = Maker {
            control: Control::new(control),
            process,
        };
        map_identity(pid, plan).map_err(|error| ("map the users of a root", error))?;
        maker.control.go()?;
        answer(&status, cancelled)?;
        let open = |name: &str| {
            File::open(format!("/proc/{pid}/ns/{name}"))
                .map(OwnedFd::from)
                .map_err(|error| ("hold a root", error))
        };
        // It waits meanwhile, and ends when the maker is dropped.
        Ok(Self {
            user: open("user")?,
            mounts: open("mnt")?,
        })
    }
}

#[cfg(test)]
impl Root {
    /// Descriptors that no namespace is behind.
    pub(crate) fn spoilt() -> Self {
        let null = || File::open("/dev/null").map(OwnedFd::from);
        let (Ok(user), Ok(mounts)) = (null(), null()) else {
            panic!("`/dev/null` can be opened");
        };
        Self { user, mounts }
    }
}

/// The process that makes a root. Dropping it ends it.
struct Maker {
    control: Control,
    process: OwnedFd,
}

fn map_identity(pid: i32, plan: &RootPlan) -> io::Result<()> {
    let write = |file: &str, text: &[u8]| fs::write(format!("/proc/{pid}/{file}"), text);
    if plan.deny_groups {
        write("setgroups", b"deny")?;
    }
    let [users, groups] = &plan.maps;
    write("gid_map", groups.to_bytes())?;
    write("uid_map", users.to_bytes())
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.control.close();
        // Its mounts may wait for a server that does not answer.
        let _ = call::pidfd_send_signal(self.process.as_raw_fd(), libc::SIGKILL);
        wait(&self.process);
    }
}

fn answer(status: &OwnedFd, cancelled: &dyn Fn() -> bool) -> Result<(), StartError> {
    use std::os::fd::AsFd;
    let step = "wait for a root";
    let deadline = Instant::now() + PATIENCE;
    let mut ready = [PollFd::new(status.as_fd(), PollFlags::POLLIN)];
    while poll(&mut ready, PollTimeout::from(GLANCE)).map_err(|errno| (step, errno.into()))? == 0 {
        if cancelled() || Instant::now() > deadline {
            return Err((step, io::ErrorKind::TimedOut.into()));
        }
    }
    let mut bytes = [0; SIZE];
    let count = nix::unistd::read(status, &mut bytes).map_err(|errno| (step, errno.into()))?;
    let message = (count == SIZE).then(|| Message::decode(&bytes)).flatten();
    match message {
        Some(Message::Finished { .. }) => Ok(()),
        Some(Message::SetupFailed { step, errno, .. }) => {
            Err((step, io::Error::from_raw_os_error(errno)))
        }
        _ => Err((step, io::ErrorKind::UnexpectedEof.into())),
    }
}

fn fork(plan: &RootPlan, control: i32, status: i32) -> io::Result<(i32, OwnedFd)> {
    let flags = libc::CLONE_PIDFD
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    let blocked = Blocked::all()?;
    let mut pidfd = -1;
    let forked = call::clone(u64::from(flags.cast_unsigned()), &mut pidfd);
    if forked == Ok(0) {
        make(plan, control, status);
    }
    drop(blocked);
    let pid = forked.map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// The child: makes the root, says so and waits until the host holds it.
fn make(plan: &RootPlan, control: i32, status: i32) -> ! {
    close_all_but(&mut [control, status]);
    let mut byte = [0u8];
    if call::read(control, &mut byte) != Ok(1) || byte != [GO] {
        call::exit(0);
    }
    let _ = call::control(libc::PR_SET_NAME, NAME.as_ptr() as u64);
    if let Err((step, errno, index)) = namespaces::prepare(plan) {
        fail(status, step, errno, index);
    }
    tell(status, 4, [1, 0, 0]);
    let _ = call::read(control, &mut byte);
    call::exit(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use std::ffi::CString;

    use nix::unistd::{Gid, Uid};

    use super::super::plan::Tree;
    use super::*;

    fn plan(directories: usize) -> RootPlan {
        let (user, group) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        let directories = (0..directories).map(|name| CString::new(format!("/{name}")).unwrap());
        let usual = ["/dev", "/proc", "/tmp", "/var"].map(|path| CString::new(path).unwrap());
        RootPlan {
            identity: (user, group),
            maps: [user, group].map(|id| CString::new(format!("{id} {id} 1\n")).unwrap()),
            deny_groups: user != 0,
            tree: Tree {
                directories: usual.into_iter().chain(directories).collect(),
                ..Tree::default()
            },
        }
    }

    /// Makers that this test has left, whether or not they have taken their name.
    fn children() -> usize {
        let me = std::process::id().to_string();
        let own = fs::read_to_string("/proc/thread-self/comm").unwrap();
        let names = [own.trim_end(), NAME.to_str().unwrap()];
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let states =
            processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        let fields = |stat: String| -> Option<bool> {
            let (name, rest) = stat.rsplit_once(')')?;
            let (_, name) = name.split_once('(')?;
            Some(names.contains(&name) && rest.split_whitespace().nth(1)? == me)
        };
        states.filter_map(fields).filter(|child| *child).count()
    }

    #[test]
    fn nothing_is_left_of_who_made_a_root_or_did_not() {
        let Ok(_root) = Root::prepare(&plan(0), &|| false) else {
            eprintln!("skipped: no root can be prepared here");
            return;
        };
        assert_eq!(children(), 0, "after success");
        // It takes longer than the first glance.
        let started = Instant::now();
        let cancelled = Root::prepare(&plan(500_000), &|| true).unwrap_err();
        assert_eq!(cancelled.1.kind(), io::ErrorKind::TimedOut, "{cancelled:?}");
        assert!(started.elapsed() < PATIENCE, "it was ended, not waited for");
        assert_eq!(children(), 0, "after it was cancelled");
        let mut unmapped = plan(0);
        unmapped.maps = [c"0 4294967294 7\n".to_owned(), c"no map".to_owned()];
        Root::prepare(&unmapped, &|| false).unwrap_err();
        assert_eq!(children(), 0, "after a refusal");
        let mut failing = plan(0);
        failing.tree.masks.push(c"/missing".to_owned());
        let (step, _) = Root::prepare(&failing, &|| false).unwrap_err();
        assert_eq!(step, "hide a directory");
        assert_eq!(children(), 0, "after a step that failed");
    }
}
