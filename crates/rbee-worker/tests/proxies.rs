//! `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, as people set them: for the catalog,
//! downloads and git alike.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::forward_proxy::{Door, ForwardProxy};
use e2e_tests::git_server::GitServer;
use e2e_tests::release::{ReleaseServer, sha256};
use e2e_tests::tls::{Authority, TlsFront};
use e2e_tests::{repository, sample};

/// A host that only a proxy knows.
const HOST: &str = "files.example.invalid";
const FILE: &[u8] = b"a file";
const SECRET: &str = "s3cret-of-the-proxy";

/// What is asked for through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Catalog,
    Download,
    Git,
}

const ALL: [What; 3] = [What::Catalog, What::Download, What::Git];

/// A server of one kind, plain and behind TLS.
struct Scene {
    what: What,
    folder: tempfile::TempDir,
    plain: SocketAddr,
    front: TlsFront,
    front_address: SocketAddr,
    _server: Box<dyn std::any::Any>,
}

fn address(url: &str) -> SocketAddr {
    let authority = url.split_once("://").unwrap().1;
    let authority = authority.split('/').next().unwrap();
    authority.replace("localhost", "127.0.0.1").parse().unwrap()
}

impl Scene {
    async fn new(what: What) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (plain, server): (_, Box<dyn std::any::Any>) = match what {
            What::Catalog => {
                let content = sample::prebuilt_catalog("demo", &sample::script_recipe("demo"));
                let catalog = CatalogServer::start(0, content).await.unwrap();
                (catalog.address(), Box::new(catalog))
            }
            What::Download => {
                let releases = ReleaseServer::start().await.unwrap();
                releases.publish("file", FILE.to_vec());
                (address(&releases.base_url()), Box::new(releases))
            }
            What::Git => {
                repository::create(folder.path(), "trunk.git").unwrap();
                let git = GitServer::start(folder.path()).await.unwrap();
                (address(&git.url("")), Box::new(git))
            }
        };
        let authority = Authority::new().unwrap();
        let identity = authority.issue(HOST).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.certificate()).unwrap();
        let front = TlsFront::with(plain, identity).await.unwrap();
        let front_address = address(&front.base_url());
        Self {
            what,
            folder,
            plain,
            front,
            front_address,
            _server: server,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a proxy leads.
    fn server(&self, scheme: &str) -> SocketAddr {
        if scheme == "https" {
            self.front_address
        } else {
            self.plain
        }
    }

    /// Asks for what there is at `scheme://HOST`.
    async fn ask(&self, scheme: &str, variables: &[(&str, String)]) -> Output {
        let source = match self.what {
            What::Catalog => String::new(),
            What::Git => format!("source=(git+{scheme}://{HOST}/trunk.git)\nsha256sums=(SKIP)"),
            What::Download => format!(
                "source=({scheme}://{HOST}/file)\nsha256sums=({})",
                sha256(FILE)
            ),
        };
        let recipe = format!("{source}\n{}", sample::script_recipe("demo"));
        let catalog = CatalogServer::start(0, sample::prebuilt_catalog("demo", &recipe));
        let catalog = catalog.await.unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rbee-worker"));
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
            .env("SSL_CERT_FILE", self.path().join("ca.pem"))
            .env_remove("SSL_CERT_DIR")
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("WORKER_BIN_DIR", self.path().join("bin"))
            .env("WORKER_CATALOG_URL", catalog.base_url())
            .envs(
                variables
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            );
        if self.what == What::Catalog {
            command.args(["search", "--catalog", &format!("{scheme}://{HOST}")]);
        } else {
            command.args([
                "install",
                "demo",
                "--backend",
                "cpu",
                "--allow-insecure-sources",
            ]);
        }
        let output = command.output().await.unwrap();
        for made in ["bin", "cache", "data"] {
            let _ = std::fs::remove_dir_all(self.path().join(made));
        }
        output
    }
}

