//! The only unsafe code: starting, confining and ending processes.
//!
//! # Why it is unsafe, and the rules that keep it sound
//!
//! A build is watched over by a supervisor that is forked from the calling process and never
//! executes a program, so nothing has to be shipped or executed again. The caller may have many
//! threads, and after a fork from such a process only async-signal-safe work is allowed: another
//! thread may have held the allocator's lock at the moment of the fork. Therefore
//!
//! 1. everything that the child needs is made before the fork and reached through a
//!    [`plan::Plan`]; after it nothing allocates, frees, locks, unwinds, panics or returns;
//! 2. after the fork only system calls are made, through [`call`], whose wrappers are thin and
//!    take pointers that outlive the call;
//! 3. every memory that the child writes is on its stack or mapped by itself;
//! 4. all signals are blocked before the fork, so no handler of the host program runs in the
//!    child; the phase process sets every handler to the default before it unblocks them;
//! 5. the supervisor closes every descriptor but its own, as an inherited write end of a foreign
//!    pipe would keep that pipe from ever reporting its end.
//!
//! # How a build ends
//!
//! The host holds the only write end of the control pipe. Whatever happens to the host (return,
//! cancel, drop, SIGKILL) closes it, and the supervisor answers by killing every descendant until
//! the kernel says there is none. A parent-death signal is not used: it follows the thread that
//! forked, not the process, and is armed only after the fork.

#[cfg(target_os = "linux")]
mod beside;
#[cfg(target_os = "linux")]
mod call;
#[cfg(target_os = "linux")]
mod confine;
mod host;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod root;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(target_os = "linux")]
mod supervise;
#[cfg(target_os = "linux")]
mod walk;

/// Mounts that a plan can have: the child holds them in an array on its stack.
pub(crate) const MOUNTS_MAX: usize = 256;

pub(crate) mod plan;
pub(crate) mod status;

#[cfg(target_os = "linux")]
pub(crate) use confine::seccomp_works;
pub(crate) use host::Running;
#[cfg(target_os = "linux")]
pub(crate) use landlock::abi as landlock_abi;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Root, Supervisor, landlock_abi, memory_file, seccomp_works, spawn};
#[cfg(target_os = "linux")]
pub(crate) use root::Root;
#[cfg(target_os = "linux")]
pub(crate) use spawn::{Supervisor, memory_file, spawn};
pub(crate) use status::{COPY, EXECUTE};
