//! `rbee-worker doctor`: what stands in the way of installing workers here.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use console::Style;
use nix::sys::statvfs::{FsFlags, statvfs};
use printable::say;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{Config, Isolation, WorkerProvisioner};

use crate::outcome::SCHEMA;
use crate::switches::Switches;

/// Space for a build below which most run out of it, in bytes.
const LITTLE_SPACE: u64 = 5 << 30;
/// What most recipes start.
const TOOLS: [&str; 6] = ["cc", "cargo", "cmake", "git", "make", "python3"];
/// Variables that lead requests over another host.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// Look at what stands in the way of installing workers here; exit 1 if something does.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    switches: Switches,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Good,
    /// It works, and could be better.
    Fair,
    /// Nothing can be installed like that.
    Bad,
}

/// What was looked at, and what came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            verdict: Verdict::Good,
            found: found.into(),
            repair: None,
        }
    }

    fn but(mut self, verdict: Verdict, repair: impl Into<String>) -> Self {
        self.verdict = verdict;
        self.repair = Some(repair.into());
        self
    }
}

impl Doctor {
    /// Runs the command.
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let cancel = interrupt::token()?;
        let findings = examine(&self.switches.config(), &cancel).await;
        let is_bad = findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Bad);
        if self.json {
            let document = serde_json::json!({ "schema": SCHEMA, "findings": findings });
            println!("{document}");
        } else {
            for finding in &findings {
                show(finding);
            }
        }
        Ok(if cancel.is_cancelled() {
            ExitCode::from(130)
        } else if is_bad {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn show(finding: &Finding) {
    let plain = Style::new();
    let (mark, style) = match finding.verdict {
        Verdict::Good => ("ok", plain.green()),
        Verdict::Fair => ("--", plain.yellow()),
        Verdict::Bad => ("!!", plain.red()),
    };
    // The mark alone is ours; the rest may hold what others have written.
    print!("{} ", style.apply_to(mark));
    say!("{:<12} {}", finding.what, finding.found);
    if let Some(repair) = &finding.repair {
        say!("   {:<12} {repair}", "");
    }
}

async fn examine(config: &Config, cancel: &CancellationToken) -> Vec<Finding> {
    let mut findings = Vec::new();
    match WorkerProvisioner::new(config.clone()) {
        Err(error) => {
            let what = Finding::good("directories", error.chain());
            findings.push(what.but(
                Verdict::Bad,
                "see above; nothing can be installed until then",
            ));
        }
        Ok(provisioner) => {
            findings.push(Finding::good(
                "directories",
                format!(
                    "workers in `{}`, downloads in `{}`",
                    config.data_dir.display(),
                    config.cache_dir.display()
                ),
            ));
            findings.push(isolation(&provisioner).await);
            findings.push(catalog(&provisioner, config, cancel).await);
        }
    }
    findings.push(programs(config));
    findings.extend(temporary(&config.temp_dir));
    findings.push(tools(config));
    let proxies: Vec<_> = PROXIES
        .into_iter()
        .filter(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
        .collect();
    if !proxies.is_empty() {
        // Their values may hold a password.
        let found = format!("{} is set", proxies.join(", "));
        findings.push(Finding::good("proxies", found));
    }
    findings
}

async fn isolation(provisioner: &WorkerProvisioner) -> Finding {
    let (tier, why) = provisioner.isolation().await;
    let finding = Finding::good("isolation", format!("builds run in tier `{tier}`"));
    match tier {
        Isolation::Namespaces => finding,
        _ => finding.but(
            Verdict::Fair,
            format!("the README of build-sandbox tells what a stronger tier needs: {why}"),
        ),
    }
}

async fn catalog(
    provisioner: &WorkerProvisioner,
    config: &Config,
    cancel: &CancellationToken,
) -> Finding {
    let urls = config.catalog_urls.join(", ");
    match provisioner.offers(cancel).await {
        Ok(workers) => Finding::good("catalog", format!("{urls}: {} workers", workers.len())),
        Err(error) => Finding::good("catalog", format!("{urls}: {}", error.chain())).but(
            Verdict::Bad,
            "name the address of a catalog with `--catalog`, `$WORKER_CATALOG_URL` or in `rbee-worker.toml`: it lists workers and has their recipes",
        ),
    }
}

/// Whether what is installed is found by its name.
fn programs(config: &Config) -> Finding {
    let below_home = config.home.as_ref().map(|home| home.join(".local/bin"));
    let directory = config.bin_dir.clone().or(below_home);
    let Some(directory) = directory else {
        return Finding::good("programs", "go to `/usr/local/bin`");
    };
    let finding = Finding::good("programs", format!("go to `{}`", directory.display()));
    if config.search_path.contains(&directory) {
        return finding;
    }
    finding.but(
        Verdict::Fair,
        format!(
            "it is not on your PATH: add `export PATH=\"{}:$PATH\"` to your shell's settings",
            directory.display()
        ),
    )
}

/// Where builds are made.
fn temporary(directory: &Path) -> Vec<Finding> {
    let shown = directory.display();
    let Ok(system) = statvfs(directory) else {
        let finding = Finding::good("builds", format!("`{shown}` cannot be looked at"));
        return vec![finding.but(Verdict::Bad, "set TMPDIR to a directory that exists")];
    };
    let mut findings = Vec::new();
    let free = system
        .blocks_available()
        .saturating_mul(system.fragment_size());
    let gigabytes = free >> 30;
    let finding = Finding::good("builds", format!("`{shown}` has {gigabytes} GiB free"));
    findings.push(if free < LITTLE_SPACE {
        finding.but(Verdict::Fair, "set TMPDIR to where there is more")
    } else {
        finding
    });
    if system.flags().contains(FsFlags::ST_NOEXEC) {
        let finding = Finding::good("builds", format!("`{shown}` is mounted noexec"));
        findings.push(finding.but(
            Verdict::Bad,
            "builds start what they make: set TMPDIR to a directory where that is allowed",
        ));
    }
    findings
}

fn tools(config: &Config) -> Finding {
    let is_program = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let has = |tool: &&str| {
        let mut directories = config.search_path.iter();
        directories.any(|directory| is_program(&directory.join(tool)))
    };
    let (found, missing): (Vec<_>, Vec<_>) = TOOLS.into_iter().partition(has);
    let finding = Finding::good("tools", format!("found {}", found.join(", ")));
    if missing.is_empty() {
        return finding;
    }
    finding.but(
        Verdict::Fair,
        format!(
            "{} not found: workers that are built from source may need them",
            missing.join(", ")
        ),
    )
}
