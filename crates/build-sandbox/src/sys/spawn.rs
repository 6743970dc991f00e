//! The host's side: starting a supervisor and holding it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::unistd::{Gid, Uid, fchown, pipe2};

use super::host::{Control, Running, StartError, pointers};
use super::plan::{NamespacePlan, Plan};
use super::status::COPY;
use super::supervise::Descriptors;
use super::{call, launch, supervise};
use crate::private::Private;
use crate::users::Lease;

/// Holds the control pipe and the supervisor's descriptor.
///
/// Dropping it ends the build: the pipe closes, the supervisor kills everything, and a thread
/// that lives for just that long waits for it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    control: Control,
    process: Option<OwnedFd>,
    namespaced: bool,
    held: (Option<Arc<Lease>>, Option<Arc<Private>>),
}

impl Supervisor {
    /// Asks every process of the build to end.
    pub(crate) fn terminate(&self) {
        self.control.terminate();
    }

    /// Has every process of the build killed.
    pub(crate) fn kill(&mut self) {
        self.control.close();
    }

    /// Kills the supervisor itself where the kernel then ends the whole namespace: the way out if
    /// it is stuck, for example in a mount that does not answer.
    pub(crate) fn force(&mut self) {
        self.control.close();
        if let (true, Some(process)) = (self.namespaced, &self.process) {
            let _ = call::pidfd_send_signal(process.as_raw_fd(), libc::SIGKILL);
        }
    }

    /// Waits until the supervisor, which has closed its pipes, is gone.
    pub(crate) async fn ended(mut self) {
        self.control.close();
        let copy = self
            .process
            .as_ref()
            .and_then(|process| process.try_clone().ok());
        // SAFETY: an owned descriptor stays the same open file until it is dropped.
        let watched =
            copy.and_then(|copy| unsafe { tokio::io::unix::AsyncFd::register(copy) }.ok());
        if let Some(watched) = watched {
            // Readable once the process has ended; then taking it does not block.
            let _ = watched.readable().await;
            self.wait();
        } else {
            let _ = tokio::task::spawn_blocking(move || self.wait()).await;
        }
    }

    /// Waits for the supervisor, which has closed its pipes, to be gone. Blocks.
    pub(crate) fn wait(mut self) {
        self.control.close();
        if let Some(process) = self.process.take() {
            wait(&process);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.control.close();
        let Some(process) = self.process.take() else {
            return;
        };
        let held = std::mem::take(&mut self.held);
        let process = Arc::new(process);
        let (for_thread, its) = (Arc::clone(&process), held.clone());
        let started = std::thread::Builder::new()
            .name("build-sandbox-reaper".to_owned())
            .stack_size(64 << 10)
            .spawn(move || {
                wait(&for_thread);
                drop(its);
            });
        if started.is_err() {
            wait(&process);
        }
    }
}

pub(super) fn wait(process: &OwnedFd) {
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
        // SAFETY: `info` is writable and the descriptor stays open during the call.
        let result = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                process.as_raw_fd().cast_unsigned(),
                info.as_mut_ptr(),
                libc::WEXITED | libc::__WALL,
            )
        };
        if result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return;
        }
    }
}

/// Starts a supervisor, which starts the build. Blocks for the time of a fork.
///
/// # Errors
/// The step and its error if the host could not do its part. What fails inside comes over the
/// status pipe.
pub(crate) fn spawn(plan: &Plan) -> Result<Running, StartError> {
    let pipe = |step| move || pipe2(OFlag::O_CLOEXEC).map_err(|e| (step, io::Error::from(e)));
    let pipe = pipe("make pipes");
    // The child moves descriptors to 0 to 4; its own must not be among them.
    let high = |fd: OwnedFd| -> Result<OwnedFd, StartError> {
        let moved = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(10))
            .map_err(|e| ("copy a descriptor", e.into()))?;
        // SAFETY: the call returned a new descriptor that nothing else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(moved) })
    };
    let (control_read, control) = pipe()?;
    let (status, status_write) = pipe()?;
    let (stdout, stdout_write) = pipe()?;
    let (stderr, stderr_write) = pipe()?;
    let (result, result_write) = if plan.result {
        let (read, write) = pipe()?;
        (Some(read), Some(high(write)?))
    } else {
        (None, None)
    };
    if let Some((uid, gid)) = plan.identity {
        // A pipe belongs to who made it, and `/dev/stdout` opens it anew.
        for fd in [&stdout_write, &stderr_write] {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            fchown(fd, Some(uid), Some(gid)).map_err(|e| ("hand over a pipe", e.into()))?;
        }
    }
    for fd in [&status, &stdout, &stderr].into_iter().chain(&result) {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|e| ("prepare a pipe", e.into()))?;
    }
    // A larger pipe saves switches between build and reader; a refusal costs only that.
    let _ = fcntl(&stdout, FcntlArg::F_SETPIPE_SZ(1 << 20));
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| ("open `/dev/null`", error))?;
    let (control_read, status_write) = (high(control_read)?, high(status_write)?);
    let (stdout_write, stderr_write) = (high(stdout_write)?, high(stderr_write)?);
    let null = high(null.into())?;
    let copy = |fd: &OwnedFd| {
        let copy = fd.try_clone();
        high(copy.map_err(|error| ("copy a descriptor", error))?)
    };
    let recipe = plan.recipe.as_deref().map(copy).transpose()?;
    let group = plan.group.as_ref();
    let group_join = group.map(|group| copy(&group.join)).transpose()?;
    let group_kill = group.and_then(|group| group.kill.as_ref());
    let group_kill = group_kill.map(copy).transpose()?;

    let arguments = pointers(&plan.arguments);
    let environment = pointers(&plan.environment);
    let number = |fd: &Option<OwnedFd>| fd.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let fds = Descriptors {
        control: control_read.as_raw_fd(),
        status: status_write.as_raw_fd(),
        stdout: stdout_write.as_raw_fd(),
        stderr: stderr_write.as_raw_fd(),
        result: number(&result_write),
        recipe: number(&recipe),
        null: null.as_raw_fd(),
        group_join: number(&group_join),
        group_kill: number(&group_kill),
        memory: own_arguments(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
    };
    let (supervisor, network) = supervisor(plan, &fds, control)?;
    supervisor.control.go()?;
    Ok(Running {
        supervisor,
        status,
        stdout,
        stderr,
        result,
        network,
    })
}

