//! The facade: one call turns a worker id into an installed worker.

use std::sync::Arc;

use async_trait::async_trait;
use build_sandbox::Sandbox;
use catalog_client::{CatalogClient, CatalogError, WorkerId, WorkerType};
use network_policy::HttpClients;
use source_fetch::Credentials;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::activate;
use crate::artifact::WorkerBinary;
use crate::backend::{BackendChoice, HostProbe, KnownCommands, SystemProbe};
use crate::blocking::blocking;
use crate::config::{Config, FlavorPreference};
use crate::contract::ArtifactProvisioner;
use crate::error::ProvisionError;
use crate::filesystem_catalog::FilesystemCatalog;
use crate::install::BinDir;
use crate::join::{Joins, Left};
use crate::lock::FileLock;
use crate::offered::Offered;
use crate::plan;
use crate::progress::{Emitter, Jobs, ProvisionPhase, Reporter, Subscription};
use crate::receipt::Receipt;
use crate::steps::{Choice, Kept, Recipe, Run};
use crate::store::{self, Store, Version};
use crate::trial;

/// What is wanted from one provision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ProvisionRequest {
    /// The worker's id in the catalog.
    pub worker_id: String,
    /// The job the events are told under.
    pub job_id: String,
    /// The backend; what the configuration says when absent.
    pub backend: Option<WorkerType>,
    /// Which recipe to use; what the configuration says when absent.
    pub flavor: Option<FlavorPreference>,
    /// Replace a foreign file of the binary's name, such as one that an older installer has left;
    /// nothing is built for it that is stored already.
    pub replace: bool,
    /// Build again although nothing has changed, and replace a foreign file of the binary's name;
    /// the catalog is asked as with `refresh`.
    pub force: bool,
    /// Replace a newer version by an older one, if the configuration does not allow it already.
    pub allow_downgrade: bool,
    /// Ask the catalog, whatever time its kept answers still have.
    pub refresh: bool,
}

impl ProvisionRequest {
    /// Asks for `worker_id` with everything else as configured; the job is named after the worker.
    pub fn new(worker_id: impl Into<String>) -> Self {
        let worker_id = worker_id.into();
        Self {
            job_id: worker_id.clone(),
            worker_id,
            backend: None,
            flavor: None,
            replace: false,
            force: false,
            allow_downgrade: false,
            refresh: false,
        }
    }

    /// Names the job the events are told under.
    #[must_use]
    pub fn with_job_id(mut self, job_id: impl Into<String>) -> Self {
        self.job_id = job_id.into();
        self
    }

    /// Asks for a backend instead of the configured or detected one.
    #[must_use]
    pub fn with_backend(mut self, backend: WorkerType) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Asks for the prebuilt binary or a build from source.
    #[must_use]
    pub fn with_flavor(mut self, flavor: FlavorPreference) -> Self {
        self.flavor = Some(flavor);
        self
    }

    /// Replaces a foreign file of the binary's name.
    #[must_use]
    pub fn replacing(mut self) -> Self {
        self.replace = true;
        self
    }

    /// Whether a foreign file may be replaced.
    pub(crate) fn may_replace(&self) -> bool {
        self.replace || self.force
    }

    /// Replaces a newer version by an older one.
    #[must_use]
    pub fn allowing_downgrade(mut self) -> Self {
        self.allow_downgrade = true;
        self
    }

    /// Asks the catalog, whatever time its kept answers still have.
    #[must_use]
    pub fn refreshed(mut self) -> Self {
        self.refresh = true;
        self
    }

    /// Builds again although nothing has changed, and replaces a foreign file of that name.
    #[must_use]
    pub fn forced(mut self) -> Self {
        self.force = true;
        self
    }
}

/// An installed worker and how it came to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Provisioned {
    /// The artifact.
    pub binary: WorkerBinary,
    /// The backend and why it was chosen.
    pub backend: BackendChoice,
    /// Where it came from and how far that was verified.
    pub receipt: Receipt,
    /// Whether it was installed and intact already, so that nothing was done.
    pub reused: bool,
}

