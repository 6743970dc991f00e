//! A worker catalog over HTTP on loopback: routes, statuses, headers and error bodies of both
//! generations of the real service.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::io::ReaderStream;

use crate::serve::Server;

/// Which generation of the service is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// A flat entry for each backend, in `snake_case`; ids are not checked.
    V1,
    /// An entry with variants for each worker, in camelCase; ids are checked, answers cacheable.
    V2,
}

/// What a catalog serves.
#[derive(Debug, Clone)]
pub struct CatalogContent {
    /// Its manners.
    pub generation: Generation,
    /// The entries, as they are sent; each has an `id`.
    pub entries: Vec<Value>,
    /// Recipe texts by their path below `/pkgbuilds/`, such as `arch/x-git.PKGBUILD` (v2) or
    /// `x-cpu.PKGBUILD` (v1, which serves it at `/workers/x-cpu/PKGBUILD` too).
    pub pkgbuilds: BTreeMap<String, String>,
}

impl CatalogContent {
    /// An empty catalog.
    pub fn new(generation: Generation) -> Self {
        Self {
            generation,
            entries: Vec::new(),
            pkgbuilds: BTreeMap::new(),
        }
    }

    /// Adds an entry.
    #[must_use]
    pub fn entry(mut self, entry: Value) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds a recipe below `/pkgbuilds/`.
    #[must_use]
    pub fn pkgbuild(mut self, file: impl Into<String>, text: impl Into<String>) -> Self {
        self.pkgbuilds.insert(file.into(), text.into());
        self
    }
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Its path, as sent.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
}

/// A catalog on loopback; it stops when dropped.
#[derive(Debug)]
pub struct CatalogServer {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    content: Mutex<CatalogContent>,
    seen: Mutex<Vec<Seen>>,
}

/// Requests remembered; later ones are served and forgotten.
const SEEN: usize = 10_000;

