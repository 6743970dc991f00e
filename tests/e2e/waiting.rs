//! Reuse without requests, waiting for one another, and what is supported.

use std::fs::File;
use std::sync::{Arc, Mutex};

use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    ArtifactProvisioner as _, Happening, ProvisionError, ProvisionEvent, ProvisionPhase,
    ProvisionRequest,
};

use crate::support::{Site, recipe, run};

const BODY: &str = "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
                    install -Dm755 demo \"$pkgdir/usr/bin/demo\"";

#[test]
fn a_second_provision_asks_only_whether_the_recipe_has_changed_and_offline_nothing() {
    run(async {
        let mut site = Site::new("fresh");
        let catalog = site.serve(&recipe(BODY)).await;
        site.provision("demo").await.unwrap();
        let asked = catalog.requests().len();
        assert!(site.provision("demo").await.unwrap().reused);
        let requests = catalog.requests();
        // The service has recipes confirmed every time: `max-age=0, must-revalidate`.
        assert_eq!(requests.len(), asked + 1, "{requests:?}");
        let last = requests.last().unwrap();
        assert!(last.path.starts_with("/pkgbuilds/"), "{last:?}");
        assert!(last.headers.contains_key("if-none-match"), "{last:?}");
        site.config.offline = true;
        assert!(site.provision("demo").await.unwrap().reused);
        assert_eq!(catalog.requests().len(), asked + 1);
    });
}

#[test]
fn a_worker_that_another_process_provisions_is_waited_for_visibly_and_cancellably() {
    run(async {
        let mut site = Site::new("locked");
        let _catalog = site.serve(&recipe(BODY)).await;
        let locks = site.config.data_dir.join("locks");
        std::fs::create_dir_all(&locks).unwrap();
        let file = File::create(locks.join("demo.cpu")).unwrap();
        file.lock().unwrap();
        let held = Mutex::new(Some(file));
        let cancel = CancellationToken::new();
        let token = cancel.clone();
        let waits = |event: &ProvisionEvent| {
            event.phase == ProvisionPhase::Wait && matches!(event.happening, Happening::Note { .. })
        };
        let cancelling =
            site.provisioner()
                .with_reporter(Arc::new(move |event: &ProvisionEvent| {
                    if waits(event) {
                        token.cancel();
                    }
                }));
        let request = ProvisionRequest::new("demo");
        let error = cancelling
            .provision_request(&request, cancel)
            .await
            .unwrap_err();
        assert!(matches!(error, ProvisionError::Cancelled), "{error}");
        let releasing =
            site.provisioner()
                .with_reporter(Arc::new(move |event: &ProvisionEvent| {
                    if waits(event) {
                        drop(held.lock().unwrap().take());
                    }
                }));
        let done = releasing.provision_request(&request, CancellationToken::new());
        assert!(!done.await.unwrap().reused);
        site.assert_clean();
    });
}

#[test]
fn builds_beyond_the_configured_number_wait_for_a_place() {
    let slow = recipe(&format!(
        "  echo under way\n  until [ -e \"$startdir/go\" ]; do sleep 0.02; done\n{BODY}"
    ));
    let entry = |id: &str| {
        json!({
            "id": id, "implementation": "rust", "version": "1.0.0", "name": "Demo",
            "license": "MIT", "buildSystem": "cargo",
            "variants": [{
                "backend": "cpu", "platforms": ["linux", "macos"],
                "architectures": ["x86_64", "aarch64"],
                "pkgbuildUrl": format!("/pkgbuilds/arch/{id}.PKGBUILD"), "binaryName": id,
            }],
            "capabilities": { "supportedFormats": [] },
        })
    };
    run(async {
        let content = CatalogContent::new(Generation::V2)
            .entry(entry("slow"))
            .entry(entry("quick"))
            .pkgbuild("arch/slow.PKGBUILD", slow)
            .pkgbuild("arch/quick.PKGBUILD", recipe(BODY));
        let catalog = CatalogServer::start(0, content).await.unwrap();
        let mut site = Site::new("places");
        site.config.catalog_urls = vec![catalog.base_url()];
        site.config.parallel_builds = 1;
        let under_way = CancellationToken::new();
        let started = under_way.clone();
        let folder = site.config.temp_dir.clone();
        let order = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::clone(&order);
        let provisioner =
            site.provisioner()
                .with_reporter(Arc::new(move |event: &ProvisionEvent| {
                    match (&event.happening, event.phase) {
                        (Happening::Output { line, .. }, _) if line == "under way" => {
                            started.cancel();
                        }
                        (Happening::Note { .. }, ProvisionPhase::Wait) => {
                            assert_eq!(event.worker_id, "quick");
                            for entry in folder.read_dir().unwrap().flatten() {
                                if entry.path().is_dir() {
                                    File::create(entry.path().join("build/go")).unwrap();
                                }
                            }
                        }
                        (Happening::Finished { .. }, ProvisionPhase::Package) => {
                            ended.lock().unwrap().push(event.worker_id.clone());
                        }
                        _ => {}
                    }
                }));
        let (slow, quick) = (
            ProvisionRequest::new("slow"),
            ProvisionRequest::new("quick"),
        );
        let first = provisioner.provision_request(&slow, CancellationToken::new());
        let second = async {
            under_way.cancelled().await;
            provisioner
                .provision_request(&quick, CancellationToken::new())
                .await
        };
        let (first, second) = tokio::join!(first, second);
        first.unwrap();
        second.unwrap();
        assert_eq!(*order.lock().unwrap(), ["slow", "quick"]);
        site.assert_clean();
    });
}

#[test]
fn what_is_supported_follows_from_the_form_and_the_known_catalog_without_a_request() {
    run(async {
        let mut site = Site::new("supports");
        let catalog = site.serve(&recipe(BODY)).await;
        let provisioner = site.provisioner();
        assert!(provisioner.supports("other") && provisioner.supports("demo"));
        assert!(!provisioner.supports("../demo"));
        assert!(catalog.requests().is_empty());
        provisioner
            .learn_catalog(&CancellationToken::new())
            .await
            .unwrap();
        let asked = catalog.requests().len();
        assert!(provisioner.supports("demo") && provisioner.supports("demo-cpu"));
        assert!(!provisioner.supports("other"));
        // The next process finds the list where the last one has kept it.
        let restarted = site.provisioner();
        assert!(restarted.supports("demo") && !restarted.supports("other"));
        assert_eq!(catalog.requests().len(), asked);
    });
}
