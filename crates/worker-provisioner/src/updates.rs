//! What the catalog would install now, beside what is installed.

use std::cmp::Ordering;
use std::sync::Arc;

use build_sandbox::{Isolation, IsolationChoice};
use catalog_client::{CatalogError, Flavor, WorkerEntry, WorkerType};
use tokio_util::sync::CancellationToken;

use crate::activate::{self, Target};
use crate::artifact::WorkerBinary;
use crate::backend::BackendChoice;
use crate::blocking::blocking;
use crate::config::{Config, FlavorPreference};
use crate::contract::Artifact as _;
use crate::error::ProvisionError;
use crate::package::{self, Reading};
use crate::plan;
use crate::progress::Emitter;
use crate::provisioner::{ProvisionRequest, WorkerProvisioner};
use crate::receipt::Receipt;
use crate::steps::Run;
use crate::store::{Change, Store};
use crate::version::FullVersion;

/// What a request would install now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Offer {
    /// The worker's entry in the catalog.
    pub entry: WorkerEntry,
    /// The backend, and why it is that one.
    pub backend: BackendChoice,
    /// Prebuilt, or built from source.
    pub flavor: Flavor,
    /// The version of the recipe, `[epoch:]pkgver-pkgrel`; absent where only a shell or `pkgver()`
    /// can tell.
    pub version: Option<String>,
    /// The recipe.
    pub recipe: String,
    full_version: Option<FullVersion>,
}

/// An installed worker for which the catalog has something else.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Update {
    /// The receipt of what is installed.
    pub installed: Receipt,
    /// What the catalog offers.
    pub offer: Offer,
    /// How the offered version compares to the installed one; absent where that cannot be told
    /// without building. The recipe may differ while the version is the same.
    pub order: Option<Ordering>,
}

impl WorkerProvisioner {
    /// A provisioner with the configuration that a person expects from their environment.
    ///
    /// # Errors
    /// Those of [`WorkerProvisioner::new`].
    pub fn from_env() -> Result<Self, ProvisionError> {
        Self::new(Config::from_env())
    }

    /// Every worker of the catalog that can be read.
    ///
    /// # Errors
    /// [`ProvisionError::Catalog`], [`ProvisionError::Cancelled`].
    pub async fn offers(
        &self,
        cancel: &CancellationToken,
    ) -> Result<Vec<WorkerEntry>, ProvisionError> {
        let list = self.shared().catalog.list(cancel).await;
        let list = list.map_err(|source| match source {
            CatalogError::Cancelled => ProvisionError::Cancelled,
            source => ProvisionError::Catalog {
                id: "any worker".to_owned(),
                source: Arc::new(source),
            },
        })?;
        Ok(list.value.workers)
    }

    /// What `request` would install now, without fetching or running anything of it.
    ///
    /// # Errors
    /// Those of the steps of a provision up to the recipe: [`ProvisionError::Catalog`],
    /// [`ProvisionError::UnknownWorker`], [`ProvisionError::Unsupported`] and their kin;
    /// [`ProvisionError::Cancelled`]. A recipe that cannot be read is an error too.
    pub async fn look_up(
        &self,
        request: &ProvisionRequest,
        cancel: &CancellationToken,
    ) -> Result<Offer, ProvisionError> {
        let shared = self.shared();
        let run = Run {
            shared: Arc::clone(shared),
            request: request.clone(),
            emitter: Emitter::silent(shared.jobs(), &request.worker_id),
            cancel: cancel.clone(),
        };
        let listing = run.metadata().await?;
        let choice = run.choose(&listing.entry).await?;
        let recipe = run.recipe(&listing, &choice).await?;
        let environment = plan::environment(&shared.config, &choice);
        let (id, text) = (request.worker_id.clone(), recipe.text.clone());
        let architecture = choice.architecture;
        let reading =
            blocking(move || package::read(&id, &text, &environment, architecture)).await?;
        let full_version = match reading {
            Reading::Known(package) if !package.package.has_function("pkgver") => {
                Some(package.full_version())
            }
            _ => None,
        };
        Ok(Offer {
            entry: listing.entry,
            backend: choice.backend,
            flavor: choice.flavor,
            version: full_version.as_ref().map(ToString::to_string),
            recipe: recipe.text,
            full_version,
        })
    }

