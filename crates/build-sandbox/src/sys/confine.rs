//! The phase process between fork and exec.

use std::ffi::c_void;

use nix::libc;

use super::beside::{self, Stack};
use super::call::{self, raw};
use super::plan::Plan;
use super::status::Step;
use super::supervise::{Descriptors, fail};
use crate::script::{RECIPE_FD, RESULT_FD};

const SECCOMP_SET_MODE_FILTER: u32 = 1;
const SECCOMP_GET_ACTION_AVAIL: u32 = 2;

#[repr(C)]
struct Program {
    length: u16,
    filter: *const super::plan::Filter,
}

/// Whether the kernel filters system calls.
pub(crate) fn seccomp_works() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    raw!(
        libc::SYS_seccomp,
        SECCOMP_GET_ACTION_AVAIL,
        0u32,
        &raw const action
    ) == 0
}

/// Starts the phase process.
///
/// In `namespaces` the supervisor waits until the program is executed: if a file system does not
/// answer the phase process by then, the host ends the supervisor, and the kernel with it all of its
/// namespace. In the other tiers the supervisor is the only one who can end it.
pub(super) fn start(plan: &Plan, fds: &Descriptors) -> call::Result<i32> {
    if plan.namespaces.is_some() {
        let mut phase = Phase { plan, fds };
        let stack = Stack::new()?;
        let phase = (&raw mut phase).cast();
        // SAFETY: the child follows the rules of `sys`, and its memory is this process's.
        return unsafe { beside::start(&stack, libc::SIGCHLD, enter, phase) };
    }
    match call::clone(libc::SIGCHLD as u64, &mut 0) {
        Ok(0) => run(plan, fds),
        other => other,
    }
}

struct Phase<'a> {
    plan: &'a Plan,
    fds: &'a Descriptors,
}

extern "C" fn enter(phase: *mut c_void) -> i32 {
    // SAFETY: `start` passes a `Phase` that outlives the call.
    let phase = unsafe { &*phase.cast::<Phase<'_>>() };
    run(phase.plan, phase.fds)
}

/// Confines this process and executes the program. Never returns.
fn run(plan: &Plan, fds: &Descriptors) -> ! {
    let attempt = |result: call::Result<()>, step: Step| {
        if let Err(errno) = result {
            fail(fds.status, step, errno, 0);
        }
    };
    call::new_session();
    if fds.group_join >= 0 {
        attempt(
            call::write(fds.group_join, b"0").map(drop),
            Step::ControlGroup,
        );
    }
    attempt(call::duplicate(fds.null, 0), Step::Execute);
    attempt(call::duplicate(fds.stdout, 1), Step::Execute);
    attempt(call::duplicate(fds.stderr, 2), Step::Execute);
    let mut first_other = 3;
    if fds.result >= 0 {
        attempt(call::duplicate(fds.result, RESULT_FD), Step::Execute);
        first_other = 4;
        if fds.recipe >= 0 {
            attempt(call::duplicate(fds.recipe, RECIPE_FD), Step::Execute);
            first_other = 5;
        }
    }
    call::close_range(first_other, u32::MAX, true);
    call::reset_signals();
    call::umask(0o022);
    for &(resource, value) in &plan.limits {
        attempt(call::set_limit(resource, value), Step::Limits);
    }
    if plan.namespaces.is_none()
        && let Some((uid, gid)) = plan.identity
    {
        attempt(call::drop_groups(), Step::Privileges);
        attempt(call::strip_bounding(plan.keep), Step::Privileges);
        attempt(call::become_user(uid, gid), Step::Privileges);
    }
    if plan.strip {
        attempt(call::strip_capabilities(plan.keep), Step::Privileges);
    }
    attempt(
        call::control(libc::PR_SET_NO_NEW_PRIVS, 1),
        Step::Privileges,
    );
    attempt(call::change_directory(&plan.directory), Step::Directory);
    if let Some(landlock) = &plan.landlock {
        attempt(super::landlock::restrict(landlock), Step::Landlock);
    }
    let filter = &plan.filter;
    if !filter.is_empty() {
        let program = Program {
            length: u16::try_from(filter.len()).unwrap_or(u16::MAX),
            filter: filter.as_ptr(),
        };
        if raw!(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            0u32,
            &raw const program
        ) != 0
        {
            fail(fds.status, Step::Seccomp, libc::EINVAL, 0);
        }
    }
    if plan.probe {
        call::exit(0);
    }
    raw!(
        libc::SYS_execve,
        plan.program.as_ptr(),
        fds.arguments,
        fds.environment
    );
    // SAFETY: as in `call::errno`.
    let errno = unsafe { *libc::__errno_location() };
    fail(fds.status, Step::Execute, errno, 0)
}
