//! What each step of a provision does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use build_sandbox::{BuildSpec, Isolation, Phase, PhaseStatus, SandboxError};
use catalog_client::{
    Architecture, CatalogError, Flavor, Host, Platform, Variant, WorkerEntry, WorkerId,
};
use jiff::Timestamp;
use source_fetch::{FetchError, Fetched};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::activate;
use crate::artifact::{WorkerBinary, artifact_id};
use crate::backend::{self, BackendChoice};
use crate::binary::{self, Found};
use crate::config::FlavorPreference;
use crate::contract::Artifact as _;
use crate::error::ProvisionError;
use crate::install::{self, BinDir};
use crate::lock::FileLock;
use crate::plan::{self, EvaluatedPackage};
use crate::progress::{Emitter, Happening, ProvisionPhase};
use crate::provisioner::{ProvisionRequest, Provisioned, Shared};
use crate::receipt::{RECEIPT_VERSION, Receipt};
use crate::store::Version;
use crate::trial;
use crate::workspace::{self, Workspace};

/// A program that has not answered by then is not going to.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

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
    /// The programs of the host, as the recipe's own probing sees them.
    pub(crate) commands: Arc<BTreeSet<String>>,
}

/// A recipe's text, and whether it came over TLS.
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
    spec: BuildSpec,
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

    pub(crate) async fn metadata(&self) -> Result<WorkerEntry, ProvisionError> {
        let id: WorkerId = self
            .request
            .worker_id
            .parse()
            .map_err(|source| self.catalog_error(source))?;
        let answer = self.shared.catalog.get(&id, &self.cancel).await;
        let answer = answer.map_err(|source| self.catalog_error(source))?;
        if let Some(warning) = plan::staleness(&answer) {
            self.emitter.warn(ProvisionPhase::Metadata, warning);
        }
        Ok(answer.value)
    }

    /// Backend, operating system and architecture; then which recipe.
    pub(crate) async fn choose(&self, entry: &WorkerEntry) -> Result<Choice, ProvisionError> {
        let unknown = || ProvisionError::UnknownHost {
            os: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
        };
        let platform = Platform::current().ok_or_else(unknown)?;
        let architecture = Architecture::current().ok_or_else(unknown)?;
        let config = &self.shared.config;
        let probe = Arc::clone(&self.shared.probe);
        let requested = self.request.backend.or(config.backend);
        let (commands, choice) = blocking(move || {
            let commands = probe.commands();
            let choice = backend::choose(requested, probe.as_ref(), &commands);
            Ok((Arc::new(commands), choice))
        })
        .await?;
        let text = format!("backend `{}`: {}", choice.backend, choice.reason);
        self.emitter.note(ProvisionPhase::Platform, text);
        let host = Host {
            platform,
            architecture,
            backends: vec![choice.backend],
        };
        let variant = self.shared.catalog.select(entry, &host).map_err(|source| {
            let id = self.request.worker_id.clone();
            ProvisionError::Unsupported {
                id,
                source: Arc::new(source),
            }
        })?;
        let preference = self.request.flavor.unwrap_or(config.flavor);
        let flavor = match preference {
            FlavorPreference::Any if variant.offers(Flavor::Binary) => Flavor::Binary,
            FlavorPreference::Any | FlavorPreference::Source => Flavor::Source,
            FlavorPreference::Binary => Flavor::Binary,
        };
        let text = format!("{platform} on {architecture}, {flavor} recipe");
        self.emitter.note(ProvisionPhase::Platform, text);
        let variant = variant.clone();
        Ok(Choice {
            variant,
            backend: choice,
            flavor,
            platform,
            architecture,
            commands,
        })
    }

    pub(crate) async fn recipe(
        &self,
        entry: &WorkerEntry,
        choice: &Choice,
    ) -> Result<Recipe, ProvisionError> {
        let catalog = &self.shared.catalog;
        let answer = catalog
            .recipe(entry, &choice.variant, choice.flavor, &self.cancel)
            .await;
        let answer = answer.map_err(|source| self.catalog_error(source))?;
        if let Some(warning) = plan::staleness(&answer) {
            self.emitter.warn(ProvisionPhase::Recipe, warning);
        }
        let tls = answer.url.starts_with("https://");
        Ok(Recipe {
            text: answer.value.text,
            tls,
        })
    }

    /// Parses and evaluates the recipe and checks its own `arch` and functions.
    pub(crate) async fn evaluate(
        &self,
        recipe: &Recipe,
        choice: &Choice,
    ) -> Result<Arc<EvaluatedPackage>, ProvisionError> {
        let id = self.request.worker_id.clone();
        let environment = plan::environment(&self.shared.config, choice);
        let arch = choice.architecture;
        let recipe = recipe.text.clone();
        let package = blocking(move || plan::evaluate(&id, &recipe, &environment, arch)).await?;
        let text = format!(
            "{} {}-{}",
            package.pkgnames().join(" "),
            package.pkgver(),
            package.pkgrel()
        );
        self.emitter.note(ProvisionPhase::Evaluate, text);
        Ok(Arc::new(package))
    }

    pub(crate) async fn workspace(&self, recipe: &Recipe) -> Result<Workspace, ProvisionError> {
        let temp_dir = self.shared.config.temp_dir.clone();
        let recipe = recipe.text.clone();
        let (workspace, swept) = blocking(move || {
            let swept = workspace::sweep(&temp_dir);
            Ok((Workspace::create(&temp_dir, &recipe)?, swept))
        })
        .await?;
        if swept > 0 {
            let text = format!("removed {swept} build folders of provisions that were killed");
            self.emitter.note(ProvisionPhase::Workspace, text);
        }
        Ok(workspace)
    }

    /// Waits until nobody else provisions this worker on this machine.
    pub(crate) async fn lock(&self, choice: &Choice) -> Result<FileLock, ProvisionError> {
        let path = plan::lock_path(
            &self.shared.config,
            &self.request.worker_id,
            choice.backend.backend,
        );
        let wait = FileLock::acquire(&path, &self.cancel, || {
            let text = "another process is provisioning this worker; waiting for it to end";
            self.emitter.note(ProvisionPhase::Wait, text);
        });
        self.unless_waiting(wait).await
    }

    /// Waits for one of the places for builds.
    pub(crate) async fn build_slot(&self) -> Result<OwnedSemaphorePermit, ProvisionError> {
        let builds = Arc::clone(&self.shared.builds);
        if let Ok(slot) = Arc::clone(&builds).try_acquire_owned() {
            return Ok(slot);
        }
        self.emitter
            .note(ProvisionPhase::Wait, "waiting for another build to end");
        let wait = async {
            tokio::select! {
                () = self.cancel.cancelled() => Err(ProvisionError::Cancelled),
                slot = builds.acquire_owned() => slot.map_err(|_| ProvisionError::Cancelled),
            }
        };
        self.unless_waiting(wait).await
    }

    /// Tells of a wait only when it ends badly: one that is over at once is of no interest.
    async fn unless_waiting<T>(
        &self,
        wait: impl Future<Output = Result<T, ProvisionError>>,
    ) -> Result<T, ProvisionError> {
        let outcome = wait.await;
        if let Err(error) = &outcome {
            self.emitter.emit(ProvisionPhase::Wait, outcome_of(error));
        }
        outcome
    }

    /// What an earlier provision of the same recipe for the same host has left, if it is whole.
    pub(crate) async fn kept(
        &self,
        recipe: &Recipe,
        choice: &Choice,
    ) -> Result<Option<Kept>, ProvisionError> {
        let store = self.shared.store.clone();
        let worker_id = self.request.worker_id.clone();
        let backend = choice.backend.clone();
        let force = self.request.force;
        let key = plan::build_key(&self.shared.config, &recipe.text, choice);
        let kept = blocking(move || {
            store.sweep(&worker_id, backend.backend)?;
            if force {
                return Ok(None);
            }
            let Some(version) = store.built(&worker_id, backend.backend, &key)? else {
                return Ok(None);
            };
            let current = store.installed(&worker_id, backend.backend);
            let is_current = current.is_ok_and(|current| current.folder == version.folder);
            Ok(Some(match &version.receipt.artifact {
                Some(binary) if is_current && activate::is_intact(&version) => {
                    Kept::Installed(Box::new(Provisioned {
                        binary: binary.clone(),
                        backend,
                        receipt: version.receipt,
                        reused: true,
                    }))
                }
                _ => Kept::Built(Box::new(version)),
            }))
        })
        .await?;
        match &kept {
            Some(Kept::Installed(provisioned)) => {
                let text = format!(
                    "already installed at `{}`",
                    provisioned.binary.path().display()
                );
                self.emitter.note(ProvisionPhase::Artifact, text);
            }
            Some(Kept::Built(_)) => {
                self.emitter.note(
                    ProvisionPhase::Binary,
                    "already built; only to be installed",
                );
            }
            None => {}
        }
        Ok(kept)
    }

    /// Finds out where the binary can go before hours are spent on building it.
    pub(crate) async fn preflight(&self) -> Result<BinDir, ProvisionError> {
        let shared = Arc::clone(&self.shared);
        let bin_dir = blocking(move || {
            let config = &shared.config;
            let bin_dir = install::preflight(
                config.bin_dir.as_deref(),
                config.home.as_deref(),
                &config.search_path,
            )?;
            install::sweep(&bin_dir.path);
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

    pub(crate) async fn fetch(
        &self,
        package: &EvaluatedPackage,
        workspace: &Workspace,
    ) -> Result<Vec<Fetched>, ProvisionError> {
        let config = &self.shared.config;
        let requests = package.source_requests(&self.request.worker_id)?;
        let directories = plan::directories(config, workspace);
        let policy = plan::fetch_policy(config, package);
        let emitter = Arc::clone(&self.emitter);
        let reporter = move |event| {
            if let Some(happening) = plan::fetch_happening(event) {
                emitter.emit(ProvisionPhase::Sources, happening);
            }
        };
        source_fetch::fetch_all(&requests, &directories, &policy, &self.cancel, &reporter)
            .await
            .map_err(|source| match source {
                FetchError::Cancelled => ProvisionError::Cancelled,
                source => {
                    let id = self.request.worker_id.clone();
                    ProvisionError::Fetch {
                        id,
                        source: Arc::new(source),
                    }
                }
            })
    }

    /// Runs the recipe's functions; the version `pkgver()` prints counts from then on.
    pub(crate) async fn build(
        &self,
        package: &Arc<EvaluatedPackage>,
        workspace: &Workspace,
        choice: &Choice,
    ) -> Result<Built, ProvisionError> {
        let mut package = Arc::clone(package);
        let mut spec = plan::build_spec(&self.shared.config, &package, workspace, choice);
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
        Ok(Built {
            package,
            isolation,
            spec,
        })
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

    /// Finds and checks the program, and keeps the package tree with its receipt.
    pub(crate) async fn store(
        &self,
        recipe: &Recipe,
        choice: &Choice,
        built: Built,
        sources: &[Fetched],
        workspace: &Workspace,
    ) -> Result<Version, ProvisionError> {
        let config = &self.shared.config;
        let package = Arc::clone(&built.package);
        let binary_name = choice.variant.binary_name.clone();
        let pkgdirs: Vec<PathBuf> = package
            .pkgnames()
            .iter()
            .map(|name| workspace.pkgdir(name))
            .collect();
        let mut receipt = Receipt {
            receipt_version: RECEIPT_VERSION,
            worker_id: self.request.worker_id.clone(),
            backend: choice.backend.backend,
            flavor: choice.flavor,
            pkgver: package.pkgver().to_owned(),
            pkgrel: package.pkgrel().to_owned(),
            recipe_sha256: activate::digest([recipe.text.as_str()]),
            build_key: plan::build_key(config, &recipe.text, choice),
            sources: sources.iter().map(plan::source_record).collect(),
            catalog_tls: recipe.tls,
            isolation: built.isolation.name().to_owned(),
            program: PathBuf::new(),
            files: Vec::new(),
            stored_at: Timestamp::now(),
            artifact: None,
            installed_sha256: None,
        };
        let verified = receipt.verification();
        if verified < config.minimum_verification {
            return Err(ProvisionError::BelowPolicy {
                id: self.request.worker_id.clone(),
                found: verified,
                required: config.minimum_verification,
            });
        }
        let trees = pkgdirs.clone();
        let found = blocking(move || {
            let packaged = package.pkgnames().iter().map(String::as_str);
            let names = binary::candidate_names(
                binary_name
                    .iter()
                    .map(String::as_str)
                    .chain(packaged)
                    .chain(package.provides()),
            );
            let found = binary::find(&trees, &names)?;
            binary::check(&found)?;
            Ok(found)
        })
        .await?;
        receipt.program = found.relative_path();
        if config.trial {
            self.try_out(&built.spec, &found).await?;
        }
        let store = self.shared.store.clone();
        let version = blocking(move || store.add(&pkgdirs, receipt)).await?;
        let text = format!(
            "found `{}`, verified by {verified}",
            version.receipt.program.display()
        );
        self.emitter.note(ProvisionPhase::Binary, text);
        Ok(version)
    }

    async fn try_out(&self, spec: &BuildSpec, found: &Found) -> Result<(), ProvisionError> {
        let mut spec = spec.clone();
        spec.limits.wall = TRIAL_LIMIT;
        spec.log_file = None;
        let sandbox = &self.shared.sandbox;
        let id = &self.request.worker_id;
        trial::run(
            sandbox,
            &spec,
            found.path(),
            id,
            &self.cancel,
            &self.emitter,
        )
        .await
    }

    /// Puts the stored program in place.
    pub(crate) async fn install(
        &self,
        version: Version,
        choice: &Choice,
        entry: &WorkerEntry,
        bin_dir: &BinDir,
    ) -> Result<Version, ProvisionError> {
        let store = self.shared.store.clone();
        let folder = bin_dir.path.clone();
        let force = self.request.force;
        let name = choice
            .variant
            .binary_name
            .clone()
            .or_else(|| Some(version.receipt.program.file_name()?.to_str()?.to_owned()))
            .unwrap_or_else(|| self.request.worker_id.clone());
        let backend = choice.backend.backend;
        let pkgver = version.receipt.pkgver.clone();
        let id = artifact_id(&self.request.worker_id, backend, &pkgver, choice.platform);
        let platform = choice.platform;
        let capabilities = entry.capabilities.clone();
        let artifact = move |path: PathBuf, size: u64| {
            let binary = WorkerBinary::new(id, backend, platform, path, size, pkgver);
            let context = capabilities
                .max_context_length
                .unwrap_or(binary.max_context_length());
            binary.with_capabilities(
                Vec::new(),
                capabilities.supported_formats,
                context,
                capabilities.supports_streaming,
                capabilities.supports_batching,
            )
        };
        let version =
            blocking(move || activate::activate(&store, version, &folder, &name, force, artifact))
                .await?;
        if let Some(binary) = &version.receipt.artifact {
            let text = format!("installed `{}`", binary.path().display());
            self.emitter.note(ProvisionPhase::Install, text);
        }
        Ok(version)
    }

    /// The outcome. The worker is in place by now, so a cancellation comes too late.
    pub(crate) fn artifact(
        &self,
        version: Version,
        choice: &Choice,
    ) -> Result<Provisioned, ProvisionError> {
        let phase = ProvisionPhase::Artifact;
        self.emitter.emit(phase, Happening::Started);
        let lost = || ProvisionError::Lost {
            id: self.request.worker_id.clone(),
        };
        let binary = version.receipt.artifact.clone().ok_or_else(lost)?;
        self.emitter
            .emit(phase, Happening::Finished { elapsed_ms: 0 });
        Ok(Provisioned {
            binary,
            backend: choice.backend.clone(),
            receipt: version.receipt,
            reused: false,
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

/// Runs file system work off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProvisionError> + Send + 'static,
) -> Result<T, ProvisionError> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels blocking work that has not begun.
            Err(_) => Err(ProvisionError::Cancelled),
        },
    }
}
