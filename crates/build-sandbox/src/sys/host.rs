//! What the host's side of a build is on every system: its pipes, and the hold on its supervisor.

use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Supervisor;

/// Written to the control pipe: the supervisor may start the build.
pub(super) const GO: u8 = b'G';
/// Written to the control pipe: every process of the build is asked to end.
pub(super) const TERMINATE: u8 = b'T';

/// A step that failed on the host's side.
pub(crate) type StartError = (&'static str, io::Error);

/// A running build and the host's ends of its pipes, all non-blocking.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) supervisor: Supervisor,
    pub(crate) status: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) result: Option<OwnedFd>,
    /// The empty network of the build, for its next run.
    pub(crate) network: Option<Arc<OwnedFd>>,
}

/// The only write end of a supervisor's control pipe; the build lives no longer than it.
#[derive(Debug)]
pub(super) struct Control(Option<OwnedFd>);

impl Control {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(Some(pipe))
    }

    /// Lets the supervisor start the build.
    pub(super) fn go(&self) -> Result<(), StartError> {
        self.write(GO)
            .map_err(|error| ("start the supervisor", error))
    }

    /// Asks every process of the build to end; a supervisor that is gone already is no error.
    pub(super) fn terminate(&self) {
        let _ = self.write(TERMINATE);
    }

    /// Has every process of the build killed.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }

    fn write(&self, byte: u8) -> io::Result<()> {
        if let Some(pipe) = &self.0 {
            nix::unistd::write(pipe, &[byte])?;
        }
        Ok(())
    }
}

/// The array that execve(2) takes; it lives as long as `strings`.
pub(super) fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
