//! The facade: one call turns a worker id into an installed worker.

use std::sync::Arc;

use async_trait::async_trait;
use build_sandbox::{Isolation, Sandbox};
use catalog_client::{CatalogClient, Flavor, WorkerId, WorkerType};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::artifact::WorkerBinary;
use crate::backend::{BackendChoice, HostProbe, SystemProbe};
use crate::config::{Config, FlavorPreference};
use crate::contract::ArtifactProvisioner;
use crate::error::ProvisionError;
use crate::plan;
use crate::progress::{Emitter, Jobs, ProvisionPhase, Reporter, Subscription};
use crate::steps::Run;

/// What is wanted from one provision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvisionRequest {
    /// The worker's id in the catalog.
    pub worker_id: String,
    /// The job the events are told under.
    pub job_id: String,
    /// The backend; what the configuration says when absent.
    pub backend: Option<WorkerType>,
    /// Which recipe to use; what the configuration says when absent.
    pub flavor: Option<FlavorPreference>,
}

impl ProvisionRequest {
    /// Asks for `worker_id` with everything else as configured; the job is named after the worker.
    pub fn new(worker_id: impl Into<String>) -> Self {
        let worker_id = worker_id.into();
        Self { job_id: worker_id.clone(), worker_id, backend: None, flavor: None }
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
}

/// An installed worker and how it came to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Provisioned {
    /// The artifact.
    pub binary: WorkerBinary,
    /// The backend and why it was chosen.
    pub backend: BackendChoice,
    /// Which recipe was used.
    pub flavor: Flavor,
    /// The weakest isolation any of the recipe's functions ran in.
    pub isolation: Isolation,
}

impl Provisioned {
    /// The isolation the recipe's functions ran in, for people.
    pub fn isolation(&self) -> &'static str {
        self.isolation.name()
    }
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) catalog: CatalogClient,
    pub(crate) sandbox: Sandbox,
    pub(crate) probe: Arc<dyn HostProbe>,
    jobs: Arc<Jobs>,
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

impl WorkerProvisioner {
    /// A provisioner that does as `config` says. Nothing is requested or created yet.
    ///
    /// # Errors
    /// [`ProvisionError::Catalog`] when a catalog URL or token cannot work,
    /// [`ProvisionError::Sandbox`] when this host cannot run builds at all.
    pub fn new(config: Config) -> Result<Self, ProvisionError> {
        let catalog = CatalogClient::new(plan::catalog_config(&config)).map_err(|source| {
            ProvisionError::Catalog { id: "any worker".to_owned(), source: Box::new(source) }
        })?;
        let sandbox = plan::sandbox(&config)?;
        let probe = Arc::new(SystemProbe::new(config.search_path.clone()));
        let shared = Shared {
            config,
            catalog,
            sandbox,
            probe,
            jobs: Arc::default(),
            reporter: None,
        };
        Ok(Self { shared: Arc::new(shared) })
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
            sandbox: old.sandbox.clone(),
            probe: Arc::clone(&old.probe),
            jobs: Arc::clone(&old.jobs),
            reporter: old.reporter.clone(),
        };
        change(&mut shared);
        Self { shared: Arc::new(shared) }
    }

    /// Follows the events of the job `job_id` from its start, as far as they are kept.
    ///
    /// The job need not have started yet.
    pub fn subscribe(&self, job_id: &str) -> Subscription {
        self.shared.jobs.subscribe(job_id)
    }

    /// Provides what `request` asks for.
    ///
    /// Cancelling `cancel` ends the work in every phase, within 100 ms plus the time a build is
    /// given to end by itself; dropping the future does the same without an answer. However it
    /// ends, no process, build folder or temporary file is left, and an older installed version
    /// stays usable until the new one is whole.
    ///
    /// # Errors
    /// See [`ProvisionError`]: one variant for each stage.
    pub async fn provision_request(
        &self,
        request: &ProvisionRequest,
        cancel: CancellationToken,
    ) -> Result<Provisioned, ProvisionError> {
        let shared = &self.shared;
        let span = tracing::info_span!("provision", job = request.job_id, worker = request.worker_id);
        let emitter = Emitter::new(
            &shared.jobs,
            shared.reporter.clone(),
            &request.job_id,
            &request.worker_id,
        );
        let run = Run { shared: Arc::clone(shared), request, emitter, cancel };
        provision(&run).instrument(span).await
    }
}

/// The steps, in order.
async fn provision(run: &Run<'_>) -> Result<Provisioned, ProvisionError> {
    use ProvisionPhase as Phase;
    let entry = run.step(Phase::Metadata, run.metadata()).await?;
    let choice = run.step(Phase::Platform, run.choose(&entry)).await?;
    let recipe = run.step(Phase::Recipe, run.recipe(&entry, &choice)).await?;
    let package = run.step(Phase::Evaluate, run.evaluate(&recipe, &choice)).await?;
    let workspace = run.step(Phase::Workspace, run.workspace(&recipe)).await?;
    let bin_dir = run.step(Phase::Preflight, run.preflight(&package)).await;
    let outcome = match bin_dir {
        Ok(bin_dir) => {
            let install = async {
                let sources = run.step(Phase::Sources, run.fetch(&package, &workspace)).await?;
                let built = run.build(&package, &workspace, &choice).await?;
                let binary = run.step(Phase::Binary, run.find(&built, &choice, &workspace)).await?;
                let installed = run.step(Phase::Install, run.install(binary, &bin_dir)).await?;
                let artifact = run.artifact(&entry, &choice, &built, installed, &sources);
                run.step(Phase::Artifact, artifact).await
            };
            install.await
        }
        Err(error) => Err(error),
    };
    let removed = run.cleanup(workspace).await;
    outcome.and_then(|provisioned| removed.map(|()| provisioned))
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
        self.provision_request(&request, cancel).await.map(|provisioned| provisioned.binary)
    }

    fn supports(&self, id: &str) -> bool {
        id.parse::<WorkerId>().is_ok()
    }
}
