//! Waiting for one another, and what an earlier provision has left.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{Choice, Kept, Recipe, Run, blocking, outcome_of};
use crate::activate;
use crate::contract::Artifact as _;
use crate::error::ProvisionError;
use crate::lock::FileLock;
use crate::plan;
use crate::progress::ProvisionPhase;
use crate::provisioner::Provisioned;

impl Run {
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
}
