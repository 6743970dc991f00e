//! An HTTP server round `git http-backend` that can misbehave.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::isolated;

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
    /// The same, without the capabilities that begin so.
    OldWithout(&'static str),
    /// Its answer under another content type.
    Typed(String),
    /// Its answer up to so many bytes of body, then the end of the connection.
    Cut(usize),
    /// Its answer up to so many bytes of body, then silence until the server is dropped.
    Stall(usize),
    /// Its answer up to so many bytes of body, then a byte now and then for some seconds, then the rest.
    Trickle(usize),
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
        Action::Backend => backend(shared, &seen, &mut stream, true, usize::MAX, Then::End),
        Action::Old => backend(shared, &seen, &mut stream, false, usize::MAX, Then::End),
        Action::OldWithout(capability) => {
            let mut answer = Vec::new();
            backend(shared, &seen, &mut answer, false, usize::MAX, Then::End)?;
            // As long as before, so that the lengths of the packets hold.
            for at in 0..answer.len() {
                if answer[at..].starts_with(capability.as_bytes()) {
                    answer[at] = b'x';
                }
            }
            stream.write_all(&answer)
        }
        Action::Typed(content_type) => {
            let mut answer = Vec::new();
            backend(shared, &seen, &mut answer, true, usize::MAX, Then::End)?;
            let end = answer
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
                .unwrap();
            let head = String::from_utf8(answer[..end].to_vec()).unwrap();
            for line in head.lines() {
                let line = if line.starts_with("Content-Type:") {
                    format!("Content-Type: {content_type}")
                } else {
                    line.to_owned()
                };
                stream.write_all(format!("{line}\r\n").as_bytes())?;
            }
            stream.write_all(&answer[end + 2..])
        }
        Action::Cut(at) => backend(shared, &seen, &mut stream, true, at, Then::End),
        Action::Stall(at) => backend(shared, &seen, &mut stream, true, at, Then::Silence),
        Action::Trickle(at) => backend(shared, &seen, &mut stream, true, at, Then::Trickle),
    }
}

/// What comes after the part of an answer that is given.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    End,
    Silence,
    Trickle,
}

fn backend(
    shared: &Shared,
    seen: &Seen,
    stream: &mut impl Write,
    new: bool,
    limit: usize,
    then: Then,
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
    if then == Then::Trickle {
        for byte in output.by_ref().bytes().take(300) {
            stream.write_all(&[byte?])?;
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    if then == Then::Trickle {
        std::io::copy(&mut output, stream)?;
    }
    if then == Then::Silence {
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
