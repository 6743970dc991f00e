//! What a provision may take of its host.

use axum::Router;
use axum::routing::get;
use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use e2e_tests::serve::Server;
use tokio_util::sync::CancellationToken;
use worker_provisioner::ProvisionRequest;

use crate::support::{Site, recipe, run};

const PROGRAM: &str = "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
                       install -Dm755 demo \"$pkgdir/usr/bin/demo\"";

#[test]
fn a_build_has_the_memory_the_disk_and_the_processes_that_it_was_given() {
    let takes = [
        (
            "memory",
            "x=$(head -c 400000000 /dev/zero | tr '\\0' a)\n  sleep 5",
        ),
        (
            "disk",
            "head -c 60000000 /dev/zero > \"$srcdir/big\"\n  sleep 5",
        ),
        ("process", "for n in {1..60}; do sleep 5 & done\n  wait"),
    ];
    run(async {
        for (what, take) in takes {
            let mut site = Site::new("limits");
            let text = recipe(&format!("  {take}\n{PROGRAM}"));
            let _catalog = site.serve(&text).await;
            match what {
                "memory" => site.config.memory_limit = Some(100 << 20),
                "disk" => site.config.disk_limit = 30 << 20,
                _ => site.config.process_limit = 30,
            }
            let error = site.provision("demo").await.unwrap_err();
            let text = error.chain();
            assert!(text.contains(&format!("--{what}-limit")), "{what}: {text}");
            site.assert_nothing_installed();
            site.assert_soon_clean().await;
        }
    });
}

#[test]
fn a_download_holds_no_place_for_builds() {
    run(async {
        let (asked, go) = (CancellationToken::new(), CancellationToken::new());
        let (is_asked, may_go) = (asked.clone(), go.clone());
        let slow = get(move || {
            is_asked.cancel();
            let may_go = may_go.clone();
            async move {
                may_go.cancelled().await;
                "hello"
            }
        });
        let files = Server::start(0, Router::new().route("/slow", slow));
        let files = files.await.unwrap();
        let source = format!(
            "source=('{}/slow')\nsha256sums=('{}')\n",
            files.base_url(),
            e2e_tests::release::sha256(b"hello")
        );
        let mut waiting = Site::new("download");
        waiting.config.parallel_builds = 1;
        let mut content = sample::prebuilt_catalog("demo", &(recipe(PROGRAM) + &source));
        let quick = sample::prebuilt_catalog("quick", &recipe(PROGRAM).replace("demo", "quick"));
        content.entries.extend(quick.entries);
        content.pkgbuilds.extend(quick.pkgbuilds);
        let catalog = CatalogServer::start(0, content);
        let catalog = catalog.await.unwrap();
        waiting.config.catalog_urls = vec![catalog.base_url()];
        let provisioner = waiting.provisioner();
        let slow = provisioner.clone();
        let slow = tokio::spawn(async move {
            let request = ProvisionRequest::new("demo");
            slow.provision_request(&request, CancellationToken::new())
                .await
        });
        asked.cancelled().await;
        // It would wait for ever for a place that the download held.
        let request = ProvisionRequest::new("quick");
        let done = provisioner.provision_request(&request, CancellationToken::new());
        done.await.unwrap();
        go.cancel();
        slow.await.unwrap().unwrap();
    });
}
