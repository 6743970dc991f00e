//! The artifact contract a hive programs against.

use std::path::Path;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::ProvisionError;

/// Something a hive has on disk and can use: a worker binary, a model.
pub trait Artifact: Clone + Serialize + DeserializeOwned {
    /// The unique id within its catalog.
    fn id(&self) -> &str;
    /// Where it is on disk.
    fn path(&self) -> &Path;
    /// Its size in bytes.
    fn size(&self) -> u64;
    /// Whether it can be used.
    fn status(&self) -> &ArtifactStatus;
    /// Changes whether it can be used.
    fn set_status(&mut self, status: ArtifactStatus);
    /// The name shown to people; the id unless overridden.
    fn name(&self) -> &str {
        self.id()
    }
}

/// Whether an artifact can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactStatus {
    /// It is complete and usable.
    Available,
    /// It is still arriving.
    Downloading,
    /// It could not be made usable.
    Failed {
        /// Why, for people.
        error: String,
    },
}

/// Turns an id into an artifact on disk.
#[async_trait]
pub trait ArtifactProvisioner<T: Artifact>: Send + Sync {
    /// Provides the artifact `id` on behalf of the job `job_id`.
    ///
    /// Cancelling `cancel` ends the work with [`ProvisionError::Cancelled`]; dropping the future
    /// has the same effect without an answer. Either way nothing temporary is left.
    ///
    /// # Errors
    /// See [`ProvisionError`]: one variant for each stage.
    async fn provision(
        &self,
        id: &str,
        job_id: &str,
        cancel: CancellationToken,
    ) -> Result<T, ProvisionError>;

    /// Whether `id` is one this provisioner could provide; never waits.
    fn supports(&self, id: &str) -> bool;
}

/// A place that artifacts of one kind are downloaded from.
#[async_trait]
pub trait VendorSource: Send + Sync {
    /// Downloads `id` to `dest` and returns its size in bytes.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    async fn download(
        &self,
        id: &str,
        dest: &Path,
        job_id: &str,
        cancel: CancellationToken,
    ) -> Result<u64, ProvisionError>;

    /// Whether `id` is one this vendor has; never waits.
    fn supports(&self, id: &str) -> bool;

    /// The vendor's name, for people.
    fn name(&self) -> &str;
}

/// The artifacts a hive knows of.
pub trait ArtifactCatalog<T: Artifact> {
    /// Records `artifact`.
    ///
    /// # Errors
    /// [`ProvisionError::AlreadyInCatalog`] when its id is taken, or an I/O error.
    fn add(&self, artifact: T) -> Result<(), ProvisionError>;

    /// Looks `id` up and notes the access.
    ///
    /// # Errors
    /// [`ProvisionError::NotInCatalog`] when it is not recorded, or an I/O error.
    fn get(&self, id: &str) -> Result<T, ProvisionError>;

    /// All readable artifacts, ordered by id.
    fn list(&self) -> Vec<T>;

    /// Forgets `id`; the artifact's own files stay.
    ///
    /// # Errors
    /// [`ProvisionError::NotInCatalog`] when it is not recorded, or an I/O error.
    fn remove(&self, id: &str) -> Result<(), ProvisionError>;

    /// Whether `id` is recorded.
    fn contains(&self, id: &str) -> bool;

    /// How many artifacts are recorded.
    fn len(&self) -> usize;

    /// Whether none is recorded.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
