//! `cargo xtask e2e`: real workers from a real catalog, start to end, on this machine alone.

mod progress;
mod report;
mod scenario;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use e2e_tests::sample::{Sample, SampleOptions};

use crate::catalog;

/// Provision the sample workers from a local catalog and check everything about it.
#[derive(Debug, Args)]
pub(crate) struct E2e {
    /// Show everything, with the libraries' own log.
    #[arg(short, long)]
    verbose: bool,
    /// Keep going below this folder and leave it there, to look at the results.
    #[arg(long, value_name = "DIR")]
    keep: Option<std::path::PathBuf>,
}

impl E2e {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let temporary = match &self.keep {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                None
            }
            None => Some(
                tempfile::Builder::new()
                    .prefix("worker-provisioner-e2e-")
                    .tempdir()?,
            ),
        };
        let root: &Path = match (&self.keep, &temporary) {
            (Some(folder), _) => folder,
            (None, Some(folder)) => folder.path(),
            (None, None) => unreachable!("one of them was just made"),
        };
        eprintln!("preparing: the prebuilt worker, its tarball, the git repository, the catalogs");
        let options = SampleOptions {
            port: 0,
            target: catalog::target_dir(),
        };
        let sample = Sample::start(&root.join("sample"), &options)
            .await
            .context("the sample catalog could not be set up")?;

        let mut rows = Vec::new();
        for scenario in scenario::all(&sample) {
            if cancel.is_cancelled() {
                eprintln!("cancelled");
                return Ok(ExitCode::from(130));
            }
            eprintln!("\n== {}: {}", scenario.worker_id, scenario.title);
            let folder = root.join(scenario.folder);
            let row = scenario.run(&sample, &folder, self.verbose, &cancel).await;
            if let Err(problem) = &row.outcome {
                eprintln!("   UNEXPECTED: {problem:#}");
            }
            rows.push(row);
        }
        if cancel.is_cancelled() {
            return Ok(ExitCode::from(130));
        }
        println!("\n{}", report::table(&rows));
        let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
        println!("{} passed, {failed} failed", rows.len() - failed);
        Ok(if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
