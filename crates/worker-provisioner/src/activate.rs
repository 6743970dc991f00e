//! Makes a stored version the installed one.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::artifact::WorkerBinary;
use crate::binary;
use crate::contract::Artifact as _;
use crate::error::ProvisionError;
use crate::install::{self, Content};
use crate::store::{Change, Store, Version};

/// Puts the program of `version` in place as `<bin_dir>/<name>` and makes it the current one.
///
/// `artifact` gets the path and the size in bytes and makes the artifact. A crash in between leaves
/// the old binary with the old record, or the new binary with a record that the next repair renews.
pub(crate) fn activate(
    store: &Store,
    mut version: Version,
    bin_dir: &Path,
    name: &str,
    force: bool,
    change: Change,
    artifact: impl FnOnce(PathBuf, u64) -> WorkerBinary,
) -> Result<Version, ProvisionError> {
    let program = version.program();
    let content = if binary::needs_its_tree(&version.tree(), &program) {
        Content::Launcher(&program)
    } else {
        Content::Program(&program)
    };
    let is_ours = |digest: &str| store.has_installed(&version, digest);
    let prepared = install::prepare(&content, bin_dir, name, force, is_ours)?;
    version.receipt.artifact = Some(artifact(prepared.target().to_owned(), prepared.size));
    version.receipt.installed_sha256 = Some(prepared.sha256.clone());
    // Recorded first: were it the other way round, a crash would leave a file nobody knows.
    store.record(&version)?;
    let activation = store.begin_activation(&version, change)?;
    prepared.commit()?;
    activation.finish()?;
    Ok(version)
}

/// Puts the version installed before the current one back in place.
pub(crate) fn rollback(
    store: &Store,
    worker_id: &str,
    backend: catalog_client::WorkerType,
) -> Result<WorkerBinary, ProvisionError> {
    let previous = store.previous(worker_id, backend)?;
    let Some(artifact) = previous.receipt.artifact.clone() else {
        return Err(ProvisionError::NoPreviousVersion {
            id: worker_id.to_owned(),
            backend,
        });
    };
    let path = artifact.path().to_owned();
    let (Some(bin_dir), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Err(ProvisionError::NoPreviousVersion {
            id: worker_id.to_owned(),
            backend,
        });
    };
    let same = |_, _| artifact.clone();
    activate(
        store,
        previous,
        bin_dir,
        name,
        false,
        Change::Rollback,
        same,
    )?;
    Ok(artifact)
}

/// Whether the installed file of `version` is what was put there.
pub(crate) fn is_intact(version: &Version) -> bool {
    let receipt = &version.receipt;
    let (Some(artifact), Some(expected)) = (&receipt.artifact, &receipt.installed_sha256) else {
        return false;
    };
    crate::store::sha256_of(artifact.path()).is_ok_and(|found| found == *expected)
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
