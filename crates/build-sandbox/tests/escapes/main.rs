//! Attempts to get out of the sandbox, in every tier, and without a sandbox as a control.
//!
//! `cargo test -p build-sandbox --test escapes -- --nocapture` prints the table.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod attempt;
mod control;
mod files;
mod host;
mod kernel;
mod network;
mod processes;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write;
use std::time::Duration;

use attempt::Attempt;
use build_sandbox::{Isolation, Mount, NetworkPolicy, Phase, Sandbox};
use host::{Host, Privates};
use support::{Recorder, build, chain, have, sandbox, tiers};
use tokio_util::sync::CancellationToken;

/// Attempts that every tier must refuse by itself.
const AT_LEAST: usize = 40;

fn attempts() -> Vec<&'static Attempt> {
    [
        files::ATTEMPTS,
        processes::ATTEMPTS,
        kernel::ATTEMPTS,
        network::ATTEMPTS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether each attempt worked in this tier.
async fn inside(
    sandbox: &Sandbox,
    tier: Isolation,
    host: &Host,
    privates: &Privates,
    all: &[&Attempt],
    mounts: &[Mount],
) -> Vec<bool> {
    let mut body = String::from("export PARENT=$PPID\nset +e\ntop=$PWD pkgtop=$pkgdir\n");
    for (index, (_, _, attempt)) in all.iter().enumerate() {
        let _ = writeln!(
            body,
            "if ( mkdir -p $top/{index} $pkgtop/{index}; cd $top/{index}; export srcdir=$PWD pkgdir=$pkgtop/{index} OUT=$OUTS/{index} OPEN=$OPENS/{index}; {attempt} ) >/dev/null 2>&1; then echo '{index} worked'; else echo '{index} refused'; fi"
        );
    }
    let mut build = build(tier, &format!("pkgname=demo\nbuild() {{\n{body}\n}}\n"));
    build.spec.network = NetworkPolicy::NONE;
    build.spec.mounts.extend_from_slice(mounts);
    build.spec.limits.wall = Duration::from_mins(2);
    build.spec.environment.extend(host.variables());
    let privates = (Privates::VARIABLE.to_owned(), privates.names().to_owned());
    build.spec.environment.extend([privates]);
    let recorder = Recorder::default();
    let token = CancellationToken::new();
    let outcome = sandbox
        .run(&build.spec, Phase::Build, &token, &recorder)
        .await;
    outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
    let text = recorder.text();
    (0..all.len())
        .map(|index| {
            let worked = text.lines().any(|line| line == format!("{index} worked"));
            let refused = text.lines().any(|line| line == format!("{index} refused"));
            assert!(worked != refused, "{tier}: {}: {text}", all[index].0);
            worked
        })
        .collect()
}

/// Runs a test of this program again as an ordinary user; `false` if it is one already.
fn again_as_ordinary_user(test: &str) -> bool {
    if !nix::unistd::Uid::effective().is_root() {
        return false;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.current_dir("/");
    let privates = Privates::new();
    command.env(Privates::VARIABLE, privates.names());
    let output = host::as_ordinary_user(&mut command).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    eprintln!("{stderr}");
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}{stderr}"
    );
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_is_refused_for_an_ordinary_user_too() {
    let test = "every_attempt_is_refused_for_an_ordinary_user_too";
    if !again_as_ordinary_user(test) {
        check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_is_refused_where_the_tier_promises_it() {
    check().await;
}

async fn check() {
    if !have("perl") || !cfg!(target_arch = "x86_64") {
        eprintln!("skipped: the attempts use perl and x86-64 call numbers");
        return;
    }
    let all = attempts();
    let privates = Privates::new();
    let control = {
        let host = Host::new(all.len());
        control::run(&host, &privates, &all)
    };
    let sandbox = sandbox();
    let abi = sandbox.probe().await.landlock_abi;
    let tiers = tiers(&sandbox).await;
    let mut escaped = Vec::new();
    let mut columns = Vec::new();
    for &tier in &tiers {
        let host = Host::new(all.len());
        let worked = inside(&sandbox, tier, &host, &privates, &all, &[]).await;
        for (attempt, worked) in all.iter().zip(&worked) {
            if *worked && attempt.1.refused_in(tier, abi) {
                escaped.push(format!("{tier}: {}", attempt.0));
            }
        }
        if tier >= Isolation::Landlock {
            // Modes and times of the caller's own files are beyond Landlock, contents are not.
            host.assert_contents_untouched(tier);
        }
        columns.push(worked);
    }
    if tiers.contains(&Isolation::Namespaces) {
        // Where something is shown already nothing can be mounted in a copy of the root that all
        // runs share, so this run makes its own.
        let host = Host::new(all.len());
        let own = [Mount::read_only("/usr/share")];
        let tier = Isolation::Namespaces;
        let worked = inside(&sandbox, tier, &host, &privates, &all, &own).await;
        for (attempt, worked) in all.iter().zip(&worked) {
            if *worked && attempt.1.refused_in(tier, abi) {
                escaped.push(format!("{tier}, a root of its own: {}", attempt.0));
            }
        }
        host.assert_contents_untouched(tier);
    }
    print(&all, &control, &tiers, &columns, abi);
    assert_eq!(escaped, [""; 0]);
    for (tier, worked) in tiers.iter().zip(&columns) {
        let refused = worked.iter().filter(|worked| !**worked).count();
        assert!(refused >= AT_LEAST, "{tier}: only {refused} refused");
        // A refusal says something about the sandbox only if the attempt works without it.
        let earned = control.iter().zip(worked).filter(|(c, w)| **c && !**w);
        let earned = earned.count();
        assert!(earned >= AT_LEAST / 2, "{tier}: only {earned} are its own");
    }
}

fn print(
    all: &[&Attempt],
    control: &[bool],
    tiers: &[Isolation],
    columns: &[Vec<bool>],
    landlock_abi: u32,
) {
    eprint!("| attempt | without a sandbox |");
    for tier in tiers {
        eprint!(" {tier} |");
    }
    eprintln!("\n|---|---|{}", "---|".repeat(tiers.len()));
    for (index, (name, weakest, _)) in all.iter().enumerate() {
        let without = if control[index] {
            "works"
        } else {
            "not possible here"
        };
        eprint!("| {name} | {without} |");
        for (tier, worked) in tiers.iter().zip(columns) {
            eprint!(
                " {} |",
                match (worked[index], weakest.refused_in(*tier, landlock_abi)) {
                    (false, true) => "refused",
                    (false, false) => "refused, not promised",
                    (true, false) => "open, as documented",
                    (true, true) => "ESCAPED",
                }
            );
        }
        eprintln!();
    }
    for (tier, worked) in tiers.iter().zip(columns) {
        let refused = worked.iter().filter(|worked| !**worked).count();
        let pairs = control.iter().zip(worked);
        let earned = pairs.filter(|(c, w)| **c && !**w).count();
        eprintln!(
            "{tier}: {refused} of {} refused or harmless, {earned} of them work without a sandbox",
            all.len()
        );
    }
}
