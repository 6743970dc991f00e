//! `SSL_CERT_FILE`, `SSL_CERT_DIR` and `--ca-file`, as people set them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Output;

use e2e_tests::release::{ReleaseServer, sha256};
use e2e_tests::tls::{Authority, TlsFront};

const FILE: &[u8] = b"a file";

/// What the command inherits of the environment that names certificates or proxies.
const VARIABLES: [&str; 10] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Switches, variables, and what comes of them.
type Case<T> = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    T,
);

struct Scene {
    folder: tempfile::TempDir,
    front: TlsFront,
    _releases: ReleaseServer,
}

impl Scene {
    async fn new(authority: &Authority) -> Self {
        let releases = ReleaseServer::start().await.unwrap();
        releases.publish("file", FILE.to_vec());
        let address = releases.base_url().trim_start_matches("http://").parse();
        let identity = authority.issue("localhost").unwrap();
        let front = TlsFront::with(address.unwrap(), identity).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let recipe = format!(
            "pkgname=a\npkgver=1\npkgrel=1\narch=(any)\nsource=({}/file)\nsha256sums=({})\n",
            front.base_url(),
            sha256(FILE)
        );
        std::fs::write(folder.path().join("PKGBUILD"), recipe).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.certificate()).unwrap();
        Self {
            folder,
            front,
            _releases: releases,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn fetch(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args([
                "fetch",
                "PKGBUILD",
                "--srcdir",
                "src",
                "--cache-dir",
                "cache",
            ])
            .args(["--allow-source-host", "localhost"])
            .args(args)
            .current_dir(self.path());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let output = command.envs(variables.iter().copied()).output().await;
        for made in ["src", "cache"] {
            let _ = std::fs::remove_dir_all(self.path().join(made));
        }
        output.unwrap()
    }
}

#[tokio::test]
async fn authorities_are_named_by_variables_and_by_the_switch() {
    let authority = Authority::new().unwrap();
    let scene = Scene::new(&authority).await;
    let stranger = Authority::new().unwrap().certificate();
    std::fs::write(scene.path().join("other.pem"), stranger).unwrap();
    for (directory, file) in [("right", "ca.pem"), ("wrong", "other.pem")] {
        let directory = scene.path().join(directory);
        std::fs::create_dir(&directory).unwrap();
        std::fs::copy(scene.path().join(file), directory.join("1.pem")).unwrap();
        std::fs::write(directory.join("README"), "not a certificate").unwrap();
    }
    let cases: [Case<bool>; 10] = [
        (&[], &[], false),
        (&["--ca-file", "ca.pem"], &[], true),
        (&["--ca-file", "other.pem"], &[], false),
        (
            &["--ca-file", "other.pem", "--ca-file", "ca.pem"],
            &[],
            true,
        ),
        (&[], &[("SSL_CERT_FILE", "ca.pem")], true),
        (&[], &[("SSL_CERT_FILE", "other.pem")], false),
        (&[], &[("SSL_CERT_DIR", "right")], true),
        (&[], &[("SSL_CERT_DIR", "wrong:right")], true),
        (
            &[],
            &[("SSL_CERT_FILE", "other.pem"), ("SSL_CERT_DIR", "wrong")],
            false,
        ),
        (
            &["--ca-file", "ca.pem"],
            &[("SSL_CERT_FILE", "other.pem")],
            true,
        ),
    ];
    for (args, variables, arrives) in cases {
        let before = scene.front.connections();
        let output = scene.fetch(args, variables).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.success(),
            arrives,
            "{args:?} {variables:?}: {said}"
        );
        assert_eq!(
            scene.front.connections(),
            before + 1,
            "{args:?} {variables:?}: {said}"
        );
        assert!(arrives || said.contains("UnknownIssuer"), "{said}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_told_before_anything_is_asked() {
    let scene = Scene::new(&Authority::new().unwrap()).await;
    std::fs::write(scene.path().join("text"), "hello").unwrap();
    std::fs::create_dir(scene.path().join("empty")).unwrap();
    let cases: [Case<&str>; 8] = [
        (
            &["--ca-file", "missing"],
            &[],
            "`missing`, which `--ca-file` names",
        ),
        (
            &["--ca-file", "empty"],
            &[],
            "`empty`, which `--ca-file` names",
        ),
        (&["--ca-file", "/dev/zero"], &[], "is larger than"),
        (
            &[],
            &[("SSL_CERT_FILE", "missing")],
            "`missing`, which `SSL_CERT_FILE` names",
        ),
        (
            &[],
            &[("SSL_CERT_FILE", "text")],
            "`text`, which `SSL_CERT_FILE` names",
        ),
        (
            &[],
            &[("SSL_CERT_DIR", "missing")],
            "`missing`, which `SSL_CERT_DIR` names",
        ),
        (
            &[],
            &[("SSL_CERT_DIR", "empty")],
            "`empty`, which `SSL_CERT_DIR` names",
        ),
        (
            &["--ca-file", "ca.pem"],
            &[("SSL_CERT_FILE", "missing")],
            "`SSL_CERT_FILE`",
        ),
    ];
    for (args, variables, expected) in cases {
        let output = scene.fetch(args, variables).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(expected),
            "{args:?}: {said}"
        );
        assert_eq!(scene.front.connections(), 0, "{said}");
    }
}
