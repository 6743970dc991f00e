//! System calls that are safe to make between fork and exec.
//!
//! Each wrapper makes one call, allocates nothing and returns the error number.

use std::ffi::CStr;

use nix::libc::{self, c_int, c_long};

pub(super) type Result<T> = std::result::Result<T, i32>;

pub(super) fn errno() -> i32 {
    // SAFETY: the address of the calling thread's error number is always valid.
    unsafe { *libc::__errno_location() }
}

fn check(value: c_long) -> Result<c_long> {
    if value == -1 { Err(errno()) } else { Ok(value) }
}

fn descriptor(value: c_long) -> Result<c_int> {
    check(value).map(|fd| fd as c_int)
}

macro_rules! raw {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        // SAFETY: pointers among the arguments come from references or C strings that outlive the
        // call, with the sizes that the call expects.
        unsafe { libc::syscall($number $(, $argument)*) }
    };
}
pub(super) use raw;

/// Unlike `fork` this runs no handlers of the C library, whose locks may be held.
///
/// `pidfd` receives a descriptor if the flags ask for one.
pub(super) fn clone(flags: u64, pidfd: &mut c_int) -> Result<i32> {
    check(raw!(
        libc::SYS_clone,
        flags,
        0usize,
        std::ptr::from_mut(pidfd),
        0usize,
        0usize
    ))
    .map(|pid| pid as i32)
}

pub(super) fn exit(code: i32) -> ! {
    loop {
        raw!(libc::SYS_exit_group, code);
    }
}

pub(super) fn read(fd: c_int, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match check(raw!(libc::SYS_read, fd, buffer.as_mut_ptr(), buffer.len())) {
            Err(libc::EINTR) => {}
            other => return other.map(|count| count as usize),
        }
    }
}

pub(super) fn write(fd: c_int, bytes: &[u8]) -> Result<usize> {
    check(raw!(libc::SYS_write, fd, bytes.as_ptr(), bytes.len())).map(|count| count as usize)
}

pub(super) fn close(fd: c_int) {
    raw!(libc::SYS_close, fd);
}

/// Makes `to` a copy of `from` that survives exec.
pub(super) fn duplicate(from: c_int, to: c_int) -> Result<()> {
    check(raw!(libc::SYS_dup3, from, to, 0)).map(drop)
}

/// Closes, or marks to be closed on exec, all descriptors from `first` to `last`.
pub(super) fn close_range(first: u32, last: u32, on_exec: bool) {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    if first > last {
        return;
    }
    let flags = if on_exec { CLOSE_RANGE_CLOEXEC } else { 0 };
    if check(raw!(libc::SYS_close_range, first, last, flags)).is_err() {
        // Before Linux 5.9. No descriptor of this process is above its limit.
        for fd in first..=last.min(65536) {
            if on_exec {
                raw!(libc::SYS_fcntl, fd, libc::F_SETFD, libc::FD_CLOEXEC);
            } else {
                raw!(libc::SYS_close, fd);
            }
        }
    }
}

pub(super) fn open_at(directory: c_int, path: &CStr, flags: c_int, mode: u32) -> Result<c_int> {
    descriptor(raw!(
        libc::SYS_openat,
        directory,
        path.as_ptr(),
        flags | libc::O_CLOEXEC,
        mode
    ))
}

pub(super) fn make_directory(path: &CStr, mode: u32) -> Result<()> {
    check(raw!(libc::SYS_mkdirat, libc::AT_FDCWD, path.as_ptr(), mode)).map(drop)
}

pub(super) fn symlink(target: &CStr, path: &CStr) -> Result<()> {
    check(raw!(
        libc::SYS_symlinkat,
        target.as_ptr(),
        libc::AT_FDCWD,
        path.as_ptr()
    ))
    .map(drop)
}

pub(super) fn change_directory(path: &CStr) -> Result<()> {
    check(raw!(libc::SYS_chdir, path.as_ptr())).map(drop)
}

pub(super) fn umask(mask: u32) {
    raw!(libc::SYS_umask, mask);
}

pub(super) fn new_session() {
    raw!(libc::SYS_setsid);
}

pub(super) fn own_pid() -> i32 {
    raw!(libc::SYS_getpid) as i32
}

pub(super) fn kill(pid: i32, signal: i32) -> Result<()> {
    check(raw!(libc::SYS_kill, pid, signal)).map(drop)
}

pub(super) fn pidfd_open(pid: i32) -> Result<c_int> {
    descriptor(raw!(libc::SYS_pidfd_open, pid, 0))
}

pub(super) fn pidfd_send_signal(fd: c_int, signal: i32) -> Result<()> {
    check(raw!(libc::SYS_pidfd_send_signal, fd, signal, 0usize, 0)).map(drop)
}

/// Takes an ended child, whatever signal it was to send; `Ok(None)` if none has ended yet.
pub(super) fn reap() -> Result<Option<(i32, i32)>> {
    let mut status = 0;
    let options = libc::WNOHANG | libc::__WALL;
    let pid = check(raw!(libc::SYS_wait4, -1, &raw mut status, options, 0usize))?;
    Ok((pid != 0).then_some((pid as i32, status)))
}

