//! Names that something else has: a foreign file, an earlier version of this program, a record of what
//! is gone.

use std::fs;
use std::path::Path;

use e2e_tests::catalog_server::CatalogServer;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ArtifactCatalog as _, FilesystemCatalog, ProvisionError, ProvisionPhase,
    ProvisionRequest, WorkerBinary, WorkerType,
};

use crate::side_by_side::{CPU, CUDA, install, says, second, site};
use crate::support::{Site, run};

#[test]
fn a_foreign_program_is_noticed_before_anything_is_built() {
    run(async {
        let catalog = CatalogServer::start(0, second(&["demo"], "1.0.0"))
            .await
            .unwrap();
        for name in ["demo", "demo-cpu"] {
            let site = site("foreign", &catalog);
            fs::create_dir(site.bin_dir()).unwrap();
            let path = site.bin_dir().join(name);
            fs::write(&path, "somebody's").unwrap();
            let error = install(&site, "demo", Some(CPU), false).await.unwrap_err();
            assert!(
                matches!(error, ProvisionError::ForeignFile { .. }),
                "{error}"
            );
            let events = site.events.lock().unwrap().clone();
            assert!(
                events
                    .iter()
                    .all(|one| one.phase != ProvisionPhase::Workspace)
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
            install(&site, "demo", Some(CPU), true).await.unwrap();
            assert_eq!(says(&path), "second-demo 1.0.0 cpu");
        }
    });
}

/// Turns what is installed for `backend` into what earlier versions of this program left: the file
/// itself under the catalog's name, and a record without it.
fn make_old(site: &Site, backend: WorkerType) {
    let plain = site.bin_dir().join("demo");
    let own = site.bin_dir().join(format!("demo-{backend}"));
    if plain.symlink_metadata().is_ok() {
        fs::remove_file(&plain).unwrap();
    }
    fs::rename(&own, &plain).unwrap();
    let folder = site.config.data_dir.join(format!("store/demo.{backend}"));
    for version in folder.read_dir().unwrap() {
        let path = version.unwrap().path().join("receipt.json");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let mut receipt: Value = serde_json::from_str(&text).unwrap();
        receipt.as_object_mut().unwrap().remove("binaryName");
        receipt["artifact"]["path"] = json!(plain);
        fs::write(&path, receipt.to_string()).unwrap();
    }
}

fn built(site: &Site) -> bool {
    let events = site.events.lock().unwrap();
    events
        .iter()
        .any(|event| event.phase == ProvisionPhase::Workspace)
}

#[test]
fn what_earlier_versions_installed_goes_on_and_gets_its_names_without_a_build() {
    run(async {
        let old = CatalogServer::start(0, second(&["demo"], "1.0.0"))
            .await
            .unwrap();
        let new = CatalogServer::start(0, second(&["demo"], "1.1.0"))
            .await
            .unwrap();
        let mut site = site("old", &old);
        install(&site, "demo", Some(CPU), false).await.unwrap();
        site.config.catalog_urls = vec![new.base_url()];
        install(&site, "demo", Some(CPU), false).await.unwrap();
        make_old(&site, CPU);
        let plain = site.bin_dir().join("demo");
        let cancel = CancellationToken::new();
        assert_eq!(
            site.provisioner().store().verify("demo", CPU).unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(says(&plain), "second-demo 1.1.0 cpu");

        // Asked for again: no build, and the names of today.
        site.events.lock().unwrap().clear();
        let again = install(&site, "demo", Some(CPU), false).await.unwrap();
        assert!(!built(&site));
        assert_eq!(again.binary.path(), site.bin_dir().join("demo-cpu"));
        assert_eq!(fs::read_link(&plain).unwrap(), Path::new("demo-cpu"));
        assert_eq!(says(&plain), "second-demo 1.1.0 cpu");

        // Rolled back as it was.
        make_old(&site, CPU);
        let back = site.provisioner().rollback("demo", CPU, &cancel).await;
        assert_eq!(says(back.unwrap().path()), "second-demo 1.0.0 cpu");
        assert_eq!(says(&plain), "second-demo 1.0.0 cpu");

        // Removed as it was.
        make_old(&site, CPU);
        site.provisioner()
            .remove("demo", CPU, &cancel)
            .await
            .unwrap();
        site.assert_nothing_installed();
    });
}

#[test]
fn a_backend_that_was_overwritten_by_another_gets_a_path_of_its_own() {
    run(async {
        let catalog = CatalogServer::start(0, second(&["demo"], "1.0.0"))
            .await
            .unwrap();
        let site = site("overwritten", &catalog);
        for backend in [CPU, CUDA] {
            install(&site, "demo", Some(backend), false).await.unwrap();
            make_old(&site, backend);
        }
        let plain = site.bin_dir().join("demo");
        assert_eq!(says(&plain), "second-demo 1.0.0 cuda");
        let provisioner = site.provisioner();
        let store = provisioner.store();
        assert!(!store.verify("demo", CPU).unwrap().is_empty());

        let cpu = install(&site, "demo", Some(CPU), false).await.unwrap();
        assert_eq!(says(cpu.binary.path()), "second-demo 1.0.0 cpu");
        // It is still the path on record of the other.
        assert_eq!(says(&plain), "second-demo 1.0.0 cuda");
        for backend in [CPU, CUDA] {
            assert_eq!(store.verify("demo", backend).unwrap(), Vec::<String>::new());
        }
        let cancel = CancellationToken::new();
        provisioner.remove("demo", CUDA, &cancel).await.unwrap();
        assert_eq!(says(&plain), "second-demo 1.0.0 cpu");
        assert_eq!(store.verify("demo", CPU).unwrap(), Vec::<String>::new());
    });
}

#[test]
fn what_another_installer_left_is_replaced_without_a_build_that_is_stored_already() {
    run(async {
        let catalog = CatalogServer::start(0, second(&["demo"], "1.0.0"))
            .await
            .unwrap();
        let site = site("adopt", &catalog);
        let own = install(&site, "demo", Some(CPU), false).await.unwrap();
        fs::write(own.binary.path(), "an older installer's").unwrap();
        let error = install(&site, "demo", Some(CPU), false).await.unwrap_err();
        assert!(error.chain().contains("--replace"), "{}", error.chain());
        site.events.lock().unwrap().clear();
        let request = ProvisionRequest::new("demo").with_backend(CPU).replacing();
        let cancel = CancellationToken::new();
        let replaced = site.provisioner().provision_request(&request, cancel).await;
        assert!(!built(&site));
        assert_eq!(
            says(replaced.unwrap().binary.path()),
            "second-demo 1.0.0 cpu"
        );
    });
}

#[test]
fn a_hives_catalog_holds_what_is_installed_and_no_ghosts() {
    run(async {
        let mut site = site(
            "ghosts",
            &CatalogServer::start(0, second(&["demo"], "1.0.0"))
                .await
                .unwrap(),
        );
        let catalog: FilesystemCatalog<WorkerBinary> =
            FilesystemCatalog::new(site.bin_dir().with_file_name("workers"));
        // Somebody else's program, which stands where its record says.
        let foreign = site.bin_dir().with_file_name("foreign");
        fs::write(&foreign, "").unwrap();
        let platform = worker_provisioner::Platform::Linux;
        let record = WorkerBinary::new("foreign-cpu-1.0-linux", CPU, platform, &foreign, 0, "1.0");
        catalog.add(record).unwrap();
        let cancel = CancellationToken::new();
        let ids = || {
            let mut ids: Vec<_> = catalog
                .list()
                .iter()
                .map(|one| one.id().to_owned())
                .collect();
            ids.sort();
            ids.retain(|id| id != "foreign-cpu-1.0-linux");
            ids
        };
        for (version, backend) in [("1.0.0", CPU), ("1.1.0", CPU), ("1.1.0", CUDA)] {
            let server = CatalogServer::start(0, second(&["demo"], version))
                .await
                .unwrap();
            site.config.catalog_urls = vec![server.base_url()];
            let request = ProvisionRequest::new("demo").with_backend(backend);
            let provisioner = site.provisioner();
            let added = provisioner.provision_and_add(&request, &catalog, cancel.clone());
            added.await.unwrap();
        }
        assert_eq!(ids(), ["demo-cpu-1.1.0-linux", "demo-cuda-1.1.0-linux"]);
        let provisioner = site.provisioner();
        provisioner.rollback("demo", CPU, &cancel).await.unwrap();
        catalog.follow(provisioner.store()).unwrap();
        assert_eq!(ids(), ["demo-cpu-1.0.0-linux", "demo-cuda-1.1.0-linux"]);
        provisioner.remove("demo", CUDA, &cancel).await.unwrap();
        catalog.follow(provisioner.store()).unwrap();
        assert_eq!(ids(), ["demo-cpu-1.0.0-linux"]);
        for id in ids() {
            let binary = catalog.get(&id).unwrap();
            assert_eq!(
                says(binary.path()),
                format!("second-demo {} cpu", binary.version())
            );
        }
        assert!(catalog.contains("foreign-cpu-1.0-linux"));
    });
}
