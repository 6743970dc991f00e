//! File locks that die with their owner and leave no file behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::error::ProvisionError;

/// How often a lock that somebody else holds is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// An exclusive lock on a file that exists only while the lock is held.
///
/// The kernel releases it when its owner dies (flock(2)); the file a dead owner leaves is taken
/// over by the next one.
#[derive(Debug)]
pub(crate) struct FileLock {
    path: PathBuf,
    _file: File,
    keeps_file: bool,
}

impl FileLock {
    /// Takes the lock unless somebody holds it.
    pub(crate) fn try_acquire(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The previous owner may have removed the file between our open and our lock; what we
            // hold is then a lock that nobody else will ever see.
            match fs::metadata(path) {
                Ok(metadata) if metadata.ino() == file.metadata()?.ino() => {
                    return Ok(Some(Self {
                        path: path.to_owned(),
                        _file: file,
                        keeps_file: false,
                    }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Releases the lock and leaves its file, for a sweep to come back to.
    pub(crate) fn leave(mut self) {
        self.keeps_file = true;
    }

    /// Waits for the lock; `on_wait` is called once if it is not free at once.
    ///
    /// # Errors
    /// [`ProvisionError::Cancelled`] or [`ProvisionError::Io`].
    pub(crate) async fn acquire(
        path: &Path,
        cancel: &CancellationToken,
        on_wait: impl FnOnce(),
    ) -> Result<Self, ProvisionError> {
        let mut on_wait = Some(on_wait);
        loop {
            let file = path.to_owned();
            let taken = blocking(move || {
                let failed = |source| ProvisionError::io("lock", &file, source);
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder).map_err(failed)?;
                }
                Self::try_acquire(&file).map_err(failed)
            });
            if let Some(lock) = taken.await? {
                return Ok(lock);
            }
            if let Some(on_wait) = on_wait.take() {
                on_wait();
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(ProvisionError::Cancelled),
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if self.keeps_file {
            return;
        }
        // Removed while still locked, so that nobody can have locked it since.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the lock file was not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_lock_excludes_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = FileLock::try_acquire(&path).unwrap().unwrap();
        assert!(FileLock::try_acquire(&path).unwrap().is_none());
        drop(first);
        assert!(!path.exists());
        assert!(FileLock::try_acquire(&path).unwrap().is_some());
    }

    #[test]
    fn many_threads_hold_it_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let lock = loop {
                            if let Some(lock) = FileLock::try_acquire(&path).unwrap() {
                                break lock;
                            }
                            std::thread::yield_now();
                        };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[tokio::test]
    async fn waiting_can_be_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = FileLock::try_acquire(&path).unwrap().unwrap();
        let cancel = CancellationToken::new();
        let token = cancel.clone();
        let waiting = FileLock::acquire(&path, &cancel, move || token.cancel());
        assert!(matches!(waiting.await, Err(ProvisionError::Cancelled)));
    }
}
