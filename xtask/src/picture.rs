//! `cargo xtask picture`: an animated SVG of a real provision, as it looks on a terminal.

mod record;
mod svg;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use e2e_tests::sample::{self, Sample, SampleOptions};

use crate::bench::Bench;
use crate::catalog;

/// What the picture shows as typed.
const TYPED: &str = "rbee-worker install sample-worker-rbee --backend cpu --from source";

/// Draw `xtask/picture.svg`: the sample worker provisioned on a terminal, from a real run.
#[derive(Debug, Args)]
pub(crate) struct Picture {
    /// Where the picture goes.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Picture {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let folder = tempfile::Builder::new().prefix("p").tempdir()?;
        let root = folder.path().canonicalize()?;
        eprintln!("preparing the sample catalog");
        let options = SampleOptions {
            port: 0,
            target: catalog::target_dir(),
        };
        let sample = Sample::start(&root.join("sample"), &options).await?;
        let home = root.join("~");
        std::fs::create_dir_all(&home)?;
        let mut command = Command::new(crate::program::rbee_worker()?);
        command
            .args([
                "install",
                sample::WORKER,
                "--backend",
                "cpu",
                "--from",
                "source",
            ])
            .args(["--catalog", &sample.catalog_url()])
            .args([
                "--allow-source-host",
                "127.0.0.1",
                "--allow-insecure-sources",
            ])
            .arg("--bin-dir")
            .arg(home.join(".local/bin"))
            .arg("--cache-dir")
            .arg(home.join("cache"))
            .arg("--data-dir")
            .arg(home.join("data"))
            // cargo colours its output and draws its bar when it is asked to.
            .args(["--set-env", "CARGO_TERM_COLOR=never"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .env("TMPDIR", "/tmp");
        // A picture is of every machine: what is private to this one has another name in it.
        let hidden = [
            (home.display().to_string(), "~".to_owned()),
            (sample.catalog_url(), "http://localhost:8787".to_owned()),
        ];
        let frames =
            tokio::task::spawn_blocking(move || record::record(command, &hidden)).await??;
        let text = svg::draw(TYPED, &frames);
        let name = root.file_name().and_then(|name| name.to_str());
        ensure!(
            name.is_none_or(|name| !text.contains(name)),
            "a folder of this machine is in the picture"
        );
        let file = self
            .out
            .unwrap_or_else(|| Bench::root().join("xtask/picture.svg"));
        std::fs::write(&file, text)
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        println!("{} frames in {}", frames.len(), file.display());
        Ok(ExitCode::SUCCESS)
    }
}
