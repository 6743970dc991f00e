//! The package trees of installed workers, several versions of each, with their receipts.

mod history;
mod holders;
mod lease;
mod repair;
mod tree;
mod unfinished;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use catalog_client::WorkerType;
use jiff::ToSpan as _;
use untrusted_tree::{Limits, Tree, TreeError};

use crate::activate;
use crate::error::ProvisionError;
use crate::lock::FileLock;
use crate::receipt::Receipt;
use crate::workspace::remove_tree;

pub(crate) use history::Change;
use history::History;
use holders::lock_key;
pub(crate) use holders::{Holder, stem};
pub use lease::Lease;
pub(crate) use tree::{sha256_of, sha256_of_open};
use unfinished::Unfinished;

/// A larger receipt is not one that this store wrote.
const MAX_RECEIPT: u64 = 64 << 20;

/// What is installed, below one folder.
///
/// Layout: `<root>/<worker id>.<backend>/<version folder>/{receipt.json,tree}`, and a file
/// `current` beside the versions that names the installed one and those before it. Everything is
/// put together in `<root>/.unfinished` and appears by rename, so a crash leaves whole versions only.
/// Whoever changes a worker's folder holds that worker's lock. Ids of the first generation
/// (`w-cpu`) and of the second (`w`) mean one worker: whichever was stored first names the folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    locks: PathBuf,
    unfinished: Unfinished,
    /// Whether stale locks were looked for; clones share it.
    locks_swept: Arc<AtomicBool>,
}

/// One stored version.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) folder: PathBuf,
    pub(crate) receipt: Receipt,
}

impl Version {
    /// The root of the package tree.
    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// The binary inside the package tree.
    pub(crate) fn program(&self) -> PathBuf {
        self.tree().join(&self.receipt.program)
    }

    fn name(&self) -> String {
        name(&self.folder)
    }
}

/// What a garbage collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Collected {
    /// How many versions.
    pub versions: u64,
    /// How many bytes of files.
    pub bytes: u64,
    /// How many workers were left alone because something is being done to them, and versions because
    /// they run.
    pub in_use: u64,
}

impl Store {
    /// The store below `data_dir`; nothing is created before something is stored.
    pub fn new(data_dir: &Path) -> Self {
        let data_dir = crate::places::absolute(data_dir);
        let root = data_dir.join("store");
        Self {
            unfinished: Unfinished::below(&root),
            root,
            locks: data_dir.join("locks"),
            locks_swept: Arc::default(),
        }
    }

    /// The receipt of the installed version of every worker, ordered by worker and backend.
    ///
    /// Unreadable entries are left out; [`verify`](Self::verify) names them.
    ///
    /// # Errors
    /// [`ProvisionError::Io`] when the store cannot be listed.
    pub fn list(&self) -> Result<Vec<Receipt>, ProvisionError> {
        let mut receipts = BTreeMap::new();
        for folder in folders(&self.root)? {
            if let Some(version) = History::read(&folder)?.installed(&folder) {
                receipts.insert(folder, version.receipt);
            }
        }
        Ok(receipts.into_values().collect())
    }

    /// The plain name of the program, without its backend, when that leads to the installed program of
    /// `receipt`: to the backend of the worker that was installed, or rolled back, last. When that one
    /// is removed, the name goes on to the backend that was stored last, or goes too.
    pub fn plain_name(&self, receipt: &Receipt) -> Option<PathBuf> {
        crate::names::plain_path(receipt)
    }

    /// Removes every version of a worker and its binary, as long as that is the one installed.
    ///
    /// The caller holds the worker's lock.
    pub(crate) fn remove(
        &self,
        worker_id: &str,
        backend: WorkerType,
    ) -> Result<(), ProvisionError> {
        let version = self.installed(worker_id, backend)?;
        let worker = self.key(worker_id, backend);
        // Held until all are gone.
        let mut claims = Vec::new();
        for version in versions(&self.root.join(&worker))? {
            let claim = version.claim()?;
            claims.push(claim.ok_or_else(|| ProvisionError::InUse {
                id: worker_id.to_owned(),
                backend,
            })?);
        }
        activate::remove_program(self, &version.receipt)?;
        self.discard(&worker, &self.root.join(&worker))
    }

