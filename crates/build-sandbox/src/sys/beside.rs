//! A child that runs on this process's memory while the thread that started it waits, so that no
//! page table is copied for the little it does before it ends or executes a program.

use std::ffi::c_void;

use nix::libc;

use super::call::{self, Result};

const STACK: usize = 256 << 10;
/// At its low end, so that an overflow ends the process instead of changing its memory.
const GUARD: usize = 64 << 10;

/// Starts a child and waits until it has ended or executed a program. Signals must be blocked.
///
/// # Safety
/// `body` follows the rules of [`super`] and uses `argument` as what it is; nobody else does
/// meanwhile.
pub(super) unsafe fn start(
    stack: &Stack,
    flags: i32,
    body: extern "C" fn(*mut c_void) -> i32,
    argument: *mut c_void,
) -> Result<i32> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | flags;
    // SAFETY: the stack is the child's alone and outlives it; the rest is the caller's promise.
    let pid = unsafe { libc::clone(body, stack.top(), flags, argument) };
    if pid < 0 { Err(call::errno()) } else { Ok(pid) }
}

/// Memory for one child at a time.
pub(super) struct Stack(*mut u8);

// SAFETY: it is memory of its own, which no thread has a reference to.
unsafe impl Send for Stack {}

impl Stack {
    pub(super) fn new() -> Result<Self> {
        let stack = Self(call::map(STACK)?);
        call::protect(stack.0, GUARD)?;
        Ok(stack)
    }

    /// Its end, from which it grows down; a multiple of the page size.
    fn top(&self) -> *mut c_void {
        self.0.wrapping_add(STACK).cast()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        call::unmap(self.0, STACK);
    }
}
