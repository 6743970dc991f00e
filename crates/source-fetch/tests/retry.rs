//! What a download tries again, and what it does not.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use network_policy::{CROWDED, Outlook};
use source_fetch::{Event, FetchError, Reporter, TransferProblem, fetch_all};
use support::{Reply, Server, World, chain, declared, noise, reply};
use tokio_util::sync::CancellationToken;

/// A server that answers the first requests with `first`, and then with `body`.
async fn at_first(
    times: usize,
    body: Vec<u8>,
    first: impl Fn() -> Reply + Send + Sync + 'static,
) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) < times {
            first()
        } else {
            reply(200, &[], &body)
        }
    })
    .await
}

#[tokio::test]
async fn every_status_is_treated_by_the_one_rule() {
    let body = noise(1000);
    // 1xx are no answers, and redirects lead elsewhere.
    for status in (200..300).chain(400..600).filter(|status| *status != 200) {
        let server = at_first(2, body.clone(), move || reply(status, &[], b"")).await;
        let mut world = World::new();
        world.policy.http.idle_timeout = Duration::from_mins(1);
        let result = world
            .fetch(&[declared(&format!("{}/a", server.url), &body)])
            .await;
        let again = Outlook::of_status(status).may_pass();
        // Success without the file is none.
        assert_eq!(result.is_ok(), again, "{status}");
        assert_eq!(
            server.requests().len(),
            if again { 3 } else { 1 },
            "{status}"
        );
    }
}

#[tokio::test]
async fn want_of_room_is_no_reason_to_give_up_soon() {
    let body = noise(1000);
    for (status, times) in [(503, 2 * CROWDED), (429, 2 * CROWDED), (500, 2)] {
        let times = times as usize;
        for (failures, arrives) in [(times, true), (times + 1, false)] {
            let server = at_first(failures, body.clone(), move || reply(status, &[], b"")).await;
            let mut world = World::new();
            world.policy.http.retry.max_backoff = Duration::from_millis(2);
            let result = world
                .fetch(&[declared(&format!("{}/a", server.url), &body)])
                .await;
            assert_eq!(result.is_ok(), arrives, "{failures} times {status}");
        }
    }
}

#[tokio::test]
async fn a_date_to_come_back_at_is_waited_for_or_ends_the_attempts() {
    let body = noise(1000);
    let dates = |wait: &'static str| {
        move || {
            let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
            reply(503, &[date, ("retry-after", wait)], b"")
        }
    };
    let server = at_first(1, body.clone(), dates("Sun, 06 Nov 1994 08:49:38 GMT")).await;
    let world = World::new();
    let wanted = declared(&format!("{}/a", server.url), &body);
    world.fetch(std::slice::from_ref(&wanted)).await.unwrap();
    let waited = world.events.lock().unwrap().iter().any(
        |event| matches!(event, Event::Retrying { delay, .. } if *delay >= Duration::from_secs(1)),
    );
    assert!(waited, "{:?}", world.events.lock().unwrap());

    let server = at_first(1, body.clone(), dates("Sun, 06 Nov 1994 08:59:37 GMT")).await;
    let wanted = declared(&format!("{}/a", server.url), &body);
    let error = World::new().fetch(&[wanted]).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Transfer { problem: TransferProblem::RetryAfter { status: 503, wait }, .. }
            if *wait == Duration::from_mins(10)),
        "{}",
        chain(&error)
    );
    assert_eq!(server.requests().len(), 1);
}

/// Cancels as soon as a pause begins.
#[derive(Debug)]
struct Impatient(CancellationToken);

impl Reporter for Impatient {
    fn report(&self, event: Event) {
        if let Event::Retrying { delay, .. } = event {
            assert!(delay > Duration::from_mins(1), "{delay:?}");
            self.0.cancel();
        }
    }
}

#[tokio::test]
async fn a_pause_ends_with_the_token() {
    let server = Server::start(|_| reply(503, &[("retry-after", "3600")], b"")).await;
    let mut world = World::new();
    world.policy.http.retry.longest_asked = Duration::from_hours(2);
    let token = CancellationToken::new();
    let wanted = [declared(&format!("{}/a", server.url), b"any")];
    let result = fetch_all(
        &wanted,
        &world.directories(),
        &world.policy,
        &token,
        &Impatient(token.clone()),
    )
    .await;
    assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_is_no_http_is_asked_once() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let fetching = tokio::spawn(async move { World::new().fetch(&[declared(&url, b"any")]).await });
    let (mut connection, _) = listener.accept().await.unwrap();
    let _ = connection.read(&mut [0; 4096]).await.unwrap();
    connection
        .write_all(b"220 mail.example.org ESMTP\r\n")
        .await
        .unwrap();
    let error = fetching.await.unwrap().unwrap_err();
    assert!(
        matches!(error, FetchError::Transfer { attempts: 1, .. }),
        "{}",
        chain(&error)
    );
}
