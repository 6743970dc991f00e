//! Release downloads: a prebuilt worker in a tarball, served over HTTP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::serve::Server;

/// Builds the sample worker with the host's own toolchain, without network access.
///
/// `target` keeps the result, so that a second run has nothing to compile.
///
/// # Errors
/// When `cargo` is missing or the build fails.
pub fn build_prebuilt(source: &Path, target: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--offline", "--locked", "--quiet"])
        .arg("--manifest-path")
        .arg(source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        // The flags of the outer cargo would make a build of another project differ.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .context("failed to run `cargo` for the prebuilt worker")?;
    ensure!(
        output.status.success(),
        "the prebuilt worker does not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(target.join("release/sample-worker-rbee"))
}

/// A gzipped tarball that holds `binary` as `<folder>/sample-worker-rbee`.
///
/// # Errors
/// When the binary cannot be read.
pub fn tarball(binary: &Path, folder: &str) -> Result<Vec<u8>> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    archive.append_path_with_name(binary, format!("{folder}/sample-worker-rbee"))?;
    Ok(archive.into_inner()?.finish()?)
}

/// The lower-case hexadecimal sha256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: AtomicU64,
}

/// Serves named files from memory and counts what is asked for.
#[derive(Debug)]
pub struct ReleaseServer {
    server: Server,
    shared: Arc<Shared>,
}

impl ReleaseServer {
    /// Starts with no file on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        Ok(Self {
            server: Server::start(0, router).await?,
            shared,
        })
    }

    /// `http://` and the address, without a trailing slash.
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// Publishes `bytes` at `/<name>`.
    pub fn publish(&self, name: &str, bytes: Vec<u8>) {
        let mut files = self
            .shared
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        files.insert(format!("/{name}"), bytes);
    }

    /// How many requests have arrived, for any file.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
    let found = files.get(request.uri().path());
    let body = found.map_or_else(
        || Body::from("404 Not Found"),
        |bytes| Body::from(bytes.clone()),
    );
    let mut response = Response::new(body);
    if found.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let kind = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
