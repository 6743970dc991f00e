//! A build in a control group of its own, where this user may make one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use build_sandbox::{Config, Enforcement, LimitKind, Phase, Sandbox, SandboxError, Silent};
use support::{Recorder, build, chain, tiers, until};
use tokio_util::sync::CancellationToken;

/// Stands in for a delegated group; removed at the end.
struct Delegated(PathBuf);

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn delegated(name: &str) -> Option<Delegated> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let root = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| Path::new(path).to_owned())
    });
    let made = root
        .map(|root| root.join(format!("test-{name}-{}", std::process::id())))
        .filter(|path| fs::create_dir(path).is_ok());
    if made.is_none() {
        eprintln!("skipped: this user cannot make a control group here");
    }
    made.map(Delegated)
}

fn sandbox(group: &Delegated) -> Sandbox {
    Sandbox::new(Config {
        control_group: Some(group.0.clone()),
        ..Config::default()
    })
}

fn has(group: &Delegated, controller: &str) -> bool {
    let text = fs::read_to_string(group.0.join("cgroup.controllers")).unwrap();
    let found = text.split_whitespace().any(|name| name == controller);
    if !found {
        eprintln!("skipped in part: the host offers no `{controller}` controller");
    }
    found
}

fn groups_in(group: &Delegated) -> usize {
    let entries = fs::read_dir(&group.0).unwrap().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_runs_in_a_group_that_is_gone_afterwards() {
    let Some(group) = delegated("run") else {
        return;
    };
    let sandbox = sandbox(&group);
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            "build() { setsid sleep 1000 & cat /proc/self/cgroup; }\n",
        );
        build.spec.limits.memory = Some(1 << 30);
        let (recorder, token) = (Recorder::default(), CancellationToken::new());
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &recorder)
            .await;
        let report = outcome
            .unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)))
            .report
            .unwrap();
        let name = group.0.file_name().unwrap().to_str().unwrap();
        let inside = format!("{name}/build-sandbox-{}-", std::process::id());
        assert!(
            recorder.text().contains(&inside),
            "{tier}: {}",
            recorder.text()
        );
        assert_eq!(build.survivors(), [0u32; 0], "{tier}");
        assert_eq!(groups_in(&group), 0, "{tier}");
        for (limit, controller) in [
            (LimitKind::Memory, "memory"),
            (LimitKind::Processes, "pids"),
        ] {
            let expected = if has(&group, controller) {
                Enforcement::ControlGroup
            } else {
                Enforcement::Watched
            };
            assert!(report.limits.contains(&(limit, expected)), "{tier}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_build_leaves_a_group_that_the_next_one_removes() {
    let Some(group) = delegated("drop") else {
        return;
    };
    let sandbox = sandbox(&group);
    for tier in tiers(&sandbox).await {
        let build = build(
            tier,
            "build() { setsid sleep 1000 & touch ready; sleep 1000; }\n",
        );
        let (token, ready) = (CancellationToken::new(), build.path("ready"));
        tokio::select! {
            _ = sandbox.run(&build.spec, Phase::Build, &token, &Silent) => {}
            () = until("the build is ready", || ready.exists()) => {}
        }
        until("nothing left after drop", || build.survivors().is_empty()).await;
        fs::write(&build.spec.recipe, "build() { true; }\n").unwrap();
        let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
        run.await.unwrap();
        assert_eq!(groups_in(&group), 0, "{tier}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_group_holds_the_number_of_processes() {
    let Some(group) = delegated("pids") else {
        return;
    };
    if !has(&group, "pids") {
        return;
    }
    let sandbox = sandbox(&group);
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            "build() { for i in {1..60}; do sleep 1000 & done; wait; }\n",
        );
        build.spec.limits.processes = 40;
        let token = CancellationToken::new();
        let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
        let error = run.await.unwrap_err();
        assert!(
            matches!(error, SandboxError::Processes { .. }),
            "{tier}: {error:?}"
        );
    }
}