/// Waits for a child of this thread's process, whatever signal it was to send.
pub(super) fn take(pid: i32) {
    let mut status = 0;
    loop {
        let taken = check(raw!(
            libc::SYS_wait4,
            pid,
            &raw mut status,
            libc::__WALL,
            0usize
        ));
        if taken != Err(libc::EINTR) {
            return;
        }
    }
}

pub(super) fn unshare(flags: c_int) -> Result<()> {
    check(raw!(libc::SYS_unshare, flags)).map(drop)
}

pub(super) fn enter_namespace(fd: c_int, kind: c_int) -> Result<()> {
    check(raw!(libc::SYS_setns, fd, kind)).map(drop)
}

pub(super) fn control(option: c_int, argument: u64) -> Result<()> {
    check(raw!(
        libc::SYS_prctl,
        option,
        argument,
        0usize,
        0usize,
        0usize
    ))
    .map(drop)
}

/// Waits until a descriptor is ready or `milliseconds` are over; negative waits for ever.
pub(super) fn poll(descriptors: &mut [libc::pollfd], milliseconds: i64) {
    let time = libc::timespec {
        tv_sec: milliseconds / 1000,
        tv_nsec: (milliseconds % 1000) * 1_000_000,
    };
    let time: *const libc::timespec = if milliseconds < 0 {
        std::ptr::null()
    } else {
        &raw const time
    };
    raw!(
        libc::SYS_ppoll,
        descriptors.as_mut_ptr(),
        descriptors.len(),
        time,
        0usize,
        8usize
    );
}

/// A descriptor that becomes readable when a child ends. The signal must be blocked.
pub(super) fn child_signals() -> Result<c_int> {
    let mask: u64 = 1 << (libc::SIGCHLD - 1);
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    descriptor(raw!(
        libc::SYS_signalfd4,
        -1,
        &raw const mask,
        8usize,
        flags
    ))
}

/// Sets all handlers to the default and lets all signals through.
pub(super) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: only installs the default action; a refusal (KILL, STOP) changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none: u64 = 0;
    raw!(
        libc::SYS_rt_sigprocmask,
        libc::SIG_SETMASK,
        &raw const none,
        0usize,
        8usize
    );
}

pub(super) fn set_limit(resource: i32, value: u64) -> Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: value,
        rlim_max: value,
    };
    check(raw!(
        libc::SYS_prlimit64,
        0,
        resource,
        &raw const limit,
        0usize
    ))
    .map(drop)
}

pub(super) fn drop_groups() -> Result<()> {
    check(raw!(libc::SYS_setgroups, 0, 0usize)).map(drop)
}

/// Becomes a user and a group. Only this thread exists, so the raw calls are enough.
pub(super) fn become_user(uid: u32, gid: u32) -> Result<()> {
    check(raw!(libc::SYS_setresgid, gid, gid, gid))?;
    check(raw!(libc::SYS_setresuid, uid, uid, uid)).map(drop)
}

/// Makes it impossible to gain a capability that is not in `keep` by executing a program.
pub(super) fn strip_bounding(keep: u64) -> Result<()> {
    for capability in 0..64u64 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        match control(libc::PR_CAPBSET_DROP, capability) {
            // The kernel knows no capability of this or a higher number.
            Err(libc::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Removes every capability that is not in `keep` from all sets of this process.
pub(super) fn strip_capabilities(keep: u64) -> Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    // Refused where the bounding set is already beyond reach, which is as good.
    let _ = strip_bounding(keep);
    raw!(
        libc::SYS_prctl,
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL,
        0usize,
        0usize,
        0usize
    );
    let header: [u32; 2] = [VERSION_3, 0];
    let (low, high) = ((keep & 0xffff_ffff) as u32, (keep >> 32) as u32);
    let sets: [u32; 6] = [low, low, 0, high, high, 0];
    check(raw!(libc::SYS_capset, header.as_ptr(), sets.as_ptr())).map(drop)
}

/// Reserves zeroed memory that costs nothing until it is touched.
pub(super) fn map(bytes: usize) -> Result<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    check(raw!(
        libc::SYS_mmap,
        0usize,
        bytes,
        libc::PROT_READ | libc::PROT_WRITE,
        flags,
        -1,
        0usize
    ))
    .map(|address| address as *mut u8)
}

/// Forbids every access to the first `bytes` of a mapping.
pub(super) fn protect(address: *mut u8, bytes: usize) -> Result<()> {
    check(raw!(libc::SYS_mprotect, address, bytes, libc::PROT_NONE)).map(drop)
}

/// Gives back a mapping that nothing refers to any more.
pub(super) fn unmap(address: *mut u8, bytes: usize) {
    raw!(libc::SYS_munmap, address, bytes);
}

/// Milliseconds of a clock that only goes forward.
pub(super) fn now() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    raw!(
        libc::SYS_clock_gettime,
        libc::CLOCK_MONOTONIC,
        &raw mut time
    );
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

pub(super) fn memory_file() -> Result<c_int> {
    descriptor(raw!(
        libc::SYS_memfd_create,
        c"recipe".as_ptr(),
        libc::MFD_CLOEXEC
    ))
}
