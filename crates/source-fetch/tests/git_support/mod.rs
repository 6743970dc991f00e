//! Repositories made by the real `git`, and an HTTP server round `git http-backend` that can misbehave.
#![allow(dead_code, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use source_fetch::GitReference;
use source_fetch::git::{
    self, GitCheckout, GitOptions, GitProblem, GitRequest, GitRevision, History,
};
use tokio_util::sync::CancellationToken;

/// Runs `git` in `directory`, away from every configuration of the machine; returns what it printed.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    git_with(directory, arguments, b"")
}

pub(crate) fn git_with(directory: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut child = isolated("git")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn isolated(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z");
    command
}

/// A repository with tags, a second branch, an executable, links and odd names, in `root/name.git`.
pub(crate) fn sample(root: &Path, name: &str) -> PathBuf {
    let work = root.join(format!("{name}-work"));
    fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "-q", "-b", "main"]);
    let commit = |message: &str| {
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", message]);
    };
    fs::write(work.join("README"), "one\n").unwrap();
    fs::create_dir_all(work.join("src/deep")).unwrap();
    fs::write(work.join("src/deep/a b.txt"), "x".repeat(5000)).unwrap();
    fs::write(work.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::write(work.join("ünïcode"), "u\n").unwrap();
    fs::write(work.join("empty"), "").unwrap();
    std::os::unix::fs::symlink("src/deep", work.join("link")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", work.join("dangling")).unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["update-index", "--chmod=+x", "run.sh"]);
    git(&work, &["commit", "-q", "-m", "first"]);
    git(&work, &["tag", "light"]);
    fs::write(work.join("README"), "two\n").unwrap();
    commit("second");
    git(&work, &["tag", "-a", "v1.0", "-m", "one"]);
    git(&work, &["checkout", "-q", "-b", "feature/x"]);
    fs::write(work.join("feature"), "f\n").unwrap();
    commit("feature");
    git(&work, &["checkout", "-q", "main"]);
    for n in 0..5 {
        fs::write(work.join("README"), format!("three {n}\n")).unwrap();
        commit("more");
    }
    let bare = root.join(format!("{name}.git"));
    git(
        root,
        &[
            "clone",
            "-q",
            "--bare",
            work.to_str().unwrap(),
            bare.to_str().unwrap(),
        ],
    );
    bare
}

pub(crate) fn work_of(bare: &Path) -> PathBuf {
    PathBuf::from(bare.to_str().unwrap().replace(".git", "-work"))
}

/// Adds a commit to the working repository behind a sample and pushes it.
pub(crate) fn advance(bare: &Path, text: &str) -> String {
    let work = work_of(bare);
    fs::write(work.join("README"), text).unwrap();
    git(&work, &["commit", "-q", "-a", "-m", text]);
    git(
        &work,
        &["push", "-q", "-f", bare.to_str().unwrap(), "main", "--tags"],
    );
    git(&work, &["rev-parse", "HEAD"])
}

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_fetch(&self) -> bool {
        String::from_utf8_lossy(&self.body).contains("want ")
    }
}

/// What to do with a request.
pub(crate) enum Action {
    /// `git http-backend`, as it is.
    Backend,
    /// The same without telling it about protocol version 2.
    Old,
    /// Its answer up to so many bytes of body, then the end of the connection.
    Cut(usize),
    /// Its answer up to so many bytes of body, then silence until the server is dropped.
    Stall(usize),
    /// A made-up answer.
    Answer {
        status: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
}

pub(crate) struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    choose: Box<dyn Fn(&Seen) -> Action + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    stop: Mutex<bool>,
    stopped: Condvar,
    stalled: Mutex<usize>,
    stalling: Condvar,
    open: AtomicUsize,
}

