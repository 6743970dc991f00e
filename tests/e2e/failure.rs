//! What is refused, when, and that nothing is left of it.

use e2e_tests::sample;
use worker_provisioner::ProvisionError;

use crate::support::{Site, catalog_with, recipe, run, sample};

async fn refusal(site: &Site, id: &str) -> ProvisionError {
    let error = site.provision(id).await.expect_err("it must be refused");
    site.assert_clean();
    site.assert_nothing_installed();
    error
}

#[test]
fn another_platform_is_refused_before_anything_is_downloaded() {
    run(async {
        let mut site = Site::new("foreign");
        // A private server for the sources, so that other tests' downloads do not count.
        let catalog = e2e_tests::catalog_server::CatalogServer::start(0, {
            let entry = serde_json::json!({
                "id": "demo", "implementation": "rust", "version": "1.0.0", "name": "Demo",
                "license": "MIT", "buildSystem": "cargo",
                "variants": [{
                    "backend": "cpu", "platforms": ["windows"], "architectures": ["x86_64"],
                    "pkgbuildUrl": "/pkgbuilds/arch/demo-bin.PKGBUILD", "binaryName": "demo",
                }],
            });
            e2e_tests::catalog_server::CatalogContent::new(
                e2e_tests::catalog_server::Generation::V2,
            )
            .entry(entry)
        })
        .await
        .unwrap();
        site.config.catalog_urls = vec![catalog.base_url()];
        let error = refusal(&site, "demo").await;
        assert!(
            matches!(error, ProvisionError::Unsupported { .. }),
            "{error:?}"
        );
        assert!(error.chain().contains("windows"), "{}", error.chain());
        assert!(
            catalog
                .requests()
                .iter()
                .all(|seen| !seen.path.contains("pkgbuilds"))
        );
    });
}

#[test]
fn a_wrong_digest_installs_nothing() {
    run(async {
        let site = Site::new("tampered");
        let error = refusal(&site, sample::TAMPERED_WORKER).await;
        assert!(matches!(error, ProvisionError::Fetch { .. }), "{error:?}");
        assert!(error.chain().contains("sha256"), "{}", error.chain());
    });
}

#[test]
fn an_unknown_worker_is_told_apart_from_an_unreachable_catalog() {
    run(async {
        let mut site = Site::new("unknown");
        let error = refusal(&site, "no-such-worker").await;
        assert!(
            matches!(error, ProvisionError::UnknownWorker { .. }),
            "{error:?}"
        );
        let error = refusal(&site, "../../etc/passwd").await;
        assert!(matches!(error, ProvisionError::Catalog { .. }), "{error:?}");
        // Port 9 is discard: nothing listens there on a test machine.
        site.config.catalog_urls = vec!["http://127.0.0.1:9".to_owned()];
        site.config.offline = true;
        let error = refusal(&site, sample::WORKER).await;
        assert!(matches!(error, ProvisionError::Catalog { .. }), "{error:?}");
    });
}

#[test]
fn bad_recipes_are_refused_with_their_reason() {
    let cases = [
        ("syntax", recipe("  echo 'unclosed"), "1 syntax error"),
        (
            "no package()",
            recipe("  :").replace("package()", "build()"),
            "package",
        ),
        (
            "arch",
            recipe("  :").replace("'any'", "'riscv64'"),
            "riscv64",
        ),
        ("empty package", recipe("  :"), "no program named"),
        ("failing package", recipe("  false"), "package()"),
        (
            "pkgname climbs",
            recipe("  :").replace("demo-bin", "../demo"),
            "name-invalid",
        ),
        (
            "unfetchable source",
            recipe("  :") + "source=('svn+https://x.invalid/r')\nsha256sums=('SKIP')\n",
            "svn",
        ),
        (
            "unknown value",
            recipe("  :").replace("1.0.0", "$(curl -s https://x.invalid)"),
            "pkgver",
        ),
        (
            "setuid",
            recipe("  printf '#!/bin/sh\\n' > demo; install -Dm4755 demo \"$pkgdir/usr/bin/demo\""),
            "not permitted",
        ),
        (
            "link out",
            recipe("  mkdir -p \"$pkgdir/usr/bin\"; ln -s /bin/sh \"$pkgdir/usr/bin/demo\""),
            "out of the package",
        ),
    ];
    run(async {
        for (name, recipe, part) in cases {
            let catalog = catalog_with(&recipe).await;
            let mut site = Site::new("recipe");
            site.config.catalog_urls = vec![catalog.base_url()];
            let error = refusal(&site, "demo").await;
            assert!(error.chain().contains(part), "{name}: {}", error.chain());
        }
    });
}

#[test]
fn an_install_folder_that_cannot_be_written_is_noticed_before_the_sources_are_fetched() {
    run(async {
        let mut site = Site::new("readonly");
        // A file where a folder should be stops root too, unlike permissions.
        let blocked = site.bin_dir();
        std::fs::write(&blocked, "in the way").unwrap();
        site.config.bin_dir = Some(blocked.join("bin"));
        let error = site
            .provision(sample::WORKER)
            .await
            .expect_err("there is no folder");
        assert!(matches!(error, ProvisionError::Io { .. }), "{error:?}");
        assert!(!site.config.cache_dir.join("sources").exists());
        site.assert_clean();
        let _ = sample();
    });
}
