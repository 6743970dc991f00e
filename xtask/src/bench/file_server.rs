//! Files of one folder over HTTP on loopback, each connection at a limited speed where wanted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use e2e_tests::serve::Server;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep_until};

/// What is read from a file and sent at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// Serves a folder; stops when dropped.
pub(crate) struct FileServer(Server);

#[derive(Clone)]
struct Served {
    folder: PathBuf,
    bytes_a_second: Option<u32>,
}

impl FileServer {
    /// Serves the files of `folder`, each body at no more than `bytes_a_second`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(crate) async fn start(folder: &Path, bytes_a_second: Option<u32>) -> Result<Self> {
        let state = Served {
            folder: folder.to_owned(),
            bytes_a_second,
        };
        let router = Router::new().fallback(answer).with_state(state);
        Ok(Self(Server::start(0, router).await?))
    }

    /// The URL of a file.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.0.base_url())
    }
}

async fn answer(State(served): State<Served>, request: Request) -> Response<Body> {
    let name = request.uri().path().trim_start_matches('/');
    let known = !name.contains('/') && name != ".." && !name.is_empty();
    let opened = if known {
        File::open(served.folder.join(name)).await.ok()
    } else {
        None
    };
    let length = match &opened {
        Some(file) => file.metadata().await.ok().map(|data| data.len()),
        None => None,
    };
    let (Some(file), Some(length)) = (opened, length) else {
        let mut missing = Response::new(Body::from("not found\n"));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    let mut response = Response::new(body(file, served.bytes_a_second));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

fn body(file: File, bytes_a_second: Option<u32>) -> Body {
    let began = Instant::now();
    Body::from_stream(stream::try_unfold(
        (file, 0u64),
        move |(mut file, mut sent)| async move {
            if let Some(rate) = bytes_a_second {
                let due = Duration::from_nanos(sent * 1_000_000_000 / u64::from(rate));
                sleep_until(began + due).await;
            }
            let mut chunk = vec![0; CHUNK];
            let count = file.read(&mut chunk).await?;
            chunk.truncate(count);
            sent += count as u64;
            std::io::Result::Ok((count > 0).then(|| (Bytes::from(chunk), (file, sent))))
        },
    ))
}