/// Starts a supervisor, which waits for its word to go on. With it comes the network of the build
/// that its next run can have.
fn supervisor(
    plan: &Plan,
    fds: &Descriptors,
    control: OwnedFd,
) -> Result<(Supervisor, Option<Arc<OwnedFd>>), StartError> {
    let supervisor = |process| Supervisor {
        control: Control::new(control),
        process: Some(process),
        namespaced: plan.namespaces.is_some(),
        held: (plan.lease.clone(), plan.private.clone()),
    };
    let mut network = None;
    let supervisor = match &plan.namespaces {
        Some(
            view @ NamespacePlan {
                prepared: Some(prepared),
                ..
            },
        ) => {
            let started = launch::start(plan, view, prepared, fds);
            let (pid, process) = started.map_err(|error| (COPY, error))?;
            network.clone_from(&view.network);
            if view.private_network && network.is_none() {
                // It waits, and is still one whose files may be opened.
                let file = std::fs::File::open(format!("/proc/{pid}/ns/net"));
                network = file.ok().map(|file| Arc::new(file.into()));
            }
            supervisor(process)
        }
        view => {
            let forked = fork(plan, fds);
            let (pid, process) = forked.map_err(|error| ("fork the supervisor", error))?;
            let supervisor = supervisor(process);
            if let Some(view) = view {
                map_identity(pid, view)
                    .map_err(|error| ("map the user of the namespace", error))?;
            }
            supervisor
        }
    };
    Ok((supervisor, network))
}

/// Where the arguments and the environment of this program begin, and their length together.
/// Source: proc(5), `/proc/pid/stat`, `arg_start` and `env_end`.
fn own_arguments() -> (usize, usize) {
    static PLACE: OnceLock<(usize, usize)> = OnceLock::new();
    *PLACE.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in parentheses may hold blanks; after it comes the third field.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |number: usize| -> Option<usize> {
            rest.split_whitespace().nth(number - 3)?.parse().ok()
        };
        match (field(48), field(51)) {
            (Some(start), Some(end)) if start > 0 => (start, end.saturating_sub(start)),
            _ => (0, 0),
        }
    })
}

fn fork(plan: &Plan, fds: &Descriptors) -> io::Result<(i32, OwnedFd)> {
    let mut flags = libc::CLONE_PIDFD.cast_unsigned();
    if let Some(namespaces) = &plan.namespaces {
        flags |= (libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP)
            .cast_unsigned();
        if namespaces.private_network {
            flags |= libc::CLONE_NEWNET.cast_unsigned();
        }
    }
    let blocked = Blocked::all()?;
    let mut pidfd = -1;
    // No signal is sent when it ends, so that no other part of the host program waits for it.
    let forked = call::clone(u64::from(flags), &mut pidfd);
    if forked == Ok(0) {
        supervise::run(plan, fds);
    }
    drop(blocked);
    let pid = forked.map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// Blocks all signals of this thread until it is dropped, so that a child begins with all blocked.
pub(super) struct Blocked(SigSet);

impl Blocked {
    pub(super) fn all() -> io::Result<Self> {
        let mut before = SigSet::empty();
        pthread_sigmask(
            SigmaskHow::SIG_SETMASK,
            Some(&SigSet::all()),
            Some(&mut before),
        )?;
        Ok(Self(before))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.0), None);
    }
}

/// Writes the id maps of the child, which waits for it. Source: `user_namespaces(7)`.
fn map_identity(pid: i32, plan: &NamespacePlan) -> io::Result<()> {
    let write = |file: &str, text: &[u8]| std::fs::write(format!("/proc/{pid}/{file}"), text);
    if !plan.drop_groups {
        write("setgroups", b"deny")?;
    }
    let [users, groups] = &plan.maps;
    write("gid_map", groups.to_bytes())?;
    write("uid_map", users.to_bytes())
}

/// A file without a name that holds `text`, to be read from its start.
pub(crate) fn memory_file(text: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};
    let fd = call::memory_file().map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the call returned a new descriptor that nothing else owns.
    let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}
