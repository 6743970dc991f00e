//! `cargo xtask catalog`: the sample catalog in the foreground.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use e2e_tests::sample::{Sample, SampleOptions};

/// Serve the sample catalog until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Catalog {
    /// The port of the second-generation catalog; the first generation gets a free one.
    #[arg(long, default_value_t = 8787)]
    port: u16,
}

impl Catalog {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let stop = interrupt::token()?;
        let folder = tempfile::tempdir()?;
        eprintln!("building the prebuilt sample worker ...");
        let options = SampleOptions {
            port: self.port,
            target: target_dir(),
        };
        let sample = Sample::start(folder.path(), &options).await?;
        println!("catalog, second generation: {}", sample.catalog_url());
        println!("catalog, first generation:  {}", sample.v1_catalog_url());
        println!("workers: {}", sample.worker_ids().join(", "));
        println!(
            "try: cargo worker install {} --catalog {} --allow-source-host 127.0.0.1",
            e2e_tests::sample::WORKER,
            sample.catalog_url()
        );
        println!("stop with Ctrl-C");
        stop.cancelled().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the prebuilt sample worker is compiled, so that a second run need not.
pub(crate) fn target_dir() -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or_else(|| Path::new("."));
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |folder| root.join(folder))
        .join("sample-worker")
}
