//! Whom a build runs as when the caller is root: never root, and nobody else.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use build_sandbox::{
    Config, Credentials, Isolation, Mount, Network, Phase, Sandbox, SandboxError, Silent, Writable,
};
use support::{Recorder, build, chain, have, sandbox, tiers, until};
use tokio_util::sync::CancellationToken;

fn root() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        eprintln!("skipped: only a caller that is root gives its builds another user");
    }
    root
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

const WHO: &str =
    "build() { grep -E '^(Uid|Gid):' /proc/self/status; cat /etc/shadow && exit 1; :; }";

/// The ids of a process of the build, as the host counts them where no namespace translates.
fn ids(text: &str) -> BTreeSet<u32> {
    let numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.collect()
}

#[tokio::test]
async fn a_private_workspace_never_makes_a_build_root() {
    if !root() {
        return;
    }
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        let build = build(tier, WHO);
        mode(&build.spec.startdir, 0o700);
        let recorder = Recorder::default();
        let outcome = sandbox.run(&build.spec, Phase::Build, &token, &recorder);
        let outcome = outcome.await;
        let report = outcome
            .unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)))
            .report
            .unwrap();
        let Credentials::Dropped(id) = report.credentials else {
            panic!("{tier}: {report:?}");
        };
        let seen = ids(&recorder.text());
        let expected = if tier == Isolation::Namespaces {
            1000
        } else {
            id
        };
        assert_eq!(seen, BTreeSet::from([expected]), "{tier}");
        assert!(id != 0 && id != 65534, "{tier}");
        assert_eq!(fs::metadata(&build.spec.srcdir).unwrap().uid(), id);

        // A directory on the way that only root may pass.
        mode(build.directory.path(), 0o700);
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &Silent)
            .await;
        if tier == Isolation::Namespaces {
            outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        } else {
            let error = outcome.unwrap_err();
            let text = error.to_string();
            assert!(
                matches!(&error, SandboxError::Unreachable { parent, .. } if parent == build.directory.path()),
                "{tier}: {error:?}"
            );
            assert!(text.contains("namespaces"), "{text}");
        }
    }
}

