//! `cargo xtask faults`: what a provision survives.

mod child;
mod kill;
mod lane;
mod report;
mod site;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use fastrand::Rng;

use lane::{Lane, World};
use report::Row;

/// Kill, starve, cut off and race provisioning processes; exit 1 if anything is lost or left.
#[derive(Debug, Args)]
pub(crate) struct Faults {
    /// Fewer runs of everything, in a minute at most.
    #[arg(long)]
    quick: bool,
    /// Print the table as JSON.
    #[arg(long)]
    json: bool,
    /// The seed of all random instants [default: a random one, which is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// How many provisions are killed [default: 300, with --quick 24].
    #[arg(long)]
    count: Option<usize>,
    /// Only these faults; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Fault>,
    /// How many provisions run side by side [default: the number of processors].
    #[arg(long)]
    lanes: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    Kill,
}

impl Faults {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        eprintln!("seed {seed}");
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let folder = tempfile::Builder::new().prefix("faults-").tempdir()?;
        let world = runtime.block_on(World::start(folder.path()))?;
        let lanes = self
            .lanes
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, NonZero::get));
        let lanes = (0..lanes.max(1))
            .map(|index| Lane::start(&world, folder.path().join(format!("lane-{index}"))))
            .collect::<Result<Vec<_>>>()?;
        let mut rng = Rng::with_seed(seed);
        let mut rows = Vec::new();
        if self.wants(Fault::Kill) {
            let count = self.count.unwrap_or(if self.quick { 24 } else { 300 });
            rows.extend(kill::run(&lanes, count, &mut rng)?);
        }
        let report = serde_json::json!({
            "seed": seed,
            "seconds": started.elapsed().as_secs(),
            "rows": rows,
        });
        let path = write(&report)?;
        if self.json {
            println!("{report}");
        } else {
            println!("{}", report::table(&rows));
        }
        eprintln!(
            "{} s; also in {}",
            started.elapsed().as_secs(),
            path.display()
        );
        Ok(if rows.iter().all(Row::is_good) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn wants(&self, fault: Fault) -> bool {
        self.only.is_empty() || self.only.contains(&fault)
    }
}

fn write(report: &serde_json::Value) -> Result<PathBuf> {
    let target = crate::catalog::target_dir();
    let path = target.with_file_name("faults.json");
    std::fs::write(&path, serde_json::to_vec_pretty(report)?)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
