//! Fetching the sources, and what judges them.

use std::sync::Arc;

use build_sandbox::Phase;
use source_fetch::{FetchError, Fetched};

use super::{Choice, Recipe, Run};
use crate::blocking::blocking;
use crate::error::ProvisionError;
use crate::package::EvaluatedPackage;
use crate::plan;
use crate::progress::ProvisionPhase;
use crate::receipt::{self, SourceRecord};
use crate::workspace::Workspace;

/// The sources of a recipe.
#[derive(Debug)]
pub(crate) enum Sources {
    /// In `srcdir`.
    Ready(Vec<Fetched>),
    /// Waiting for the recipe's `verify()`.
    Held(source_fetch::Held),
}

impl Run {
    pub(crate) async fn fetch(
        &self,
        package: &EvaluatedPackage,
        workspace: &Workspace,
    ) -> Result<Sources, ProvisionError> {
        let config = &self.shared.config;
        let requests = package.source_requests(&self.request.worker_id, &config.history)?;
        let directories = plan::directories(config, workspace);
        let policy = plan::fetch_policy(
            config,
            &self.shared.clients,
            &self.shared.credentials,
            package,
        );
        let reporter = self.fetch_reporter(ProvisionPhase::Sources);
        let cancel = &self.cancel;
        let failed = |source| self.fetch_error(source);
        let sources = if package.package.has_function("verify") {
            source_fetch::fetch_and_hold(&requests, &directories, &policy, cancel, &reporter)
                .await
                .map(Sources::Held)
        } else {
            source_fetch::fetch_all(&requests, &directories, &policy, cancel, &reporter)
                .await
                .map(Sources::Ready)
        };
        let sources = sources.map_err(failed)?;
        let records: Vec<_> = match &sources {
            Sources::Ready(fetched) => fetched.iter().map(plan::source_record).collect(),
            Sources::Held(held) => held.fetched().map(plan::source_record).collect(),
        };
        self.judge(&records)?;
        Ok(sources)
    }

    fn fetch_reporter(&self, step: ProvisionPhase) -> impl source_fetch::Reporter + 'static {
        let emitter = Arc::clone(&self.emitter);
        move |event| {
            if let Some(happening) = plan::fetch_happening(event) {
                emitter.emit(step, happening);
            }
        }
    }

    fn fetch_error(&self, source: FetchError) -> ProvisionError {
        match source {
            FetchError::Cancelled => ProvisionError::Cancelled,
            source => ProvisionError::Fetch {
                id: self.request.worker_id.clone(),
                source: Arc::new(source),
            },
        }
    }

    /// Has the recipe's `verify()` judge sources that wait for it, and unpacks them then.
    pub(crate) async fn verify(
        &self,
        sources: Sources,
        recipe: &Recipe,
        package: &EvaluatedPackage,
        choice: &Choice,
    ) -> Result<Vec<Fetched>, ProvisionError> {
        let held = match sources {
            Sources::Ready(fetched) => return Ok(fetched),
            Sources::Held(held) => held,
        };
        let step = ProvisionPhase::Verify;
        let work = async {
            // A directory of its own: what the function does there must not reach what is unpacked.
            let place = self.workspace(recipe).await?;
            let copied = held.copy_to(place.startdir(), &self.cancel).await;
            copied.map_err(|source| self.fetch_error(source))?;
            let view = self.host_view(&place, choice).await?;
            let spec = plan::build_spec(&self.shared.config, package, &place, choice, &view);
            let judged = self.run_phase(&spec, step, &Phase::Verify).await;
            let removed = blocking(move || place.remove()).await;
            judged?;
            removed?;
            let reporter = self.fetch_reporter(step);
            let unpacked = held.unpack(&self.cancel, &reporter).await;
            unpacked.map_err(|source| self.fetch_error(source))
        };
        self.step(step, work).await
    }

    /// Refuses what is less verified than the policy demands.
    fn judge(&self, records: &[SourceRecord]) -> Result<(), ProvisionError> {
        let config = &self.shared.config;
        let (required, expired) = (config.minimum_verification, config.expired_signatures);
        let found = receipt::weakest(records, expired);
        if found >= required {
            return Ok(());
        }
        let below = records
            .iter()
            .filter(|record| record.amounts_to(expired) < required);
        Err(ProvisionError::BelowPolicy {
            id: self.request.worker_id.clone(),
            found,
            required,
            sources: below
                .map(|record| format!("`{}` rests on {}", record.name, record.rests_on()))
                .collect(),
        })
    }
}