fn said(output: &Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[tokio::test]
async fn each_variable_counts_for_everything_that_is_asked() {
    for what in ALL {
        let scene = Scene::new(what).await;
        for (scheme, variable, by) in [
            ("http", "http_proxy", "http"),
            ("http", "HTTP_PROXY", "http"),
            ("https", "https_proxy", "http"),
            ("https", "HTTPS_PROXY", "http"),
            ("http", "all_proxy", "http"),
            ("https", "ALL_PROXY", "http"),
            ("http", "all_proxy", "socks5h"),
            ("https", "https_proxy", "socks5h"),
        ] {
            let proxy = ForwardProxy::start(scene.server(scheme), Door::Open)
                .await
                .unwrap();
            let value = format!("{by}://me:{SECRET}@{}", proxy.address());
            let output = scene.ask(scheme, &[(variable, value)]).await;
            let said = said(&output);
            assert!(
                output.status.success(),
                "{what:?} {scheme} {variable} {by}: {said}"
            );
            assert!(!said.contains(SECRET), "{said}");
            let seen = proxy.seen();
            let port = if scheme == "https" { 443 } else { 80 };
            let expected = match (by, scheme) {
                ("socks5h", _) => format!("SOCKS {HOST}:{port} me:{SECRET}"),
                (_, "https") => format!("CONNECT {HOST}:443 "),
                _ => format!(" http://{HOST}/"),
            };
            assert!(
                !seen.is_empty(),
                "{what:?} {scheme} {variable} {by}: it was not asked"
            );
            for request in seen {
                assert!(request.contains(&expected), "{request}");
                let has_login = by == "socks5h"
                    || request
                        .to_lowercase()
                        .contains("\r\nproxy-authorization: basic ");
                assert!(has_login, "{request}");
            }
        }
    }
}

#[tokio::test]
async fn what_no_proxy_names_goes_past_it() {
    for what in ALL {
        let scene = Scene::new(what).await;
        let ways = [
            ("no_proxy", HOST),
            ("NO_PROXY", "example.invalid"),
            ("no_proxy", "other.example.org, .example.invalid"),
            ("no_proxy", "*"),
        ];
        // Each failure is tried again for a while.
        let count = if what == What::Download { 4 } else { 1 };
        for &(variable, value) in &ways[..count] {
            let proxy = ForwardProxy::start(scene.plain, Door::Open).await.unwrap();
            let all = ("all_proxy", format!("http://{}", proxy.address()));
            let output = scene
                .ask("http", &[all.clone(), (variable, value.to_owned())])
                .await;
            assert!(!output.status.success(), "{what:?}: {}", said(&output));
            assert_eq!(proxy.seen(), [""; 0], "{what:?} {value}");
            // What is meant for another name does not.
            let other = (variable, format!("other.{HOST}"));
            let output = scene.ask("http", &[all, other]).await;
            assert!(output.status.success(), "{what:?}: {}", said(&output));
        }
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_none_is_told_without_its_password() {
    for what in ALL {
        let scene = Scene::new(what).await;
        let before = scene.front.connections();
        let proxy = ForwardProxy::start(scene.front_address, Door::Closed)
            .await
            .unwrap();
        let value = format!("http://me:{SECRET}@{}", proxy.address());
        let output = scene.ask("https", &[("https_proxy", value)]).await;
        let text = said(&output);
        assert!(
            !output.status.success() && !text.contains(SECRET),
            "{what:?}: {text}"
        );
        assert!(!proxy.seen().is_empty(), "{what:?}");

        let gone = ("https_proxy", format!("socks5h://me:{SECRET}@127.0.0.1:1"));
        let text = said(&scene.ask("https", &[gone]).await);
        assert!(!text.contains(SECRET), "{what:?}: {text}");

        let wrong = ("https_proxy", format!("ftp://me:{SECRET}@127.0.0.1:1"));
        let output = scene.ask("https", &[wrong]).await;
        let text = said(&output);
        assert!(
            !output.status.success() && !text.contains(SECRET),
            "{what:?}: {text}"
        );
        assert!(
            text.contains("`https_proxy` is no address of a proxy"),
            "{what:?}: {text}"
        );
        assert_eq!(scene.front.connections(), before, "{what:?}");
    }
}