impl Server {
    pub(crate) fn start(
        root: &Path,
        choose: impl Fn(&Seen) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            choose: Box::new(choose),
            seen: Mutex::default(),
            stop: Mutex::default(),
            stopped: Condvar::new(),
            stalled: Mutex::default(),
            stalling: Condvar::new(),
            open: AtomicUsize::new(0),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if *accepting.stop.lock().unwrap() {
                    break;
                }
                let shared = accepting.clone();
                std::thread::spawn(move || {
                    shared.open.fetch_add(1, Ordering::SeqCst);
                    let _ = serve(&shared, stream.unwrap());
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn plain(root: &Path) -> Self {
        Self::start(root, |_| Action::Backend)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until a client is being kept waiting.
    pub(crate) fn wait_for_stall(&self) {
        let mut stalled = self.shared.stalled.lock().unwrap();
        while *stalled == 0 {
            stalled = self.shared.stalling.wait(stalled).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap() = true;
        self.shared.stopped.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = seen
        .header("content-length")
        .map_or(0, |value| value.parse().unwrap());
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body)?;
    shared.seen.lock().unwrap().push(seen.clone());
    match (shared.choose)(&seen) {
        Action::Answer {
            status,
            headers,
            body,
        } => {
            let mut head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                let _ = write!(head, "{name}: {value}\r\n");
            }
            stream.write_all(format!("{head}\r\n").as_bytes())?;
            stream.write_all(&body)
        }
        Action::Backend => backend(shared, &seen, &mut stream, true, usize::MAX, false),
        Action::Old => backend(shared, &seen, &mut stream, false, usize::MAX, false),
        Action::Cut(at) => backend(shared, &seen, &mut stream, true, at, false),
        Action::Stall(at) => backend(shared, &seen, &mut stream, true, at, true),
    }
}

fn backend(
    shared: &Shared,
    seen: &Seen,
    stream: &mut TcpStream,
    new: bool,
    limit: usize,
    stall: bool,
) -> std::io::Result<()> {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let mut command = isolated("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &seen.method)
        .env("REMOTE_ADDR", "127.0.0.1")
        .env(
            "CONTENT_TYPE",
            seen.header("content-type").unwrap_or_default(),
        )
        .env("CONTENT_LENGTH", seen.body.len().to_string())
        .env_remove("GIT_PROTOCOL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let (true, Some(protocol)) = (new, seen.header("git-protocol")) {
        command.env("GIT_PROTOCOL", protocol);
    }
    if let Some(encoding) = seen.header("content-encoding") {
        command.env("HTTP_CONTENT_ENCODING", encoding);
    }
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let body = seen.body.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&body));
    let mut output = BufReader::with_capacity(1 << 16, child.stdout.take().unwrap());
    let mut status = "200 OK".to_owned();
    let mut head = String::new();
    loop {
        let mut line = String::new();
        output.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line if line.starts_with("Status: ") => line[8..].clone_into(&mut status),
            line => {
                let _ = write!(head, "{line}\r\n");
            }
        }
    }
    let written = stream
        .write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n").as_bytes())
        .and_then(|()| std::io::copy(&mut output.by_ref().take(limit as u64), stream));
    if stall {
        *shared.stalled.lock().unwrap() += 1;
        shared.stalling.notify_all();
        let mut stop = shared.stop.lock().unwrap();
        while !*stop {
            stop = shared.stopped.wait(stop).unwrap();
        }
    }
    drop(output);
    let _ = writing.join();
    let _ = child.kill();
    child.wait()?;
    written.map(drop)
}

/// A cache and a place for checkouts.
pub(crate) struct Place {
    pub directory: tempfile::TempDir,
    pub options: GitOptions,
    pub token: CancellationToken,
}

impl Place {
    pub(crate) fn new() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let mut options = GitOptions::new(client);
        options.retry.attempts = 1;
        options.retry.backoff = Duration::from_millis(1);
        Self {
            directory: tempfile::tempdir().unwrap(),
            options,
            token: CancellationToken::new(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root().join("cache")
    }

    pub(crate) fn srcdir(&self) -> PathBuf {
        self.root().join("srcdir")
    }

    pub(crate) async fn fetch(&self, request: &GitRequest) -> Result<GitRevision, GitProblem> {
        git::fetch(request, &self.cache(), &self.options, &self.token, &|_| {}).await
    }

    /// Fetches and checks out to `srcdir/<name>`.
    pub(crate) async fn provide(
        &self,
        request: &GitRequest,
        name: &str,
    ) -> Result<GitCheckout, GitProblem> {
        let revision = self.fetch(request).await?;
        revision
            .check_out(&self.srcdir().join(name), &self.token)
            .await
    }

    /// Whatever lies beside finished things: nothing may be left after a failure.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.srcdir(), self.cache()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("incoming-")
                    || name.starts_with("tmp_")
                    || entry.path().parent() == Some(&self.srcdir())
                {
                    found.push(entry.path());
                } else if entry.path().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found
    }
}

pub(crate) fn request(url: &str, reference: GitReference, history: History) -> GitRequest {
    GitRequest {
        url: url.to_owned(),
        reference,
        history,
        signed: false,
    }
}

pub(crate) fn branch(name: &str) -> GitReference {
    GitReference::Branch(name.to_owned())
}

pub(crate) fn tag(name: &str) -> GitReference {
    GitReference::Tag(name.to_owned())
}

pub(crate) fn commit(id: &str) -> GitReference {
    GitReference::Commit(id.to_owned())
}

/// Every file below `top` but `.git`: path, mode, and link target or content.
pub(crate) fn listing(top: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let relative = path.strip_prefix(top).unwrap().to_owned();
            if relative == Path::new(".git") {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if metadata.is_dir() {
                open.push(path);
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.push((relative, metadata.permissions().mode(), content));
        }
    }
    found.sort();
    found
}

/// A process that ends with the test.
pub(crate) struct Running(pub std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What every checkout must be: clean, whole, and on its own.
pub(crate) fn assert_sound(checkout: &Path) {
    assert_eq!(git(checkout, &["status", "--porcelain"]), "");
    git(checkout, &["fsck", "--strict"]);
    assert!(!checkout.join(".git/objects/info/alternates").exists());
    for hook in fs::read_dir(checkout.join(".git/hooks"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = hook.file_name();
        assert_eq!(name, "README.sample", "hooks in a fresh checkout");
    }
}
