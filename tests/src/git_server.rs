//! Serves bare repositories over smart HTTP by way of `git http-backend`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::serve::Server;

/// Fetch requests carry the client's haves, not objects, so they stay small.
const MAX_REQUEST: usize = 8 << 20;

/// A smart HTTP git server on loopback; it stops when dropped.
#[derive(Debug)]
pub struct GitServer {
    server: Server,
    requests: Arc<AtomicU64>,
}

impl GitServer {
    /// Serves every repository below `root`.
    ///
    /// # Errors
    /// When the `git` program is missing or no port can be bound.
    pub async fn start(root: &Path) -> Result<Self> {
        let version = Command::new("git").arg("--version").output().await;
        version.context("the `git` program is needed to serve the sample repository")?;
        let requests = Arc::new(AtomicU64::new(0));
        let state = (root.to_owned(), Arc::clone(&requests));
        let router = Router::new().fallback(answer).with_state(state);
        Ok(Self {
            server: Server::start(0, router).await?,
            requests,
        })
    }

    /// The URL of the repository `name` below the root.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.server.base_url())
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn answer(
    State((root, requests)): State<(PathBuf, Arc<AtomicU64>)>,
    request: Request,
) -> Response<Body> {
    requests.fetch_add(1, Ordering::Relaxed);
    match run_backend(&root, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(format!("{error:#}\n")));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

async fn run_backend(root: &Path, request: Request) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_REQUEST).await?;
    let text = |name: HeaderName| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        // The server may run as another user than the repository's owner, as under sudo.
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env(
            "GIT_PROTOCOL",
            text(HeaderName::from_static("git-protocol")),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("failed to start `git http-backend`")?;
    let mut stdin = child
        .stdin
        .take()
        .context("the backend has no standard input")?;
    let feed = async move {
        // The backend may answer without reading all of its input.
        let _ = stdin.write_all(&body).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    cgi_response(&output?.stdout)
}

fn cgi_response(output: &[u8]) -> Result<Response<Body>> {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("`git http-backend` gave no header")?;
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(&output[end + 4..])));
    for line in std::str::from_utf8(&output[..end])?.split("\r\n") {
        let (name, value) = line.split_once(':').context("malformed CGI header")?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.split_whitespace().next().unwrap_or("500");
            *response.status_mut() = code.parse()?;
        } else {
            response.headers_mut().append(
                name.parse::<HeaderName>()?,
                HeaderValue::from_str(value.trim())?,
            );
        }
    }
    Ok(response)
}