impl CatalogServer {
    /// Serves `content` on `port`, or on a free port when it is 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, content: CatalogContent) -> Result<Self> {
        let shared = Arc::new(Shared {
            content: Mutex::new(content),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        Ok(Self {
            server: Server::start(port, router).await?,
            shared,
        })
    }

    /// The catalog's base URL, without a trailing slash.
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The requests so far, in their order.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Serves something else from the next request on.
    pub fn replace(&self, content: CatalogContent) {
        *lock(&self.shared.content) = content;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    {
        let mut seen = lock(&shared.seen);
        if seen.len() < SEEN {
            seen.push(Seen {
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                headers: request.headers().clone(),
            });
        }
    }
    let reply = route(
        &lock(&shared.content),
        request.method(),
        request.uri().path(),
        request.headers(),
    );
    reply.send(request.method(), request.headers())
}

/// An answer before compression and `HEAD`.
struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

fn route(content: &CatalogContent, method: &Method, path: &str, headers: &HeaderMap) -> Reply {
    // As the service's runtime does: `..` and `%2e%2e` are resolved before routing.
    let Ok(url) = url::Url::parse(&format!("http://catalog.invalid{path}")) else {
        return Reply::unknown_path();
    };
    let path = url.path();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let Some(file) = path.strip_prefix("/pkgbuilds/") {
        if !reads {
            return Reply::new(StatusCode::METHOD_NOT_ALLOWED, Vec::new());
        }
        return pkgbuild(content, file, headers);
    }
    if !reads {
        return match content.generation {
            Generation::V1 => Reply::unknown_path(),
            Generation::V2 => Reply::json(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({
                    "error": "Method not allowed",
                    "message": format!("{method} is not supported. This catalog is read-only."),
                }),
            ),
        };
    }
    match path {
        "/" => Reply::new(
            StatusCode::OK,
            b"<!DOCTYPE html>\n<html><body><p>Worker catalog</p></body></html>\n".to_vec(),
        )
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8"),
        "/health" => Reply::json(
            StatusCode::OK,
            &json!({"status": "ok", "service": "worker-catalog", "version": "0.1.0"}),
        ),
        "/workers" => Reply::json(StatusCode::OK, &json!({"workers": content.entries}))
            .cacheable(content.generation),
        _ => {
            let rest = path.strip_prefix("/workers/").unwrap_or_default();
            match rest.split_once('/') {
                None if !rest.is_empty() => worker(content, rest),
                Some((id, "PKGBUILD")) if !id.is_empty() => worker_pkgbuild(content, id),
                _ => Reply::unknown_path(),
            }
        }
    }
}

fn worker(content: &CatalogContent, id: &str) -> Reply {
    if let Some(refusal) = invalid_id(content.generation, id) {
        return refusal;
    }
    match content.entries.iter().find(|entry| entry["id"] == id) {
        Some(entry) => Reply::json(StatusCode::OK, entry).cacheable(content.generation),
        None => Reply::json(StatusCode::NOT_FOUND, &json!({"error": "Worker not found"})),
    }
}

fn worker_pkgbuild(content: &CatalogContent, id: &str) -> Reply {
    if let Some(refusal) = invalid_id(content.generation, id) {
        return refusal;
    }
    let text = content.pkgbuilds.get(&format!("{id}.PKGBUILD"));
    match (content.generation, text) {
        (Generation::V1, Some(text)) => Reply::new(StatusCode::OK, text.clone().into_bytes())
            .header(header::CONTENT_TYPE, "text/plain")
            .header(header::CACHE_CONTROL, "public, max-age=3600"),
        // v2 looks for a file that its recipes are not named after.
        _ => Reply::json(
            StatusCode::NOT_FOUND,
            &json!({"error": "PKGBUILD not found"}),
        ),
    }
}

fn invalid_id(generation: Generation, id: &str) -> Option<Reply> {
    if generation == Generation::V1 {
        return None;
    }
    if !id
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    {
        return Some(Reply::json(
            StatusCode::BAD_REQUEST,
            &json!({
                "error": "Invalid worker ID format",
                "message": "Worker ID must contain only lowercase letters, numbers, and hyphens",
            }),
        ));
    }
    (id.len() > 100).then(|| {
        Reply::json(
            StatusCode::BAD_REQUEST,
            &json!({"error": "Worker ID too long"}),
        )
    })
}

/// A static file: no content type, a strong `ETag`, always to be confirmed; `Range` is ignored.
fn pkgbuild(content: &CatalogContent, file: &str, headers: &HeaderMap) -> Reply {
    let Some(text) = content.pkgbuilds.get(file) else {
        return Reply::unknown_path();
    };
    let etag = format!("\"{}\"", &hex::encode(Sha256::digest(text))[..32]);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .split(',')
                .any(|tag| tag.trim().trim_start_matches("W/") == etag)
        });
    let reply = if known {
        Reply::new(StatusCode::NOT_MODIFIED, Vec::new())
    } else {
        Reply::new(StatusCode::OK, text.clone().into_bytes())
    };
    reply
        .header(header::ETAG, &etag)
        .header(header::CACHE_CONTROL, "public, max-age=0, must-revalidate")
}

impl Reply {
    fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    fn json(status: StatusCode, value: &Value) -> Self {
        Self::new(status, value.to_string().into_bytes())
            .header(header::CONTENT_TYPE, "application/json")
    }

    fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, b"404 Not Found".to_vec())
            .header(header::CONTENT_TYPE, "text/plain; charset=UTF-8")
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// v2 lets its JSON be kept for an hour; v1 says nothing.
    fn cacheable(self, generation: Generation) -> Self {
        match generation {
            Generation::V1 => self,
            Generation::V2 => self
                .header(header::CACHE_CONTROL, "public, max-age=3600, s-maxage=3600")
                .header(HeaderName::from_static("cdn-cache-control"), "max-age=3600"),
        }
    }

    fn send(mut self, method: &Method, asked: &HeaderMap) -> Response<Body> {
        let gzip = asked
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|coding| {
                let mut parts = coding.split(';').map(str::trim);
                parts.next() == Some("gzip") && !parts.any(|q| matches!(q, "q=0" | "q=0.0"))
            });
        if gzip && !self.body.is_empty() {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            if encoder.write_all(&self.body).is_ok()
                && let Ok(body) = encoder.finish()
            {
                self.body = body;
                self = self
                    .header(header::CONTENT_ENCODING, "gzip")
                    .header(header::VARY, "Accept-Encoding");
            }
        }
        // A stream has no known size: `HEAD` is answered without `Content-Length`.
        let body = if *method == Method::HEAD {
            Body::from_stream(ReaderStream::new(tokio::io::empty()))
        } else {
            Body::from(self.body)
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends a request as it stands, which no HTTP client does with `%2e%2e`.
    async fn ask(server: &CatalogServer, request: &str, headers: &str) -> (u16, String, String) {
        let address = server.base_url().replace("http://", "");
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let text = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn content(generation: Generation) -> CatalogContent {
        CatalogContent::new(generation)
            .entry(json!({"id": "demo"}))
            .pkgbuild("demo.PKGBUILD", "pkgname=demo\n")
    }

    #[tokio::test]
    async fn both_generations_answer_as_recorded() {
        let one = CatalogServer::start(0, content(Generation::V1))
            .await
            .unwrap();
        let two = CatalogServer::start(0, content(Generation::V2))
            .await
            .unwrap();
        let missing = (404, r#"{"error":"Worker not found"}"#);
        let unknown = (404, "404 Not Found");
        let no_recipe = (404, r#"{"error":"PKGBUILD not found"}"#);
        let list = (200, r#"{"workers":[{"id":"demo"}]}"#);
        let recipe = (200, "pkgname=demo\n");
        let invalid = (
            400,
            r#"{"error":"Invalid worker ID format","message":"Worker ID must contain only lowercase letters, numbers, and hyphens"}"#,
        );
        let read_only = (
            405,
            r#"{"error":"Method not allowed","message":"PUT is not supported. This catalog is read-only."}"#,
        );
        let most = format!("GET /workers/{}", "x".repeat(100));
        let long = format!("GET /workers/{}", "x".repeat(101));
        for (request, first, second) in [
            ("GET /workers", list, None),
            ("GET /workers?limit=0", list, None),
            ("GET /workers/demo", (200, r#"{"id":"demo"}"#), None),
            ("GET /workers/demo/PKGBUILD", recipe, Some(no_recipe)),
            ("GET /workers/demo/pkgbuild", unknown, None),
            ("GET /pkgbuilds/demo.PKGBUILD", recipe, None),
            ("POST /pkgbuilds/demo.PKGBUILD", (405, ""), None),
            ("GET /workers/other", missing, None),
            ("GET /workers/Demo", missing, Some(invalid)),
            (&most, missing, None),
            (
                &long,
                missing,
                Some((400, r#"{"error":"Worker ID too long"}"#)),
            ),
            ("GET /workers/", unknown, None),
            ("GET //workers/demo", unknown, None),
            ("GET /nothing", unknown, None),
            ("PUT /workers", unknown, Some(read_only)),
        ] {
            let (status, _, body) = ask(&one, request, "").await;
            assert_eq!((status, body.as_str()), first, "v1 {request}");
            let (status, _, body) = ask(&two, request, "").await;
            assert_eq!(
                (status, body.as_str()),
                second.unwrap_or(first),
                "v2 {request}"
            );
        }
    }

    #[tokio::test]
    async fn headers_are_the_recorded_ones() {
        let one = CatalogServer::start(0, content(Generation::V1))
            .await
            .unwrap();
        let two = CatalogServer::start(0, content(Generation::V2))
            .await
            .unwrap();
        let (_, head, _) = ask(&one, "GET /workers", "").await;
        assert!(!head.contains("cache-control"), "{head}");
        let (_, head, _) = ask(&two, "GET /workers/demo", "").await;
        assert!(
            head.contains("\ncache-control: public, max-age=3600, s-maxage=3600"),
            "{head}"
        );
        let (status, head, body) = ask(&two, "HEAD /workers", "").await;
        assert_eq!((status, body.as_str()), (200, ""));
        assert!(!head.contains("content-length"), "{head}");
        let (status, head, body) = ask(&two, "GET /workers/%2e%2e", "").await;
        assert_eq!(status, 200);
        assert!(head.contains("text/html") && body.starts_with("<!DOCTYPE html>"));
        let (_, head, body) = ask(&two, "GET /workers", "Accept-Encoding: gzip\r\n").await;
        assert!(head.contains("content-encoding: gzip") && !body.contains("workers"));
        let recipe = "GET /pkgbuilds/demo.PKGBUILD";
        let (_, head, body) = ask(&one, recipe, "Range: bytes=0-1\r\n").await;
        assert!(
            !head.contains("content-type") && body == "pkgname=demo\n",
            "{head}"
        );
        let etag = head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "))
            .unwrap();
        let condition = format!("If-None-Match: {etag}\r\n");
        let (status, _, body) = ask(&one, recipe, &condition).await;
        assert_eq!((status, body.as_str()), (304, ""));
        assert_eq!(one.requests().len(), 3);
    }
}
