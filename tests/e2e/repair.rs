//! What killed owners leave is repaired and removed at the next start, and nothing else is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use e2e_tests::catalog_server::CatalogServer;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{Provisioned, WorkerType};

use crate::support::{Site, catalog_with, recipe, run};

const CPU: WorkerType = WorkerType::Cpu;

async fn catalog(version: &str) -> CatalogServer {
    let body = "  printf '#!/bin/sh\\necho demo %s\\n' \"$pkgver\" > demo\n  \
                install -Dm755 demo \"$pkgdir/usr/bin/demo\"";
    catalog_with(&recipe(body).replace("1.0.0", version)).await
}

async fn install(site: &mut Site, version: &str) -> Provisioned {
    let catalog = catalog(version).await;
    site.config.catalog_urls = vec![catalog.base_url()];
    site.provision("demo").await.unwrap()
}

fn touch(path: PathBuf) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(&path).unwrap();
    path
}

fn locked(path: PathBuf) -> (PathBuf, File) {
    let file = File::open(touch(path.clone())).unwrap();
    file.lock().unwrap();
    (path, file)
}

fn version_folder(worker: &Path, version: &str) -> PathBuf {
    let mut folders = fs::read_dir(worker).unwrap().map(|e| e.unwrap().path());
    let starts = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&format!("{version}-"))
    };
    folders.find(starts).unwrap()
}

#[test]
fn a_start_removes_what_dead_owners_have_left_and_only_that() {
    run(async {
        let mut site = Site::new("sweep");
        let catalog = catalog("1.0.0").await;
        site.config.catalog_urls = vec![catalog.base_url()];
        site.provision("demo").await.unwrap();
        let data = site.config.data_dir.clone();
        let (unfinished, locks) = (data.join("store/.unfinished"), data.join("locks"));
        let temp = site.config.temp_dir.clone();
        let dead = [
            touch(unfinished.join("demo.cpu+.a/tree/file")),
            touch(unfinished.join("demo.cpu+.b")),
            touch(unfinished.join("other.cpu+.a/tree/file")),
            touch(unfinished.join("other.cpu+current")),
            touch(unfinished.join("gone.cpu+gone.cpu/1-1-1/receipt.json")),
            touch(locks.join("other.cpu")),
            touch(site.bin_dir().join(".worker-provisioner-dead")),
            touch(temp.join("worker-provisioner-dead.lock")),
            touch(temp.join("worker-provisioner-dead/src/file")),
        ];
        let living = [
            locked(locks.join("living.cpu")),
            locked(site.bin_dir().join(".worker-provisioner-living")),
            locked(temp.join("worker-provisioner-living.lock")),
        ];
        let kept = [
            touch(unfinished.join("living.cpu+.a/tree/file")),
            touch(unfinished.join("living.cpu+current")),
            touch(unfinished.join("nobody-knows")),
            touch(temp.join("worker-provisioner-living/src/file")),
            touch(temp.join("worker-provisioner-foreign/file")),
            touch(site.bin_dir().join("somebody-else")),
        ];
        // Nothing is to be done, and it is done all the same.
        assert!(site.provision("demo").await.unwrap().reused);
        for path in dead {
            assert!(!path.exists(), "left: {}", path.display());
        }
        let living = living.iter().map(|(path, _)| path);
        for path in kept.iter().chain(living) {
            assert!(path.exists(), "removed: {}", path.display());
        }
    });
}

#[test]
fn an_interrupted_activation_is_finished_or_undone() {
    run(async {
        let mut site = Site::new("activation");
        install(&mut site, "1.0.0").await;
        let binary = install(&mut site, "1.1.0").await.binary;
        let worker = site.config.data_dir.join("store/demo.cpu");
        let old = version_folder(&worker, "1.0.0");
        let marker = worker.with_file_name(".unfinished/demo.cpu+current");
        let name = old.file_name().unwrap().to_str().unwrap().to_owned();
        let provisioner = site.provisioner();
        let store = provisioner.store();

        // Killed before the binary was put in place: nothing has changed.
        fs::write(&marker, &name).unwrap();
        store.gc(9).unwrap();
        assert!(!marker.exists());
        assert_eq!(store.list().unwrap()[0].pkgver, "1.1.0");

        // Killed after it.
        fs::write(&marker, &name).unwrap();
        let path = worker_provisioner::Artifact::path(&binary);
        fs::copy(old.join("tree/usr/bin/demo"), path).unwrap();
        store.gc(9).unwrap();
        assert!(!marker.exists());
        assert_eq!(store.list().unwrap()[0].pkgver, "1.0.0");
        assert_eq!(store.verify("demo", CPU).unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_clock_that_was_set_back_does_not_turn_the_versions_round() {
    run(async {
        let mut site = Site::new("clock");
        install(&mut site, "1.0.0").await;
        let worker = site.config.data_dir.join("store/demo.cpu");
        let path = version_folder(&worker, "1.0.0").join("receipt.json");
        let mut receipt: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        receipt["storedAt"] = "2199-01-01T00:00:00Z".into();
        fs::write(&path, receipt.to_string()).unwrap();
        install(&mut site, "1.1.0").await;
        let provisioner = site.provisioner();
        let cancel = CancellationToken::new();
        let back = provisioner.rollback("demo", CPU, &cancel).await.unwrap();
        assert_eq!(back.version(), "1.0.0");
    });
}

#[test]
fn a_collection_leaves_a_worker_alone_that_is_being_provisioned() {
    run(async {
        let mut site = Site::new("in-use");
        install(&mut site, "1.0.0").await;
        install(&mut site, "1.1.0").await;
        let store = site.provisioner().store().clone();
        let (path, lock) = locked(site.config.data_dir.join("locks/demo.cpu"));
        let collected = store.gc(0).unwrap();
        assert_eq!((collected.versions, collected.in_use), (0, 1));
        drop(lock);
        let collected = store.gc(0).unwrap();
        assert_eq!((collected.versions, collected.in_use), (1, 0));
        assert!(!path.exists());
    });
}
