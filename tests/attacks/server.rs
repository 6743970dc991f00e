//! One hostile server: catalog, downloads and repositories at one origin, which remembers what it
//! was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use e2e_tests::serve::Server;
use futures_util::stream;
use serde_json::{Value, json};

/// What a path is answered with.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Bytes(Vec<u8>),
    /// The same piece, so many times.
    Repeated(Vec<u8>, usize),
}

impl Answer {
    pub(crate) fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Content::Bytes(body.into()),
        }
    }

    pub(crate) fn json(value: impl ToString) -> Self {
        Self::bytes(value.to_string()).with("content-type", "application/json")
    }

    pub(crate) fn repeated(piece: Vec<u8>, times: usize) -> Self {
        Self {
            body: Content::Repeated(piece, times),
            ..Self::bytes("")
        }
    }

    pub(crate) fn redirect(to: impl Into<String>) -> Self {
        Self {
            status: 302,
            ..Self::bytes("").with("location", to)
        }
    }

    pub(crate) fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn respond(self) -> Response<Body> {
        let body = match self.body {
            Content::Bytes(bytes) => Body::from(bytes),
            Content::Repeated(piece, times) => {
                let piece = Bytes::from(piece);
                let pieces = (0..times).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
                Body::from_stream(stream::iter(pieces))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    }
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    seen: Mutex<Vec<(String, HeaderMap)>>,
    git: Mutex<Option<String>>,
}

/// A server on loopback; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Host {
    server: Server,
    shared: Arc<Shared>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let server = Server::start(0, router).await.unwrap();
        Self { server, shared }
    }

    /// A catalog with one worker, `demo`, of this recipe.
    pub(crate) async fn with_recipe(recipe: &str) -> Self {
        let host = Self::start().await;
        host.offer(recipe);
        host
    }

    pub(crate) fn offer(&self, recipe: &str) {
        self.offer_entry(&entry());
        self.put(RECIPE, Answer::bytes(recipe));
    }

    pub(crate) fn offer_entry(&self, entry: &Value) {
        self.put("/workers", Answer::json(json!({"workers": [entry]})));
        self.put("/workers/demo", Answer::json(entry));
    }

    pub(crate) fn put(&self, path: &str, answer: Answer) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), answer);
    }

    /// Passes everything below `/git/` on to this server.
    pub(crate) fn serve_git(&self, base_url: String) {
        *self.shared.git.lock().unwrap() = Some(base_url);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_url())
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Paths with their queries, as they were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Whether a request carried this text in a header or in its path.
    pub(crate) fn was_told(&self, text: &str) -> bool {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter()
            .any(|(path, headers)| path.contains(text) || format!("{headers:?}").contains(text))
    }
}

/// Where the recipe of `demo` lies.
pub(crate) const RECIPE: &str = "/pkgbuilds/arch/demo-bin.PKGBUILD";

/// The entry of `demo`.
pub(crate) fn entry() -> Value {
    json!({
        "id": "demo",
        "implementation": "rust",
        "version": "1.0.0",
        "name": "Demo",
        "license": "GPL-3.0-or-later",
        "buildSystem": "cargo",
        "variants": [{
            "backend": "cpu",
            "platforms": ["linux", "macos"],
            "architectures": ["x86_64", "aarch64"],
            "pkgbuildUrl": RECIPE,
            "binaryName": "demo",
        }],
        "capabilities": { "supportedFormats": ["gguf"] },
    })
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let target = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let (target, path) = (target.to_owned(), request.uri().path().to_owned());
    {
        let mut seen = shared.seen.lock().unwrap();
        seen.push((target.clone(), request.headers().clone()));
    }
    let known = shared.answers.lock().unwrap().get(&path).cloned();
    if let Some(answer) = known {
        return answer.respond();
    }
    let git = shared.git.lock().unwrap().clone();
    match (git, target.strip_prefix("/git/")) {
        (Some(base), Some(rest)) => pass_on(&format!("{base}/{rest}"), request).await,
        _ => Answer {
            status: 404,
            ..Answer::bytes("404 Not Found")
        }
        .respond(),
    }
}

async fn pass_on(url: &str, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 8 << 20).await.unwrap();
    let mut headers = parts.headers;
    headers.remove("host");
    let client = reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .build()
        .unwrap();
    let asked = client
        .request(parts.method, url)
        .headers(headers)
        .body(body);
    let answer = asked.send().await.unwrap();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    if let Some(kind) = answer.headers().get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}

/// What a client that trusts everybody gets: it follows every redirect, to everywhere.
pub(crate) async fn naive(url: &str) -> Option<Vec<u8>> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).send().await.ok()?;
    answer.bytes().await.ok().map(|bytes| bytes.to_vec())
}
