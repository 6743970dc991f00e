//! What each step of a provision does.

mod host;
mod keep;
mod place;
mod read;
mod sources;
mod tried;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use build_sandbox::{BuildSpec, Isolation, Phase, PhaseStatus, SandboxError};
use catalog_client::{
    Architecture, CatalogClient, CatalogError, Flavor, Platform, Variant, WorkerEntry, WorkerId,
};
use tokio_util::sync::CancellationToken;

use crate::backend::{BackendChoice, Kernel};
use crate::blocking::blocking;
use crate::config::TransportPolicy;
use crate::error::ProvisionError;
use crate::install::{self, BinDir};
use crate::names::{Names, Place};
use crate::package::EvaluatedPackage;
use crate::plan;
use crate::progress::{Emitter, Happening, ProvisionPhase};
use crate::provisioner::{ProvisionRequest, Provisioned, Shared};
use crate::store::Version;
use crate::workspace::Workspace;

/// One provision under way.
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: ProvisionRequest,
    pub(crate) emitter: Arc<Emitter>,
    pub(crate) cancel: CancellationToken,
}

/// What will be built, decided before anything is downloaded.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) variant: Variant,
    pub(crate) backend: BackendChoice,
    pub(crate) flavor: Flavor,
    pub(crate) platform: Platform,
    pub(crate) architecture: Architecture,
    /// The programs of the host.
    pub(crate) commands: Arc<BTreeSet<String>>,
    /// The programs that the recipe's own probing finds.
    pub(crate) shown: Arc<BTreeSet<String>>,
    /// What the recipe's `uname` says of the kernel.
    pub(crate) kernel: Option<Kernel>,
}

/// A worker's entry, and whether it came over TLS.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entry: WorkerEntry,
    pub(crate) tls: bool,
}

/// A recipe's text, and whether it and the entry that names it came over TLS.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) text: String,
    pub(crate) tls: bool,
}

/// A finished package tree.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) package: Arc<EvaluatedPackage>,
    pub(crate) isolation: Isolation,
}

/// What an earlier provision has left.
#[derive(Debug)]
pub(crate) enum Kept {
    /// The worker is installed and intact.
    Installed(Box<Provisioned>),
    /// The package is built and stored, but not in place.
    Built(Box<Version>),
}

impl Run {
    /// Runs one step and tells how it went; a dropped step counts as cancelled.
    ///
    /// Boxed, since the compiler loses sight of [`Send`] in a dozen nested borrowing futures.
    pub(crate) fn step<'a, T: Send + 'a>(
        &'a self,
        phase: ProvisionPhase,
        work: impl Future<Output = Result<T, ProvisionError>> + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = Result<T, ProvisionError>> + Send + 'a>> {
        Box::pin(async move {
            let mut guard = StepGuard {
                emitter: &self.emitter,
                phase,
                open: true,
            };
            self.emitter.emit(phase, Happening::Started);
            let started = Instant::now();
            let outcome = if self.cancel.is_cancelled() {
                Err(ProvisionError::Cancelled)
            } else {
                work.await
            };
            guard.open = false;
            let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.emitter.emit(
                phase,
                match &outcome {
                    Ok(_) => Happening::Finished { elapsed_ms },
                    Err(error) => outcome_of(error),
                },
            );
            outcome
        })
    }

