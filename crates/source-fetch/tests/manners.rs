//! How much is asked of a server at once, and what it is reminded of.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use network_policy::{Access, Crowd};
use source_fetch::{FetchError, SourceRequest, TransferProblem, http_clients};
use support::{Reply, Request, Server, World, chain, declared, noise, reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A server that counts what it is asked at once.
struct Busy {
    url: String,
    most: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Busy {
    /// Answers nobody until `together` ask at once, and refuses those beyond `room`.
    async fn start(together: usize, room: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (now, most, refused) = (Arc::default(), Arc::default(), Arc::default());
        let (open, opened) = watch::channel(false);
        let busy = Self {
            url,
            most: Arc::clone(&most),
            refused: Arc::clone(&refused),
        };
        let open = Arc::new(open);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (now, most): (Arc<AtomicUsize>, Arc<AtomicUsize>) =
                    (Arc::clone(&now), Arc::clone(&most));
                let (refused, open, mut opened) =
                    (Arc::clone(&refused), Arc::clone(&open), opened.clone());
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let length = stream.read(&mut head).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    let file = head.split(' ').nth(1).unwrap_or_default();
                    let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(count, Ordering::SeqCst);
                    if count >= together {
                        open.send_replace(true);
                    }
                    let _ = opened.wait_for(|open| *open).await;
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    let answer = if count > room {
                        refused.fetch_add(1, Ordering::SeqCst);
                        "HTTP/1.1 503 Busy\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                            .to_owned()
                    } else {
                        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ";
                        format!("{head}{}\r\n\r\n{file}", file.len())
                    };
                    // Before the answer, after which the next may come.
                    now.fetch_sub(1, Ordering::SeqCst);
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        busy
    }

    fn sources(&self, count: usize) -> Vec<SourceRequest> {
        // Each is another file, as one that is had already is not asked for.
        let source = |number| {
            let file = format!("/{number}");
            declared(&format!("f{number}::{}{file}", self.url), file.as_bytes())
        };
        (0..count).map(source).collect()
    }
}

#[tokio::test]
async fn a_host_is_asked_for_so_much_at_once() {
    for most in [None, Some(1), Some(8)] {
        let together = most.unwrap_or(4);
        let server = Busy::start(together, usize::MAX).await;
        let mut world = World::new();
        world.policy.parallel = 16;
        if let Some(most) = most {
            world.policy.clients = Some(http_clients(Access {
                crowd: Crowd::new(most),
                ..Access::default()
            }));
        }
        // None is answered before so many ask at once, and none beyond them is seen.
        world.fetch(&server.sources(24)).await.unwrap();
        assert_eq!(server.most.load(Ordering::SeqCst), together);
    }
}

#[tokio::test]
async fn a_server_that_has_room_for_one_gives_all_of_it() {
    let server = Busy::start(1, 1).await;
    let mut world = World::new();
    world.policy.parallel = 16;
    world
        .fetch(&server.sources(24))
        .await
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let refused = server.refused.load(Ordering::SeqCst);
    assert!(
        refused > 0 && refused < 24,
        "{refused} were too many at once"
    );
}

/// Gives the file to those who show the cookie, and sends all others back to itself for it.
fn with_cookie(body: &'static [u8]) -> impl Fn(&Request) -> Reply + Send + Sync {
    move |request| match request.header("cookie") {
        Some(cookie) if cookie.contains("seen=yes") => reply(200, &[], body),
        _ => reply(
            302,
            &[("location", "/a"), ("set-cookie", "seen=yes; Path=/")],
            b"",
        ),
    }
}

#[tokio::test]
async fn a_cookie_is_shown_within_one_download() {
    let server = Server::start(with_cookie(b"file")).await;
    let world = World::new();
    let url = format!("{}/a", server.url);
    world.fetch(&[declared(&url, b"file")]).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    // Another download begins without it.
    let other = World::new();
    other.fetch(&[declared(&url, b"file")]).await.unwrap();
    assert_eq!(server.requests()[2].header("cookie"), None);
}

#[tokio::test]
async fn a_cookie_goes_to_its_host_alone_and_does_not_grow_without_end() {
    let other = Server::start(|_| reply(200, &[], b"file")).await;
    // The other name of this machine.
    let target = format!("{}/a", other.url.replace("127.0.0.1", "localhost"));
    let cookie = "secret=1; Path=/";
    let server =
        Server::start(move |_| reply(302, &[("location", &target), ("set-cookie", cookie)], b""))
            .await;
    let world = World::new();
    let url = format!("{}/a", server.url);
    world.fetch(&[declared(&url, b"file")]).await.unwrap();
    assert_eq!(other.requests()[0].header("cookie"), None);

    let longest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&longest);
    let greedy = Server::start(move |request| {
        let length = request.header("cookie").map_or(0, str::len);
        seen.fetch_max(length, Ordering::SeqCst);
        let cookie = format!("c{}={}; Path=/", request.earlier, "x".repeat(30 << 10));
        reply(302, &[("location", "/a"), ("set-cookie", &cookie)], b"")
    })
    .await;
    let url = format!("{}/a", greedy.url);
    let error = World::new()
        .fetch(&[declared(&url, b"file")])
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            FetchError::Transfer {
                problem: TransferProblem::Redirects { limit: 20 },
                ..
            }
        ),
        "{}",
        chain(&error)
    );
    assert_eq!(greedy.requests().len(), 21);
    let longest = longest.load(Ordering::SeqCst);
    assert!(longest > 30 << 10 && longest < 210 << 10, "{longest}");
}

#[tokio::test]
async fn the_body_is_waited_for_with_the_turn_and_the_pause_without_it() {
    // A source that waits an hour for its next attempt keeps nobody else from the host.
    let body = noise(1000);
    let served = body.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/busy" => reply(500, &[("retry-after", "3600")], b""),
        _ => reply(200, &[], &served),
    })
    .await;
    let mut world = World::new();
    world.policy.http.retry.longest_asked = Duration::from_hours(2);
    world.policy.clients = Some(http_clients(Access {
        crowd: Crowd::new(1),
        ..Access::default()
    }));
    let token = tokio_util::sync::CancellationToken::new();
    let sources = [
        declared(&format!("{}/busy", server.url), b"never"),
        declared(&format!("{}/a", server.url), &body),
    ];
    let fetching = world.fetch_until(&sources, &token);
    let arrived = async {
        while !server.requests().iter().any(|request| request.path == "/a") {
            tokio::task::yield_now().await;
        }
        token.cancel();
    };
    let (result, ()) = tokio::join!(fetching, arrived);
    assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
}
