//! What the host has decides: backend and dependencies, asked through a probe.

use std::collections::BTreeSet;
use std::sync::Arc;

use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    DependencyPolicy, Happening, HostProbe, ProvisionError, ProvisionPhase, ProvisionRequest,
    Provisioned, WorkerType,
};

use crate::support::{Site, catalog_with, recipe, run};

/// A Debian machine that has what it is told to have.
#[derive(Debug)]
struct Told {
    commands: &'static [&'static str],
    libraries: &'static [&'static str],
}

impl HostProbe for Told {
    fn commands(&self) -> BTreeSet<String> {
        self.commands
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    }
    fn has_library(&self, name: &str) -> bool {
        self.libraries.contains(&name)
    }
    fn has_metal(&self) -> bool {
        false
    }
    fn version(&self, program: &str) -> Option<String> {
        (program == "cmake").then(|| "3.18.4".to_owned())
    }
    fn os_release(&self) -> Option<String> {
        Some("ID=debian\n".to_owned())
    }
}

async fn provision(site: &Site, probe: Told) -> Result<Provisioned, ProvisionError> {
    let provisioner = site.provisioner().with_probe(Arc::new(probe));
    let request = ProvisionRequest::new("demo");
    provisioner
        .provision_request(&request, CancellationToken::new())
        .await
}

#[test]
fn the_backend_is_what_the_probe_shows_and_reading_and_building_agree_on_it() {
    let text = recipe(
        "  [ \"$pkgver\" = \"1.0.0.$RBEE_FEATURES\" ]\n  \
         printf '#!/bin/sh\\necho %s\\n' \"$RBEE_FEATURES\" > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
    )
    .replace("1.0.0\n", "1.0.0.$RBEE_FEATURES\n");
    run(async {
        let variant = |backend: &str| {
            json!({
                "backend": backend, "platforms": ["linux", "macos"],
                "architectures": ["x86_64", "aarch64"],
                "pkgbuildUrl": "/pkgbuilds/arch/demo-bin.PKGBUILD", "binaryName": "demo",
            })
        };
        let entry = json!({
            "id": "demo", "implementation": "rust", "version": "1.0.0", "name": "Demo",
            "license": "MIT", "buildSystem": "cargo",
            "variants": [variant("cpu"), variant("cuda"), variant("rocm")],
            "capabilities": { "supportedFormats": [] },
        });
        let content = CatalogContent::new(Generation::V2)
            .entry(entry)
            .pkgbuild("arch/demo-bin.PKGBUILD", text);
        let catalog = CatalogServer::start(0, content).await.unwrap();
        for (commands, libraries, backend, reason) in [
            (&["nvidia-smi"][..], &[][..], WorkerType::Cuda, "nvidia-smi"),
            (&[], &["libcuda.so.1"], WorkerType::Cuda, "libcuda.so.1"),
            (&["rocminfo"], &[], WorkerType::Rocm, "rocminfo"),
            (&[], &[], WorkerType::Cpu, "no GPU"),
        ] {
            let mut site = Site::new("probe");
            site.config.backend = None;
            site.config.recipe_env.remove("RBEE_FEATURES");
            site.config.catalog_urls = vec![catalog.base_url()];
            let probe = Told {
                commands,
                libraries,
            };
            let provisioned = provision(&site, probe).await.unwrap();
            assert_eq!(provisioned.backend.backend, backend);
            assert!(provisioned.backend.reason.contains(reason));
            assert_eq!(provisioned.receipt.backend, backend);
            assert_eq!(provisioned.receipt.pkgver, format!("1.0.0.{backend}"));
        }
    });
}

fn needy() -> String {
    recipe(
        "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
    ) + "depends=('glibc' 'openssl' 'of-no-distribution')\n\
         makedepends=('cargo' 'cmake>=3.20' 'git')\ncheckdepends=('jq')\n\
         optdepends=('ffmpeg: to hear')\nsource=('http://127.0.0.1:9/never')\nsha256sums=('SKIP')\n"
}

const BARE: Told = Told {
    commands: &["git", "cmake"],
    libraries: &["libc.so.6"],
};

#[test]
fn everything_that_is_missing_is_one_error_with_the_way_to_get_it_before_any_download() {
    run(async {
        let mut site = Site::new("needs");
        let _catalog = site.serve(&needy()).await;
        let error = provision(&site, BARE).await.unwrap_err();
        let ProvisionError::MissingDependencies {
            missing, install, ..
        } = &error
        else {
            panic!("{}", error.chain());
        };
        // There is no `check()`, so `checkdepends` is of no interest.
        let entries: Vec<_> = missing.iter().map(|one| one.entry.as_str()).collect();
        assert_eq!(entries, ["cargo", "cmake>=3.20", "openssl"]);
        assert_eq!(missing[1].found.as_deref(), Some("3.18.4"));
        assert_eq!(
            install.as_deref(),
            Some("apt-get install cargo cmake libssl-dev")
        );
        let events = site.events.lock().unwrap().clone();
        let notes = |part: &str| {
            events.iter().any(|event| {
                event.phase == ProvisionPhase::Dependencies
                    && matches!(&event.happening, Happening::Note { text } if text.contains(part))
            })
        };
        assert!(notes("of-no-distribution") && notes("ffmpeg: to hear"));
        assert!(
            events
                .iter()
                .all(|event| event.phase != ProvisionPhase::Sources)
        );
        site.assert_clean();
        site.assert_nothing_installed();
    });
}

#[test]
fn the_policy_makes_missing_dependencies_a_warning_or_nothing() {
    run(async {
        let catalog = catalog_with(
            &needy()
                .replace("source=(", "_source=(")
                .replace("sha256sums", "_sums"),
        )
        .await;
        for (policy, told) in [
            (DependencyPolicy::Warn, true),
            (DependencyPolicy::Ignore, false),
        ] {
            let mut site = Site::new("lenient");
            site.config.catalog_urls = vec![catalog.base_url()];
            site.config.dependencies = policy;
            provision(&site, BARE).await.unwrap();
            let warned = site.events.lock().unwrap().iter().any(|event| {
                matches!(&event.happening, Happening::Warning { text } if text.contains("openssl"))
            });
            assert_eq!(warned, told, "{policy:?}");
        }
    });
}
