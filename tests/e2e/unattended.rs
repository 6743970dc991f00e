//! What is installed with nobody watching, and what is not: each rule, and the switch that lifts it.

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use e2e_tests::tls::TlsFront;
use worker_provisioner::{
    EvaluationPolicy, Isolation, ProgramNamePolicy, ProvisionError, TransportPolicy, Verification,
};

use crate::support::{Site, recipe, run};

fn script(beside: &str) -> String {
    recipe(
        "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
    ) + beside
}

async fn refused(site: &Site) -> (ProvisionError, String) {
    let error = site.provision("demo").await.unwrap_err();
    let text = error.chain();
    site.assert_nothing_installed();
    (error, text)
}

#[test]
fn each_rule_names_the_switch_that_lifts_it() {
    run(async {
        let file = format!("{}/pinned", sample_url());
        crate::support::sample()
            .releases()
            .publish("pinned", b"hello\n".to_vec());
        let skipped = format!("source=('{file}')\nsha256sums=(SKIP)\n");
        let mut site = Site::new("unattended");
        let hosts = site.config.source_hosts.clone();
        site.config = site.config.clone().unattended();
        let catalog = site.serve(&script(&skipped)).await;

        let (error, text) = refused(&site).await;
        assert!(
            matches!(error, ProvisionError::CatalogWithoutTls { .. })
                && text.contains("--require-tls"),
            "{text}"
        );
        let front = TlsFront::start(catalog.address()).await.unwrap();
        site.config.catalog_urls = vec![front.base_url()];
        site.config.catalog_root_certificates = vec![front.certificate().as_bytes().to_vec()];
        let (error, text) = refused(&site).await;
        if let ProvisionError::IsolationBelowPolicy { .. } = error {
            // This host has no namespaces: the rule holds, and the others follow without it.
            assert!(text.contains("--min-isolation"), "{text}");
            site.config.minimum_isolation = Isolation::Group;
        }
        let (error, text) = refused(&site).await;
        assert!(
            matches!(error, ProvisionError::Fetch { .. }) && text.contains("--require-tls"),
            "{text}"
        );
        site.config.catalog_transport = TransportPolicy::Any;
        let (error, text) = refused(&site).await;
        assert!(
            matches!(error, ProvisionError::Fetch { .. }) && text.contains("--allow-"),
            "{text}"
        );
        site.config.source_hosts = hosts;
        site.config.insecure_sources = true;
        let (error, text) = refused(&site).await;
        assert!(
            matches!(
                error,
                ProvisionError::BelowPolicy {
                    required: Verification::Checksum,
                    ..
                }
            ) && text.contains("--min-verification"),
            "{text}"
        );

        site.config.minimum_verification = Verification::Nothing;
        let computed = "pkgver=$(od -An -N1 -tu1 /dev/zero)";
        let computed = script("").replace("pkgver=1.0.0", computed);
        let _catalog = site.serve(&computed).await;
        let (error, text) = refused(&site).await;
        assert!(
            matches!(error, ProvisionError::NeedsShell { .. }) && text.contains("--evaluation"),
            "{text}"
        );
        site.config.evaluation = EvaluationPolicy::Isolated;

        let mut content = sample::prebuilt_catalog("demo", &script(""));
        for entry in &mut content.entries {
            entry["variants"][0]["binaryName"] = "other".into();
        }
        let other = CatalogServer::start(0, content).await.unwrap();
        site.config.catalog_urls = vec![other.base_url()];
        let (error, text) = refused(&site).await;
        assert!(
            matches!(error, ProvisionError::NotNamedAfterWorker { .. })
                && text.contains("--program-name"),
            "{text}"
        );
        site.config.program_name = ProgramNamePolicy::Any;
        let done = site.provision("demo").await;
        assert!(done.is_ok(), "{}", done.unwrap_err().chain());
    });
}

fn sample_url() -> String {
    crate::support::sample().releases().base_url()
}
