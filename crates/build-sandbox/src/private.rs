//! A directory for one run alone.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::SandboxError;
use crate::prepare::io_error;

/// An empty directory that is removed with this.
#[derive(Debug)]
pub(crate) struct Private(PathBuf);

impl Private {
    /// Makes one in `parent`, where builds may have left any name.
    pub(crate) fn create(parent: &Path) -> Result<Self, SandboxError> {
        let mut number = u64::from(std::process::id());
        loop {
            let path = parent.join(format!("private-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(io_error("create directory", &path)(error)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Err(error) = untrusted_tree::remove(&self.0, &|| false) {
            tracing::warn!(%error, "the directory of a command was not removed");
        }
    }
}
