//! What each end-to-end run does and what must come of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use catalog_client::WorkerType;
use e2e_tests::sample::{self, Sample};
use e2e_tests::{processes, worker};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, Config, FlavorPreference, Happening, ProvisionError, ProvisionEvent,
    ProvisionPhase, ProvisionRequest, Provisioned, Reporter, WorkerProvisioner,
};

use super::progress::Lines;
use super::report::Row;

/// What must come of a scenario.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The worker is installed and answers.
    Installed,
    /// Refused with an error that says this, before anything is downloaded.
    RefusedEarly(&'static str),
    /// Refused with an error that says this; nothing is installed.
    Refused(&'static str),
    /// Cancelled once the build is under way; nothing is left.
    Cancelled,
}

/// One run of the provisioner.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) title: &'static str,
    pub(crate) worker_id: &'static str,
    pub(crate) folder: &'static str,
    catalog_url: String,
    flavor: FlavorPreference,
    expected: Expected,
}

/// All scenarios, in the order they run.
pub(crate) fn all(sample: &Sample) -> Vec<Scenario> {
    let second = sample.catalog_url();
    let scenario = |title, worker_id, folder, flavor, expected| Scenario {
        title,
        worker_id,
        folder,
        catalog_url: second.clone(),
        flavor,
        expected,
    };
    vec![
        scenario(
            "built from git, all five functions",
            sample::WORKER,
            "source",
            FlavorPreference::Source,
            Expected::Installed,
        ),
        scenario(
            "prebuilt, digest verified",
            sample::WORKER,
            "binary",
            FlavorPreference::Any,
            Expected::Installed,
        ),
        Scenario {
            catalog_url: sample.v1_catalog_url(),
            ..scenario(
                "first-generation entry",
                sample::V1_WORKER,
                "v1",
                FlavorPreference::Any,
                Expected::Installed,
            )
        },
        scenario(
            "another operating system's worker",
            sample::FOREIGN_WORKER,
            "foreign",
            FlavorPreference::Any,
            Expected::RefusedEarly("windows"),
        ),
        scenario(
            "wrong digest",
            sample::TAMPERED_WORKER,
            "tampered",
            FlavorPreference::Any,
            Expected::Refused("sha256"),
        ),
        scenario(
            "cancelled in mid-build",
            sample::SLOW_WORKER,
            "slow",
            FlavorPreference::Source,
            Expected::Cancelled,
        ),
    ]
}

/// Shows the events, times the phases, and cancels when the slow build is under way.
struct Observer {
    display: Arc<dyn Reporter>,
    phases: Mutex<Vec<(ProvisionPhase, u64)>>,
    cancel_on_output: Option<CancellationToken>,
}

impl Reporter for Observer {
    fn report(&self, event: &ProvisionEvent) {
        self.display.report(event);
        match &event.happening {
            Happening::Finished { elapsed_ms } => {
                let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
                phases.push((event.phase, *elapsed_ms));
            }
            Happening::Output { line, .. } if line.contains("very long time") => {
                if let Some(token) = &self.cancel_on_output {
                    token.cancel();
                }
            }
            _ => {}
        }
    }
}

impl Scenario {
    /// Runs the provisioner in `folder` and checks what came of it.
    pub(crate) async fn run(
        &self,
        sample: &Sample,
        folder: &Path,
        verbose: bool,
        interrupt: &CancellationToken,
    ) -> Row {
        let started = Instant::now();
        let cancel = interrupt.child_token();
        let observer = Arc::new(Observer {
            display: Arc::new(Lines { verbose }),
            phases: Mutex::default(),
            cancel_on_output: matches!(self.expected, Expected::Cancelled).then(|| cancel.clone()),
        });
        let outcome = self
            .provision_and_check(sample, folder, &observer, cancel)
            .await;
        let phases = std::mem::take(
            &mut *observer
                .phases
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        Row {
            worker_id: self.worker_id,
            obtained: self.title,
            phases,
            total: started.elapsed(),
            outcome,
        }
    }

    async fn provision_and_check(
        &self,
        sample: &Sample,
        folder: &Path,
        observer: &Arc<Observer>,
        cancel: CancellationToken,
    ) -> Result<String> {
        let marker = format!("RBEE_E2E_MARK={}-{}", self.folder, std::process::id());
        let config = self.config(folder, &marker)?;
        let downloads = sample.downloads();
        let provisioner = WorkerProvisioner::new(config)?
            .with_reporter(Arc::clone(observer) as Arc<dyn Reporter>);
        let request =
            ProvisionRequest::new(self.worker_id).with_job_id(format!("e2e-{}", self.folder));
        let result = provisioner.provision_request(&request, cancel).await;
        let verdict = match self.expected {
            Expected::Installed => installed(result).await?,
            Expected::RefusedEarly(part) => {
                let verdict = refused(result, part)?;
                ensure!(
                    sample.downloads() == downloads,
                    "something was downloaded all the same"
                );
                verdict
            }
            Expected::Refused(part) => refused(result, part)?,
            Expected::Cancelled => match result {
                Err(ProvisionError::Cancelled) => "cancelled, nothing left".to_owned(),
                Err(error) => bail!("expected a cancellation: {}", error.chain()),
                Ok(_) => bail!("the slow worker was installed"),
            },
        };
        if !matches!(self.expected, Expected::Installed) {
            ensure!(is_empty(&folder.join("bin"))?, "something was installed");
        }
        ensure!(
            is_empty(&folder.join("tmp"))?,
            "a build folder was left behind"
        );
        let survivors = processes::with_marker(&marker);
        ensure!(
            survivors.is_empty(),
            "processes were left behind: {survivors:?}"
        );
        Ok(verdict)
    }

    fn config(&self, folder: &Path, marker: &str) -> Result<Config> {
        let mut config = Config::from_env();
        config.catalog_urls = vec![self.catalog_url.clone()];
        config.catalog_token = None;
        config.source_hosts = e2e_tests::sample::source_hosts();
        config.insecure_sources = true;
        config.backend = Some(WorkerType::Cpu);
        config.flavor = self.flavor;
        config.bin_dir = Some(folder.join("bin"));
        config.cache_dir = folder.join("cache");
        config.data_dir = folder.join("data");
        config.temp_dir = folder.join("tmp");
        std::fs::create_dir_all(&config.temp_dir)?;
        if let Some((name, value)) = marker.split_once('=') {
            config.recipe_env.insert(name.to_owned(), value.to_owned());
        }
        Ok(config)
    }
}

async fn installed(result: Result<Provisioned, ProvisionError>) -> Result<String> {
    let provisioned = match result {
        Ok(provisioned) => provisioned,
        Err(error) => bail!("{}", error.chain()),
    };
    let health = worker::answers(provisioned.binary.path()).await?;
    ensure!(
        health.contains("cpu"),
        "the worker was built for another backend: {health}"
    );
    println!(
        "{}",
        serde_json::to_string_pretty(&provisioned.binary).context("not JSON")?
    );
    Ok(format!(
        "installed, answers ({})",
        provisioned.receipt.isolation
    ))
}

fn refused(result: Result<Provisioned, ProvisionError>, part: &str) -> Result<String> {
    match result {
        Ok(_) => bail!("the worker was installed"),
        Err(error) => {
            let text = error.chain();
            ensure!(text.contains(part), "refused for another reason: {text}");
            Ok("refused as expected".to_owned())
        }
    }
}

fn is_empty(folder: &Path) -> Result<bool> {
    match folder.read_dir() {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}
