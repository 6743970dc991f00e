//! However a build ends, no process of it is left: a hostile set, counted by a marker over `/proc`.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use build_sandbox::{Event, Isolation, Kill, Phase, SandboxError, Silent};
use support::{build, chain, sandbox, survivors, tiers, until};
use tokio_util::sync::CancellationToken;

/// Name and text of `build()`. Each touches `ready` when its processes exist; the last field says
/// whether the function itself then returns.
const HOSTILE: &[(&str, &str, bool)] = &[
    (
        "plain tree of 7",
        "for i in 1 2 3; do ( sleep 1000 & sleep 1000 & wait ) & done; touch ready; wait",
        false,
    ),
    (
        "ignores TERM",
        "trap '' TERM; touch ready; while :; do sleep 1000; done",
        false,
    ),
    (
        "setsid grandchild",
        "( setsid sleep 1000 & ); touch ready; sleep 1000",
        false,
    ),
    (
        "daemon, descriptors closed",
        "( setsid bash -c 'exec 0<&- 1>&- 2>&-; sleep 1000 & sleep 1000' & ) ; touch ready; sleep 1000",
        false,
    ),
    (
        "200 processes, each setsid",
        "for ((i = 0; i < 200; i++)); do setsid sleep 1000 & done; touch ready; wait",
        false,
    ),
    (
        "shell exits, child keeps stdout",
        "sleep 1000 & touch ready",
        true,
    ),
    (
        "shell exits, setsid child keeps stdout",
        "setsid sleep 1000 & touch ready",
        true,
    ),
    (
        "stopped, one of three setsid",
        "setsid sleep 1000 & p=$!; sleep 1000 & q=$!; kill -STOP $p $q; touch ready; kill -STOP $BASHPID",
        false,
    ),
    (
        "closes stdout, keeps running",
        "exec 1>&- 2>&-; touch ready; sleep 1000",
        false,
    ),
    (
        "setsid child closes stdout",
        "( setsid bash -c 'exec 1>&- 2>&-; sleep 1000; :' & ); touch ready; sleep 1000",
        false,
    ),
    (
        "moving target, a new generation each millisecond",
        "cat > hop <<'X'\nsleep 0.001; setsid bash hop & disown; exit\nX\nfor i in 1 2 3 4; do setsid bash hop & done; touch ready; sleep 1000",
        false,
    ),
    (
        "writes without end, on both streams",
        "yes & yes >&2 & touch ready; wait",
        false,
    ),
    (
        "subreaper of its own",
        "perl -e 'syscall(157, 36, 1, 0, 0, 0); for (1..5) { if (!fork) { if (!fork) { setpgrp; sleep 1000 } exit } } open(F, \">ready\"); sleep 1000'",
        false,
    ),
];

fn recipe(body: &str) -> String {
    format!("pkgname=demo\nbuild() {{\n{body}\n}}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_cancel() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        for (name, body, returns) in HOSTILE {
            let mut build = build(tier, &recipe(body));
            if *name == "ignores TERM" {
                build.spec.grace = Duration::from_millis(50);
            }
            let token = CancellationToken::new();
            let ready = build.path("ready");
            let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
            let cancel = async {
                until(name, || ready.exists()).await;
                token.cancel();
                Instant::now()
            };
            let (result, cancelled) = tokio::join!(run, cancel);
            let took = cancelled.elapsed();
            assert_eq!(build.survivors(), [0u32; 0], "{tier}: {name}");
            match result {
                Err(SandboxError::Cancelled { .. }) => {}
                Ok(_) if *returns => {}
                other => panic!("{tier}: {name}: {other:?}"),
            }
            eprintln!("cancel {tier}: {name}: 0 survivors, {took:.0?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_drop() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        for (name, body, _) in HOSTILE {
            let build = build(tier, &recipe(body));
            let token = CancellationToken::new();
            let ready = build.path("ready");
            tokio::select! {
                _ = sandbox.run(&build.spec, Phase::Build, &token, &Silent) => {}
                () = until(name, || ready.exists()) => {}
            }
            until(&format!("{tier}: {name}: nothing left after drop"), || {
                build.survivors().is_empty()
            })
            .await;
        }
        until("supervisors reaped", || zombies() == 0).await;
    }
}

