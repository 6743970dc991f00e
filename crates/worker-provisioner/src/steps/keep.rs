//! Waiting for one another, and what an earlier provision has left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::{Choice, Kept, Recipe, Run, outcome_of};
use crate::activate;
use crate::blocking::blocking;
use crate::contract::Artifact;
use crate::error::ProvisionError;
use crate::install;
use crate::lock::FileLock;
use crate::names::{self, Names, Place};
use crate::plan;
use crate::progress::ProvisionPhase;
use crate::provisioner::Provisioned;
use crate::store;
use crate::trial;
use crate::workspace;

impl Run {
    /// Waits until nobody else provisions this worker on this machine.
    pub(crate) async fn lock(&self, choice: &Choice) -> Result<FileLock, ProvisionError> {
        let backend = choice.backend.backend;
        let path = self
            .shared
            .store
            .lock_path(&self.request.worker_id, backend);
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

    /// Repairs and removes what dead owners have left, whichever worker it was for; in folders of
    /// binaries where this worker is or may be installed.
    pub(crate) async fn repair(&self, choice: &Choice) -> Result<(), ProvisionError> {
        let shared = Arc::clone(&self.shared);
        let worker_id = self.request.worker_id.clone();
        let backend = choice.backend.backend;
        let swept = blocking(move || {
            let config = &shared.config;
            let store = &shared.store;
            store.repair(Some(&store::worker_key(&worker_id, backend)))?;
            let mut bin_dirs: BTreeSet<PathBuf> = config.bin_dir.iter().cloned().collect();
            if let Ok(version) = store.installed(&worker_id, backend) {
                let path = version.receipt.artifact.as_ref().map(Artifact::path);
                bin_dirs.extend(path.and_then(Path::parent).map(Path::to_owned));
            }
            for bin_dir in bin_dirs {
                install::sweep(&bin_dir);
            }
            Ok(workspace::sweep(&config.temp_dir))
        })
        .await?;
        if swept > 0 {
            let text = format!("removed {swept} build folders of provisions that were killed");
            self.emitter.note(ProvisionPhase::Workspace, text);
        }
        Ok(())
    }

    /// What an earlier provision of the same recipe for the same host has left, if it is whole.
    pub(crate) async fn kept(
        &self,
        recipe: &Recipe,
        choice: &Choice,
    ) -> Result<Option<Kept>, ProvisionError> {
        let shared = Arc::clone(&self.shared);
        let worker_id = self.request.worker_id.clone();
        let backend = choice.backend.clone();
        let force = self.request.force;
        let key = plan::build_key(&self.shared.config, &recipe.text, choice);
        let named = choice.variant.binary_name.clone();
        let kept = blocking(move || {
            if force {
                return Ok(None);
            }
            let store = &shared.store;
            let Some(version) = store.built(&worker_id, backend.backend, &key)? else {
                return Ok(None);
            };
            // Fetched and built anew it may be better than the policy's minimum.
            if !plan::meets(&shared.config, &version.receipt) {
                return Ok(None);
            }
            if let Some(name) = named.as_deref().or(version.receipt.binary_name.as_deref()) {
                names::judge_name(shared.config.program_name, &worker_id, name)?;
            }
            let stands = version.receipt.artifact.as_ref().map(Artifact::path);
            // One that an older program has installed gets its names now.
            let names = named.as_deref().map_or_else(
                || Names::recorded(&version.receipt),
                |name| Some(Names::of(name, backend.backend)),
            );
            let is_settled = names.is_some_and(|names| {
                let place = Place {
                    store,
                    worker_id: &worker_id,
                    backend: backend.backend,
                    bin_dir: stands.and_then(Path::parent).unwrap_or(Path::new("/")),
                    names: &names,
                    force: false,
                };
                place.is_settled(&version.receipt)
            });
            // Whoever names a directory wants the program there.
            let is_where_asked = shared
                .config
                .bin_dir
                .as_deref()
                .is_none_or(|bin_dir| stands.and_then(Path::parent) == Some(bin_dir));
            let is_to_be_tried = trial::is_due(&shared.config, &version.receipt);
            let is_current =
                is_settled && is_where_asked && !is_to_be_tried && store.is_installed(&version);
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
