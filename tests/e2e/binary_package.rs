//! Prebuilt workers of both generations.

use std::process::Stdio;

use e2e_tests::{sample, worker};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ArtifactProvisioner as _, Flavor, ProvisionRequest, WorkerType,
};

use crate::support::{Site, catalog_with, recipe, run, sample};

#[test]
fn a_prebuilt_worker_is_verified_and_answers() {
    run(async {
        let site = Site::new("binary");
        let provisioned = site.provision(sample::WORKER).await.unwrap();
        assert_eq!(provisioned.receipt.flavor, Flavor::Binary);
        assert_eq!(provisioned.binary.version(), "0.3.0");
        worker::answers(provisioned.binary.path()).await.unwrap();
        site.assert_clean();
    });
}

#[test]
fn a_first_generation_worker_is_installed_under_its_own_name() {
    run(async {
        let mut site = Site::new("v1");
        site.config.catalog_urls = vec![sample().v1_catalog_url()];
        let cancel = CancellationToken::new();
        let binary = site
            .provisioner()
            .provision(sample::V1_WORKER, "job", cancel)
            .await
            .unwrap();
        assert_eq!(binary.path(), site.bin_dir().join("sample-worker-rbee-cpu"));
        assert_eq!(binary.id(), "sample-worker-rbee-cpu-0.3.0-linux");
        assert_eq!(binary.max_context_length(), 2048);
        worker::answers(binary.path()).await.unwrap();
        site.assert_clean();
    });
}

#[test]
fn a_running_worker_goes_on_while_it_is_replaced() {
    run(async {
        let site = Site::new("replace");
        let path = site
            .provision(sample::WORKER)
            .await
            .unwrap()
            .binary
            .path()
            .to_owned();
        let mut command = tokio::process::Command::new(&path);
        command
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut old = worker::when_not_busy(|| command.spawn()).unwrap();
        let mut lines = BufReader::new(old.stdout.take().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap();
        site.provision(sample::WORKER).await.unwrap();
        assert!(old.try_wait().unwrap().is_none(), "the old worker ended");
        worker::answers(&path).await.unwrap();
        // The program, and the link that has its plain name.
        assert_eq!(site.bin_dir().read_dir().unwrap().count(), 2);
    });
}

#[test]
fn the_recipe_sees_the_chosen_backend() {
    run(async {
        let catalog = catalog_with(&recipe(
            "  [ \"$RBEE_FEATURES\" = cpu ]\n  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
             install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
        ))
        .await;
        let mut site = Site::new("features");
        site.config.backend = None;
        site.config.catalog_urls = vec![catalog.base_url()];
        let request = ProvisionRequest::new("demo").with_backend(WorkerType::Cpu);
        let cancel = CancellationToken::new();
        let provisioned = site
            .provisioner()
            .provision_request(&request, cancel)
            .await
            .unwrap();
        assert_eq!(provisioned.backend.backend, WorkerType::Cpu);
        assert!(provisioned.backend.reason.contains("requested"));
    });
}
