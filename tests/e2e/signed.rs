//! Workers whose sources are signed, by the real `gpg` and `git`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use e2e_tests::git_server::GitServer;
use e2e_tests::release;
use worker_provisioner::{Happening, SignaturePolicy, Verification};

use crate::support::{Site, catalog_with, run, sample};

/// A gpg home with one key, which ends with its agent.
struct Signer {
    home: tempfile::TempDir,
}

impl Signer {
    fn new() -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            let _ = writeln!(std::io::stderr(), "skipped: `gpg` is not installed");
            return None;
        }
        let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
        let signer = Self { home };
        signer.gpg(&["--quick-gen-key", "signer", "ed25519", "sign", "never"]);
        Some(signer)
    }

    fn home(&self) -> &str {
        self.home.path().to_str().unwrap()
    }

    fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let fixed = [
            "--homedir",
            self.home(),
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
        ];
        output(
            Command::new("gpg")
                .args(fixed)
                .args(["--passphrase", ""])
                .args(arguments),
        )
    }

    fn fingerprint(&self) -> String {
        let listing = String::from_utf8(self.gpg(&["--with-colons", "--list-keys"])).unwrap();
        let line = listing.lines().find(|line| line.starts_with("fpr:"));
        line.unwrap().split(':').nth(9).unwrap().to_owned()
    }

    /// A bare repository `demo.git` below `root` with a signed tag `v1`.
    fn repository(&self, root: &Path) {
        let work = root.join("demo.work");
        std::fs::create_dir(&work).unwrap();
        std::fs::write(work.join("greeting"), "hello\n").unwrap();
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "."],
            &["commit", "-q", "-m", "one"],
            &["tag", "-s", "v1", "-m", "one"],
            &["clone", "-q", "--bare", ".", "../demo.git"],
        ] {
            output(
                Command::new("git")
                    .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
                    .args(["-c", "user.signingKey=signer"])
                    .args(arguments)
                    .env("GNUPGHOME", self.home())
                    .env("GIT_CONFIG_GLOBAL", "/dev/null")
                    .env("GIT_CONFIG_NOSYSTEM", "1")
                    .current_dir(&work),
            );
        }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .args(["--homedir", self.home(), "--kill", "all"])
            .status();
    }
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    output.stdout
}

#[test]
fn a_worker_with_signed_sources_needs_the_right_keyring() {
    run(async {
        let Some(signer) = Signer::new() else { return };
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("demo");
        std::fs::write(&script, "#!/bin/sh\necho demo 1.0.0\n").unwrap();
        let tarball = release::tarball(&script, "demo.bin").unwrap();
        let file = root.path().join("signed-demo.tar.gz");
        std::fs::write(&file, &tarball).unwrap();
        let signature = signer.gpg(&["--detach-sign", "-o", "-", file.to_str().unwrap()]);
        sample().releases().publish("signed-demo.tar.gz", tarball);
        sample()
            .releases()
            .publish("signed-demo.tar.gz.sig", signature);
        signer.repository(root.path());
        let git = GitServer::start(root.path()).await.unwrap();
        let fingerprint = signer.fingerprint();
        let catalog = catalog_with(&format!(
            "pkgname=demo-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
             license=('GPL-3.0-or-later')\n\
             source=('{releases}/signed-demo.tar.gz'{{,.sig}} 'git+{git}#tag=v1?signed')\n\
             sha256sums=('SKIP' 'SKIP' 'SKIP')\nvalidpgpkeys=('{fingerprint}')\n\
             package() {{\n  grep -q hello demo/greeting\n  \
             install -Dm755 demo.bin/sample-worker-rbee \"$pkgdir/usr/bin/demo\"\n}}\n",
            releases = sample().releases().base_url(),
            git = git.url("demo.git"),
        ))
        .await;
        let mut site = Site::new("signed");
        site.config.catalog_urls = vec![catalog.base_url()];
        site.config.minimum_verification = Verification::Signature;

        let error = site.provision("demo").await.unwrap_err();
        assert!(error.chain().contains("--keyring"), "{}", error.chain());
        let stranger = Signer::new().unwrap();
        let keyring = root.path().join("keyring");
        std::fs::write(&keyring, stranger.gpg(&["--export"])).unwrap();
        site.config.keyring = Some(keyring.clone());
        let error = site.provision("demo").await.unwrap_err();
        assert!(error.chain().contains(&fingerprint), "{}", error.chain());
        site.assert_nothing_installed();
        site.assert_clean();

        std::fs::write(&keyring, signer.gpg(&["--export", "--armor"])).unwrap();
        let provisioned = site
            .provision("demo")
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(provisioned.receipt.verification(), Verification::Signature);
        let signed_by: Vec<_> = provisioned
            .receipt
            .sources
            .iter()
            .map(|source| source.signed_by.as_deref())
            .collect();
        assert_eq!(signed_by, [Some(&fingerprint[..]); 3]);
        site.assert_clean();

        let mut careless = Site::new("unsigned");
        careless.config.catalog_urls = vec![catalog.base_url()];
        careless.config.signatures = SignaturePolicy::Skip;
        let provisioned = careless.provision("demo").await.unwrap();
        assert_eq!(provisioned.receipt.verification(), Verification::Nothing);
        let events = careless.events.lock().unwrap();
        let warnings = events.iter().filter(|event| {
            matches!(&event.happening, Happening::Warning { text } if text.contains("is not verified"))
        });
        assert_eq!(warnings.count(), 2);
    });
}
