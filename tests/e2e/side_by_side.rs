//! Backends, versions and both generations of ids of one worker beside one another: the path of an
//! artifact runs what its record says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use e2e_tests::worker;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ProvisionError, ProvisionPhase, ProvisionRequest, Provisioned, WorkerType,
};

use crate::support::{Site, run};

pub(crate) const CPU: WorkerType = WorkerType::Cpu;
pub(crate) const CUDA: WorkerType = WorkerType::Cuda;

/// A recipe for a script that says which build it is.
fn script(build: &str, version: &str) -> String {
    format!(
        "pkgname=demo-bin\npkgver={version}\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
         license=('GPL-3.0-or-later')\npackage() {{\n  \
         printf '#!/bin/sh\\necho {build} %s %s\\n' \"$pkgver\" \"$RBEE_BACKEND\" > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n}}\n"
    )
}

/// A catalog of the second generation whose workers `ids` have one program name, `demo`.
pub(crate) fn second(ids: &[&str], version: &str) -> CatalogContent {
    let variant = |id: &str, backend: &str| {
        json!({
            "backend": backend, "platforms": ["linux", "macos"],
            "architectures": ["x86_64", "aarch64"],
            "pkgbuildUrl": format!("/pkgbuilds/arch/{id}-bin.PKGBUILD"), "binaryName": "demo",
        })
    };
    let mut content = CatalogContent::new(Generation::V2);
    for id in ids {
        let entry = json!({
            "id": id, "implementation": "rust", "version": version, "name": "Demo",
            "license": "MIT", "buildSystem": "cargo",
            "variants": [variant(id, "cpu"), variant(id, "cuda")],
            "capabilities": { "supportedFormats": [] },
        });
        let recipe = script(&format!("second-{id}"), version);
        content = content
            .entry(entry)
            .pkgbuild(format!("arch/{id}-bin.PKGBUILD"), recipe);
    }
    content
}

/// A catalog of the first generation, which has `demo-cpu` and `demo-cuda`.
fn first(version: &str) -> CatalogContent {
    let mut content = CatalogContent::new(Generation::V1);
    for backend in ["cpu", "cuda"] {
        let id = format!("demo-{backend}");
        let entry = json!({
            "id": id, "implementation": "demo", "worker_type": backend, "version": version,
            "platforms": ["linux", "macos"], "architectures": ["x86_64", "aarch64"],
            "name": "Demo", "description": "Demo", "license": "MIT",
            "pkgbuild_url": format!("/workers/{id}/PKGBUILD"), "build_system": "cargo",
            "source": { "type": "tarball", "url": "https://demo.invalid" },
            "depends": [], "makedepends": [], "binary_name": id,
            "install_path": format!("/usr/local/bin/{id}"), "supported_formats": ["gguf"],
            "supports_streaming": true, "supports_batching": false,
        });
        content = content
            .entry(entry)
            .pkgbuild(format!("{id}.PKGBUILD"), script("first", version));
    }
    content
}

pub(crate) fn says(path: &Path) -> String {
    let mut command = Command::new(path);
    let output = worker::when_not_busy(|| command.output()).unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn site(name: &str, catalog: &CatalogServer) -> Site {
    let mut site = Site::new(name);
    site.config.backend = None;
    site.config.trial = false;
    site.config.recipe_env.remove("RBEE_FEATURES");
    site.config.catalog_urls = vec![catalog.base_url()];
    site
}

pub(crate) async fn install(
    site: &Site,
    id: &str,
    backend: Option<WorkerType>,
    force: bool,
) -> Result<Provisioned, ProvisionError> {
    let mut request = ProvisionRequest::new(id);
    request.backend = backend;
    request.force = force;
    site.provisioner()
        .provision_request(&request, CancellationToken::new())
        .await
}

/// What is installed, as it must be.
#[derive(Debug, Default)]
struct Model {
    /// The builds of each backend, the installed one first: what each says, and its version.
    histories: BTreeMap<WorkerType, Vec<(String, String)>>,
    /// The backend that `demo` starts.
    plain: Option<WorkerType>,
}

impl Model {
    fn assert(&self, site: &Site, after: &str) {
        let provisioner = site.provisioner();
        let store = provisioner.store();
        let receipts = store.list().unwrap();
        assert_eq!(receipts.len(), self.histories.len(), "{after}");
        let mut names = Vec::new();
        for receipt in receipts {
            let backend = receipt.backend;
            let (says_it, version) = &self.histories[&backend][0];
            let binary = receipt.artifact.as_ref().unwrap();
            assert_eq!(&receipt.pkgver, version, "{after}");
            assert_eq!(binary.version(), version, "{after}");
            assert_eq!(binary.worker_type(), backend, "{after}");
            assert_eq!(&says(binary.path()), says_it, "{after}");
            let problems = store.verify(&receipt.worker_id, backend).unwrap();
            assert_eq!(problems, Vec::<String>::new(), "{after}");
            let has_plain = store.plain_name(&receipt).is_some();
            assert_eq!(has_plain, self.plain == Some(backend), "{after}");
            names.push(format!("demo-{backend}"));
        }
        let plain = site.bin_dir().join("demo");
        if let Some(backend) = self.plain {
            assert_eq!(says(&plain), self.histories[&backend][0].0, "{after}");
            names.push("demo".to_owned());
        }
        let mut found: Vec<String> = site
            .bin_dir()
            .read_dir()
            .map(|entries| {
                let names = entries.map(|entry| entry.unwrap().file_name());
                names.map(|name| name.into_string().unwrap()).collect()
            })
            .unwrap_or_default();
        found.sort();
        names.sort();
        assert_eq!(found, names, "{after}");
    }

    /// `demo` goes by the versions whose catalog calls them so.
    fn installed(&mut self, backend: WorkerType) {
        if self.histories[&backend][0].0.starts_with("second") {
            self.plain = Some(backend);
        }
    }

    fn removed(&mut self, backend: WorkerType) {
        self.histories.remove(&backend);
        if self.plain == Some(backend) {
            self.plain = self.histories.keys().next().copied();
        }
    }
}

/// Numbers that a seed decides (xorshift64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

#[test]
fn an_artifacts_path_runs_what_its_record_says_in_every_order() {
    const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "1.2.0"];
    run(async {
        let mut catalogs = Vec::new();
        for version in VERSIONS {
            let content = first(version);
            catalogs.push((
                "first",
                version,
                CatalogServer::start(0, content).await.unwrap(),
            ));
            let content = second(&["demo"], version);
            catalogs.push((
                "second-demo",
                version,
                CatalogServer::start(0, content).await.unwrap(),
            ));
        }
        for seed in 1..=8 {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let mut site = site("orders", &catalogs[0].2);
            site.config.allow_downgrade = true;
            let mut model = Model::default();
            let mut done = String::new();
            for _ in 0..20 {
                let backend = [CPU, CUDA][dice.throw(2)];
                // The same worker by its id of either generation.
                let old_id = format!("demo-{backend}");
                let id = ["demo", &old_id][dice.throw(2)];
                let provisioner = site.provisioner();
                let cancel = CancellationToken::new();
                match dice.throw(8) {
                    0..5 => {
                        let (build, version, server) = &catalogs[dice.throw(6)];
                        write!(done, "\ninstall {build} {version} as {id} {backend}").unwrap();
                        site.config.catalog_urls = vec![server.base_url()];
                        let installed = install(&site, id, Some(backend), false).await;
                        let installed = installed.unwrap_or_else(|error| {
                            panic!("{}, after seed {seed}:{done}", error.chain());
                        });
                        let text = format!("{build} {version} {backend}");
                        let history = model.histories.entry(backend).or_default();
                        let is_there = history.first().is_some_and(|first| first.0 == text);
                        assert_eq!(installed.reused, is_there, "{done}");
                        history.retain(|other| other.0 != text);
                        history.insert(0, (text, (*version).to_owned()));
                        if !is_there {
                            model.installed(backend);
                        }
                    }
                    5 | 6 => {
                        write!(done, "\nroll back {id} {backend}").unwrap();
                        let back = provisioner.rollback(id, backend, &cancel).await;
                        match model.histories.get_mut(&backend) {
                            None => assert!(matches!(
                                back.unwrap_err(),
                                ProvisionError::NotInstalled { .. }
                            )),
                            Some(history) if history.len() == 1 => assert!(matches!(
                                back.unwrap_err(),
                                ProvisionError::NoPreviousVersion { .. }
                            )),
                            Some(history) => {
                                history.remove(0);
                                let back = back.unwrap();
                                assert_eq!(says(back.path()), history[0].0, "{done}");
                                model.installed(backend);
                            }
                        }
                    }
                    _ => {
                        write!(done, "\nremove {id} {backend}").unwrap();
                        let removed = provisioner.remove(id, backend, &cancel).await;
                        assert_eq!(
                            removed.is_ok(),
                            model.histories.contains_key(&backend),
                            "{done}"
                        );
                        model.removed(backend);
                    }
                }
                model.assert(&site, &format!("seed {seed}:{done}"));
            }
        }
    });
}

#[test]
fn two_backends_at_once_are_both_there() {
    run(async {
        let catalog = CatalogServer::start(0, second(&["demo"], "1.0.0"))
            .await
            .unwrap();
        let mut site = site("at-once", &catalog);
        site.config.parallel_builds = 2;
        let (cpu, cuda) = tokio::join!(
            install(&site, "demo", Some(CPU), false),
            install(&site, "demo", Some(CUDA), false),
        );
        let paths = [cpu, cuda].map(|one| one.unwrap().binary.path().to_owned());
        assert_eq!(says(&paths[0]), "second-demo 1.0.0 cpu");
        assert_eq!(says(&paths[1]), "second-demo 1.0.0 cuda");
        assert!(
            paths
                .map(|path| says(&path))
                .contains(&says(&site.bin_dir().join("demo")))
        );
    });
}

#[test]
fn another_workers_program_is_refused_before_anything_is_built_and_by_force_too() {
    run(async {
        let catalog = CatalogServer::start(0, second(&["demo", "other"], "1.0.0"))
            .await
            .unwrap();
        let site = site("others", &catalog);
        let demo = install(&site, "demo", Some(CPU), false).await.unwrap();
        for (backend, force) in [(CPU, false), (CPU, true), (CUDA, false), (CUDA, true)] {
            site.events.lock().unwrap().clear();
            let error = install(&site, "other", Some(backend), force).await;
            let error = error.unwrap_err();
            assert!(
                matches!(&error, ProvisionError::OtherWorkersProgram { worker, .. } if worker == "demo"),
                "{}",
                error.chain()
            );
            let events = site.events.lock().unwrap();
            let built = events
                .iter()
                .any(|event| event.phase == ProvisionPhase::Workspace);
            assert!(!built, "{backend} {force}");
        }
        let provisioner = site.provisioner();
        assert_eq!(provisioner.store().list().unwrap().len(), 1);
        assert_eq!(says(demo.binary.path()), "second-demo 1.0.0 cpu");
        assert_eq!(says(&site.bin_dir().join("demo")), "second-demo 1.0.0 cpu");
        // Once it is gone, its names are free.
        let cancel = CancellationToken::new();
        provisioner.remove("demo", CPU, &cancel).await.unwrap();
        let other = install(&site, "other", Some(CUDA), false).await.unwrap();
        assert_eq!(says(other.binary.path()), "second-other 1.0.0 cuda");
    });
}