/// What makes two requests the same piece of work.
type WorkKey = (String, Option<WorkerType>, FlavorPreference, [bool; 4]);

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) catalog: CatalogClient,
    /// Connections to the hosts of sources last from one provision to the next.
    pub(crate) clients: HttpClients,
    pub(crate) credentials: Credentials,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) store: Store,
    pub(crate) builds: Arc<Semaphore>,
    pub(crate) probe: Arc<dyn HostProbe>,
    pub(crate) commands: Arc<KnownCommands>,
    pub(crate) offered: Arc<Offered>,
    jobs: Arc<Jobs>,
    joins: Arc<Joins<WorkKey, Arc<Emitter>, Result<Provisioned, ProvisionError>>>,
    reporter: Option<Arc<dyn Reporter>>,
}

/// Turns worker ids into installed workers.
///
/// Cloning is cheap; clones share connections, caches and the jobs that can be followed.
#[derive(Clone)]
pub struct WorkerProvisioner {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for WorkerProvisioner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WorkerProvisioner")
            .field("catalog", &self.shared.catalog)
            .field("probe", &self.shared.probe)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }
}

impl WorkerProvisioner {
    /// A provisioner that does as `config` says. Nothing is requested or created yet; the list of
    /// workers that an earlier run has kept is read, which takes a moment.
    ///
    /// # Errors
    /// [`ProvisionError::Catalog`] when a catalog URL or token cannot work,
    /// [`ProvisionError::Access`] when certificates or proxies that are named cannot be used,
    /// [`ProvisionError::Io`] when the netrc file cannot be read,
    /// [`ProvisionError::NoDirectory`] where `config` does not say what to keep where, and
    /// [`ProvisionError::UnsafeDirectory`] where somebody else could change what is kept.
    pub fn new(config: Config) -> Result<Self, ProvisionError> {
        let config = config.settled()?;
        let access = plan::access(&config)?;
        let credentials = plan::credentials(&config)?;
        let catalog = plan::catalog_config(&config, &access);
        let catalog = CatalogClient::new(catalog).map_err(|source| ProvisionError::Catalog {
            id: "any worker".to_owned(),
            source: Arc::new(source),
        })?;
        let offered = Arc::new(Offered::default());
        if let Some(list) = catalog.kept_list() {
            offered.learn_list(list);
        }
        let sandbox = Arc::new(plan::sandbox(&config));
        let probe = Arc::new(SystemProbe::new(config.search_path.clone()));
        let shared = Shared {
            store: Store::new(&config.data_dir),
            builds: Arc::new(Semaphore::new(config.parallel_builds.max(1))),
            config,
            catalog,
            clients: source_fetch::http_clients(access),
            credentials,
            sandbox,
            probe,
            commands: Arc::default(),
            offered,
            jobs: Arc::default(),
            joins: Arc::default(),
            reporter: None,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The same provisioner, telling every event to `reporter` too.
    #[must_use]
    pub fn with_reporter(self, reporter: Arc<dyn Reporter>) -> Self {
        self.change(|shared| shared.reporter = Some(reporter))
    }

    /// The same provisioner, asking `probe` what the host has.
    #[must_use]
    pub fn with_probe(self, probe: Arc<dyn HostProbe>) -> Self {
        self.change(|shared| shared.probe = probe)
    }

    fn change(self, change: impl FnOnce(&mut Shared)) -> Self {
        let old = &self.shared;
        let mut shared = Shared {
            config: old.config.clone(),
            catalog: old.catalog.clone(),
            clients: old.clients.clone(),
            credentials: old.credentials.clone(),
            sandbox: Arc::clone(&old.sandbox),
            store: old.store.clone(),
            builds: Arc::clone(&old.builds),
            probe: Arc::clone(&old.probe),
            commands: Arc::clone(&old.commands),
            offered: Arc::clone(&old.offered),
            jobs: Arc::clone(&old.jobs),
            joins: Arc::clone(&old.joins),
            reporter: old.reporter.clone(),
        };
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Follows the events of the job `job_id` from its start, as far as they are kept.
    ///
    /// The job need not have started yet.
    pub fn subscribe(&self, job_id: &str) -> Subscription {
        self.shared.jobs.subscribe(job_id)
    }

    /// Reads the catalog's list, without a request while a kept copy is fresh, so that
    /// [`supports`](ArtifactProvisioner::supports) knows for an hour what is offered.
    ///
    /// A list that an earlier run has kept counts too. Where no list is that young, `supports` goes
    /// by the form of an id alone, and by what a refused provision was told.
    ///
    /// # Errors
    /// [`ProvisionError::Catalog`], [`ProvisionError::Cancelled`].
    pub async fn learn_catalog(&self, cancel: &CancellationToken) -> Result<(), ProvisionError> {
        let list = self.shared.catalog.list(cancel).await;
        let list = list.map_err(|source| match source {
            CatalogError::Cancelled => ProvisionError::Cancelled,
            source => ProvisionError::Catalog {
                id: "any worker".to_owned(),
                source: Arc::new(source),
            },
        })?;
        self.shared.offered.learn_list(list);
        Ok(())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is installed: to list, verify, remove and collect.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Provides what `request` asks for.
    ///
    /// A worker that is installed and intact, from the same recipe for the same backend, is given
    /// back as it is. A second call for the same thing joins the first and gets the same outcome
    /// and, under its own job, the same events; in another process it waits for the first to end.
    /// What decides is the recipe's text, not what its sources have become since: a moving git
    /// branch, like a value that a recipe computes, is looked at when something is built, so use
    /// [`ProvisionRequest::forced`] to follow it.
    ///
    /// Cancelling `cancel` ends the work in every phase, within 100 ms plus the time a build is
    /// given to end by itself; dropping the future does the same without an answer. Work that
    /// another caller waits for goes on for that one. However it ends, no process, build folder or
    /// temporary file is left, and an older installed version stays until the new one is whole.
    ///
    /// # Errors
    /// See [`ProvisionError`]: one variant for each stage.
    pub async fn provision_request(
        &self,
        request: &ProvisionRequest,
        cancel: CancellationToken,
    ) -> Result<Provisioned, ProvisionError> {
        let shared = &self.shared;
        let key = (
            request.worker_id.clone(),
            request.backend.or(shared.config.backend),
            request.flavor.unwrap_or(shared.config.flavor),
            [
                request.force,
                request.replace,
                request.allow_downgrade,
                request.refresh,
            ],
        );
        let joined = |emitter: &Arc<Emitter>| emitter.add_job(&shared.jobs, &request.job_id);
        let start = |cancel| {
            let span = tracing::info_span!(
                "provision",
                job = request.job_id,
                worker = request.worker_id
            );
            let emitter = Emitter::new(
                &shared.jobs,
                shared.reporter.clone(),
                &request.job_id,
                &request.worker_id,
            );
            let run = Run {
                shared: Arc::clone(shared),
                request: request.clone(),
                emitter: Arc::clone(&emitter),
                cancel,
            };
            (
                emitter,
                async move { provision(&run).await }.instrument(span),
            )
        };
        match shared.joins.join(key, joined, start).wait(&cancel).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(ProvisionError::Lost {
                id: request.worker_id.clone(),
            }),
            Err(Left) => Err(ProvisionError::Cancelled),
        }
    }

    /// Puts the version that was installed before back in place.
    ///
    /// Waits for a provision of the same worker, as [`provision_request`](Self::provision_request)
    /// does; cancelling ends the wait.
    ///
    /// # Errors
    /// [`ProvisionError::NoPreviousVersion`], [`ProvisionError::NotInstalled`],
    /// [`ProvisionError::Cancelled`] or an I/O error.
    pub async fn rollback(
        &self,
        worker_id: &str,
        backend: WorkerType,
        cancel: &CancellationToken,
    ) -> Result<WorkerBinary, ProvisionError> {
        self.locked(worker_id, backend, cancel, activate::rollback)
            .await
    }

    /// Removes every version of a worker and its binary; a file that somebody else has put in its
    /// place since stays.
    ///
    /// Waits for a provision of the same worker, as [`provision_request`](Self::provision_request)
    /// does; cancelling ends the wait.
    ///
    /// # Errors
    /// [`ProvisionError::NotInstalled`], [`ProvisionError::InUse`], [`ProvisionError::Cancelled`] or
    /// an I/O error.
    pub async fn remove(
        &self,
        worker_id: &str,
        backend: WorkerType,
        cancel: &CancellationToken,
    ) -> Result<(), ProvisionError> {
        self.locked(worker_id, backend, cancel, Store::remove).await
    }

    /// Does `work` to a worker that nobody else does anything to, what a crash has left repaired.
    pub(crate) async fn locked<T: Send + 'static>(
        &self,
        worker_id: &str,
        backend: WorkerType,
        cancel: &CancellationToken,
        work: fn(&Store, &str, WorkerType) -> Result<T, ProvisionError>,
    ) -> Result<T, ProvisionError> {
        let store = self.shared.store.clone();
        let path = store.lock_path(worker_id, backend);
        let lock = FileLock::acquire(&path, cancel, || {}).await?;
        let worker_id = worker_id.to_owned();
        blocking(move || {
            // Held by the work and not by the future, which may be dropped meanwhile.
            let _lock = lock;
            store.repair(Some(&store::worker_key(&worker_id, backend)))?;
            work(&store, &worker_id, backend)
        })
        .await
    }

    /// Provisions and records the result in `catalog`, in place of older records of that id or path.
    ///
    /// # Errors
    /// As [`provision_request`](Self::provision_request), and those of the catalog.
    pub async fn provision_and_add(
        &self,
        request: &ProvisionRequest,
        catalog: &FilesystemCatalog<WorkerBinary>,
        cancel: CancellationToken,
    ) -> Result<WorkerBinary, ProvisionError> {
        let binary = self.provision_request(request, cancel).await?.binary;
        let catalog = catalog.clone();
        let added = binary.clone();
        blocking(move || catalog.supersede(added)).await?;
        Ok(binary)
    }
}

/// The steps, in order.
async fn provision(run: &Run) -> Result<Provisioned, ProvisionError> {
    use ProvisionPhase as Phase;
    run.directories().await?;
    let listing = run.step(Phase::Metadata, run.metadata()).await?;
    let entry = &listing.entry;
    let choice = run.step(Phase::Platform, run.choose(entry)).await?;
    let recipe = run
        .step(Phase::Recipe, run.recipe(&listing, &choice))
        .await?;
    let _lock = run.lock(&choice).await?;
    run.repair(&choice).await?;
    let (version, bin_dir) = match run.kept(&recipe, &choice).await? {
        Some(Kept::Installed(provisioned)) => return Ok(*provisioned),
        Some(Kept::Built(version)) => {
            let bin_dir = run.step(Phase::Preflight, run.preflight(&choice)).await?;
            (*version, bin_dir)
        }
        None => build(run, &recipe, &choice).await?,
    };
    let version = if trial::is_due(&run.shared.config, &version.receipt) {
        let tried = run.try_out(version, &choice);
        run.step(Phase::Trial, tried).await?
    } else {
        version
    };
    let install = run.install(version, &choice, entry, &bin_dir);
    let version = run.step(Phase::Install, install).await?;
    run.artifact(version, &choice)
}

/// The steps from a recipe to a stored package.
async fn build(
    run: &Run,
    recipe: &Recipe,
    choice: &Choice,
) -> Result<(Version, BinDir), ProvisionError> {
    use ProvisionPhase as Phase;
    let evaluate = run.evaluate(recipe, choice);
    let package = run.step(Phase::Evaluate, evaluate).await?;
    // What `pkgver()` will print is not known yet.
    if !package.package.has_function("pkgver") {
        run.judge_version(&package.full_version(), choice).await?;
    }
    let dependencies = run.dependencies(&package, choice);
    run.step(Phase::Dependencies, dependencies).await?;
    let preflight = async {
        run.judge_isolation().await?;
        run.preflight(choice).await
    };
    let bin_dir = run.step(Phase::Preflight, preflight).await?;
    let workspace = run.step(Phase::Workspace, run.workspace(recipe)).await?;
    let built = async {
        let fetch = run.fetch(&package, &workspace);
        let sources = run.step(Phase::Sources, fetch).await?;
        // Only now, since whoever sends the sources decides how long that takes.
        let slot = run.build_slot().await?;
        let sources = run.verify(sources, recipe, &package, choice).await?;
        let built = run.build(&package, &workspace, choice).await?;
        drop(slot);
        let store = run.store(recipe, choice, built, &sources, &workspace);
        run.step(Phase::Binary, store).await
    };
    let built = built.await;
    let removed = run.cleanup(workspace).await;
    built.and_then(|version| removed.map(|()| (version, bin_dir)))
}

#[async_trait]
impl ArtifactProvisioner<WorkerBinary> for WorkerProvisioner {
    async fn provision(
        &self,
        id: &str,
        job_id: &str,
        cancel: CancellationToken,
    ) -> Result<WorkerBinary, ProvisionError> {
        let request = ProvisionRequest::new(id).with_job_id(job_id);
        self.provision_request(&request, cancel)
            .await
            .map(|provisioned| provisioned.binary)
    }

    fn supports(&self, id: &str) -> bool {
        let offered = |id: WorkerId| self.shared.offered.has(&id);
        id.parse().is_ok_and(|id| offered(id).unwrap_or(true))
    }
}