#[tokio::test]
async fn tools_that_the_build_cannot_enter_are_left_out_and_said() {
    if !root() {
        return;
    }
    let sandbox = sandbox();
    let home = tempfile::tempdir().unwrap();
    let tools = home.path().join("tools");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("tool"), "#!/bin/sh\necho from the tool\n").unwrap();
    mode(&tools.join("tool"), 0o755);
    mode(&tools, 0o755);
    mode(home.path(), 0o700);
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        let mut build = build(tier, "build() { tool || echo none; id -u; }");
        build.spec.path.insert(0, tools.clone());
        build.spec.mounts.push(Mount::read_only(&tools));
        let recorder = Recorder::default();
        let outcome = sandbox.run(&build.spec, Phase::Build, &token, &recorder);
        outcome
            .await
            .unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        let warnings = recorder.warnings.lock().unwrap().clone();
        let text = recorder.text();
        assert!(!text.lines().any(|line| line == "0"), "{tier}: {text}");
        if tier == Isolation::Namespaces {
            assert!(text.contains("from the tool"), "{tier}: {text}");
        } else {
            assert!(text.contains("none"), "{tier}: {text}");
            let told = warnings.iter().filter(|warning| {
                warning.contains(tools.to_str().unwrap())
                    && warning.contains(home.path().to_str().unwrap())
                    && warning.contains("left out")
            });
            assert_eq!(told.count(), 1, "{tier}: {warnings:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_side_by_side_never_share_a_user() {
    if !root() {
        return;
    }
    // Two sandboxes stand for two processes: they share nothing but the host.
    let (one, two) = (sandbox(), sandbox());
    let token = CancellationToken::new();
    for tier in tiers(&one).await {
        let builds: Vec<_> = (0..4).map(|_| build(tier, "build() { :; }")).collect();
        let mut users = BTreeSet::new();
        for (index, build) in builds.iter().enumerate() {
            let sandbox = if index % 2 == 0 { &one } else { &two };
            for _ in 0..2 {
                let outcome = sandbox
                    .run(&build.spec, Phase::Build, &token, &Silent)
                    .await;
                let report = outcome.unwrap().report.unwrap();
                let Credentials::Dropped(id) = report.credentials else {
                    panic!("{report:?}");
                };
                users.insert((index, id));
            }
        }
        // All phases of a build have one, and no two builds have the same.
        assert_eq!(users.len(), builds.len(), "{tier}: {users:?}");
        let different: BTreeSet<u32> = users.iter().map(|(_, id)| *id).collect();
        assert_eq!(different.len(), builds.len(), "{tier}: {users:?}");
    }
}

#[tokio::test]
async fn a_named_range_is_used_up_and_given_back() {
    if !root() {
        return;
    }
    let config = Config {
        build_users: Some(1_900_000_007..=1_900_000_007),
        ..Config::default()
    };
    let (one, two) = (Sandbox::new(config.clone()), Sandbox::new(config));
    let token = CancellationToken::new();
    let first = build(Isolation::Group, "build() { touch made; }");
    let second = build(Isolation::Group, "build() { :; }");
    let outcome = one.run(&first.spec, Phase::Build, &token, &Silent).await;
    let report = outcome.unwrap().report.unwrap();
    assert_eq!(report.credentials, Credentials::Dropped(1_900_000_007));
    let refused = two.run(&second.spec, Phase::Build, &token, &Silent).await;
    assert!(
        matches!(refused, Err(SandboxError::NoBuildUser { .. })),
        "{refused:?}"
    );
    drop(one);
    until("what the build made is root's again", || {
        fs::metadata(first.path("made")).unwrap().uid() == 0
            && fs::metadata(&first.spec.startdir).unwrap().uid() == 0
    })
    .await;
    until("the user is free again", || {
        !Path::new("/run/build-sandbox/1900000007").exists()
    })
    .await;
    let outcome = two.run(&second.spec, Phase::Build, &token, &Silent).await;
    outcome.unwrap_or_else(|error| panic!("{}", chain(&error)));

    // An id that a process has is nobody's to give.
    let mut holder = Command::new("sleep")
        .arg("1000")
        .uid(1_900_000_008)
        .current_dir("/")
        .spawn()
        .unwrap();
    let three = Sandbox::new(Config {
        build_users: Some(1_900_000_008..=1_900_000_008),
        ..Config::default()
    });
    let third = build(Isolation::Group, "build() { :; }");
    let refused = three.run(&third.spec, Phase::Build, &token, &Silent).await;
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(
        matches!(refused, Err(SandboxError::NoBuildUser { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn root_that_is_alone_is_refused() {
    if std::env::var_os("INSIDE").is_none() {
        if !have("unshare") {
            return;
        }
        let output = Command::new("unshare")
            .args(["-Urm"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "root_that_is_alone_is_refused", "--nocapture"])
            .env("INSIDE", "1")
            .env(
                "OUTSIDE",
                nix::unistd::Uid::effective().as_raw().to_string(),
            )
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        if text.contains("unshare failed") {
            eprintln!("skipped: {text}");
            return;
        }
        assert!(output.status.success(), "{text}");
        return;
    }
    let really_root = std::env::var("OUTSIDE").unwrap() == "0";
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in Isolation::ALL {
        let build = build(tier, "build() { :; }");
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &Silent)
            .await;
        if tier == Isolation::Namespaces && !really_root {
            outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        } else {
            let text = chain(&outcome.unwrap_err());
            assert!(
                text.contains("alone in its user namespace"),
                "{tier}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn standard_streams_can_be_opened_by_name() {
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        let build = build(
            tier,
            "build() { echo one > /dev/stdout; echo two > /dev/stderr; echo three | tee /dev/stderr >/dev/null; }",
        );
        let recorder = Recorder::default();
        let outcome = sandbox.run(&build.spec, Phase::Build, &token, &recorder);
        outcome
            .await
            .unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        let mut lines = recorder.lines.lock().unwrap().clone();
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"], "{tier}");
        let echo = ["/bin/sh", "-c", "echo four > /dev/stdout"].map(str::to_owned);
        let outcome = sandbox.run_command(
            &build.spec,
            &echo,
            Network::None,
            Writable::Build,
            &token,
            &Silent,
        );
        assert_eq!(outcome.await.unwrap().stdout, "four\n", "{tier}");
    }
}

const OPEN: &str = "build() { echo x > ../seen; chmod -R 777 ..; }";

#[tokio::test]
async fn what_a_build_opens_to_everybody_stays_closed_in_an_enclosure() {
    if !root() {
        return;
    }
    // Whoever has no business there, and knows the path.
    let stranger = |path: &Path| {
        let mut command = Command::new("cat");
        let command = command.arg(path).uid(65534).gid(65534);
        command.output().unwrap().status.success()
    };
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        for is_enclosed in [false, true] {
            let mut build = build(tier, OPEN);
            let enclosure = build.spec.startdir.parent().unwrap().to_owned();
            build.spec.startdir_is_enclosed = is_enclosed;
            mode(&enclosure, if is_enclosed { 0o700 } else { 0o755 });
            mode(&build.spec.startdir, 0o700);
            let outcome = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
            let outcome = outcome.await;
            outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
            let seen = build.spec.startdir.join("seen");
            assert_eq!(stranger(&seen), !is_enclosed, "{tier}");
            let metadata = enclosure.metadata().unwrap();
            assert_eq!(metadata.uid(), 0, "{tier}");
        }
    }
}