    /// Looks again at the directories, which others may have made since the start.
    pub(crate) async fn directories(&self) -> Result<(), ProvisionError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.config.judge_directories()).await
    }

    pub(crate) async fn metadata(&self) -> Result<Listing, ProvisionError> {
        let id: WorkerId = self
            .request
            .worker_id
            .parse()
            .map_err(|source| self.catalog_error(source))?;
        for place in self.shared.catalog.withheld() {
            let text = format!(
                "the catalog's secret is not sent to `{place}`: it goes only where it was given \
                 for, over TLS or to this machine"
            );
            self.emitter.warn(ProvisionPhase::Metadata, text);
        }
        let answer = self.catalog().get(&id, &self.cancel).await;
        let offered = &self.shared.offered;
        if let Err(CatalogError::NotFound { available, .. }) = &answer
            && !available.is_empty()
        {
            let ids = available.iter().filter_map(|id| id.parse().ok());
            offered.learn(Duration::ZERO, ids);
        }
        let answer = answer.map_err(|source| self.catalog_error(source))?;
        offered.add(&id);
        if let Some(warning) = plan::staleness(&answer) {
            self.emitter.warn(ProvisionPhase::Metadata, warning);
        }
        let tls = self.judge_transport(&answer.url)?;
        Ok(Listing {
            entry: answer.value,
            tls,
        })
    }

    /// The catalog, which gives what is kept only as far as the request lets it.
    fn catalog(&self) -> CatalogClient {
        let catalog = &self.shared.catalog;
        if self.request.refresh || self.request.force {
            catalog.refreshing()
        } else {
            catalog.clone()
        }
    }

    /// Whether a catalog's answer came over TLS; refused when the policy demands it.
    fn judge_transport(&self, url: &str) -> Result<bool, ProvisionError> {
        let tls = url.starts_with("https://");
        if tls || self.shared.config.catalog_transport == TransportPolicy::Any {
            return Ok(tls);
        }
        Err(ProvisionError::CatalogWithoutTls {
            id: self.request.worker_id.clone(),
            url: url.to_owned(),
        })
    }

    pub(crate) async fn recipe(
        &self,
        listing: &Listing,
        choice: &Choice,
    ) -> Result<Recipe, ProvisionError> {
        let answer = self
            .catalog()
            .recipe(&listing.entry, &choice.variant, choice.flavor, &self.cancel)
            .await;
        let answer = answer.map_err(|source| self.catalog_error(source))?;
        if let Some(warning) = plan::staleness(&answer) {
            self.emitter.warn(ProvisionPhase::Recipe, warning);
        }
        let tls = self.judge_transport(&answer.url)?;
        Ok(Recipe {
            text: answer.value.text,
            tls: tls && listing.tls,
        })
    }

    pub(crate) async fn workspace(&self, recipe: &Recipe) -> Result<Workspace, ProvisionError> {
        let temp_dir = self.shared.config.temp_dir.clone();
        let recipe = recipe.text.clone();
        blocking(move || Workspace::create(&temp_dir, &recipe)).await
    }

    /// Finds out where the binary can go, and whether its names are free there, before hours are
    /// spent on building it.
    pub(crate) async fn preflight(&self, choice: &Choice) -> Result<BinDir, ProvisionError> {
        let shared = Arc::clone(&self.shared);
        let request = self.request.clone();
        let backend = choice.backend.backend;
        // A name that the catalog does not give is only known once there is a package.
        let name = choice.variant.binary_name.clone();
        if let Some(name) = &name {
            self.judge_name(name)?;
        }
        let bin_dir = blocking(move || {
            let config = &shared.config;
            let bin_dir = install::preflight(
                config.bin_dir.as_deref(),
                config.home.as_deref(),
                &config.search_path,
            )?;
            install::sweep(&bin_dir.path);
            if let Some(name) = name {
                let place = Place {
                    store: &shared.store,
                    worker_id: &request.worker_id,
                    backend,
                    bin_dir: &bin_dir.path,
                    names: &Names::of(&name, backend),
                    force: request.may_replace(),
                };
                place.judge()?;
                place.judge_shadows(&config.search_path)?;
            }
            Ok(bin_dir)
        })
        .await?;
        let text = format!("binaries go to `{}`", bin_dir.path.display());
        self.emitter.note(ProvisionPhase::Preflight, text);
        if let Some(hint) = &bin_dir.hint {
            self.emitter.warn(ProvisionPhase::Preflight, hint);
        }
        Ok(bin_dir)
    }

    /// Runs the recipe's functions; the version `pkgver()` prints counts from then on.
    pub(crate) async fn build(
        &self,
        package: &Arc<EvaluatedPackage>,
        workspace: &Workspace,
        choice: &Choice,
    ) -> Result<Built, ProvisionError> {
        let mut package = Arc::clone(package);
        let view = self.host_view(workspace, choice).await?;
        let mut spec = plan::build_spec(&self.shared.config, &package, workspace, choice, &view);
        let mut isolation = Isolation::Namespaces;
        for (step, phase) in package.phases() {
            if let Phase::Package(name) = &phase {
                spec.pkgdir = workspace.pkgdir(name);
            }
            let outcome = self.step(step, self.run_phase(&spec, step, &phase)).await?;
            if let Some(report) = &outcome.report {
                isolation = isolation.min(report.isolation);
            }
            if let PhaseStatus::CheckFailed(status) = outcome.status {
                self.emitter
                    .warn(step, format!("check() failed with status {status}"));
            }
            if let Some(version) = outcome.pkgver {
                self.emitter.note(step, format!("pkgver is {version}"));
                let again = Arc::clone(&package);
                let id = self.request.worker_id.clone();
                let version_text = version.clone();
                package = Arc::new(blocking(move || again.with_pkgver(&id, &version_text)).await?);
                spec.pkgver = Some(version);
                spec.pkgrel = Some(package.pkgrel().to_owned());
            }
        }
        Ok(Built { package, isolation })
    }

    async fn run_phase(
        &self,
        spec: &BuildSpec,
        step: ProvisionPhase,
        phase: &Phase,
    ) -> Result<build_sandbox::PhaseOutcome, ProvisionError> {
        let emitter = &self.emitter;
        let reporter = |event: build_sandbox::Event<'_>| {
            if let Some(happening) = plan::sandbox_happening(&event) {
                emitter.emit(step, happening);
            }
        };
        let sandbox = &self.shared.sandbox;
        sandbox
            .run(spec, phase.clone(), &self.cancel, &reporter)
            .await
            .map_err(|source| match source {
                SandboxError::Cancelled { .. } => ProvisionError::Cancelled,
                source => ProvisionError::Build {
                    id: self.request.worker_id.clone(),
                    phase: step,
                    source: Arc::new(source),
                },
            })
    }

    /// Removes the build folder; unlike the other steps it runs after a cancellation too.
    pub(crate) async fn cleanup(&self, workspace: Workspace) -> Result<(), ProvisionError> {
        let phase = ProvisionPhase::Cleanup;
        self.emitter.emit(phase, Happening::Started);
        let started = Instant::now();
        let outcome = blocking(move || workspace.remove()).await;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.emitter.emit(
            phase,
            match &outcome {
                Ok(()) => Happening::Finished { elapsed_ms },
                Err(error) => Happening::Failed {
                    error: error.chain(),
                },
            },
        );
        outcome
    }

    fn catalog_error(&self, source: CatalogError) -> ProvisionError {
        let id = self.request.worker_id.clone();
        match source {
            CatalogError::Cancelled => ProvisionError::Cancelled,
            source @ CatalogError::NotFound { .. } => ProvisionError::UnknownWorker {
                id,
                source: Arc::new(source),
            },
            source => ProvisionError::Catalog {
                id,
                source: Arc::new(source),
            },
        }
    }
}

fn outcome_of(error: &ProvisionError) -> Happening {
    match error {
        ProvisionError::Cancelled => Happening::Cancelled,
        error => Happening::Failed {
            error: error.chain(),
        },
    }
}

/// Tells that a step was cancelled when its future is dropped before it ends.
struct StepGuard<'a> {
    emitter: &'a Emitter,
    phase: ProvisionPhase,
    open: bool,
}

impl Drop for StepGuard<'_> {
    fn drop(&mut self) {
        if self.open {
            self.emitter.emit(self.phase, Happening::Cancelled);
        }
    }
}