    /// Removes all but the installed version and the `keep` newest others of every worker.
    ///
    /// A worker that is being provisioned, rolled back or removed meanwhile is left alone, and so is a
    /// version that runs or is leased: [`Store::lease`].
    ///
    /// # Errors
    /// [`ProvisionError::Io`] when something cannot be removed.
    pub fn gc(&self, keep: usize) -> Result<Collected, ProvisionError> {
        self.repair(None)?;
        self.collect(keep, true)
    }

    /// What [`gc`](Self::gc) would remove now.
    ///
    /// # Errors
    /// [`ProvisionError::Io`] when the store cannot be read.
    pub fn gc_preview(&self, keep: usize) -> Result<Collected, ProvisionError> {
        self.collect(keep, false)
    }

    fn collect(&self, keep: usize, is_real: bool) -> Result<Collected, ProvisionError> {
        let mut collected = Collected::default();
        for folder in folders(&self.root)? {
            let worker = name(&folder);
            let Some(_lock) = self.try_lock(&worker)? else {
                collected.in_use += 1;
                continue;
            };
            let installed = History::read(&folder)?.installed(&folder);
            let installed = installed.map(|version| version.folder);
            let mut others = versions(&folder)?;
            others.retain(|version| Some(&version.folder) != installed.as_ref());
            for version in others.into_iter().skip(keep) {
                let Some(_claim) = version.claim()? else {
                    collected.in_use += 1;
                    continue;
                };
                collected.bytes += version.receipt.files.iter().map(tree::size).sum::<u64>();
                collected.versions += 1;
                if is_real {
                    self.discard(&worker, &version.folder)?;
                }
            }
        }
        Ok(collected)
    }

    /// The installed version.
    pub(crate) fn installed(
        &self,
        worker_id: &str,
        backend: WorkerType,
    ) -> Result<Version, ProvisionError> {
        let folder = self.worker_folder(worker_id, backend);
        History::read(&folder)?
            .installed(&folder)
            .ok_or_else(|| ProvisionError::NotInstalled {
                id: worker_id.to_owned(),
                backend,
            })
    }

    /// The version installed before the current one.
    pub(crate) fn previous(
        &self,
        worker_id: &str,
        backend: WorkerType,
    ) -> Result<Version, ProvisionError> {
        let folder = self.worker_folder(worker_id, backend);
        let history = History::read(&folder)?;
        let id = || worker_id.to_owned();
        if history.installed(&folder).is_none() {
            return Err(ProvisionError::NotInstalled { id: id(), backend });
        }
        history
            .previous(&folder)
            .ok_or_else(|| ProvisionError::NoPreviousVersion { id: id(), backend })
    }

    /// Whether `version` is the installed one of its worker.
    pub(crate) fn is_installed(&self, version: &Version) -> bool {
        let folder = version.folder.parent().unwrap_or(&self.root);
        History::read(folder).is_ok_and(|history| history.begins_with(&version.name()))
    }

