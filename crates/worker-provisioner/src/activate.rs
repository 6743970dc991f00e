//! Makes a stored version the installed one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use catalog_client::WorkerType;
use sha2::{Digest as _, Sha256};

use crate::artifact::WorkerBinary;
use crate::binary;
use crate::contract::Artifact as _;
use crate::error::ProvisionError;
use crate::install::{self, Content, Launcher};
use crate::names::{self, Names, Place, Plain};
use crate::receipt::Receipt;
use crate::store::{self, Change, Store, Version, sha256_of};

/// Where a version goes, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) bin_dir: &'a Path,
    /// What the catalog calls the program.
    pub(crate) name: &'a str,
    /// Replace what this program has not installed.
    pub(crate) force: bool,
    pub(crate) change: Change,
}

/// Puts the program of `version` in place under the name of its backend and makes it the current
/// one; then the plain name leads to it.
///
/// `artifact` gets the path and the size in bytes and makes the artifact. A crash in between leaves
/// the old binary with the old record, or the new binary with a record that the next repair renews.
pub(crate) fn activate(
    store: &Store,
    mut version: Version,
    target: Target<'_>,
    artifact: impl FnOnce(PathBuf, u64) -> WorkerBinary,
) -> Result<Version, ProvisionError> {
    let worker_id = version.receipt.worker_id.clone();
    let backend = version.receipt.backend;
    let names = Names::of(target.name, backend);
    let place = Place {
        store,
        worker_id: &worker_id,
        backend,
        bin_dir: target.bin_dir,
        names: &names,
        force: target.force,
    };
    let plain = place.judge()?;
    let before = store.installed(&worker_id, backend).ok();
    // Opened once: what is looked at is what is installed.
    let path = version.receipt.program.clone();
    let tree = version.tree();
    let file = binary::open(&tree, &path)?;
    let relocation = version.receipt.relocation.clone();
    let content = if relocation.is_plain() && !binary::needs_its_tree(&tree, &path) {
        Content::Program(&file)
    } else {
        Content::Launcher(Launcher {
            tree: &tree,
            program: &path,
            relocation: &relocation,
        })
    };
    let is_ours = |digest: &str| place.is_ours(digest);
    let prepared = install::prepare(&content, target.bin_dir, &names.own, target.force, is_ours)?;
    version.receipt.artifact = Some(artifact(prepared.target().to_owned(), prepared.size));
    version.receipt.installed_sha256 = Some(prepared.sha256.clone());
    version.receipt.binary_name = Some(target.name.to_owned());
    // Recorded first: were it the other way round, a crash would leave a file nobody knows.
    store.record(&version)?;
    let activation = store.begin_activation(&version, target.change)?;
    prepared.commit()?;
    activation.finish()?;
    place.point(plain)?;
    if let Some(before) = before {
        remove_moved(store, &before.receipt, &place, plain)?;
    }
    Ok(version)
}

/// Removes the program installed before when it stands elsewhere, as long as it is that one.
fn remove_moved(
    store: &Store,
    before: &Receipt,
    place: &Place<'_>,
    plain: Plain,
) -> Result<(), ProvisionError> {
    let Some(path) = before.artifact.as_ref().map(crate::Artifact::path) else {
        return Ok(());
    };
    let replaced = place.names.plain.as_ref().filter(|_| plain == Plain::Set);
    if path == place.target() || replaced.is_some_and(|name| path == place.bin_dir.join(name)) {
        return Ok(());
    }
    remove_program(store, before)
}

/// Removes an installed program as long as it is the one installed; its plain name goes on to
/// another backend.
///
/// A file that somebody else has put there since is theirs.
pub(crate) fn remove_program(store: &Store, receipt: &Receipt) -> Result<(), ProvisionError> {
    let (Some(artifact), Some(expected)) = (&receipt.artifact, &receipt.installed_sha256) else {
        return Ok(());
    };
    let path = artifact.path();
    let _lock = store.lock_names()?;
    if let Some(plain) = names::plain_path(receipt) {
        pass_on(store, receipt, &plain)?;
    }
    if !sha256_of(path).is_ok_and(|found| found == *expected) {
        return Ok(());
    }
    fs::remove_file(path).map_err(|source| ProvisionError::io("remove", path, source))?;
    // Under the catalog's own name, by a version that knew no other.
    let name = path.file_name().and_then(|name| name.to_str());
    match Names::recorded(receipt) {
        Some(names) if names.plain.as_deref() == name => pass_on(store, receipt, path),
        _ => Ok(()),
    }
}

/// Makes a plain name lead to another backend of the worker, the one stored last, or to none.
fn pass_on(store: &Store, receipt: &Receipt, plain: &Path) -> Result<(), ProvisionError> {
    let failed = |source| ProvisionError::io("link", plain, source);
    let (Some(bin_dir), Some(name)) = (
        plain.parent(),
        plain.file_name().and_then(|name| name.to_str()),
    ) else {
        return Ok(());
    };
    let worker = store::stem(&receipt.worker_id, receipt.backend);
    let others = WorkerType::ALL
        .iter()
        .filter(|backend| **backend != receipt.backend)
        .filter_map(|backend| {
            let other = store.installed(worker, *backend).ok()?.receipt;
            let own = Names::of(name, *backend).own;
            let path = other.artifact.as_ref()?.path().to_owned();
            (path == bin_dir.join(&own)).then_some((other.stored_at, own))
        });
    match others.max() {
        Some((_, own)) => names::point(bin_dir, name, &own).map_err(failed),
        None => match fs::remove_file(plain) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        },
    }
}

/// Puts the version installed before the current one back in place.
pub(crate) fn rollback(
    store: &Store,
    worker_id: &str,
    backend: WorkerType,
) -> Result<WorkerBinary, ProvisionError> {
    let previous = store.previous(worker_id, backend)?;
    let none = || ProvisionError::NoPreviousVersion {
        id: worker_id.to_owned(),
        backend,
    };
    let artifact = previous.receipt.artifact.clone().ok_or_else(none)?;
    let path = artifact.path().to_owned();
    let recorded = previous.receipt.binary_name.clone();
    let (Some(bin_dir), Some(name)) = (
        path.parent(),
        recorded.or_else(|| Some(path.file_name()?.to_str()?.to_owned())),
    ) else {
        return Err(none());
    };
    let target = Target {
        bin_dir,
        name: &name,
        force: false,
        change: Change::Rollback,
    };
    let moved = |path, size| artifact.at(path, size);
    let version = activate(store, previous, target, moved)?;
    version.receipt.artifact.ok_or_else(none)
}

/// Whether the installed file of `version` is what was put there.
pub(crate) fn is_intact(version: &Version) -> bool {
    let receipt = &version.receipt;
    let (Some(artifact), Some(expected)) = (&receipt.artifact, &receipt.installed_sha256) else {
        return false;
    };
    sha256_of(artifact.path()).is_ok_and(|found| found == *expected)
}

/// The sha256 of several texts, told apart, in lower-case hexadecimal.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}
