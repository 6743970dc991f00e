//! Whose a path is, and which folder a worker's is under each of its ids.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use catalog_client::WorkerType;

use super::history::History;
use super::{Store, folders, versions, worker_key};
use crate::error::ProvisionError;
use crate::lock::FileLock;
use crate::receipt::Receipt;

/// How long another process may take to change a name, and how often it is looked after.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// The worker whose installed program has a path.
#[derive(Debug)]
pub(crate) struct Holder {
    /// Whether it is the worker that was asked about, with its backend.
    pub(crate) is_own: bool,
    /// Whether it is that worker, maybe with another backend.
    pub(crate) is_same_worker: bool,
    receipt: Receipt,
}

impl Holder {
    /// The refusal to replace the program at `path`.
    pub(crate) fn refuse(self, path: PathBuf) -> ProvisionError {
        ProvisionError::OtherWorkersProgram {
            path,
            worker: self.receipt.worker_id,
            backend: self.receipt.backend,
        }
    }
}

impl Store {
    /// The folder's name of a worker: that of the id asked for, unless only the worker's id of the
    /// other generation is installed.
    pub(super) fn key(&self, worker_id: &str, backend: WorkerType) -> String {
        let own = worker_key(worker_id, backend);
        let stem = lock_key(&own);
        let twin = if own == stem {
            worker_key(&format!("{worker_id}-{backend}"), backend)
        } else {
            stem
        };
        if !self.root.join(&own).is_dir() && self.root.join(&twin).is_dir() {
            return twin;
        }
        own
    }

    /// Whose program `path` is, of the installed ones, when a sha256 is given only if it is the one
    /// that was installed; the worker asked about and its other backends
    /// are looked at first.
    pub(crate) fn holder(
        &self,
        worker_id: &str,
        backend: WorkerType,
        path: &Path,
        sha256: Option<&str>,
    ) -> Result<Option<Holder>, ProvisionError> {
        let own = self.root.join(self.key(worker_id, backend));
        let stem = stem(worker_id, backend).to_owned();
        let mut near = vec![own.clone()];
        for other in WorkerType::ALL {
            let folder = self.root.join(self.key(&stem, *other));
            if !near.contains(&folder) {
                near.push(folder);
            }
        }
        let find = |folder: &Path| {
            let receipt = History::read(folder).ok()?.installed(folder)?.receipt;
            let holds = receipt.artifact.as_ref().map(crate::Artifact::path) == Some(path);
            let has_file = sha256.is_none() || receipt.installed_sha256.as_deref() == sha256;
            (holds && has_file).then_some(receipt)
        };
        let found = near
            .iter()
            .find_map(|folder| Some((folder.clone(), find(folder)?)));
        let found = match found {
            Some(found) => Some(found),
            None => folders(&self.root)?
                .into_iter()
                .filter(|folder| !near.contains(folder))
                .find_map(|folder| {
                    let receipt = find(&folder)?;
                    Some((folder, receipt))
                }),
        };
        Ok(found.map(|(folder, receipt)| Holder {
            is_own: folder == own,
            is_same_worker: near.contains(&folder),
            receipt,
        }))
    }

    /// Whether a file of this sha256 was put in place for a worker.
    pub(crate) fn has_installed(&self, worker_id: &str, backend: WorkerType, sha256: &str) -> bool {
        let folder = self.root.join(self.key(worker_id, backend));
        let versions = versions(&folder).unwrap_or_default();
        versions
            .iter()
            .any(|version| version.receipt.installed_sha256.as_deref() == Some(sha256))
    }

    /// The lock of the names that several backends share, which is held for moments.
    pub(crate) fn lock_names(&self) -> Result<FileLock, ProvisionError> {
        let path = self.locks.join(".names");
        let failed = |source| ProvisionError::io("lock", &path, source);
        std::fs::create_dir_all(&self.locks).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = FileLock::try_acquire(&path).map_err(failed)? {
                return Ok(lock);
            }
            if Instant::now() > deadline {
                return Err(failed(std::io::ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// What the lock of a folder is called: a worker has one, whichever of its ids was asked for.
pub(super) fn lock_key(key: &str) -> String {
    let Some((worker_id, backend)) = key.rsplit_once('.') else {
        return key.to_owned();
    };
    match worker_id
        .strip_suffix(backend)
        .and_then(|stem| stem.strip_suffix('-'))
    {
        Some(stem) if !stem.is_empty() => format!("{stem}.{backend}"),
        _ => key.to_owned(),
    }
}

/// A worker's id without the backend that ids of the first generation end in.
pub(crate) fn stem(worker_id: &str, backend: WorkerType) -> &str {
    let ending = format!("-{backend}");
    match worker_id.strip_suffix(&ending) {
        Some(stem) if !stem.is_empty() => stem,
        _ => worker_id,
    }
}
