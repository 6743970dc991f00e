//! `cargo xtask faults`: what a provision survives.

mod child;
mod clock;
mod disk;
mod kill;
mod lane;
mod race;
mod report;
mod site;
mod vanish;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use fastrand::Rng;

use lane::{Courses, Lane, World};
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
    /// How many provisions are killed, and at most how many of each other fault are tried
    /// [default: 300 kills, with --quick 24].
    #[arg(long)]
    count: Option<usize>,
    /// Only these faults; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Fault>,
    /// How many provisions run side by side [default: the number of processors].
    #[arg(long)]
    lanes: Option<usize>,
    /// This process has a mount namespace of its own.
    #[arg(long, hide = true)]
    mounted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fault {
    Kill,
    Disk,
    Vanish,
    Clock,
    Race,
}

/// How often each fault is tried.
struct Scale {
    kills: usize,
    races: usize,
    /// Of each kind of disk and clock fault.
    cases: usize,
    /// Of each kind of vanishing server.
    outages: usize,
}

/// Most of a vanished server's time is spent waiting, so that more can run side by side.
const WAITING_LANES: usize = 6;

impl Faults {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if let Some(code) = self.in_own_mount_namespace()? {
            return Ok(code);
        }
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        eprintln!("seed {seed}");
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let folder = tempfile::Builder::new().prefix("faults-").tempdir()?;
        let world = runtime.block_on(World::start(folder.path()))?;
        let processors = std::thread::available_parallelism().map_or(2, NonZero::get);
        let busy = self.lanes.unwrap_or(processors).max(1);
        let all = if self.wants(Fault::Vanish) {
            busy.max(WAITING_LANES)
        } else {
            busy
        };
        let lanes = (0..all)
            .map(|index| Lane::start(&world, folder.path().join(format!("lane-{index}"))))
            .collect::<Result<Vec<_>>>()?;
        let rows = self.run_on(&lanes, &lanes[..busy], folder.path(), seed)?;
        drop(lanes);
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

    fn run_on(
        &self,
        all: &[Lane<'_>],
        busy: &[Lane<'_>],
        folder: &Path,
        seed: u64,
    ) -> Result<Vec<Row>> {
        let mut rng = Rng::with_seed(seed);
        let scale = self.scale();
        let courses = Courses::watch(&busy[0])?;
        let mut rows = Vec::new();
        if self.wants(Fault::Kill) {
            rows.extend(kill::run(busy, &courses, scale.kills, &mut rng));
        }
        if self.wants(Fault::Disk) {
            if self.mounted {
                rows.extend(disk::run(busy, &courses, scale.cases, &mut rng)?);
            } else {
                let why = "small file systems need root and a mount namespace";
                rows.push(Row::skipped("disk full, read-only folder", why));
            }
        }
        if self.wants(Fault::Vanish) {
            rows.extend(vanish::run(all, &courses, scale.outages, &mut rng));
        }
        if self.wants(Fault::Clock) {
            rows.extend(clock::run(busy, &courses, folder, scale.cases, &mut rng)?);
        }
        if self.wants(Fault::Race) {
            rows.push(race::run(busy, &courses, scale.races, &mut rng));
        }
        Ok(rows)
    }

    fn scale(&self) -> Scale {
        let mut scale = if self.quick {
            Scale {
                kills: 24,
                races: 10,
                cases: 8,
                outages: 6,
            }
        } else {
            Scale {
                kills: 300,
                races: 100,
                cases: 80,
                outages: 60,
            }
        };
        if let Some(count) = self.count {
            scale.kills = count;
            scale.races = scale.races.min(count);
            scale.cases = scale.cases.min(count);
            scale.outages = scale.outages.min(count);
        }
        scale
    }

    /// Runs this very command where mounts are nobody else's, when that is possible and wanted.
    fn in_own_mount_namespace(&self) -> Result<Option<ExitCode>> {
        if self.mounted || !self.wants(Fault::Disk) || !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        let unshare = |program: &Path| {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "--propagation", "private", "--"])
                .arg(program);
            command
        };
        if !unshare(Path::new("true"))
            .status()
            .is_ok_and(|status| status.success())
        {
            return Ok(None);
        }
        let status = unshare(&std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--mounted")
            .status()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(Some(code.map_or(ExitCode::FAILURE, ExitCode::from)))
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
