//! Whole provisions of ours, as a measured case.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Config, FlavorPreference, ProvisionRequest, WorkerProvisioner, WorkerType,
};

use super::case::figure;
use super::meter::Figures;

/// Workers provisioned into folders of their own, all at once; then once more, for what is
/// installed already.
#[derive(Debug, Args)]
pub(crate) struct ProvisionCase {
    /// The workers.
    #[arg(required = true)]
    workers: Vec<String>,
    #[arg(long)]
    catalog: String,
    #[arg(long)]
    root: PathBuf,
    /// Build from source instead of taking the prebuilt binary.
    #[arg(long)]
    source: bool,
    /// How many are built at once.
    #[arg(long, default_value_t = 1)]
    parallel: usize,
}

impl ProvisionCase {
    pub(crate) async fn run(&self) -> Result<Figures> {
        let provisioner = WorkerProvisioner::new(self.config()?)?;
        let started = Instant::now();
        self.all(&provisioner).await?;
        let mut figures = figure("cold", started.elapsed().as_secs_f64());
        // A provisioner of its own, so that nothing is remembered but what is on disk.
        let provisioner = WorkerProvisioner::new(self.config()?)?;
        let started = Instant::now();
        self.all(&provisioner).await?;
        figures.insert("warm".to_owned(), started.elapsed().as_secs_f64());
        let started = Instant::now();
        let installed = provisioner.store().list()?.len();
        figures.insert("list".to_owned(), started.elapsed().as_secs_f64());
        if installed < self.workers.len() {
            bail!("only {installed} workers are installed");
        }
        Ok(figures)
    }

    async fn all(&self, provisioner: &WorkerProvisioner) -> Result<()> {
        let mut running = JoinSet::new();
        for worker in &self.workers {
            let provisioner = provisioner.clone();
            let request = ProvisionRequest::new(worker);
            running.spawn(async move {
                let token = CancellationToken::new();
                provisioner.provision_request(&request, token).await
            });
        }
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended? {
                bail!("{}", error.chain());
            }
        }
        Ok(())
    }

    fn config(&self) -> Result<Config> {
        let mut config = Config::from_env();
        config.catalog_urls = vec![self.catalog.clone()];
        config.catalog_token = None;
        config.source_hosts = e2e_tests::sample::source_hosts();
        config.insecure_sources = true;
        config.backend = Some(WorkerType::Cpu);
        config.flavor = if self.source {
            FlavorPreference::Source
        } else {
            FlavorPreference::Any
        };
        config.bin_dir = Some(self.root.join("bin"));
        config.cache_dir = self.root.join("cache");
        config.data_dir = self.root.join("data");
        config.temp_dir = self.root.join("tmp");
        config.parallel_builds = self.parallel;
        std::fs::create_dir_all(&config.temp_dir)?;
        Ok(config)
    }
}
