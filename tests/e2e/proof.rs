//! What counts as a proof of a source, and what only looks like one.

use std::path::Path;
use std::process::Command;

use e2e_tests::git_server::GitServer;
use worker_provisioner::{ProvisionError, Verification};

use crate::support::{Site, catalog_with, run, sample};

/// A bare repository `demo.git` with one commit; gives the commit's id.
fn repository(root: &Path) -> String {
    let git = |folder: &Path, arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let work = root.join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("greeting"), "hello\n").unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "one"]);
    git(root, &["clone", "-q", "--bare", "work", "demo.git"]);
    git(&work, &["rev-parse", "HEAD"]).trim().to_owned()
}

fn recipe(source: &str, sums: &str) -> String {
    format!(
        "pkgname=demo-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
         license=('GPL-3.0-or-later')\nsource=('{source}')\n{sums}\npackage() {{\n  \
         printf '#!/bin/sh\\necho demo\\n' > program\n  \
         install -Dm755 program \"$pkgdir/usr/bin/demo\"\n}}\n"
    )
}

#[test]
fn what_anybody_can_change_or_forge_is_no_checksum() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let commit = repository(root.path());
        let git = GitServer::start(root.path()).await.unwrap();
        let git = format!("git+{}", git.url("demo.git"));
        sample().releases().publish("greeting", b"hello\n".to_vec());
        let file = format!("{}/greeting", sample().releases().base_url());
        let md5 = "md5sums=('b1946ac92492d2347c6235b4d2611184')";
        let crc = "cksums=('3015617425')";
        let sha256 =
            "sha256sums=('5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03')";
        let skip = "sha256sums=('SKIP')";
        let cases = [
            (format!("{git}#commit=main"), skip, Verification::Nothing),
            (format!("{git}#commit=HEAD"), skip, Verification::Nothing),
            (format!("{git}#commit=main~0"), skip, Verification::Nothing),
            (format!("{git}#commit=:/one"), skip, Verification::Nothing),
            (
                format!("{git}#commit={}", &commit[..12]),
                skip,
                Verification::Nothing,
            ),
            (format!("{git}#branch=main"), skip, Verification::Nothing),
            (
                format!("{git}#commit={commit}"),
                skip,
                Verification::Checksum,
            ),
            (file.clone(), crc, Verification::Weak),
            (file.clone(), md5, Verification::Weak),
            (file.clone(), sha256, Verification::Checksum),
        ];
        for (source, sums, expected) in cases {
            let mut site = Site::new("proof");
            let catalog = catalog_with(&recipe(&source, sums)).await;
            site.config.catalog_urls = vec![catalog.base_url()];
            site.config.minimum_verification = Verification::Checksum;
            let outcome = site.provision("demo").await;
            if expected == Verification::Checksum {
                let done = outcome.unwrap_or_else(|error| panic!("{}", error.chain()));
                assert_eq!(done.receipt.verification(), expected, "{source}");
                continue;
            }
            let error = outcome.unwrap_err();
            let text = error.chain();
            let ProvisionError::BelowPolicy { found, .. } = error else {
                panic!("{source}: {text}");
            };
            assert_eq!(found, expected, "{source}");
            assert!(text.contains("rests on"), "{text}");
            site.assert_nothing_installed();
            site.config.minimum_verification = expected;
            let done = site.provision("demo").await.unwrap();
            assert_eq!(done.receipt.verification(), expected, "{source}");
            // A stricter policy later is not met by what is there.
            site.config.minimum_verification = Verification::Checksum;
            assert!(site.provision("demo").await.is_err(), "{source}");
        }
    });
}
