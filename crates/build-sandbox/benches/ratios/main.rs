//! Ratios against peers, run in turns, and how cost grows.
//!
//! `cargo bench -p build-sandbox --bench ratios [-- streaming|start-up|cancel|growth]...`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss
)]

mod cancel;
mod growth;
mod start_up;
mod streaming;

use std::path::Path;
use std::time::Duration;

use build_sandbox::{BuildSpec, Config, Isolation, Sandbox};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

fn median(samples: &mut [Duration]) -> f64 {
    quantile(samples, 50)
}

/// In seconds; `percent` of the samples are at most this.
fn quantile(samples: &mut [Duration], percent: usize) -> f64 {
    samples.sort_unstable();
    samples[(samples.len() * percent / 100).min(samples.len() - 1)].as_secs_f64()
}

/// Lets every user pass, as the build's of a caller that is root must without namespaces.
fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Processor time of this program and of its children that have ended.
fn processor_time() -> Duration {
    let micros: i64 = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .map(|who| getrusage(who).unwrap())
        .map(|usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
        .sum();
    Duration::from_micros(micros.unsigned_abs())
}

fn main() {
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with('-'))
        .collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|other| other == name);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        open_to_all(directory.path());
        let spec = BuildSpec::new(directory.path(), "demo");
        std::fs::write(&spec.recipe, "").unwrap();
        let sandbox = Sandbox::new(Config::default());
        let capabilities = sandbox.probe().await;
        let tiers: Vec<Isolation> = Isolation::ALL
            .into_iter()
            .filter(|tier| capabilities.status(*tier).works())
            .collect();
        println!("tier: {}", tiers[0]);
        if wanted("streaming") {
            streaming::run(&sandbox, &spec).await;
        }
        if wanted("start-up") {
            start_up::run(&sandbox, &spec, &tiers).await;
        }
        if wanted("cancel") {
            cancel::run(&sandbox, &spec, &tiers).await;
        }
        if wanted("growth") {
            growth::run(&sandbox, &spec, &tiers).await;
        }
    });
}
