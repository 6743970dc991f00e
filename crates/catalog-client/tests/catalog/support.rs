//! A server that sends exactly the bytes a case wants, and small helpers.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog_client::{CatalogClient, CatalogConfig, CatalogError, Limits, WorkerEntry, WorkerId};
use network_policy::Access;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the server does next on a connection.
#[derive(Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes until the client has had enough.
    Flood(Vec<u8>),
    /// Sends these bytes one at a time, 10 ms apart, until the client has had enough.
    Trickle(Vec<u8>),
    /// Keeps the connection open and says nothing more.
    Stall,
    /// Waits until the test opens the gate.
    Gate(CancellationToken),
}

/// A scripted server; each connection carries one request.
pub struct Scripted {
    pub base_url: String,
    pub address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    _stop: DropGuard,
}

impl Scripted {
    /// Starts a server that answers its `n`th request (from 0), given as text, as `script` says.
    pub async fn start(script: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base_url = format!("http://{address}");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, script, count) = (
            Arc::clone(&requests),
            Arc::new(script),
            Arc::new(AtomicUsize::new(0)),
        );
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = stopped.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let (seen, script, count) =
                    (Arc::clone(&seen), Arc::clone(&script), Arc::clone(&count));
                let stopped = stopped.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = answer(stream, &seen, &*script, &count) => {}
                    }
                });
            }
        });
        Self {
            base_url,
            address,
            requests,
            _stop: stop.drop_guard(),
        }
    }

    /// Starts a server that answers every request alike.
    pub async fn always(steps: Vec<Step>) -> Self {
        Self::start(move |_, _| steps.clone()).await
    }

    /// The requests so far, with their headers.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    script: &(dyn Fn(usize, &str) -> Vec<Step> + Send + Sync),
    count: &AtomicUsize,
) {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => request.extend_from_slice(&buffer[..length]),
        }
        // A TLS greeting has no end of headers; whatever is said to it is wrong.
        if request.first() == Some(&0x16) {
            break;
        }
    }
    if request.is_empty() {
        return;
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let steps = {
        seen.lock().unwrap().push(request.clone());
        script(count.fetch_add(1, Ordering::SeqCst), &request)
    };
    for step in steps {
        let done = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await.is_err(),
            Step::Flood(bytes) => {
                while stream.write_all(&bytes).await.is_ok() {}
                true
            }
            Step::Trickle(bytes) => {
                for byte in bytes.iter().cycle() {
                    if stream.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                true
            }
            Step::Stall => std::future::pending().await,
            Step::Gate(gate) => {
                gate.cancelled().await;
                false
            }
        };
        if done {
            return;
        }
    }
    // Closing with unread data would reset the connection and lose what was sent.
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

/// An answer with these headers, `Content-Length` and the body.
pub fn reply(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

/// Status 200 with a JSON body.
pub fn json(body: impl AsRef<[u8]>) -> Vec<Step> {
    reply("200 OK", "Content-Type: application/json\r\n", body)
}

/// Status 200 with plain text.
pub fn text(body: impl AsRef<[u8]>) -> Vec<Step> {
    reply("200 OK", "Content-Type: text/plain\r\n", body)
}

/// Bytes as they are, then the end of the connection.
pub fn raw(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

/// Generous limits, so that a busy machine decides nothing, with quick repetitions.
pub fn config(base_url: &str) -> CatalogConfig {
    let long = Duration::from_mins(5);
    let mut config = CatalogConfig::new([base_url]);
    config.access = Some(Access::default());
    config.limits = Limits {
        connect: long,
        idle: long,
        whole: long,
        retry_budget: long,
        retries: 2,
        backoff: Duration::from_millis(1),
        ..Limits::default()
    };
    config
}

pub fn client(base_url: &str) -> CatalogClient {
    CatalogClient::new(config(base_url)).unwrap()
}

pub fn id(text: &str) -> WorkerId {
    text.parse().unwrap()
}

/// Asks for the worker `w`.
pub async fn get(client: &CatalogClient) -> Result<WorkerEntry, CatalogError> {
    let answer = client.get(&id("w"), &CancellationToken::new()).await;
    answer.map(|answer| answer.value)
}

/// The error and its causes, as a program would print them.
pub fn chain(error: &CatalogError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The variant's name.
pub fn variant_name(error: &CatalogError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{', '(']).next().unwrap().to_owned()
}
