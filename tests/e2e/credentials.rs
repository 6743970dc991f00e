//! What the hosts of sources ask for: who gets it, and that nobody else ever sees it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use e2e_tests::git_server::GitServer;
use e2e_tests::release::sha256;
use e2e_tests::repository;
use e2e_tests::serve::Server;
use e2e_tests::tls::{Authority, TlsFront};
use worker_provisioner::{
    Credential, CredentialError, CredentialProvider, Credentials, HostRule, Secret, Url,
};

use crate::support::{Site, recipe, run};

const FILE: &[u8] = b"a licensed file";
const SECRET: &str = "sesame-open-4711";
/// `me:` and the secret, as it travels.
const BASIC: &str = "Basic bWU6c2VzYW1lLW9wZW4tNDcxMQ==";

/// A server that wants one of two logins, and remembers what it was shown.
struct Licensed {
    server: Server,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Licensed {
    /// Gives a file, a repository of another server below `/git/`, and redirects below `/to/`.
    async fn start(git: Option<String>, target: String) -> Self {
        let shown: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&shown);
        let router = Router::new().fallback(move |request: Request| {
            let (seen, git, target) = (Arc::clone(&seen), git.clone(), target.clone());
            async move {
                let header = authorization(request.headers());
                seen.lock().unwrap().push(header.clone());
                if header != BASIC && header != format!("Bearer {SECRET}") {
                    return status(StatusCode::UNAUTHORIZED);
                }
                match (request.uri().path(), git) {
                    ("/file", _) => Response::new(Body::from(FILE)),
                    ("/to", _) => {
                        let mut response = status(StatusCode::FOUND);
                        let target = target.parse().unwrap();
                        response.headers_mut().insert("location", target);
                        response
                    }
                    (_, Some(git)) => pass_on(&git, request).await,
                    _ => status(StatusCode::NOT_FOUND),
                }
            }
        });
        Self {
            server: Server::start(0, router).await.unwrap(),
            shown,
        }
    }

    fn shown(&self) -> Vec<String> {
        std::mem::take(&mut self.shown.lock().unwrap())
    }
}

