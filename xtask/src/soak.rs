//! `cargo xtask soak`: many provisions in one process.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use e2e_tests::sample;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Config, ProvisionError, ProvisionEvent, ProvisionPhase, ProvisionRequest, WorkerProvisioner,
    WorkerType,
};

/// Provision again and again in one process; exit 1 unless memory, descriptors and threads are flat.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How many provisions.
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The workers that take turns.
const WORKERS: usize = 5;

/// Provisions before the first measurement: what is allocated once is allocated by then.
const WARM_UP: usize = 40;

/// How much the resident memory may grow over the whole soak, in KiB.
///
/// The allocator keeps what threads have freed; 200 provisions that leaked a tenth of what each
/// handles would be far above it.
const GROWTH_KIB: u64 = 16 << 10;

/// How long what a provision leaves to other threads may take to end.
const SETTLING: Duration = Duration::from_secs(30);

/// What a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    resident_kib: u64,
    descriptors: usize,
    threads: usize,
}

impl Usage {
    fn now() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("no /proc")?;
        let resident_kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .context("no VmRSS in /proc/self/status")?;
        Ok(Self {
            resident_kib,
            // Listing the folder takes a descriptor of its own, both times.
            descriptors: Path::new("/proc/self/fd").read_dir()?.count(),
            threads: Path::new("/proc/self/task").read_dir()?.count(),
        })
    }
}

impl Soak {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        // Idle threads for blocking work end soon, so that the count of threads means something.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_keep_alive(Duration::from_millis(200))
            .build()?;
        runtime.block_on(self.soak())
    }

    async fn soak(&self) -> Result<ExitCode> {
        let interrupt = interrupt::token()?;
        let folder = tempfile::Builder::new().prefix("soak-").tempdir()?;
        let catalog = CatalogServer::start(0, catalog()).await?;
        let provisioner = WorkerProvisioner::new(config(folder.path(), &catalog)?)?;
        let started = Instant::now();
        let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut before = None;
        let warm_up = WARM_UP.min(self.count / 2);
        for round in 0..self.count {
            if interrupt.is_cancelled() {
                return Ok(ExitCode::from(130));
            }
            if round == warm_up {
                before = Some(settled(None).await?);
            }
            let outcome = provision(&provisioner, round).await?;
            *outcomes.entry(outcome).or_default() += 1;
            if round % 20 == 19 {
                provisioner.store().gc(1)?;
                eprintln!("{} of {}", round + 1, self.count);
            }
        }
        let before = before.context("no provision was asked for")?;
        let after = settled(Some(before)).await?;
        let growth = after.resident_kib.saturating_sub(before.resident_kib);
        let is_flat = after.descriptors <= before.descriptors
            && after.threads <= before.threads
            && growth <= GROWTH_KIB;
        let left = folder.path().join("tmp").read_dir()?.count();
        let report = serde_json::json!({
            "provisions": self.count,
            "seconds": started.elapsed().as_secs(),
            "outcomes": outcomes,
            "before": before,
            "after": after,
            "flat": is_flat,
            "leftBehind": left,
        });
        if self.json {
            println!("{report}");
        } else {
            println!("{} provisions: {outcomes:?}", self.count);
            println!("after {warm_up}: {before:?}");
            println!("at the end: {after:?}");
            println!("{left} build folders left behind");
            println!("{}", if is_flat { "flat" } else { "GROWN" });
        }
        Ok(if is_flat && left == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// One provision: rebuilt, given back as it is, cancelled in a phase, or dropped.
async fn provision(provisioner: &WorkerProvisioner, round: usize) -> Result<&'static str> {
    let worker = format!("soak-{}", round / 4 % WORKERS);
    let request = ProvisionRequest::new(worker).with_job_id(format!("round-{round}"));
    let cancel = CancellationToken::new();
    match round % 4 {
        0 => {
            let outcome = provisioner
                .provision_request(&request.forced(), cancel)
                .await;
            outcome.map_err(|error| anyhow::anyhow!(error.chain()))?;
            Ok("rebuilt")
        }
        1 => {
            let outcome = provisioner.provision_request(&request, cancel).await;
            let provisioned = outcome.map_err(|error| anyhow::anyhow!(error.chain()))?;
            anyhow::ensure!(provisioned.reused, "an intact worker was built again");
            Ok("reused")
        }
        way => {
            let phases = [
                ProvisionPhase::Recipe,
                ProvisionPhase::Workspace,
                ProvisionPhase::Prepare,
                ProvisionPhase::Build,
                ProvisionPhase::Package,
            ];
            let phase = phases[round / 4 % phases.len()];
            let token = cancel.clone();
            let under_way = CancellationToken::new();
            let reached = under_way.clone();
            let provisioner =
                provisioner
                    .clone()
                    .with_reporter(Arc::new(move |event: &ProvisionEvent| {
                        if event.phase == phase {
                            reached.cancel();
                            if way == 2 {
                                token.cancel();
                            }
                        }
                    }));
            let request = request.forced();
            let work = provisioner.provision_request(&request, cancel);
            if way == 3 {
                tokio::select! {
                    outcome = work => bail!("a provision ended before it was dropped: {outcome:?}"),
                    () = under_way.cancelled() => return Ok("dropped"),
                }
            }
            match work.await {
                Err(ProvisionError::Cancelled) => Ok("cancelled"),
                Err(error) => bail!("{}", error.chain()),
                Ok(_) => bail!("a cancelled provision succeeded"),
            }
        }
    }
}

/// The usage once nothing is under way any more, or is no more than `limit`.
async fn settled(limit: Option<Usage>) -> Result<Usage> {
    let deadline = Instant::now() + SETTLING;
    let mut last = Usage::now()?;
    let mut calm = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = Usage::now()?;
        let same = (now.descriptors, now.threads) == (last.descriptors, last.threads);
        calm = if same { calm + 1 } else { 0 };
        last = now;
        let is_low = limit.is_none_or(|limit| {
            now.descriptors <= limit.descriptors && now.threads <= limit.threads
        });
        if (calm >= 20 && is_low) || Instant::now() > deadline {
            return Ok(now);
        }
    }
}

fn catalog() -> CatalogContent {
    let recipe = |name: &str| {
        format!(
            "pkgname={name}-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Soak'\narch=('any')\n\
             license=('GPL-3.0-or-later')\n\
             prepare() {{ echo preparing; }}\n\
             build() {{ for i in {{1..50}}; do echo \"line $i\"; done\n\
             printf '#!/bin/sh\\necho {name}\\n' > {name}; }}\n\
             package() {{ install -Dm755 {name} \"$pkgdir/usr/bin/{name}\"; }}\n"
        )
    };
    let mut content = CatalogContent::new(Generation::V2);
    for index in 0..WORKERS {
        let name = format!("soak-{index}");
        let one = sample::catalog(&name, &recipe(&name), &recipe(&name));
        content.entries.extend(one.entries);
        content.pkgbuilds.extend(one.pkgbuilds);
    }
    content
}

fn config(folder: &Path, catalog: &CatalogServer) -> Result<Config> {
    let mut config = Config::from_env();
    config.catalog_urls = vec![catalog.base_url()];
    config.catalog_token = None;
    config.source_hosts = e2e_tests::sample::source_hosts();
    config.insecure_sources = true;
    config.backend = Some(WorkerType::Cpu);
    config.bin_dir = Some(folder.join("bin"));
    config.cache_dir = folder.join("cache");
    config.data_dir = folder.join("data");
    config.temp_dir = folder.join("tmp");
    std::fs::create_dir_all(&config.temp_dir)?;
    Ok(config)
}
