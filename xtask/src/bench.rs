//! `cargo xtask bench`: ours beside other programs, on the same inputs, in turns.

mod builds;
mod case;
mod create_case;
mod file_server;
mod growth;
mod inputs;
mod machine;
mod makepkg;
mod meter;
mod provision_case;
mod recipes;
mod report;
mod sources;
mod statistics;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use case::Case;
use machine::Machine;
pub(crate) use meter::Meter;
use report::Row;

/// Compare with makepkg, other parsers, git, curl and tar, bwrap: time and memory, in turns.
///
/// Everything is local. Programs that are missing are skipped with a line that says so. The table
/// is also written as JSON, with every figure, to `target/bench.json`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Smaller inputs and fewer rounds: about a minute.
    #[arg(long)]
    quick: bool,
    /// How cost grows at 1, 10 and 100 times the size, instead of the comparisons.
    #[arg(long, conflicts_with = "only")]
    growth: bool,
    /// JSON on standard output instead of the table.
    #[arg(long)]
    json: bool,
    /// Only these groups: 1 .SRCINFO, 2 parsing, 3 git, 4 downloads, 5 sandbox, 6 provisions; the
    /// memory of each (7) comes with it.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=6))]
    only: Vec<u8>,
}

/// What all groups share.
pub(crate) struct Session {
    root: PathBuf,
    quick: bool,
    machine: Machine,
    skipped: Vec<String>,
    /// What was measured so far.
    rows: Vec<Row>,
    _folder: TempDir,
}

impl Bench {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        if cfg!(debug_assertions) {
            return Self::in_release();
        }
        let folder = tempfile::Builder::new()
            .prefix("worker-provisioner-bench-")
            .tempdir()?;
        let mut session = Session {
            root: folder.path().to_owned(),
            quick: self.quick,
            machine: Machine::look(),
            skipped: Vec::new(),
            rows: Vec::new(),
            _folder: folder,
        };
        // Builds run as another user where this one is root.
        open(&session.root)?;
        if self.growth {
            return self.show_growth(&session).await;
        }
        for group in 1..=6 {
            if !self.only.is_empty() && !self.only.contains(&group) {
                continue;
            }
            session.group(group).await?;
        }
        session.rows.sort_by_key(|row| row.group);
        self.show(&session)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Debug code would say nothing about speed, so the same command is run optimised.
    fn in_release() -> Result<ExitCode> {
        eprintln!("building in release mode");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["run", "--quiet", "--release", "--package", "xtask", "--"])
            .args(std::env::args_os().skip(1))
            .current_dir(Self::root())
            .status()
            .context("failed to run `cargo`")?;
        Ok(match status.code() {
            Some(0) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// The workspace's folder.
    pub(crate) fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map_or_else(PathBuf::new, Path::to_owned)
    }

    fn show(&self, session: &Session) -> Result<()> {
        let rows = &session.rows;
        let json = json!({
            "machine": session.machine,
            "quick": session.quick,
            "rows": rows,
            "skipped": session.skipped,
        });
        self.print(session, "bench.json", &json, &report::table(rows))?;
        if !self.json {
            let held = rows.iter().filter(|row| row.goal.is_some()).count();
            let met = rows.iter().filter(|row| row.met == Some(true)).count();
            println!("{met} of {held} goals met; every figure is in target/bench.json");
            if self.quick {
                println!("the goals are set for the whole sizes, without --quick");
            }
        }
        Ok(())
    }

    async fn show_growth(&self, session: &Session) -> Result<ExitCode> {
        let rows = growth::measure(session).await?;
        let json = json!({ "machine": session.machine, "quick": session.quick, "rows": rows });
        self.print(session, "bench-growth.json", &json, &growth::table(&rows))?;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, session: &Session, name: &str, json: &Value, table: &str) -> Result<()> {
        let json = serde_json::to_string_pretty(json)?;
        let file = crate::catalog::target_dir().with_file_name(name);
        std::fs::write(&file, &json)
            .with_context(|| format!("failed to write `{}`", file.display()))?;
        if self.json {
            println!("{json}");
            return Ok(());
        }
        println!("{}\n\n{table}", session.machine.describe());
        for line in &session.skipped {
            println!("skipped: {line}");
        }
        Ok(())
    }
}

fn open(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?;
    Ok(())
}

impl Session {
    async fn group(&mut self, group: u8) -> Result<()> {
        let title = match group {
            1 => ".SRCINFO",
            2 => "parsing",
            3 => "git",
            4 => "downloads",
            5 => "sandbox",
            _ => "provisions",
        };
        eprintln!("measuring {group}, {title}");
        let rows = match group {
            1 => recipes::srcinfo(self),
            2 => recipes::parsing(self),
            3 => sources::git(self).await,
            4 => sources::tarball(self).await,
            5 => self.sandbox(),
            _ => builds::provision(self).await,
        };
        let rows = rows.with_context(|| format!("group {group}, {title}, failed"))?;
        self.add(rows)
    }

    /// Says what is known before the table comes; an interrupted run has not been for nothing.
    fn add(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in &rows {
            ensure!(row.ours.runs > 0, "a row without a run");
            eprintln!("{}", row.line());
        }
        self.rows.extend(rows);
        Ok(())
    }

    fn sandbox(&mut self) -> Result<Vec<Row>> {
        let mut rows = builds::start_up(self)?;
        rows.extend(builds::streaming(self)?);
        Ok(rows)
    }

    /// A fresh folder for inputs or results.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.root.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The size for a whole run, or the one for a quick one.
    fn pick<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// How often each contender runs.
    fn rounds(&self) -> usize {
        self.pick(9, 3)
    }

    /// Says now and at the end what is left out.
    fn skip(&mut self, why: &str) {
        eprintln!("skipped: {why}");
        self.skipped.push(why.to_owned());
    }
}
