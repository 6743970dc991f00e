//! `rbee-worker install`: workers from a catalog.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use printable::{say, say_error};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ProvisionError, ProvisionRequest, Provisioned, Reporter, WorkerProvisioner,
};

use crate::switches::Switches;
use crate::{Loudness, display, outcome};

/// Install workers: fetch, verify, build, install.
#[derive(Debug, Args)]
#[command(visible_alias = "provision")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Install {
    /// The workers' ids in the catalog.
    #[arg(required = true, value_name = "ID")]
    worker_ids: Vec<String>,
    #[command(flatten)]
    switches: Switches,
    #[command(flatten)]
    how: How,
    /// Build again although nothing has changed, and replace a foreign file of that name; implies
    /// --refresh.
    #[arg(long)]
    force: bool,
}

/// How something is installed, and shown.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct How {
    /// Ask the catalog, whatever time its kept answers still have.
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Replace a file of the program's name that this program has not installed; nothing is built for
    /// it that is stored already.
    #[arg(long)]
    pub(crate) replace: bool,
    /// One JSON event a line on standard output; the last line is the artifact, or a list of them
    /// where several workers were asked for, or the error.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Install {
    /// Runs the command.
    pub(crate) async fn run(self, loudness: Loudness) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let provisioner = match WorkerProvisioner::new(self.switches.config()) {
            Ok(provisioner) => provisioner.with_reporter(reporter(self.how.json, loudness)),
            Err(error) => return Ok(failed(&error, self.how.json)),
        };
        let requests = self.worker_ids.iter().map(|id| {
            let mut request = request(id, self.how);
            request.force = self.force;
            request
        });
        all(
            &provisioner,
            requests.collect(),
            self.how,
            loudness,
            &cancel,
        )
        .await
    }
}

/// The request of the command line for one worker.
pub(crate) fn request(id: &str, how: How) -> ProvisionRequest {
    let mut request =
        ProvisionRequest::new(id).with_job_id(format!("cli-{}-{id}", std::process::id()));
    request.replace = how.replace;
    request.refresh = how.refresh;
    request
}

/// What shows the events.
pub(crate) fn reporter(json: bool, loudness: Loudness) -> Arc<dyn Reporter> {
    if json {
        Arc::new(display::Json)
    } else if loudness.quiet {
        Arc::new(|_: &_| {})
    } else {
        display::for_stderr(loudness.verbose > 0)
    }
}

/// Installs what is asked for, side by side, and tells what came of it. The first failure decides the
/// exit code; the others are installed all the same.
pub(crate) async fn all(
    provisioner: &WorkerProvisioner,
    requests: Vec<ProvisionRequest>,
    how: How,
    loudness: Loudness,
    cancel: &CancellationToken,
) -> Result<ExitCode> {
    let is_single = requests.len() == 1;
    let started = Instant::now();
    let running = requests.into_iter().map(|request| {
        let (provisioner, cancel) = (provisioner.clone(), cancel.clone());
        tokio::spawn(async move { provisioner.provision_request(&request, cancel).await })
    });
    // All of them are started before any is waited for.
    let running: Vec<_> = running.collect();
    let (mut done, mut errors) = (Vec::new(), Vec::new());
    for one in running {
        match one.await.context("a provision ended without an outcome")? {
            Ok(provisioned) => done.push(provisioned),
            Err(error) => errors.push(error),
        }
    }
    if !how.json && !loudness.quiet {
        for provisioned in &done {
            close(provisioned, started);
        }
    }
    tell(&done, &errors, how.json, is_single)?;
    Ok(errors.first().map_or(ExitCode::SUCCESS, outcome::code))
}

/// The closing line.
fn close(provisioned: &Provisioned, started: Instant) {
    let receipt = &provisioned.receipt;
    let what = format!(
        "{} {}-{} ({})",
        receipt.worker_id, receipt.pkgver, receipt.pkgrel, receipt.backend
    );
    if provisioned.reused {
        say_error!("{what} is installed already");
    } else {
        say_error!(
            "installed {what} in {:.1} s",
            started.elapsed().as_secs_f64()
        );
    }
}

fn tell(
    done: &[Provisioned],
    errors: &[ProvisionError],
    json: bool,
    is_single: bool,
) -> Result<()> {
    let binaries: Vec<_> = done.iter().map(|provisioned| &provisioned.binary).collect();
    if json {
        let text = match errors.first() {
            Some(error) => outcome::error_document(error).to_string(),
            None if is_single => serde_json::to_string(&binaries.first())?,
            None => serde_json::to_string(&binaries)?,
        };
        println!("{text}");
        return Ok(());
    }
    for error in errors {
        say_error!("error: {}", error.chain());
    }
    for binary in binaries {
        say!("{}", binary.path().display());
    }
    std::io::stdout().flush().or_else(outcome::unless_closed)?;
    Ok(())
}

fn failed(error: &ProvisionError, json: bool) -> ExitCode {
    if json {
        println!("{}", outcome::error_document(error));
    } else {
        say_error!("error: {}", error.chain());
    }
    outcome::code(error)
}
