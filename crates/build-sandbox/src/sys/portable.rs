//! The group tier for systems without namespaces, subreapers and pidfds: best effort.
//!
//! The supervisor owns the phase's session and kills its process group. A process that leaves the
//! group survives, so nothing is proven here.

use std::ffi::c_char;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::unistd::pipe;

use super::host::{Control, GO, Running, StartError, pointers};
use super::plan::{Plan, RootPlan};
use super::status::{Message, Step};
use crate::private::Private;
use crate::users::Lease;

const LOOK_EVERY_MS: i32 = 20;

/// No system but Linux has one.
#[derive(Debug)]
pub(crate) enum Root {}

impl Root {
    pub(crate) fn prepare(_: &RootPlan, _: &dyn Fn() -> bool) -> Result<Self, StartError> {
        Err(("prepare a root", io::ErrorKind::Unsupported.into()))
    }
}

/// Holds the control pipe and the supervisor's process id. Dropping it ends the build.
#[derive(Debug)]
pub(crate) struct Supervisor {
    control: Control,
    pid: Option<i32>,
    held: (Option<Arc<Lease>>, Option<Arc<Private>>),
}

impl Supervisor {
    pub(crate) fn terminate(&self) {
        self.control.terminate();
    }

    pub(crate) fn kill(&mut self) {
        self.control.close();
    }

    pub(crate) fn force(&mut self) {
        self.control.close();
    }

    pub(crate) async fn ended(self) {
        let _ = tokio::task::spawn_blocking(move || self.wait()).await;
    }

    pub(crate) fn wait(mut self) {
        self.control.close();
        if let Some(pid) = self.pid.take() {
            wait(pid);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.control.close();
        let held = std::mem::take(&mut self.held);
        let its = held.clone();
        if let Some(pid) = self.pid.take()
            && std::thread::Builder::new()
                .spawn(move || {
                    wait(pid);
                    drop(its);
                })
                .is_err()
        {
            wait(pid);
        }
    }
}

fn wait(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is writable.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1
        && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
    {}
}

pub(crate) fn landlock_abi() -> u32 {
    0
}

pub(crate) fn seccomp_works() -> bool {
    false
}

/// Starts a supervisor, which starts the build.
pub(crate) fn spawn(plan: &Plan) -> Result<Running, StartError> {
    let ends = || -> Result<(OwnedFd, OwnedFd), StartError> {
        let (read, write) = pipe().map_err(|e| ("make pipes", e.into()))?;
        for fd in [&read, &write] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
                .map_err(|e| ("prepare a pipe", e.into()))?;
        }
        Ok((read, write))
    };
    let high = |fd: &OwnedFd| -> Result<i32, StartError> {
        fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(10)).map_err(|e| ("copy a descriptor", e.into()))
    };
    let (control_read, control) = ends()?;
    let (status, status_write) = ends()?;
    let (stdout, stdout_write) = ends()?;
    let (stderr, stderr_write) = ends()?;
    let (result, result_write) = ends()?;
    for fd in [&status, &stdout, &stderr, &result] {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|e| ("prepare a pipe", e.into()))?;
    }
    let null = std::fs::File::open("/dev/null").map_err(|e| ("open `/dev/null`", e))?;
    let (arguments, environment) = (pointers(&plan.arguments), pointers(&plan.environment));
    let fds = Descriptors {
        control: high(&control_read)?,
        status: high(&status_write)?,
        null: high(&null.into())?,
        outputs: [
            high(&stdout_write)?,
            high(&stderr_write)?,
            high(&result_write)?,
        ],
        recipe: plan.recipe.as_ref().map_or(Ok(-1), high)?,
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
    };
    // SAFETY: the child only makes async-signal-safe calls on memory made before.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        supervise(plan, &fds);
    }
    let error = io::Error::last_os_error();
    for fd in [fds.control, fds.status, fds.null, fds.recipe]
        .into_iter()
        .chain(fds.outputs)
    {
        // SAFETY: these copies belong to the child; nothing else in this process owns them.
        unsafe { libc::close(fd) };
    }
    if pid < 0 {
        return Err(("fork the supervisor", error));
    }
    let supervisor = Supervisor {
        control: Control::new(control),
        pid: Some(pid),
    };
    supervisor.control.go()?;
    Ok(Running {
        supervisor,
        status,
        stdout,
        stderr,
        result: plan.result.then_some(result),
        network: None,
    })
}

