//! What the host is, and what of it a recipe sees.

use std::sync::Arc;

use build_sandbox::{Isolation, IsolationChoice};
use catalog_client::{Architecture, Flavor, Host, Platform, WorkerEntry, WorkerType};

use super::{Choice, Run};
use crate::backend;
use crate::blocking::blocking;
use crate::config::FlavorPreference;
use crate::error::ProvisionError;
use crate::plan;
use crate::progress::ProvisionPhase;
use crate::view::{self, HostView};
use crate::workspace::Workspace;

impl Run {
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
        let id = self.request.worker_id.parse();
        let named = id.ok().and_then(|id| backend::named_by(&id, entry));
        if let (Some(named), Some(asked)) = (named, requested)
            && named != asked
        {
            let id = self.request.worker_id.clone();
            return Err(ProvisionError::BackendConflict { id, named, asked });
        }
        let known = Arc::clone(&self.shared.commands);
        let (commands, shown, kernel, choice) = blocking(move || {
            let commands = known.share(probe.commands());
            let choice = backend::choose(named, requested, probe.as_ref(), &commands);
            let shown = known.share(view::commands(&commands, choice.backend));
            Ok((commands, shown, probe.kernel(), choice))
        })
        .await?;
        self.judge_variables(choice.backend)?;
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
            shown,
            kernel,
        })
    }

    /// Refuses variables that name another backend than the chosen one: recipes go by them.
    fn judge_variables(&self, backend: WorkerType) -> Result<(), ProvisionError> {
        for variable in [plan::BACKEND_VARIABLE, plan::FEATURES_VARIABLE] {
            let Some(value) = self.shared.config.recipe_env.get(variable) else {
                continue;
            };
            let words = value.split(|c: char| !c.is_ascii_alphanumeric());
            let named: Vec<_> = words.filter_map(WorkerType::from_wire).collect();
            if !named.is_empty() && !named.contains(&backend) {
                return Err(ProvisionError::VariableOfOtherBackend {
                    id: self.request.worker_id.clone(),
                    backend,
                    variable,
                    value: value.clone(),
                });
            }
        }
        Ok(())
    }

    /// What the recipe's functions find of the host.
    pub(crate) async fn host_view(
        &self,
        workspace: &Workspace,
        choice: &Choice,
    ) -> Result<HostView, ProvisionError> {
        let root = workspace.startdir().join(".host");
        let search_path = plan::search_path(&self.shared.config);
        let backend = choice.backend.backend;
        let make = move || {
            view::create(&root, &search_path, backend)
                .map_err(|source| ProvisionError::io("create", &root, source))
        };
        let mut view = blocking(make).await?;
        let (tier, _) = self.tier().await;
        if tier != Isolation::Namespaces {
            // Nothing can be shown or hidden at its own path there.
            view.covers.clear();
        }
        Ok(view)
    }

    /// The tier that builds run in, and why it is no stronger.
    pub(super) async fn tier(&self) -> (Isolation, String) {
        let config = &self.shared.config;
        let capabilities = self.shared.sandbox.probe().await;
        match config.isolation {
            IsolationChoice::Exactly(tier) => (tier, "it is what is configured".to_owned()),
            IsolationChoice::Auto => (
                capabilities.strongest(),
                capabilities.missing(config.minimum_isolation),
            ),
        }
    }

    /// Refuses a host whose isolation is weaker than the policy demands.
    pub(crate) async fn judge_isolation(&self) -> Result<(), ProvisionError> {
        let required = self.shared.config.minimum_isolation;
        let (found, reason) = self.tier().await;
        if found >= required {
            return Ok(());
        }
        Err(ProvisionError::IsolationBelowPolicy {
            id: self.request.worker_id.clone(),
            found,
            required,
            reason,
        })
    }
}
