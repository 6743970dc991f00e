//! Reading a recipe, in the sandbox where only a shell can tell, and what it depends on.

use std::sync::Arc;

use build_sandbox::SandboxError;

use super::{Choice, Recipe, Run};
use crate::blocking::blocking;
use crate::config::{BackendPolicy, CheckPolicy, DependencyPolicy, EvaluationPolicy};
use crate::dependencies;
use crate::error::ProvisionError;
use crate::fit::{self, Fit};
use crate::package::{self, EvaluatedPackage, Reading, Undecided};
use crate::plan;
use crate::progress::ProvisionPhase;

impl Run {
    /// Parses and evaluates the recipe and checks its own `arch` and functions.
    pub(crate) async fn evaluate(
        &self,
        recipe: &Recipe,
        choice: &Choice,
    ) -> Result<Arc<EvaluatedPackage>, ProvisionError> {
        let id = self.request.worker_id.clone();
        let environment = plan::environment(&self.shared.config, choice);
        let arch = choice.architecture;
        let text = recipe.text.clone();
        let reading = blocking(move || package::read(&id, &text, &environment, arch)).await?;
        let package = match reading {
            Reading::Known(package) => *package,
            Reading::Dynamic(undecided) => self.ask_shell(*undecided, recipe, choice).await?,
        };
        let text = format!(
            "{} {}-{}",
            package.pkgnames().join(" "),
            package.pkgver(),
            package.pkgrel()
        );
        self.emitter.note(ProvisionPhase::Evaluate, text);
        let named = fit::named_sources(&package);
        let fit = fit::judge_sources(choice.backend.backend, choice.flavor, &named);
        self.judge_fit(ProvisionPhase::Evaluate, choice, fit)?;
        Ok(Arc::new(package))
    }

    /// Refuses or tells of what is for another backend than the one asked for.
    pub(super) fn judge_fit(
        &self,
        phase: ProvisionPhase,
        choice: &Choice,
        fit: Fit,
    ) -> Result<(), ProvisionError> {
        let (sources, program) = match fit {
            Fit::Fits => return Ok(()),
            Fit::Doubtful(text) => {
                self.emitter.warn(phase, text);
                return Ok(());
            }
            Fit::Wrong { sources, program } => (sources, program),
        };
        let error = ProvisionError::WrongBackend {
            id: self.request.worker_id.clone(),
            asked: choice.backend.backend,
            sources,
            program,
        };
        if self.shared.config.backend_check == BackendPolicy::Require {
            return Err(error);
        }
        self.emitter.warn(phase, error.to_string());
        Ok(())
    }

    /// Sources the recipe in the sandbox, without network and with nothing writable, for the
    /// values that only a shell can tell.
    async fn ask_shell(
        &self,
        undecided: Undecided,
        recipe: &Recipe,
        choice: &Choice,
    ) -> Result<EvaluatedPackage, ProvisionError> {
        let config = &self.shared.config;
        let id = self.request.worker_id.clone();
        if config.evaluation == EvaluationPolicy::Static {
            return Err(ProvisionError::NeedsShell {
                id,
                source: Arc::new(undecided.why().clone()),
            });
        }
        let phase = ProvisionPhase::Evaluate;
        let text = format!("sourcing the recipe in the sandbox: {}", undecided.why());
        self.emitter.note(phase, text);
        let workspace = self.workspace(recipe).await?;
        let view = self.host_view(&workspace, choice).await?;
        let spec = plan::evaluation_spec(config, &workspace, choice, &view);
        let emitter = &self.emitter;
        let reporter = |event: build_sandbox::Event<'_>| {
            if let Some(happening) = plan::sandbox_happening(&event) {
                emitter.emit(phase, happening);
            }
        };
        let sandbox = &self.shared.sandbox;
        let declared = sandbox.evaluate(&spec, &self.cancel, &reporter).await;
        blocking(move || workspace.remove()).await?;
        let declared = declared.map_err(|source| match source {
            SandboxError::Cancelled { .. } => ProvisionError::Cancelled,
            source => ProvisionError::Evaluate {
                id: id.clone(),
                line: None,
                source: Arc::new(source),
            },
        })?;
        let environment = plan::environment(config, choice);
        let package = blocking(move || {
            let declared = plan::declared(declared);
            undecided.settle(&id, &declared, &environment, plan::quoted)
        })
        .await?;
        let text = format!("the sandbox told {}", package.from_sandbox.join(", "));
        self.emitter.note(phase, text);
        Ok(package)
    }

    /// Looks on the host for what the recipe depends on, before the long work.
    pub(crate) async fn dependencies(
        &self,
        package: &EvaluatedPackage,
        choice: &Choice,
    ) -> Result<(), ProvisionError> {
        let config = &self.shared.config;
        let policy = config.dependencies;
        if policy == DependencyPolicy::Ignore {
            return Ok(());
        }
        let requirements = package.requirements(config.check != CheckPolicy::Skip);
        let probe = Arc::clone(&self.shared.probe);
        let commands = Arc::clone(&choice.commands);
        let checked = blocking(move || {
            Ok(dependencies::check(
                &requirements,
                probe.as_ref(),
                &commands,
            ))
        })
        .await?;
        let phase = ProvisionPhase::Dependencies;
        for (what, entries) in [
            ("not known whether the host has", &checked.unknown),
            ("optional and not installed", &checked.optional),
        ] {
            if !entries.is_empty() {
                let text = format!("{what}: {}", entries.join(", "));
                self.emitter.note(phase, text);
            }
        }
        if checked.missing.is_empty() {
            return Ok(());
        }
        let error = ProvisionError::MissingDependencies {
            id: self.request.worker_id.clone(),
            missing: checked.missing,
            install: checked.install,
        };
        if policy == DependencyPolicy::Require {
            return Err(error);
        }
        self.emitter.warn(phase, error.to_string());
        Ok(())
    }
}
