//! Cancellation and the limit on connecting.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use catalog_client::{CatalogClient, CatalogError, Flavor, Stage};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::support::*;

/// A listener whose queue is full: connecting to it takes for ever.
fn unanswered() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
        queue.push(stream);
        assert!(queue.len() < 100, "the queue has no end");
    }
    (listener, address, queue)
}

/// Drives `call` until `reached`, cancels, and looks at the very next poll: nothing that the
/// client waits for can hold it up.
async fn ends_at_once<T>(
    name: &str,
    call: impl Future<Output = Result<T, CatalogError>>,
    cancel: &CancellationToken,
    reached: impl Fn() -> bool,
) {
    let mut call = pin!(call);
    let mut left = 200;
    while left > 0 {
        tokio::select! {
            biased;
            _ = &mut call => panic!("{name}: ended by itself"),
            () = tokio::task::yield_now() => {}
        }
        if reached() {
            left -= 1;
        }
    }
    cancel.cancel();
    let end = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
    match end {
        Poll::Ready(Err(CatalogError::Cancelled)) => {}
        Poll::Ready(Err(other)) => panic!("{name}: {other:?}"),
        Poll::Ready(Ok(_)) => panic!("{name}: an answer"),
        Poll::Pending => panic!("{name}: still waiting"),
    }
}

#[tokio::test]
async fn every_wait_ends_when_cancelled() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let stalled = |text: String| vec![Step::Send(text.into()), Step::Stall];
    let scripts = [
        ("before the answer", vec![Step::Stall]),
        ("in the headers", stalled(head.to_owned())),
        ("before the body", stalled(format!("{head}\r\n"))),
        ("in the body", stalled(format!("{head}\r\n{{"))),
        (
            "in a refusal",
            stalled("HTTP/1.1 503 X\r\nContent-Type: text/plain\r\n\r\nno".to_owned()),
        ),
        (
            "between attempts",
            reply("503 X", "Retry-After: 60\r\n", ""),
        ),
    ];
    for (name, steps) in scripts {
        let server = Scripted::always(steps).await;
        let client = client(&server.base_url);
        let worker = id("w");
        let asked = || !server.requests().is_empty();
        let cancel = CancellationToken::new();
        ends_at_once(name, client.get(&worker, &cancel), &cancel, asked).await;
        let cancel = CancellationToken::new();
        let name = format!("list {name}");
        ends_at_once(&name, client.list(&cancel), &cancel, asked).await;
    }
}

#[tokio::test]
async fn later_requests_end_when_cancelled_too() {
    let server = Scripted::start(|_, request| match request.split(' ').nth(1) {
        Some("/workers/moved") => reply("302 X", "Location: /elsewhere\r\n", ""),
        Some("/workers/alias") => reply("404 X", "", ""),
        Some("/workers/w") => json(r#"{"id":"w","worker_type":"cpu"}"#),
        _ => vec![Step::Stall],
    })
    .await;
    let client = client(&server.base_url);
    for (name, last) in [("moved", "GET /elsewhere "), ("alias", "GET /workers ")] {
        let worker = id(name);
        let cancel = CancellationToken::new();
        let reached = || server.requests().iter().any(|r| r.starts_with(last));
        ends_at_once(name, client.get(&worker, &cancel), &cancel, reached).await;
    }
    let entry = get(&client).await.unwrap();
    let cancel = CancellationToken::new();
    let recipe = client.recipe(&entry, &entry.variants[0], Flavor::Source, &cancel);
    let reached = || {
        let requests = server.requests();
        requests
            .iter()
            .any(|r| r.starts_with("GET /workers/w/PKGBUILD "))
    };
    ends_at_once("recipe", recipe, &cancel, reached).await;
}

#[tokio::test]
async fn a_cancelled_token_asks_nobody() {
    let server = Scripted::always(json("{}")).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = client(&server.base_url).get(&id("w"), &cancel).await;
    assert!(matches!(error, Err(CatalogError::Cancelled)));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn connecting_has_a_limit_is_repeated_and_ends_when_cancelled() {
    let (_listener, address, _queue) = unanswered();
    let mut config = config(&format!("http://{address}"));
    let cancel = CancellationToken::new();
    let patient = CatalogClient::new(config.clone()).unwrap();
    let worker = id("w");
    let call = patient.get(&worker, &cancel);
    ends_at_once("connecting", call, &cancel, || true).await;

    config.limits.connect = Duration::from_millis(200);
    let start = std::time::Instant::now();
    let error = get(&CatalogClient::new(config).unwrap()).await.unwrap_err();
    assert!(
        matches!(
            error,
            CatalogError::TimedOut {
                stage: Stage::Connect,
                ..
            }
        ),
        "{error:?}"
    );
    let least = Duration::from_millis(600);
    assert!(start.elapsed() >= least, "once, and two repetitions");
}
