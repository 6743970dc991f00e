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
use futures_util::stream;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::Command;

use crate::serve::Server;

/// Fetch requests carry the client's haves, not objects, so they stay small.
const MAX_REQUEST: usize = 8 << 20;
/// Longest header line of the backend.
const MAX_HEADER_LINE: u64 = 8 << 10;
/// Bytes read from the backend at once.
const READ: usize = 64 << 10;

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
    let stdout = child
        .stdout
        .take()
        .context("the backend has no standard output")?;
    tokio::spawn(async move {
        // The backend may answer without reading all of its input.
        let _ = stdin.write_all(&body).await;
    });
    let mut output = BufReader::with_capacity(READ, stdout);
    let mut response = Response::new(());
    read_head(&mut output, &mut response).await?;
    // Passed on as it comes, so that a client works while the backend still packs.
    let rest = stream::try_unfold((output, child), |(mut output, mut child)| async move {
        let read = output.fill_buf().await?;
        let chunk = Bytes::copy_from_slice(read);
        output.consume(chunk.len());
        if !chunk.is_empty() {
            return Ok(Some((chunk, (output, child))));
        }
        match child.wait().await? {
            status if status.success() => Ok(None),
            status => Err(std::io::Error::other(format!(
                "the backend ended with {status}"
            ))),
        }
    });
    Ok(response.map(|()| Body::from_stream(rest)))
}

/// Reads the header of a CGI answer: RFC 3875, section 6.
async fn read_head(
    output: &mut (impl AsyncBufRead + Unpin),
    response: &mut Response<()>,
) -> Result<()> {
    loop {
        let mut line = String::new();
        let read = (&mut *output)
            .take(MAX_HEADER_LINE)
            .read_line(&mut line)
            .await?;
        anyhow::ensure!(read > 0, "`git http-backend` gave no header");
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(());
        }
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
}
