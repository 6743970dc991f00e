//! What runs is not removed from under itself.

use std::process::{Child, Command};

use e2e_tests::worker;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{Artifact as _, ProvisionError, WorkerType};

use crate::support::{Site, recipe, run};

const CPU: WorkerType = WorkerType::Cpu;

/// A worker with a tree, that serves until it is stopped.
fn serving(version: &str) -> String {
    recipe(
        "  install -Dm755 /dev/stdin \"$pkgdir/usr/bin/demo\" <<'END'\n#!/bin/sh\n\
         [ \"$1\" = --version ] && echo demo && exit\n\
         while :; do sleep 0.05; done\nEND\n  \
         echo part | install -Dm644 /dev/stdin \"$pkgdir/usr/share/demo/part\"",
    )
    .replace("1.0.0", version)
}

struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(worker::when_not_busy(|| command.spawn()).unwrap())
    }

    fn stop(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_version_that_runs_stays_until_it_is_stopped() {
    run(async {
        let mut site = Site::new("running");
        let _catalog = site.serve(&serving("1.0.0")).await;
        let first = site.provision("demo").await.unwrap();
        let running = Running::start(&mut Command::new(first.binary.path()));
        // The shell that starts it becomes it.
        let tree = site.config.data_dir.join("store/demo.cpu");
        let is_up = || {
            let text = std::fs::read(format!("/proc/{}/cmdline", running.0.id())).unwrap();
            String::from_utf8_lossy(&text).contains(tree.to_str().unwrap())
        };
        while !is_up() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let provisioner = site.provisioner();
        let cancel = CancellationToken::new();
        let error = provisioner.remove("demo", CPU, &cancel).await.unwrap_err();
        assert!(matches!(error, ProvisionError::InUse { .. }), "{error}");

        let _catalog = site.serve(&serving("2.0.0")).await;
        site.provision("demo").await.unwrap();
        let store = provisioner.store();
        let collected = store.gc(0).unwrap();
        assert_eq!((collected.versions, collected.in_use), (0, 1));
        running.stop();
        assert_eq!(store.gc(0).unwrap().versions, 1);
        provisioner.remove("demo", CPU, &cancel).await.unwrap();
        site.assert_nothing_installed();
    });
}

#[test]
fn a_lease_lasts_as_long_as_whoever_holds_it_or_has_inherited_it() {
    run(async {
        let mut site = Site::new("leased");
        let _catalog = site.serve(&serving("1.0.0")).await;
        site.provision("demo").await.unwrap();
        let provisioner = site.provisioner();
        let store = provisioner.store();
        let cancel = CancellationToken::new();
        let is_in_use = async || {
            let removed = provisioner.remove("demo", CPU, &cancel).await;
            matches!(removed, Err(ProvisionError::InUse { .. }))
        };
        let first = store.lease("demo", CPU).unwrap();
        let second = store.lease("demo", CPU).unwrap();
        assert!(second.tree().join("usr/bin/demo").exists());
        drop(first);
        assert!(is_in_use().await);
        let not_shared = Running::start(Command::new("sleep").arg("60"));
        second.share_with_children().unwrap();
        let shared = Running::start(Command::new("sleep").arg("60"));
        // As when the hive has died and its worker has not.
        drop(second);
        assert!(is_in_use().await, "the child has inherited it");
        shared.stop();
        // The other has not; what other tests start meanwhile may have, for a moment.
        while is_in_use().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        not_shared.stop();
        assert!(matches!(
            store.lease("demo", CPU),
            Err(ProvisionError::NotInstalled { .. })
        ));
    });
}
