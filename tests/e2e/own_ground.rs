//! Where a worker may go, what it may be called and which version it may replace.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, Config, ProvisionError, ProvisionRequest, WorkerProvisioner, WorkerType,
};

use crate::support::{Site, recipe, run};

fn script(version: &str) -> String {
    recipe(
        "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
    )
    .replace("1.0.0", version)
}

#[test]
fn a_newer_version_is_replaced_by_an_older_one_only_when_asked() {
    run(async {
        let mut site = Site::new("downgrade");
        let computed = |version: &str| {
            let function = format!("pkgver() {{\n  echo {version}\n}}\n");
            script("9.0.0") + &function
        };
        let _catalog = site.serve(&script("1.0.0")).await;
        site.provision("demo").await.unwrap();
        let _catalog = site.serve(&script("2.0.0")).await;
        site.provision("demo").await.unwrap();
        // The first is in the store, the second to be built, and the third says so only late.
        for older in [script("1.0.0"), script("1.9.0"), computed("1.5.0")] {
            let _catalog = site.serve(&older).await;
            let error = site.provision("demo").await.unwrap_err();
            let text = error.chain();
            assert!(matches!(error, ProvisionError::Downgrade { .. }), "{text}");
            assert!(
                text.contains("2.0.0-1") && text.contains("--allow-downgrade"),
                "{text}"
            );
            let forced = ProvisionRequest::new("demo").forced();
            let provisioner = site.provisioner();
            let error = provisioner.provision_request(&forced, CancellationToken::new());
            assert!(error.await.is_err(), "force is no leave to go back");
            assert_eq!(
                site.provisioner().store().list().unwrap()[0].pkgver,
                "2.0.0"
            );
        }
        let _catalog = site.serve(&computed("2.5.0")).await;
        let newer = site.provision("demo").await.unwrap();
        assert_eq!(newer.receipt.pkgver, "2.5.0");

        let (provisioner, cancel) = (site.provisioner(), CancellationToken::new());
        let back = provisioner.rollback("demo", WorkerType::Cpu, &cancel);
        assert_eq!(back.await.unwrap().version(), "2.0.0");
        let _catalog = site.serve(&script("1.0.0")).await;
        let request = ProvisionRequest::new("demo").allowing_downgrade();
        let provisioner = site.provisioner();
        let done = provisioner.provision_request(&request, CancellationToken::new());
        assert_eq!(done.await.unwrap().receipt.pkgver, "1.0.0");
        // A later epoch counts more than any version.
        let epoch = script("0.1.0") + "epoch=1\n";
        let _catalog = site.serve(&epoch).await;
        assert_eq!(site.provision("demo").await.unwrap().receipt.epoch, 1);
        site.assert_clean();
    });
}

#[test]
fn no_program_elsewhere_on_the_path_is_taken_over() {
    run(async {
        let mut site = Site::new("shadow");
        let content = sample::prebuilt_catalog("ls", &sample::script_recipe("ls"));
        let catalog = CatalogServer::start(0, content).await.unwrap();
        site.config.catalog_urls = vec![catalog.base_url()];
        let error = site.provision("ls").await.unwrap_err();
        let text = error.chain();
        assert!(
            matches!(error, ProvisionError::ShadowsProgram { .. }) && text.contains("--replace"),
            "{text}"
        );
        site.assert_nothing_installed();
        let forced = ProvisionRequest::new("ls").replacing();
        let provisioner = site.provisioner();
        let done = provisioner.provision_request(&forced, CancellationToken::new());
        done.await.unwrap();
    });
}

#[test]
fn a_program_of_the_package_needs_a_plain_name() {
    run(async {
        for name in [".bashrc", "-rf", "Demo", "d\u{202e}emo", "d\u{43e}mo"] {
            let mut content = sample::prebuilt_catalog("demo", "");
            let body = format!(
                "  printf '#!/bin/sh\\necho demo\\n' > x\n  \
                 install -Dm755 x \"$pkgdir/usr/bin/\"'{name}'"
            );
            content = content.pkgbuild("arch/demo-bin.PKGBUILD", recipe(&body));
            for entry in &mut content.entries {
                let variant = entry["variants"][0].as_object_mut().unwrap();
                variant.remove("binaryName");
            }
            let catalog = CatalogServer::start(0, content).await.unwrap();
            let mut site = Site::new("name");
            site.config.catalog_urls = vec![catalog.base_url()];
            let error = site.provision("demo").await.unwrap_err();
            let text = error.chain();
            assert!(
                matches!(error, ProvisionError::InvalidProgramName { .. }),
                "{name:?}: {text}"
            );
            assert!(!text.contains('\u{202e}'), "{text}");
            site.assert_nothing_installed();
            assert!(site.provisioner().store().list().unwrap().is_empty());
        }
    });
}

#[test]
fn a_worker_moves_to_the_directory_that_is_named() {
    run(async {
        let mut site = Site::new("moves");
        let _catalog = site.serve(&script("1.0.0")).await;
        let first = site.provision("demo").await.unwrap();
        let elsewhere = site.config.data_dir.with_file_name("elsewhere");
        site.config.bin_dir = Some(elsewhere.clone());
        let second = site.provision("demo").await.unwrap();
        assert_eq!(second.binary.path().parent(), Some(elsewhere.as_path()));
        assert!(second.binary.path().exists() && !first.binary.path().exists());
        assert!(site.provision("demo").await.unwrap().reused);
        site.config.bin_dir = None;
        let anywhere = site.provision("demo").await.unwrap();
        assert!(anywhere.reused, "nobody has named another");
    });
}

#[test]
fn directories_that_others_may_write_are_refused_before_anything_is_asked() {
    let site = Site::new("others");
    let open = site.config.data_dir.with_file_name("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let refused = |change: fn(&mut Config, std::path::PathBuf)| {
        let mut config = site.config.clone();
        change(&mut config, open.join("below"));
        let error = WorkerProvisioner::new(config).unwrap_err();
        let text = error.chain();
        assert!(
            matches!(error, ProvisionError::UnsafeDirectory { .. }) && text.contains("chmod"),
            "{text}"
        );
    };
    refused(|config, path| config.data_dir = path);
    refused(|config, path| config.cache_dir = path);
    refused(|config, path| config.bin_dir = Some(path));
    assert_eq!(open.read_dir().unwrap().count(), 0);

    let mut nowhere = site.config.clone();
    nowhere.data_dir = std::path::PathBuf::new();
    let error = WorkerProvisioner::new(nowhere).unwrap_err();
    assert!(error.chain().contains("STATE_DIRECTORY"), "{error}");
}
