//! A web server that misbehaves on demand, and the fetch around it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod archive;
pub mod described;
pub mod gpg;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use source_fetch::{
    Checksum, Directories, Event, FetchError, Fetched, Policy, SourceRequest, fetch_all,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What arrived at the server.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path with query.
    pub path: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many requests for this path came before.
    pub earlier: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The offset of `Range: bytes=N-`.
    pub fn offset(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

/// One thing the server does.
#[derive(Debug, Clone)]
pub enum Act {
    Send(Vec<u8>),
    /// Sends these bytes one by one, each after a millisecond.
    Trickle(Vec<u8>),
    /// Says nothing more and keeps the connection open.
    Stall,
    /// Breaks the connection.
    Cut,
}

pub type Reply = Vec<Act>;

/// A reply with a status, headers and a body.
pub fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    let mut has_length = false;
    for (name, value) in headers {
        has_length |= matches!(*name, "content-length" | "transfer-encoding");
        head += &[name, ": ", value, "\r\n"].concat();
    }
    if !has_length && status != 304 {
        head += &["content-length: ", &body.len().to_string(), "\r\n"].concat();
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    vec![Act::Send(bytes), Act::Cut]
}

/// A whole file, or the part asked for, with a strong validator.
pub fn file(request: &Request, etag: &str, body: &[u8]) -> Reply {
    match request.offset() {
        Some(offset) if request.header("if-range").is_none_or(|tag| tag == etag) => {
            let range = format!("bytes {offset}-{}/{}", body.len() - 1, body.len());
            let headers = [("etag", etag), ("content-range", &range)];
            reply(206, &headers, &body[offset..])
        }
        _ => reply(200, &[("etag", etag)], body),
    }
}

/// Cuts what a reply sends after `count` bytes of its body.
pub fn cut_after(reply: Reply, count: usize, then: Act) -> Reply {
    let Some(Act::Send(bytes)) = reply.into_iter().next() else {
        return vec![then];
    };
    let body = bytes
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap()
        + 4;
    vec![
        Act::Send(bytes[..(body + count).min(bytes.len())].to_vec()),
        then,
    ]
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server on loopback; every connection carries one request.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (handler, seen) = (Arc::new(handler), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(
                    stream,
                    Arc::clone(&handler) as Arc<Handler>,
                    Arc::clone(&seen),
                ));
            }
        });
        Self {
            url,
            requests,
            task,
        }
    }

    /// Serves files by name.
    pub async fn with_files(files: Vec<(&str, Vec<u8>)>) -> Self {
        let files: Vec<_> = files
            .into_iter()
            .map(|(name, body)| (format!("/{name}"), body))
            .collect();
        Self::start(
            move |request| match files.iter().find(|(name, _)| *name == request.path) {
                Some((_, body)) => file(request, "\"one\"", body),
                None => reply(404, &[], b""),
            },
        )
        .await
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let request = {
        let mut seen = seen.lock().unwrap();
        let earlier = seen.iter().filter(|other| other.path == path).count();
        let request = Request {
            path,
            headers,
            earlier,
        };
        seen.push(request.clone());
        request
    };
    for act in handler(&request) {
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Trickle(bytes) => {
                for byte in bytes {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
            }
            Act::Stall => std::future::pending::<()>().await,
            Act::Cut => {
                let _ = stream.shutdown().await;
                return;
            }
        }
    }
}

/// Directories of one test and what happened in them.
pub struct World {
    pub root: tempfile::TempDir,
    pub policy: Policy,
    pub events: Arc<Mutex<Vec<Event>>>,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("start")).unwrap();
        // All of these servers are on this machine.
        let mut policy = Policy {
            network: network_policy::SourcePolicy::default()
                .allow_host("127.0.0.1".parse().unwrap())
                .allow_host("localhost".parse().unwrap())
                .allow_insecure(true)
                .allow_ssh(true)
                .allow_files(true),
            ..Policy::default()
        };
        policy.http.retry.backoff = Duration::from_millis(1);
        policy.http.retry.max_backoff = Duration::from_secs(2);
        policy.http.retry.longest_asked = Duration::from_secs(2);
        policy.http.retry.attempts = 3;
        Self {
            root,
            policy,
            events: Arc::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn start_file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path("start").join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn directories(&self) -> Directories {
        Directories {
            srcdir: self.path("start/src"),
            cache: self.path("cache"),
            startdir: self.path("start"),
        }
    }

    pub fn src(&self, name: &str) -> PathBuf {
        self.path("start/src").join(name)
    }

    pub async fn fetch(&self, sources: &[SourceRequest]) -> Result<Vec<Fetched>, FetchError> {
        self.fetch_until(sources, &CancellationToken::new()).await
    }

    pub async fn fetch_until(
        &self,
        sources: &[SourceRequest],
        token: &CancellationToken,
    ) -> Result<Vec<Fetched>, FetchError> {
        let events = Arc::clone(&self.events);
        let reporter = move |event| events.lock().unwrap().push(event);
        fetch_all(sources, &self.directories(), &self.policy, token, &reporter).await
    }

    pub fn remove_src(&self) {
        let _ = Command::new("chmod")
            .arg("-R")
            .arg("u+w")
            .arg(self.path("start/src"))
            .status();
        fs::remove_dir_all(self.path("start/src")).unwrap();
        self.events.lock().unwrap().clear();
    }

    /// Byte counts never fall and never pass the total; a source begins and ends once.
    pub fn check_events(&self) {
        let events = self.events.lock().unwrap();
        let mut highest = std::collections::HashMap::new();
        for event in events.iter() {
            if let Event::Bytes {
                source,
                received,
                total,
            } = event
            {
                let before = highest.insert(source.index, *received).unwrap_or(0);
                assert!(*received >= before, "{event:?} after {before}");
                assert!(total.is_none_or(|total| *received <= total), "{event:?}");
            }
        }
    }

    /// Nothing but the recipe's own files is left beside the sources.
    pub fn check_clean(&self) {
        for entry in fs::read_dir(self.path("start")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with(".src"), "{name} is left");
            assert_ne!(name, "src", "srcdir is left");
        }
    }
}

/// A request that declares the SHA-256 of `content`.
pub fn declared(source: &str, content: &[u8]) -> SourceRequest {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(content);
    SourceRequest::new(source.parse().unwrap())
        .with_checksum(Checksum::parse("sha256sums", &hex::encode(digest)).unwrap())
}

/// A request that says `SKIP`.
pub fn skipped(source: &str) -> SourceRequest {
    SourceRequest::new(source.parse().unwrap())
        .with_checksum(Checksum::parse("sha256sums", "SKIP").unwrap())
}

/// Bytes that do not compress, the same in every run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Runs a program in `directory`; `None` when it is not installed.
pub fn run(directory: &Path, program: &str, arguments: &[&str]) -> Option<()> {
    let output = match Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let _ = writeln!(std::io::stderr(), "skipped: `{program}` is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(())
}

/// An error with its causes.
pub fn chain(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