fn authorization(headers: &HeaderMap) -> String {
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

async fn pass_on(base: &str, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let client = reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .build()
        .unwrap();
    let url = format!("{base}{}", parts.uri.path_and_query().unwrap());
    let answer = client
        .request(parts.method, url)
        .headers(headers)
        .body(body);
    let answer = answer.send().await.unwrap();
    let mut response = status(answer.status());
    for (name, value) in answer.headers() {
        if name == "content-type" {
            response.headers_mut().insert(name, value.clone());
        }
    }
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}

#[derive(Debug)]
struct Vault;

impl CredentialProvider for Vault {
    fn credential(&self, url: &Url) -> Result<Option<Credential>, CredentialError> {
        if url.path().starts_with("/closed") {
            return Err(CredentialError::new("the vault is closed"));
        }
        Ok(Some(Credential::Bearer(Secret::new(SECRET))))
    }
}

const PACKAGE: &str = "  printf '#!/bin/sh\\necho demo\\n' > program\n  \
                       install -Dm755 program \"$pkgdir/usr/bin/demo\"";

/// A site whose worker needs this source.
async fn site(source: &str) -> (Site, impl Sized) {
    let mut site = Site::new("credentials");
    let sums = if source.contains("git+") {
        "SKIP".to_owned()
    } else {
        sha256(FILE)
    };
    let lines = format!("source=({source})\nsha256sums=({sums})\npackage()");
    let catalog = site
        .serve(&recipe(PACKAGE).replace("package()", &lines))
        .await;
    (site, catalog)
}

impl Site {
    /// Nothing that is told or kept holds the secret, as it is or as it travels.
    fn assert_discreet(&self, said: &str) {
        let events = format!("{:?}", self.events.lock().unwrap());
        for secret in [SECRET, BASIC.trim_start_matches("Basic ")] {
            assert!(!said.contains(secret), "{said}");
            assert!(!events.contains(secret), "{events}");
            for kept in [
                &self.config.data_dir,
                &self.config.cache_dir,
                &self.bin_dir(),
            ] {
                assert!(!holds(kept, secret), "{}", kept.display());
            }
        }
    }
}

/// Whether a file below a directory holds a text.
fn holds(directory: &Path, text: &str) -> bool {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        let Ok(metadata) = path.symlink_metadata() else {
            return false;
        };
        if metadata.is_dir() {
            return holds(&path, text);
        }
        let content = std::fs::read(&path).unwrap_or_default();
        content
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

/// Every way to give a credential for a host.
fn ways(site: &Site, host: &str) -> Vec<(&'static str, Credentials, bool)> {
    let netrc = site.config.temp_dir.with_file_name("netrc");
    let login = host.split(':').next().unwrap();
    std::fs::write(
        &netrc,
        format!("machine {login} login me password {SECRET}\n"),
    )
    .unwrap();
    let basic = Credential::Basic {
        user: "me".to_owned(),
        password: Secret::new(SECRET),
    };
    let bearer = Credential::Bearer(Secret::new(SECRET));
    let none = Credentials::default;
    vec![
        ("netrc", none(), true),
        ("provider", none().with_provider(Arc::new(Vault)), false),
        ("basic", none().with_credential(host, basic), false),
        ("bearer", none().with_credential(host, bearer), false),
    ]
}

#[test]
fn a_host_that_wants_a_login_gets_it_over_tls_and_nobody_sees_it() {
    run(async {
        let authority = Authority::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        repository::create(folder.path(), "trunk.git").unwrap();
        let git = GitServer::start(folder.path()).await.unwrap();
        let base = git.url("trunk.git").replace("/trunk.git", "");
        let licensed = Licensed::start(Some(base), String::new()).await;
        let identity = authority.issue("localhost").unwrap();
        let front = TlsFront::with(licensed.server.address(), identity)
            .await
            .unwrap();
        let host = front.base_url().replace("https://", "");
        for source in [
            format!("{}/file", front.base_url()),
            format!("git+{}/trunk.git", front.base_url()),
        ] {
            let (mut site, _catalog) = site(&source).await;
            let ca = site.config.temp_dir.with_file_name("ca.pem");
            std::fs::write(&ca, authority.certificate()).unwrap();
            site.config.ca_files = vec![ca];
            site.config.source_hosts = vec![host.parse::<HostRule>().unwrap()];

            let error = site.provision("demo").await.unwrap_err().chain();
            assert!(error.contains("--netrc-file"), "{error}");
            assert!(licensed.shown().iter().all(String::is_empty));
            for (way, credentials, by_file) in ways(&site, &host) {
                let netrc = site.config.temp_dir.with_file_name("netrc");
                site.config.credentials = credentials;
                site.config.netrc_file = by_file.then_some(netrc);
                let _ = std::fs::remove_dir_all(&site.config.cache_dir);
                let mut request = worker_provisioner::ProvisionRequest::new("demo");
                request.force = true;
                let token = tokio_util::sync::CancellationToken::new();
                let done = site.provisioner().provision_request(&request, token).await;
                let done =
                    done.unwrap_or_else(|error| panic!("{source}, {way}: {}", error.chain()));
                assert!(
                    licensed.shown().iter().any(|shown| shown.contains(' ')),
                    "{way}"
                );
                site.assert_discreet(&format!("{:?}{:?}", done.receipt, done.binary));
                site.assert_discreet(&format!("{:?}", site.config));
            }
        }
    });
}

#[test]
fn who_is_not_listed_gets_nothing() {
    run(async {
        let licensed = Licensed::start(None, String::new()).await;
        let url = format!("{}/file", licensed.server.base_url());
        let (mut site, _catalog) = site(&url).await;
        let host = licensed.server.address().to_string();
        for (way, credentials, by_file) in ways(&site, "localhost:1") {
            let netrc = site.config.temp_dir.with_file_name("netrc");
            std::fs::write(
                &netrc,
                format!("machine 127.0.0.1 login me password {SECRET}\n"),
            )
            .unwrap();
            // The catalog's own host may be asked, but not be told; another port of it is another.
            let other = format!("127.0.0.1:{}", licensed.server.address().port() ^ 1);
            site.config.source_hosts = match way {
                "netrc" | "provider" => vec![other.parse().unwrap()],
                _ => vec![host.parse().unwrap()],
            };
            site.config.credentials = credentials;
            site.config.netrc_file = by_file.then_some(netrc);
            let error = site.provision("demo").await.unwrap_err();
            assert!(licensed.shown().iter().all(String::is_empty), "{way}");
            site.assert_discreet(&error.chain());
        }
    });
}

#[test]
fn a_login_is_not_sent_where_a_redirect_leads() {
    run(async {
        let other = Licensed::start(None, String::new()).await;
        // The same machine under its other name, and the same name at another port.
        for target in [
            format!("http://localhost:{}/file", other.server.address().port()),
            format!("{}/file", other.server.base_url()),
        ] {
            let licensed = Licensed::start(None, target).await;
            let url = format!("{}/to", licensed.server.base_url());
            let (mut site, _catalog) = site(&url).await;
            site.config.source_hosts = ["localhost", "127.0.0.1"]
                .map(|host| host.parse().unwrap())
                .to_vec();
            let host = licensed.server.address().to_string();
            for (way, credentials, by_file) in ways(&site, &host) {
                if way == "provider" {
                    // It is asked for each place, and answers for itself.
                    continue;
                }
                let netrc = site.config.temp_dir.with_file_name("netrc");
                let both = ["localhost", "127.0.0.1"]
                    .map(|host| format!("machine {host} login me password {SECRET}\n"));
                std::fs::write(&netrc, both.concat()).unwrap();
                site.config.credentials = credentials;
                site.config.netrc_file = by_file.then_some(netrc);
                let error = site.provision("demo").await.unwrap_err();
                assert!(
                    licensed.shown().iter().any(|shown| shown.contains(' ')),
                    "{way}"
                );
                assert_eq!(other.shown(), [""], "{way}");
                site.assert_discreet(&error.chain());
            }
        }
    });
}

#[test]
fn a_login_that_cannot_be_had_is_told_and_so_is_a_file_that_cannot_be_read() {
    run(async {
        let licensed = Licensed::start(None, String::new()).await;
        for (path, prefix) in [("closed", ""), ("closed", "git+")] {
            let url = format!("{prefix}{}/{path}", licensed.server.base_url());
            let (mut site, _catalog) = site(&url).await;
            site.config.source_hosts = vec!["127.0.0.1".parse().unwrap()];
            site.config.credentials = Credentials::default().with_provider(Arc::new(Vault));
            let text = site.provision("demo").await.unwrap_err().chain();
            assert!(text.contains("the vault is closed"), "{text}");
        }
        let (mut site, _catalog) = site("x").await;
        let missing = site.config.temp_dir.with_file_name("missing");
        site.config.netrc_file = Some(missing);
        let error = worker_provisioner::WorkerProvisioner::new(site.config.clone());
        let text = error.err().unwrap().chain();
        assert!(text.contains("missing`"), "{text}");
        site.config.netrc_file = Some("/dev/zero".into());
        assert!(worker_provisioner::WorkerProvisioner::new(site.config.clone()).is_err());
    });
}

/// Keeps everything that this program's parts log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn keep(&self, record: &dyn std::fmt::Debug) {
        writeln!(self.0.lock().unwrap(), "{record:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.keep(span);
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.keep(values);
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.keep(event);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_login_is_in_no_log() {
    let log = Log::default();
    // One thread, so that all of it is logged to this one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _logging = tracing::subscriber::set_default(log.clone());
    runtime.block_on(async {
        let licensed = Licensed::start(None, String::new()).await;
        for path in ["file", "missing"] {
            let url = format!("{}/{path}?token={SECRET}", licensed.server.base_url());
            let (mut site, _catalog) = site(&url).await;
            let host = licensed.server.address().to_string();
            site.config.source_hosts = vec![host.parse().unwrap()];
            let bearer = Credential::Bearer(Secret::new(SECRET));
            site.config.credentials = Credentials::default().with_credential(host, bearer);
            let done = site.provision("demo").await;
            assert_eq!(done.is_ok(), path == "file");
        }
    });
    let log = log.0.lock().unwrap();
    assert!(log.contains("demo"), "nothing was logged: {log}");
    assert!(!log.contains(SECRET), "{log}");
}