fn zombies() -> usize {
    let me = format!(" {} ", std::process::id());
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            stat.rsplit_once(')')
                .is_some_and(|(_, rest)| rest.starts_with(" Z") && rest[2..].starts_with(&me))
        })
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_the_normal_end() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        for (name, body, _) in HOSTILE {
            // The same processes, but the function returns once they exist.
            let body = format!("( {body} ) & until [[ -e ready ]]; do sleep 0.01; done; echo done");
            let build = build(tier, &recipe(&body));
            let token = CancellationToken::new();
            let outcome = sandbox
                .run(&build.spec, Phase::Build, &token, &Silent)
                .await;
            assert_eq!(build.survivors(), [0u32; 0], "{tier}: {name}");
            let outcome =
                outcome.unwrap_or_else(|error| panic!("{tier}: {name}: {}", chain(&error)));
            let report = outcome.report.unwrap();
            assert_eq!(report.kill, Kill::Proven, "{tier}: {name}");
            if !name.starts_with("writes") {
                assert_eq!(report.output_bytes, 5, "{tier}: {name}");
            }
        }
    }
}

/// Run again by the tests below as a host program of its own.
#[test]
fn host_program() {
    let (Ok(tier), Ok(case)) = (std::env::var("HOST_TIER"), std::env::var("HOST_CASE")) else {
        return;
    };
    let tier = Isolation::ALL
        .into_iter()
        .find(|t| t.name() == tier)
        .unwrap();
    let body = HOSTILE[case.parse::<usize>().unwrap()].1;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut build = build(tier, &recipe(body));
        build.spec.environment.insert(
            support::MARKER.to_owned(),
            std::env::var("HOST_MARKER").unwrap(),
        );
        build.spec.limits.wall = Duration::from_mins(1);
        let print = |event: Event<'_>| {
            if matches!(event, Event::Started { .. }) {
                eprintln!("directory {}", build.spec.startdir.display());
            }
        };
        let _ = sandbox()
            .run(&build.spec, Phase::Build, &CancellationToken::new(), &print)
            .await;
        // For the cases that return by themselves.
        std::thread::sleep(Duration::from_mins(1));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_sigkill_of_the_host_program() {
    use std::io::{BufRead, BufReader};
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        for (index, (name, _, _)) in HOSTILE.iter().enumerate() {
            let marker = format!("host-{}-{tier}-{index}", std::process::id());
            let mut host = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "host_program", "--nocapture"])
                .env("HOST_TIER", tier.name())
                .env("HOST_CASE", index.to_string())
                .env("HOST_MARKER", &marker)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(host.stderr.take().unwrap())
                .lines()
                .map_while(Result::ok);
            let directory = lines
                .find_map(|line| line.strip_prefix("directory ").map(str::to_owned))
                .unwrap();
            let ready = std::path::Path::new(&directory).join("src/ready");
            until(name, || ready.exists()).await;
            host.kill().unwrap();
            host.wait().unwrap();
            until(
                &format!("{tier}: {name}: nothing left after SIGKILL"),
                || survivors(&marker).is_empty(),
            )
            .await;
            // The killed program could not remove its directory.
            let _ = std::fs::remove_dir_all(std::path::Path::new(&directory).parent().unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_survives_cancel_at_random_instants() {
    let sandbox = sandbox();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for tier in tiers(&sandbox).await {
        // A cancelled run promises that nothing is left when it returns, a dropped one that soon
        // nothing will be; so the two are counted by markers of their own.
        let body = recipe("for i in 1 2 3; do setsid sleep 1000 & sleep 1000 & done; wait");
        let (build, dropped) = (build(tier, &body), build(tier, &body));
        for round in 0..500 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let wait = Duration::from_micros(seed % 20_000);
            let token = CancellationToken::new();
            if round % 2 == 1 {
                let run = sandbox.run(&dropped.spec, Phase::Build, &token, &Silent);
                let _ = tokio::time::timeout(wait, run).await;
            } else {
                let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
                let (result, ()) = tokio::join!(run, async {
                    tokio::time::sleep(wait).await;
                    token.cancel();
                });
                assert!(
                    result.is_err_and(|error| error.is_cancelled()),
                    "{tier}: round {round}"
                );
                assert_eq!(build.survivors(), [0u32; 0], "{tier}: round {round}");
            }
        }
        until("nothing left after random drops", || {
            dropped.survivors().is_empty()
        })
        .await;
    }
    until("supervisors reaped", || zombies() == 0).await;
}