    /// The newest intact version that was built from the same recipe for the same host.
    pub(crate) fn built(
        &self,
        worker_id: &str,
        backend: WorkerType,
        build_key: &str,
    ) -> Result<Option<Version>, ProvisionError> {
        for version in versions(&self.worker_folder(worker_id, backend))? {
            if version.receipt.build_key == build_key
                && tree::is_unchanged(&version.tree(), &version.receipt.files)
            {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Copies the packages into one tree of a version to be.
    ///
    /// From then on nothing that the build can still reach matters.
    ///
    /// # Errors
    /// [`ProvisionError::PackagesCollide`], [`ProvisionError::Cancelled`] or an I/O error.
    pub(crate) fn stage(
        &self,
        packages: &[Package],
        worker_id: &str,
        backend: WorkerType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Staged, ProvisionError> {
        let worker = self.key(worker_id, backend);
        let folder = self.worker_folder(worker_id, backend);
        let failed = |source| ProvisionError::io("store a package in", &folder, source);
        let staging = self.unfinished.staging(&worker).map_err(failed)?;
        let root = staging.path().join("tree");
        fs::create_dir(&root).map_err(failed)?;
        let trees: Vec<&Tree> = packages.iter().map(|package| &package.tree).collect();
        let name = |number: usize| {
            let package = packages.get(number.saturating_sub(1));
            package
                .map(|package| package.name.clone())
                .unwrap_or_default()
        };
        let into =
            Tree::open(&root).map_err(|source| ProvisionError::tree("open", &root, source))?;
        untrusted_tree::copy(&trees, &into, &Limits::default(), cancelled).map_err(|source| {
            match source {
                TreeError::Collision {
                    path,
                    first,
                    second,
                } => ProvisionError::PackagesCollide {
                    first: name(first),
                    second: name(second),
                    path,
                },
                source => ProvisionError::tree("store a package in", &folder, source),
            }
        })?;
        Ok(Staged { staging, root })
    }

    /// Where the version of `receipt` will be stored, whose date is settled by that.
    pub(crate) fn place(&self, receipt: &mut Receipt) -> Result<PathBuf, ProvisionError> {
        let folder = self.worker_folder(&receipt.worker_id, receipt.backend);
        // The order of the versions must not turn round when the host's clock is set back.
        if let Some(newest) = versions(&folder)?.first() {
            let next = newest.receipt.stored_at.checked_add(1.nanosecond());
            receipt.stored_at = receipt.stored_at.max(next.unwrap_or(receipt.stored_at));
        }
        let stamp = receipt.stored_at.as_nanosecond();
        let name = format!("{}-{}-{stamp}", receipt.pkgver, receipt.pkgrel);
        Ok(folder.join(name))
    }

    /// Removes a version that is not to be installed.
    pub(crate) fn withdraw(&self, version: &Version) -> Result<(), ProvisionError> {
        let receipt = &version.receipt;
        let worker = self.key(&receipt.worker_id, receipt.backend);
        self.discard(&worker, &version.folder)
    }

    /// Writes the receipt and makes the staged tree a version; `files` of the receipt is filled in.
    ///
    /// The version is complete when this returns, and absent when it fails.
    pub(crate) fn add(
        &self,
        staged: Staged,
        mut receipt: Receipt,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Version, ProvisionError> {
        let version = self.place(&mut receipt)?;
        let folder = self.worker_folder(&receipt.worker_id, receipt.backend);
        let failed = |source| ProvisionError::io("store a package in", &folder, source);
        let Staged { staging, root } = staged;
        receipt.files = tree::record(&root, cancelled)?;
        self.write_receipt(staging.path(), &receipt)?;
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::rename(staging.path(), &version).map_err(failed)?;
        sync_folder(&folder)
            .and_then(|()| sync_folder(&self.root))
            .map_err(failed)?;
        Ok(Version {
            folder: version,
            receipt,
        })
    }

    /// Writes the receipt of a stored version anew.
    pub(crate) fn record(&self, version: &Version) -> Result<(), ProvisionError> {
        self.write_receipt(&version.folder, &version.receipt)
    }

    fn write_receipt(&self, folder: &Path, receipt: &Receipt) -> Result<(), ProvisionError> {
        let path = folder.join("receipt.json");
        let text = serde_json::to_vec_pretty(receipt)
            .map_err(|source| ProvisionError::metadata(&path, source))?;
        let worker = self.key(&receipt.worker_id, receipt.backend);
        self.unfinished
            .replace(&worker, &path, &text)
            .map_err(|source| ProvisionError::io("write", &path, source))
    }

    /// Prepares to make `version` the installed one: all that can fail for want of space is done
    /// before its binary is put in place.
    pub(crate) fn begin_activation(
        &self,
        version: &Version,
        change: Change,
    ) -> Result<Activation, ProvisionError> {
        let folder = version.folder.parent().unwrap_or(&self.root);
        let history = History::read(folder)?.with(&version.name(), change);
        let text = history.without_missing(folder).text();
        let current = folder.join("current");
        let worker = name(folder);
        let note = self.unfinished.note(&worker, &text);
        let note = note.map_err(|source| ProvisionError::io("write", &current, source))?;
        Ok(Activation { note, current })
    }

    /// The file that is locked while something is done to a worker.
    pub(crate) fn lock_path(&self, worker_id: &str, backend: WorkerType) -> PathBuf {
        self.locks.join(lock_key(&worker_key(worker_id, backend)))
    }

    /// Locks a worker unless somebody else has.
    fn try_lock(&self, worker: &str) -> Result<Option<FileLock>, ProvisionError> {
        let path = self.locks.join(lock_key(worker));
        fs::create_dir_all(&self.locks)
            .and_then(|()| FileLock::try_acquire(&path))
            .map_err(|source| ProvisionError::io("lock", &path, source))
    }

    fn worker_folder(&self, worker_id: &str, backend: WorkerType) -> PathBuf {
        self.root.join(self.key(worker_id, backend))
    }

    /// Removes a folder so that a crash in between leaves it whole or unfinished, never half.
    fn discard(&self, worker: &str, folder: &Path) -> Result<(), ProvisionError> {
        let failed = |source| ProvisionError::io("remove", folder, source);
        // Named after what it was, so that nothing has to be created on a full disk.
        let trash = self.unfinished.path(worker, &name(folder));
        remove_tree(&trash).map_err(failed)?;
        fs::rename(folder, &trash).map_err(failed)?;
        remove_tree(&trash).map_err(failed)
    }
}

/// A package that a build has left.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its `pkgdir`.
    pub(crate) tree: Tree,
}

/// The tree of a version to be, out of the build's reach; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    staging: unfinished::Staging,
    root: PathBuf,
}

impl Staged {
    /// The root of the package tree.
    pub(crate) fn tree(&self) -> &Path {
        &self.root
    }
}

/// A version about to become the installed one; dropping it undoes the preparation.
#[derive(Debug)]
pub(crate) struct Activation {
    note: tempfile::TempPath,
    current: PathBuf,
}

impl Activation {
    /// Makes the version the installed one; its binary is in place.
    pub(crate) fn finish(self) -> Result<(), ProvisionError> {
        let Self { note, current } = self;
        let failed = |source| ProvisionError::io("write", &current, source);
        note.persist(&current)
            .map_err(|error| failed(error.error))?;
        sync_folder(current.parent().unwrap_or(&current)).map_err(failed)
    }
}

/// What a worker's folder and its lock are called.
pub(crate) fn worker_key(worker_id: &str, backend: WorkerType) -> String {
    format!("{worker_id}.{backend}")
}

/// All readable versions, newest first.
fn versions(folder: &Path) -> Result<Vec<Version>, ProvisionError> {
    let mut versions: Vec<Version> = folders(folder)?
        .iter()
        .filter_map(|path| read_version(path))
        .collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.receipt.stored_at));
    Ok(versions)
}

fn read_version(folder: &Path) -> Option<Version> {
    let path = folder.join("receipt.json");
    let file = fs::File::open(&path).ok()?;
    let reader = io::BufReader::new(io::Read::take(file, MAX_RECEIPT));
    match serde_json::from_reader::<_, Receipt>(reader) {
        Ok(receipt) => Some(Version {
            folder: folder.to_owned(),
            receipt: receipt.judged_anew(),
        }),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the receipt cannot be read");
            None
        }
    }
}

/// The last part of a path that this store has made.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(ProvisionError::io("list", folder, source)),
    }
}

/// The folders inside a folder, without hidden ones.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, ProvisionError> {
    let mut folders = entries(folder)?;
    folders.retain(|path| {
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.is_dir()
    });
    Ok(folders)
}