struct Descriptors {
    control: i32,
    status: i32,
    null: i32,
    outputs: [i32; 3],
    recipe: i32,
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

fn supervise(plan: &Plan, fds: &Descriptors) -> ! {
    // SAFETY: only async-signal-safe calls, on descriptors and memory of this process.
    unsafe {
        let kept = |fd: i32| {
            [fds.control, fds.status, fds.null, fds.recipe].contains(&fd)
                || fds.outputs.contains(&fd)
        };
        for fd in (3..4096).filter(|fd| !kept(*fd)) {
            libc::close(fd);
        }
        let mut byte = 0u8;
        if libc::read(fds.control, (&raw mut byte).cast(), 1) != 1 || byte != GO {
            libc::_exit(0);
        }
        libc::setsid();
        let phase = libc::fork();
        if phase == 0 {
            execute(plan, fds);
        }
        for fd in fds.outputs {
            libc::close(fd);
        }
        loop {
            let mut ready = libc::pollfd {
                fd: fds.control,
                events: libc::POLLIN,
                revents: 0,
            };
            libc::poll(&raw mut ready, 1, LOOK_EVERY_MS);
            let mut status = 0;
            if libc::waitpid(phase, &raw mut status, libc::WNOHANG) == phase {
                tell(fds.status, 2, [i64::from(status), 0, 0]);
                break;
            }
            if ready.revents != 0 {
                if libc::read(fds.control, (&raw mut byte).cast(), 1) != 1 {
                    break;
                }
                libc::kill(-phase, libc::SIGTERM);
            }
        }
        libc::kill(-phase, libc::SIGKILL);
        libc::waitpid(phase, std::ptr::null_mut(), 0);
        tell(fds.status, 4, [0, 0, 0]);
        libc::_exit(0)
    }
}

fn tell(status: i32, kind: i64, fields: [i64; 3]) {
    let bytes = Message::encode(kind, fields);
    // SAFETY: the buffer outlives the call.
    unsafe { libc::write(status, bytes.as_ptr().cast(), bytes.len()) };
}

fn execute(plan: &Plan, fds: &Descriptors) -> ! {
    // SAFETY: only async-signal-safe calls, on descriptors and memory of this process.
    unsafe {
        libc::setsid();
        libc::dup2(fds.null, 0);
        libc::dup2(fds.outputs[0], 1);
        libc::dup2(fds.outputs[1], 2);
        libc::dup2(fds.outputs[2], crate::script::RESULT_FD);
        if fds.recipe >= 0 {
            libc::dup2(fds.recipe, crate::script::RECIPE_FD);
        }
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::umask(0o022);
        for &(resource, value) in &plan.limits {
            let limit = libc::rlimit {
                rlim_cur: value,
                rlim_max: value,
            };
            libc::setrlimit(resource, &raw const limit);
        }
        let failed = if let Some((uid, gid)) = plan.identity
            && (libc::setgroups(0, std::ptr::null()) != 0
                || libc::setgid(gid) != 0
                || libc::setuid(uid) != 0)
        {
            Step::Privileges
        } else if libc::chdir(plan.directory.as_ptr()) != 0 {
            Step::Directory
        } else {
            libc::execve(plan.program.as_ptr(), fds.arguments, fds.environment);
            Step::Execute
        };
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        tell(fds.status, 1, [failed as i64, i64::from(errno), 0]);
        libc::_exit(111)
    }
}

/// A file without a name that holds `text`, to be read from its start.
pub(crate) fn memory_file(text: &[u8]) -> io::Result<OwnedFd> {
    use std::io::{Seek, Write};
    let path = std::env::temp_dir().join(format!("recipe-{}-{:p}", std::process::id(), text));
    let mut file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}
