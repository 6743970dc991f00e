//! The network namespaces of builds, between their runs without a network.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Builds whose namespace is kept; a further one has a new one for each run.
const KEPT_MAX: usize = 64;

/// One for each startdir: to make one and to take it down costs as much as all mounts of a run. Only
/// one run at a time has it, and the next gets it once no process of the last is left, so what is
/// in it is an empty network.
#[derive(Debug, Default)]
pub(crate) struct Networks(Mutex<HashMap<PathBuf, Arc<OwnedFd>>>);

impl Networks {
    /// That of the build in `startdir`, for one run.
    pub(crate) fn take(&self, startdir: &Path) -> Option<Arc<OwnedFd>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(startdir)
    }

    /// Keeps it for the next run.
    pub(crate) fn keep(&self, startdir: &Path, network: Arc<OwnedFd>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|startdir, _| startdir.exists());
        if kept.len() < KEPT_MAX {
            kept.insert(startdir.to_owned(), network);
        }
    }
}
