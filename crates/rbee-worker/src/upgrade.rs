//! `rbee-worker outdated|upgrade`: what the catalog has now, beside what is installed.

use std::cmp::Ordering;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use printable::{say, say_error};
use serde_json::json;
use worker_provisioner::{ProvisionError, Receipt, Update, WorkerProvisioner};

use crate::install::{self, How};
use crate::switches::Switches;
use crate::{Loudness, outcome};

/// List the installed workers for which the catalog has another recipe.
#[derive(Debug, Args)]
pub(crate) struct Outdated {
    #[command(flatten)]
    switches: Switches,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Install what the catalog has now of installed workers.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The workers; all with `--all`.
    #[arg(required_unless_present = "all", value_name = "ID")]
    worker_ids: Vec<String>,
    /// Every installed worker.
    #[arg(long, conflicts_with = "worker_ids")]
    all: bool,
    /// Only tell what would be installed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    switches: Switches,
    #[command(flatten)]
    how: How,
}

type Found = Vec<Result<Update, (Receipt, ProvisionError)>>;

impl Outdated {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let provisioner = WorkerProvisioner::new(self.switches.config())?;
        let found = provisioner.outdated(&cancel).await?;
        if self.json {
            let updates: Vec<_> = found.iter().flatten().map(document).collect();
            let unknown = found.iter().filter_map(|one| one.as_ref().err());
            let unknown: Vec<_> = unknown
                .map(|(receipt, error)| {
                    json!({ "workerId": receipt.worker_id, "backend": receipt.backend,
                            "error": error.chain(), "code": error.code() })
                })
                .collect();
            println!(
                "{}",
                json!({ "schema": outcome::SCHEMA, "updates": updates, "unknown": unknown })
            );
        } else {
            tell(&found);
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Upgrade {
    /// Runs the command.
    pub(crate) async fn run(self, loudness: Loudness) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let provisioner = WorkerProvisioner::new(self.switches.config())?;
        let mut found = provisioner.outdated(&cancel).await?;
        let store = provisioner.store().clone();
        let installed = tokio::task::spawn_blocking(move || store.list()).await??;
        for id in &self.worker_ids {
            if !installed.iter().any(|one| one.worker_id == *id) {
                bail!("`{id}` is not installed; `rbee-worker install {id}` does that");
            }
        }
        let is_meant = |receipt: &Receipt| self.all || self.worker_ids.contains(&receipt.worker_id);
        found.retain(|one| match one {
            Ok(update) => is_meant(&update.installed),
            Err((receipt, _)) => is_meant(receipt),
        });
        if !self.how.json && !loudness.quiet {
            tell(&found);
        }
        let updates: Vec<_> = found.into_iter().flatten().collect();
        if self.dry_run || updates.is_empty() {
            if self.how.json {
                let updates: Vec<_> = updates.iter().map(document).collect();
                println!(
                    "{}",
                    json!({ "schema": outcome::SCHEMA, "updates": updates })
                );
            }
            return Ok(ExitCode::SUCCESS);
        }
        let provisioner = provisioner.with_reporter(install::reporter(self.how.json, loudness));
        let requests = updates.iter().map(|update| {
            install::request(&update.installed.worker_id, self.how)
                .with_backend(update.installed.backend)
        });
        install::all(
            &provisioner,
            requests.collect(),
            self.how,
            loudness,
            &cancel,
        )
        .await
    }
}

fn tell(found: &Found) {
    if found.is_empty() {
        say!("everything is as the catalog has it");
    }
    for one in found {
        match one {
            Ok(update) => {
                let receipt = &update.installed;
                say!(
                    "{} ({}): {}-{} -> {}{}",
                    receipt.worker_id,
                    receipt.backend,
                    receipt.pkgver,
                    receipt.pkgrel,
                    update
                        .offer
                        .version
                        .as_deref()
                        .unwrap_or("known once it is built"),
                    match update.order {
                        Some(Ordering::Less) => ", which is older: needs `--allow-downgrade`",
                        Some(Ordering::Equal) => ", by another recipe",
                        _ => "",
                    }
                );
            }
            Err((receipt, error)) => say_error!(
                "warning: {} ({}) cannot be looked up: {}",
                receipt.worker_id,
                receipt.backend,
                error.chain()
            ),
        }
    }
}

fn document(update: &Update) -> serde_json::Value {
    let receipt = &update.installed;
    json!({
        "workerId": receipt.worker_id,
        "backend": receipt.backend,
        "installed": format!("{}-{}", receipt.pkgver, receipt.pkgrel),
        "offered": update.offer.version,
        "order": update.order.map(|order| match order {
            Ordering::Less => "older",
            Ordering::Equal => "same",
            Ordering::Greater => "newer",
        }),
    })
}
