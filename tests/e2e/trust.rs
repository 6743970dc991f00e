//! Whom TLS trusts, for the catalog, downloads and git alike.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use e2e_tests::git_server::GitServer;
use e2e_tests::release;
use e2e_tests::repository;
use e2e_tests::serve::Server;
use e2e_tests::tls::{Authority, Identity, TlsFront};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{HostRule, ProvisionError, ProvisionRequest, WorkerProvisioner};

use crate::support::{Site, recipe, run};

const FILE: &[u8] = b"a file";

/// What is behind TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Catalog,
    Download,
    Git,
}

const ALL: [Behind; 3] = [Behind::Catalog, Behind::Download, Behind::Git];

/// A site whose one worker needs a catalog, a download or a repository behind TLS.
struct Scene {
    site: Site,
    front: TlsFront,
    _servers: Vec<Box<dyn std::any::Any>>,
}

fn address(url: &str) -> SocketAddr {
    let authority = url.strip_prefix("http://").unwrap();
    authority.split('/').next().unwrap().parse().unwrap()
}

async fn scene(behind: Behind, identity: Identity) -> Scene {
    let mut site = Site::new("trust");
    site.config.source_hosts = vec!["localhost".parse::<HostRule>().unwrap()];
    site.config.insecure_sources = false;
    let package = "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
                   install -Dm755 demo \"$pkgdir/usr/bin/demo\"";
    let mut servers: Vec<Box<dyn std::any::Any>> = Vec::new();
    let (front, source) = match behind {
        Behind::Catalog => {
            let catalog = site.serve(&recipe(package)).await;
            let front = TlsFront::with(catalog.address(), identity).await.unwrap();
            site.config.catalog_urls = vec![front.base_url()];
            servers.push(Box::new(catalog));
            return Scene {
                site,
                front,
                _servers: servers,
            };
        }
        Behind::Download => {
            let files = Router::new().route("/file", get(async || FILE));
            let server = Server::start(0, files).await.unwrap();
            let front = TlsFront::with(server.address(), identity).await.unwrap();
            servers.push(Box::new(server));
            let source = format!(
                "source=({}/file)\nsha256sums=({})",
                front.base_url(),
                release::sha256(FILE)
            );
            (front, source)
        }
        Behind::Git => {
            let folder = tempfile::tempdir().unwrap();
            repository::create(folder.path(), "trunk.git").unwrap();
            let server = GitServer::start(folder.path()).await.unwrap();
            let front = TlsFront::with(address(&server.url("trunk.git")), identity)
                .await
                .unwrap();
            servers.push(Box::new((server, folder)));
            let source = format!(
                "source=(git+{}/trunk.git)\nsha256sums=(SKIP)",
                front.base_url()
            );
            (front, source)
        }
    };
    let catalog = site
        .serve(&recipe(package).replace("package()", &format!("{source}\npackage()")))
        .await;
    servers.push(Box::new(catalog));
    Scene {
        site,
        front,
        _servers: servers,
    }
}

impl Scene {
    /// Trusts an authority by a file.
    fn trust(&mut self, authority: &Authority) {
        let file = self.file("ca.pem", authority.certificate().as_bytes());
        self.site.config.ca_files = vec![file];
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.site.config.temp_dir.with_file_name(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

#[test]
fn an_authority_that_is_named_is_trusted_everywhere() {
    run(async {
        let authority = Authority::new().unwrap();
        for behind in ALL {
            let mut scene = scene(behind, authority.issue("localhost").unwrap()).await;
            scene.trust(&authority);
            let done = scene.site.provision("demo").await;
            done.unwrap_or_else(|error| panic!("{behind:?}: {}", error.chain()));
            assert!(scene.front.connections() > 0, "{behind:?}");
        }
    });
}

#[test]
fn what_is_not_trusted_is_asked_once_and_told() {
    run(async {
        let authority = Authority::new().unwrap();
        let stranger = Authority::new().unwrap();
        for behind in ALL {
            let cases = [
                (
                    "unknown",
                    authority.issue("localhost"),
                    &stranger,
                    "UnknownIssuer",
                ),
                (
                    "expired",
                    authority.issue_expired("localhost"),
                    &authority,
                    "expired",
                ),
                (
                    "another host's",
                    authority.issue("example.org"),
                    &authority,
                    "not valid for",
                ),
            ];
            for (name, identity, trusted, expected) in cases {
                let mut scene = scene(behind, identity.unwrap()).await;
                scene.trust(trusted);
                let error = scene.site.provision("demo").await.unwrap_err();
                let text = error.chain();
                assert!(text.contains(expected), "{behind:?}, {name}: {text}");
                assert_eq!(scene.front.connections(), 1, "{behind:?}, {name}: {text}");
                assert!(!text.contains("attempts"), "{behind:?}, {name}: {text}");
                scene.site.assert_nothing_installed();
            }
        }
    });
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_told_before_anything_is_asked() {
    run(async {
        let authority = Authority::new().unwrap();
        let damaged = authority.certificate().replacen("MII", "AAA", 1);
        let cases: [(&str, Option<&[u8]>); 5] = [
            ("missing", None),
            ("empty", Some(b"")),
            ("no certificate", Some(b"hello")),
            (
                "a key",
                Some(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            ),
            ("damaged", Some(damaged.as_bytes())),
        ];
        for (name, content) in cases {
            let mut scene = scene(Behind::Catalog, authority.issue("localhost").unwrap()).await;
            let path = scene.site.config.temp_dir.with_file_name("ca.pem");
            if let Some(content) = content {
                scene.file("ca.pem", content);
            }
            scene.site.config.ca_files = vec![path];
            let error = WorkerProvisioner::new(scene.site.config.clone());
            let error = error
                .err()
                .unwrap_or_else(|| panic!("{name}: it was accepted"));
            let text = error.chain();
            assert!(matches!(error, ProvisionError::Access(_)), "{name}: {text}");
            assert!(
                text.contains("ca.pem`") && text.contains("`--ca-file`"),
                "{name}: {text}"
            );
            assert_eq!(scene.front.connections(), 0, "{name}");
        }
    });
}

#[test]
fn a_connection_lasts_from_one_provision_to_the_next() {
    run(async {
        let authority = Authority::new().unwrap();
        let identity = authority.issue("localhost").unwrap();
        let mut scene = scene(Behind::Download, identity).await;
        scene.trust(&authority);
        let provisioner = scene.site.provisioner();
        for _ in 0..2 {
            let _ = std::fs::remove_dir_all(scene.site.config.cache_dir.join("sources"));
            let request = ProvisionRequest::new("demo").forced();
            let done = provisioner.provision_request(&request, CancellationToken::new());
            done.await
                .unwrap_or_else(|error| panic!("{}", error.chain()));
        }
        assert_eq!(scene.front.connections(), 1);
    });
}