    /// The installed workers for which the catalog has another recipe now, each with what it has; or
    /// why that cannot be told, for the others nothing.
    ///
    /// A recipe that follows a branch stays the same while its sources change: that is looked at
    /// when it is built.
    ///
    /// # Errors
    /// [`ProvisionError::Io`] when the store cannot be listed, [`ProvisionError::Cancelled`].
    pub async fn outdated(
        &self,
        cancel: &CancellationToken,
    ) -> Result<Vec<Result<Update, (Receipt, ProvisionError)>>, ProvisionError> {
        let store = self.store().clone();
        let receipts = blocking(move || store.list()).await?;
        let mut updates = Vec::new();
        for installed in receipts {
            let request = ProvisionRequest::new(&installed.worker_id)
                .with_backend(installed.backend)
                .with_flavor(match installed.flavor {
                    Flavor::Binary => FlavorPreference::Binary,
                    Flavor::Source => FlavorPreference::Source,
                });
            match self.look_up(&request, cancel).await {
                Err(ProvisionError::Cancelled) => return Err(ProvisionError::Cancelled),
                Err(error) => updates.push(Err((installed, error))),
                Ok(offer) => {
                    let digest = activate::digest([offer.recipe.as_str()]);
                    if digest != installed.recipe_sha256 {
                        updates.push(Ok(Update::of(installed, offer)));
                    }
                }
            }
        }
        Ok(updates)
    }

    /// The isolation that builds of this host get, and why it is no stronger; nothing when it is the
    /// strongest.
    pub async fn isolation(&self) -> (Isolation, String) {
        let capabilities = self.shared().sandbox.probe().await;
        let found = match self.shared().config.isolation {
            IsolationChoice::Exactly(tier) => tier,
            IsolationChoice::Auto => capabilities.strongest(),
        };
        (found, capabilities.missing(Isolation::Namespaces))
    }

    /// Puts the program of an installed worker back in place from the store, with its plain name;
    /// nothing is fetched or built. A foreign file there is replaced.
    ///
    /// # Errors
    /// [`ProvisionError::NotInstalled`]; [`ProvisionError::StoreDamaged`] when what is stored was
    /// changed too, which only another build mends; [`ProvisionError::Cancelled`] or an I/O error.
    pub async fn repair(
        &self,
        worker_id: &str,
        backend: WorkerType,
        cancel: &CancellationToken,
    ) -> Result<WorkerBinary, ProvisionError> {
        self.locked(worker_id, backend, cancel, repair).await
    }
}

fn repair(
    store: &Store,
    worker_id: &str,
    backend: WorkerType,
) -> Result<WorkerBinary, ProvisionError> {
    let version = store.installed(worker_id, backend)?;
    let problems = version.tree_problems()?;
    if !problems.is_empty() {
        return Err(ProvisionError::StoreDamaged {
            id: worker_id.to_owned(),
            problems,
        });
    }
    let missing = || ProvisionError::NotInstalled {
        id: worker_id.to_owned(),
        backend,
    };
    let artifact = version.receipt.artifact.clone().ok_or_else(missing)?;
    let path = artifact.path().to_owned();
    let recorded = version.receipt.binary_name.clone();
    let (Some(bin_dir), Some(name)) = (
        path.parent(),
        recorded.or_else(|| Some(path.file_name()?.to_str()?.to_owned())),
    ) else {
        return Err(missing());
    };
    let target = Target {
        bin_dir,
        name: &name,
        force: true,
        change: Change::Install,
    };
    let moved = |path, size| artifact.at(path, size);
    let version = activate::activate(store, version, target, moved)?;
    version.receipt.artifact.ok_or_else(missing)
}

impl Update {
    fn of(installed: Receipt, offer: Offer) -> Self {
        let before = FullVersion::of(&installed);
        let offered = offer.full_version.as_ref();
        let order = offered.map(|offered| offered.compare(&before));
        Self {
            installed,
            offer,
            order,
        }
    }
}
