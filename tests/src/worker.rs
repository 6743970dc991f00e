//! Runs an installed sample worker and talks to it as a hive would.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// A worker that takes longer than this to answer is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts `binary`, asks for its health and for tokens, stops it, and returns what it said.
///
/// # Errors
/// When it does not start, or answers anything but what the sample worker answers.
pub async fn answers(binary: &Path) -> Result<String> {
    timeout(PATIENCE, talk(binary))
        .await
        .context("the worker did not answer in time")?
}

/// Starts a program that was written a moment ago.
///
/// A process that another thread has just forked still holds every open file of this one, and the
/// kernel starts nothing that somebody may write to: execve(2), "ETXTBSY". It is over at once.
///
/// # Errors
/// Those of `start`.
pub fn when_not_busy<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match start() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            outcome => return outcome,
        }
    }
}

async fn talk(binary: &Path) -> Result<String> {
    let mut command = Command::new(binary);
    command
        .args(["--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = when_not_busy(|| command.spawn())
        .with_context(|| format!("failed to start {}", binary.display()))?;
    let stdout = child
        .stdout
        .take()
        .context("the worker has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = lines
        .next_line()
        .await?
        .context("the worker ended at once")?;
    let address = line
        .strip_prefix("listening on http://")
        .with_context(|| format!("unexpected first line `{line}`"))?;
    let health = request(address, "GET /health", "").await?;
    ensure!(
        health.contains(r#""status":"ok""#),
        "unexpected health answer: {health}"
    );
    let tokens = request(address, "POST /v1/infer", "a worker").await?;
    ensure!(
        tokens.contains(r#"{"tokens":[""#),
        "unexpected inference answer: {tokens}"
    );
    child.kill().await?;
    Ok(health)
}

async fn request(address: &str, line: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no header in the answer")?;
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "unexpected answer: {head}"
    );
    Ok(body.to_owned())
}
