//! The least that a worker must have been verified and isolated, and what its receipt tells of that.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use e2e_tests::tls::TlsFront;
use worker_provisioner::{
    FileContent, Flavor, FlavorPreference, Happening, Isolation, IsolationChoice, ProvisionError,
    ProvisionPhase, RECEIPT_VERSION, TransportPolicy, Verification,
};

use crate::support::{Site, recipe, run};

fn script() -> String {
    recipe(
        "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
    )
}

fn started(site: &Site, phase: ProvisionPhase) -> bool {
    let events = site.events.lock().unwrap();
    events
        .iter()
        .any(|event| event.phase == phase && event.happening == Happening::Started)
}

#[test]
fn the_policy_refuses_what_nobody_vouches_for() {
    run(async {
        let mut site = Site::new("policy");
        let _catalog = site.serve(&script()).await;
        site.config.minimum_verification = Verification::Checksum;
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::BelowPolicy { .. }),
            "{}",
            error.chain()
        );
        assert!(
            !started(&site, ProvisionPhase::Package),
            "the sources told it before the build"
        );
        site.assert_nothing_installed();
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_asked_once() {
    run(async {
        let mut site = Site::new("distrusted");
        let server = sample::prebuilt_catalog("demo", &script());
        let server = CatalogServer::start(0, server).await.unwrap();
        let front = TlsFront::start(server.address()).await.unwrap();
        let host = front.base_url().replace("https://", "");
        site.config.source_hosts.push(host.parse().unwrap());
        for source in [
            format!("{}/file", front.base_url()),
            format!("git+{}/a.git", front.base_url()),
        ] {
            let text = format!("{}source=('{source}')\nsha256sums=(SKIP)\n", script());
            let _catalog = site.serve(&text).await;
            let error = site.provision("demo").await.unwrap_err();
            let text = error.chain();
            assert!(
                matches!(error, ProvisionError::Fetch { .. }) && text.contains("certificate"),
                "{text}"
            );
        }
        let events = site.events.lock().unwrap();
        let again = events.iter().find(|event| {
            matches!(&event.happening, Happening::Warning { text } if text.contains("attempt"))
        });
        assert!(again.is_none(), "{again:?}");
    });
}

#[test]
fn the_policy_refuses_a_catalog_without_tls_and_takes_one_with_it() {
    run(async {
        let mut site = Site::new("tls");
        let catalog = site.serve(&script()).await;
        site.config.catalog_transport = TransportPolicy::Tls;
        let error = site.provision("demo").await.unwrap_err();
        let text = error.chain();
        assert!(
            matches!(error, ProvisionError::CatalogWithoutTls { .. }) && text.contains("https"),
            "{text}"
        );
        assert!(!started(&site, ProvisionPhase::Recipe));
        site.assert_nothing_installed();

        site.config.catalog_transport = TransportPolicy::Any;
        let installed = site.provision("demo").await.unwrap();
        assert!(!installed.receipt.catalog_tls);

        let front = TlsFront::start(catalog.address()).await.unwrap();
        site.config.catalog_urls = vec![front.base_url()];
        site.config.catalog_root_certificates = vec![front.certificate().as_bytes().to_vec()];
        site.config.catalog_transport = TransportPolicy::Tls;
        let again = site.provision("demo").await.unwrap();
        assert!(
            !again.reused,
            "the old one came from an entry that anybody could have changed"
        );
        assert!(again.receipt.catalog_tls);
        assert!(site.provision("demo").await.unwrap().reused);
    });
}

#[test]
fn the_policy_sets_the_weakest_tier_and_what_was_built_in_less_is_built_again() {
    run(async {
        let mut site = Site::new("tier");
        let _catalog = site.serve(&script()).await;
        site.config.isolation = IsolationChoice::Exactly(Isolation::Group);
        let first = site.provision("demo").await.unwrap();
        assert_eq!(first.receipt.isolation, "group");

        site.config.minimum_isolation = Isolation::Landlock;
        site.events.lock().unwrap().clear();
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::IsolationBelowPolicy { .. }),
            "{}",
            error.chain()
        );
        assert!(!started(&site, ProvisionPhase::Sources));
        let old = site.provisioner().store().list().unwrap();
        assert_eq!(old[0].isolation, "group", "the installed one stays");

        site.config.isolation = IsolationChoice::Auto;
        match site.provision("demo").await {
            Ok(better) => {
                assert!(!better.reused);
                assert_ne!(better.receipt.isolation, "group");
                assert!(site.provision("demo").await.unwrap().reused);
            }
            // This host has no such tier.
            Err(error) => assert!(matches!(error, ProvisionError::IsolationBelowPolicy { .. })),
        }
        site.assert_clean();
    });
}

#[test]
fn a_receipt_tells_where_everything_came_from() {
    run(async {
        let mut site = Site::new("receipt");
        site.config.flavor = FlavorPreference::Source;
        let done = site.provision(sample::WORKER).await.unwrap();
        let receipt = &done.receipt;
        assert_eq!(receipt.receipt_version, RECEIPT_VERSION);
        assert_eq!(receipt.worker_id, sample::WORKER);
        assert_eq!(receipt.flavor, Flavor::Source);
        assert_eq!(receipt.recipe_sha256.len(), 64);
        assert_eq!(receipt.artifact.as_ref(), Some(&done.binary));
        assert!(
            Isolation::ALL
                .iter()
                .any(|tier| tier.name() == receipt.isolation)
        );
        let [source] = receipt.sources.as_slice() else {
            panic!("one source: {:?}", receipt.sources);
        };
        let commit = source.commit.as_deref().unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()));

        // Every file of the stored tree is in it, and nothing else.
        let worker = format!("store/{}.cpu", sample::WORKER);
        let worker = site.config.data_dir.join(worker);
        let is_version = |path: &std::path::PathBuf| path.join("receipt.json").is_file();
        let version = worker
            .read_dir()
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let tree = version.into_iter().find(is_version).unwrap().join("tree");
        let mut found = BTreeSet::new();
        let mut folders = vec![tree.clone()];
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir().unwrap().flatten() {
                found.insert(entry.path().strip_prefix(&tree).unwrap().to_owned());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        let recorded: BTreeSet<_> = receipt.files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(recorded, found);
        for file in &receipt.files {
            let metadata = tree.join(&file.path).symlink_metadata().unwrap();
            match &file.content {
                FileContent::File { size, sha256 } => {
                    assert_eq!((*size, sha256.len()), (metadata.size(), 64));
                    assert_eq!(file.mode, metadata.mode() & 0o7777);
                }
                FileContent::Folder => assert!(metadata.is_dir()),
                _ => assert!(metadata.is_symlink()),
            }
        }
    });
}
