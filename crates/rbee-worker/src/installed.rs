//! `rbee-worker list|info|verify|repair|remove|rollback|gc`: what is installed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use printable::say;
use worker_provisioner::{
    Artifact as _, Concession, Config, FileContent, FileRecord, Receipt, Store, WorkerBinary,
    WorkerProvisioner,
};

/// Which store, and how to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What is installed [default: the user's data folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One installed worker.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The worker's id.
    worker_id: String,
    /// Only this backend; needed when several are installed.
    #[arg(long)]
    backend: Option<String>,
    #[command(flatten)]
    options: Options,
}

/// The commands about installed workers.
#[derive(Debug, Subcommand)]
pub(crate) enum Installed {
    /// List the installed workers and how far each was verified.
    List {
        #[command(flatten)]
        options: Options,
    },
    /// Compare every file of the installed workers with its receipt; exit 1 if one differs.
    Verify {
        /// Only this worker.
        worker_id: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Tell everything that is known of an installed worker.
    Info(One),
    /// Put a worker's program back in place from the store; nothing is fetched or built.
    Repair(One),
    /// Remove a worker and all its versions.
    Remove(One),
    /// Put the version that was installed before back in place.
    Rollback(One),
    /// Remove versions that are not installed any more.
    Gc {
        /// How many old versions of each worker stay.
        #[arg(long, default_value_t = 1)]
        keep: usize,
        /// Only tell what would be removed.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        options: Options,
    },
}

impl Installed {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::List { options } => list(&options),
            Self::Verify { worker_id, options } => verify(worker_id.as_deref(), &options),
            Self::Info(one) => info(&one.find()?.1, &one.options),
            Self::Repair(one) => {
                let cancel = interrupt::token()?;
                let (provisioner, receipt) = one.find()?;
                let repaired = provisioner.repair(&receipt.worker_id, receipt.backend, &cancel);
                one.tell(&repaired.await?, |binary| {
                    format!(
                        "{} is in place at {}",
                        one.worker_id,
                        binary.path().display()
                    )
                })
            }
            Self::Remove(one) => {
                let cancel = interrupt::token()?;
                let (provisioner, receipt) = one.find()?;
                let (id, backend) = (&receipt.worker_id, receipt.backend);
                provisioner.remove(id, backend, &cancel).await?;
                done(&one.options, &format!("removed {id} ({backend})"));
                Ok(ExitCode::SUCCESS)
            }
            Self::Rollback(one) => {
                let cancel = interrupt::token()?;
                let (provisioner, receipt) = one.find()?;
                let back = provisioner.rollback(&receipt.worker_id, receipt.backend, &cancel);
                one.tell(&back.await?, |binary| {
                    format!(
                        "{} is {} again, at {}",
                        one.worker_id,
                        binary.version(),
                        binary.path().display()
                    )
                })
            }
            Self::Gc {
                keep,
                dry_run,
                options,
            } => {
                let store = options.store()?;
                let collected = if dry_run {
                    store.gc_preview(keep)?
                } else {
                    store.gc(keep)?
                };
                if options.json {
                    println!("{}", serde_json::to_string(&collected)?);
                } else {
                    say!(
                        "{} {} versions, {} bytes",
                        if dry_run { "would remove" } else { "removed" },
                        collected.versions,
                        collected.bytes
                    );
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Options {
    fn config(&self) -> Config {
        let mut config = Config::from_env();
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
        config
    }

    fn store(&self) -> Result<Store> {
        let config = self.config();
        // The same judgement of its directories as for a provision.
        Ok(WorkerProvisioner::new(config)?.store().clone())
    }
}

fn done(options: &Options, text: &str) {
    if options.json {
        println!("{}", serde_json::json!({ "done": text }));
    } else {
        say!("{text}");
    }
}

fn list(options: &Options) -> Result<ExitCode> {
    let store = options.store()?;
    let receipts = store.list()?;
    if options.json {
        let mut values = Vec::new();
        for receipt in &receipts {
            let mut value = serde_json::to_value(receipt)?;
            value["plainName"] = serde_json::to_value(store.plain_name(receipt))?;
            values.push(value);
        }
        println!("{}", serde_json::to_string(&values)?);
        return Ok(ExitCode::SUCCESS);
    }
    if receipts.is_empty() {
        say!("no worker is installed");
    } else {
        say!(
            "{:<28} {:<7} {:<18} {:<11} {:<8} {:<11} path",
            "worker",
            "backend",
            "version",
            "verified",
            "catalog",
            "isolation"
        );
    }
    for receipt in receipts {
        let plain = store.plain_name(&receipt);
        let path = receipt
            .artifact
            .as_ref()
            .map(|binary| binary.path().display().to_string());
        say!(
            "{:<28} {:<7} {:<18} {:<11} {:<8} {:<11} {}{}",
            receipt.worker_id,
            receipt.backend.to_string(),
            receipt.pkgver,
            receipt.verification(),
            if receipt.catalog_tls { "tls" } else { "no tls" },
            receipt.isolation,
            path.unwrap_or_default(),
            plain.map_or_else(String::new, |path| format!(", also {}", path.display()))
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that the receipt says, for people.
fn info(receipt: &Receipt, options: &Options) -> Result<ExitCode> {
    if options.json {
        println!("{}", serde_json::to_string(receipt)?);
        return Ok(ExitCode::SUCCESS);
    }
    let path = receipt
        .artifact
        .as_ref()
        .map(|binary| binary.path().display().to_string());
    let plain = options.store()?.plain_name(receipt);
    let bytes: u64 = receipt.files.iter().filter_map(size_of).sum();
    let facts: [(&str, Option<String>); 15] = [
        ("worker", Some(receipt.worker_id.clone())),
        (
            "version",
            Some(format!("{}-{}", receipt.pkgver, receipt.pkgrel)),
        ),
        ("backend", Some(receipt.backend.to_string())),
        ("from", Some(receipt.flavor.to_string())),
        ("program", path),
        ("also called", plain.map(|path| path.display().to_string())),
        (
            "size",
            Some(format!("{bytes} bytes in {} files", receipt.files.len())),
        ),
        (
            "installed",
            Some(receipt.stored_at.strftime("%F %T %Z").to_string()),
        ),
        ("verified by", Some(receipt.verification().to_string())),
        (
            "catalog",
            Some(
                if receipt.catalog_tls {
                    "over TLS"
                } else {
                    "not over TLS"
                }
                .to_owned(),
            ),
        ),
        ("isolation", Some(receipt.isolation.clone())),
        ("built with", receipt.concessions.as_ref().map(conceded)),
        ("recipe", Some(format!("sha256 {}", receipt.recipe_sha256))),
        (
            "read in the sandbox",
            Some(receipt.sandbox_evaluated.join(", ")),
        ),
        ("sha256", receipt.installed_sha256.clone()),
    ];
    for (name, value) in facts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            say!("{name:<20} {value}");
        }
    }
    for source in &receipt.sources {
        let mut grounds = source.digests.clone();
        grounds.extend(
            source
                .commit
                .iter()
                .map(|commit| format!("commit {commit}")),
        );
        grounds.extend(source.signed_by.iter().map(|by| format!("signed by {by}")));
        say!(
            "{:<20} {}: {} ({})",
            "source",
            source.name,
            source.verification,
            grounds.join(", ")
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn size_of(file: &FileRecord) -> Option<u64> {
    match &file.content {
        FileContent::File { size, .. } => Some(*size),
        _ => None,
    }
}

/// What a stricter configuration would not have allowed, in words.
fn conceded(concessions: &BTreeSet<Concession>) -> String {
    let words = concessions.iter().map(|one| match one {
        Concession::BuildNetwork => "network for the build",
        Concession::CheckOptional => "check() optional",
        Concession::Untried => "no trial",
        Concession::BackendUnchecked => "backend unchecked",
        Concession::SignaturesSkipped => "signatures skipped",
        _ => "something that this version does not know",
    });
    words.collect::<Vec<_>>().join(", ")
}

fn verify(worker_id: Option<&str>, options: &Options) -> Result<ExitCode> {
    let store = options.store()?;
    let mut receipts = store.list()?;
    receipts.retain(|receipt| worker_id.is_none_or(|id| id == receipt.worker_id));
    if receipts.is_empty() && worker_id.is_some() {
        bail!("`{}` is not installed", worker_id.unwrap_or_default());
    }
    let mut intact = true;
    let mut reports = Vec::new();
    for receipt in &receipts {
        let problems = store.verify(&receipt.worker_id, receipt.backend)?;
        intact &= problems.is_empty();
        if !options.json {
            let verdict = if problems.is_empty() {
                "intact"
            } else {
                "DAMAGED"
            };
            say!(
                "{} ({}): {verdict}, {} files",
                receipt.worker_id,
                receipt.backend,
                receipt.files.len()
            );
            for problem in &problems {
                say!("  {problem}");
            }
        }
        reports.push(serde_json::json!({
            "workerId": receipt.worker_id,
            "backend": receipt.backend,
            "problems": problems,
        }));
    }
    if options.json {
        println!("{}", serde_json::to_string(&reports)?);
    }
    Ok(if intact {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl One {
    /// The one installed worker that is meant, and what does things to it.
    fn find(&self) -> Result<(WorkerProvisioner, Receipt)> {
        let provisioner = WorkerProvisioner::new(self.options.config())?;
        let installed = provisioner.store().list()?;
        let receipt = meant(installed, &self.worker_id, self.backend.as_deref())?;
        Ok((provisioner, receipt))
    }

    /// Tells where a program is now.
    fn tell(
        &self,
        binary: &WorkerBinary,
        words: impl Fn(&WorkerBinary) -> String,
    ) -> Result<ExitCode> {
        if self.options.json {
            println!("{}", serde_json::to_string(binary)?);
        } else {
            say!("{}", words(binary));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The one of several that is meant.
fn meant(mut matching: Vec<Receipt>, worker_id: &str, backend: Option<&str>) -> Result<Receipt> {
    matching.retain(|receipt| {
        // Ids of the first generation end in the backend, and mean the same worker.
        let with_backend = |id: &str| format!("{id}-{}", receipt.backend);
        (receipt.worker_id == worker_id
            || with_backend(&receipt.worker_id) == worker_id
            || with_backend(worker_id) == receipt.worker_id)
            && backend.is_none_or(|backend| backend == receipt.backend.to_string())
    });
    match matching.len() {
        0 => bail!("`{worker_id}` is not installed"),
        1 => Ok(matching.remove(0)),
        _ => {
            let backends: Vec<String> = matching
                .iter()
                .map(|receipt| receipt.backend.to_string())
                .collect();
            bail!(
                "`{worker_id}` is installed for {}; choose one with `--backend`",
                backends.join(" and ")
            )
        }
    }
}
