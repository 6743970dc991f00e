//! Servers that stall, cut, lie and mislead, each with what comes of it.
// The cases are tables, long and flat.
#![allow(clippy::unwrap_used, clippy::too_many_lines)]

mod support;

use std::fs;
use std::time::Duration;

use network_policy::{Access, Proxies};
use source_fetch::{Credentials, Event, FetchError, LowestSpeed, http_clients};
use support::{Act, Reply, Request, Server, World, chain, cut_after, declared, file, noise, reply};

const SIZE: usize = 300_000;

/// What the fetch must come to.
enum Outcome {
    /// The right content, after as many requests.
    Arrives(usize),
    /// An error that says this.
    Fails(&'static str),
}

use Outcome::{Arrives, Fails};

type Misbehaviour = fn(&Request, &[u8]) -> Reply;

fn first_then(request: &Request, body: &[u8], first: Reply) -> Reply {
    if request.earlier == 0 {
        first
    } else {
        file(request, "\"one\"", body)
    }
}

fn location(status: u16, to: &str) -> Reply {
    reply(status, &[("location", to)], b"")
}

/// The rest of the file with a `Content-Range` of the server's choice.
fn ranged(range: &str, body: &[u8]) -> Reply {
    reply(206, &[("etag", "\"one\""), ("content-range", range)], body)
}

fn cases() -> Vec<(&'static str, Misbehaviour, Outcome)> {
    vec![
        (
            "cuts once",
            |r, b| first_then(r, b, cut_after(file(r, "\"one\"", b), 100_000, Act::Cut)),
            Arrives(2),
        ),
        (
            "stalls once",
            |r, b| first_then(r, b, cut_after(file(r, "\"one\"", b), 100_000, Act::Stall)),
            Arrives(2),
        ),
        (
            "cuts always at one place",
            |r, b| match r.offset() {
                Some(_) => vec![Act::Cut],
                None => cut_after(file(r, "\"one\"", b), 100_000, Act::Cut),
            },
            Fails("in 4 attempt(s)"),
        ),
        (
            "says nothing at all",
            |_, _| vec![Act::Stall],
            Fails("the server sent nothing for"),
        ),
        (
            "closes at once",
            |_, _| vec![Act::Cut],
            Fails("the connection failed"),
        ),
        (
            "speaks another protocol",
            |_, _| vec![Act::Send(b"SSH-2.0-x\r\n".to_vec()), Act::Cut],
            Fails("the connection failed"),
        ),
        (
            "sends a header without end",
            |_, _| {
                vec![
                    Act::Send([b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'a'; 1 << 20]].concat()),
                    Act::Stall,
                ]
            },
            Fails("the connection failed"),
        ),
        (
            "promises more than it sends",
            |_, b| {
                cut_after(
                    reply(200, &[("content-length", "400000")], b),
                    SIZE,
                    Act::Cut,
                )
            },
            Fails("attempt(s)"),
        ),
        (
            "sends more than it promises",
            |_, b| reply(200, &[("content-length", "1000")], b),
            Fails("does not match its sha256 digest"),
        ),
        (
            "claims 2^63 bytes",
            |_, _| reply(200, &[("content-length", "9223372036854775807")], b"x"),
            Fails("is larger than the limit"),
        ),
        (
            "chunks without end",
            |_, _| {
                let mut acts = vec![Act::Send(
                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
                )];
                let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
                acts.extend(std::iter::repeat_n(Act::Send(chunk), 40));
                acts
            },
            Fails("is larger than the limit"),
        ),
        (
            "ignores Range",
            |r, b| {
                let whole = reply(200, &[("etag", "\"one\"")], b);
                if r.earlier == 0 {
                    cut_after(whole, 100_000, Act::Cut)
                } else {
                    whole
                }
            },
            Arrives(2),
        ),
        (
            "changes between ranges",
            |r, b| {
                if r.earlier == 0 {
                    cut_after(file(r, "\"old\"", &vec![b'x'; SIZE]), 100_000, Act::Cut)
                } else {
                    file(r, "\"new\"", b)
                }
            },
            Arrives(2),
        ),
        (
            "changes and keeps its tag",
            |r, b| match r.earlier {
                0 => cut_after(file(r, "\"one\"", &vec![b'x'; SIZE]), 100_000, Act::Cut),
                _ => file(r, "\"one\"", b),
            },
            Arrives(3),
        ),
        (
            "sends another range",
            |r, b| match r.offset() {
                Some(_) => ranged("bytes 5-299999/300000", &b[5..]),
                None if r.earlier == 0 => cut_after(file(r, "\"one\"", b), 100_000, Act::Cut),
                None => file(r, "\"one\"", b),
            },
            Arrives(3),
        ),
        (
            "sends a range of another size",
            |r, b| match r.offset() {
                Some(at) => ranged(&format!("bytes {at}-299999/999999"), &b[at..]),
                None if r.earlier == 0 => cut_after(file(r, "\"one\"", b), 100_000, Act::Cut),
                None => file(r, "\"one\"", b),
            },
            Arrives(3),
        ),
        (
            "sends a range unasked",
            |_, b| ranged("bytes 0-299999/300000", b),
            Fails("206"),
        ),
        (
            "denies the range",
            |r, b| match r.offset() {
                Some(_) => reply(416, &[], b""),
                None if r.earlier == 0 => cut_after(file(r, "\"one\"", b), 100_000, Act::Cut),
                None => file(r, "\"one\"", b),
            },
            Arrives(3),
        ),
        (
            "is busy once",
            |r, b| first_then(r, b, reply(503, &[("retry-after", "0")], b"later")),
            Arrives(2),
        ),
        (
            "limits the rate once",
            |r, b| first_then(r, b, reply(429, &[], b"")),
            Arrives(2),
        ),
        (
            "times out once",
            |r, b| first_then(r, b, reply(408, &[], b"")),
            Arrives(2),
        ),
        (
            "is busy for ever",
            |_, _| reply(503, &[], b""),
            Fails("the server answered 503"),
        ),
        (
            "asks to wait a day",
            |_, _| reply(429, &[("retry-after", "86400")], b""),
            Fails("asks to wait 86400s"),
        ),
        (
            "asks to wait until 2099",
            |_, _| {
                reply(
                    503,
                    &[("retry-after", "Thu, 01 Jan 2099 00:00:00 GMT")],
                    b"",
                )
            },
            Fails("asks to wait"),
        ),
        ("forbids", |_, _| reply(403, &[], b""), Fails("403")),
        ("is gone", |_, _| reply(410, &[], b""), Fails("410")),
        ("has no content", |_, _| reply(204, &[], b""), Fails("204")),
        (
            "says not modified unasked",
            |_, _| reply(304, &[], b""),
            Fails("304"),
        ),
        (
            "redirects to itself",
            |_, _| location(302, "/a"),
            Fails("circle"),
        ),
        (
            "redirects in a circle",
            |r, _| location(302, if r.path == "/a" { "/b" } else { "/a" }),
            Fails("circle"),
        ),
        (
            "redirects for ever",
            |r, _| location(307, &format!("{}x", r.path)),
            Fails("more than 20 redirects"),
        ),
        (
            "redirects to a file",
            |_, _| location(301, "file:///etc/passwd"),
            Fails("301"),
        ),
        (
            "redirects nowhere",
            |_, _| reply(302, &[], b""),
            Fails("302"),
        ),
        (
            "redirects with rubbish",
            |_, _| location(302, "http://[::"),
            Fails("302"),
        ),
        (
            "encodes the body unasked",
            |_, b| reply(200, &[("content-encoding", "gzip")], b),
            Arrives(1),
        ),
        (
            "encodes the body twice",
            |_, b| reply(200, &[("content-encoding", "gzip, gzip")], b),
            Arrives(1),
        ),
        (
            "sends an error page",
            |_, _| reply(200, &[], b"<html>not found</html>"),
            Fails("does not match its sha256 digest"),
        ),
        (
            "sends nothing",
            |_, _| reply(200, &[], b""),
            Fails("does not match its sha256 digest"),
        ),
    ]
}

#[tokio::test]
async fn every_misbehaviour_has_its_answer() {
    let cases = cases();
    assert!(cases.len() >= 20);
    for (name, misbehave, outcome) in cases {
        let body = noise(SIZE);
        let served = body.clone();
        let server = Server::start(move |request| misbehave(request, &served)).await;
        let mut world = World::new();
        world.policy.http.idle_timeout = Duration::from_millis(300);
        world.policy.http.max_bytes = 2_000_000;
        let result = world
            .fetch(&[declared(&format!("{}/a", server.url), &body)])
            .await;
        world.check_events();
        match outcome {
            Arrives(requests) => {
                result.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
                assert_eq!(fs::read(world.src("a")).unwrap(), body, "{name}");
                assert_eq!(server.requests().len(), requests, "{name}");
            }
            Fails(expected) => {
                let text = chain(&result.expect_err(name));
                assert!(text.contains(expected), "{name}: {text}");
                world.check_clean();
                assert!(committed(&world).is_empty(), "{name}");
            }
        }
    }
}

/// Names of the whole files in the cache.
fn committed(world: &World) -> Vec<String> {
    let mut names = Vec::new();
    let mut pending = vec![world.path("cache")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_none() {
                names.push(path.display().to_string());
            }
        }
    }
    names
}

#[tokio::test]
async fn a_broken_download_goes_on_in_the_next_run() {
    let body = noise(SIZE);
    let served = body.clone();
    let server = Server::start(move |request| match request.offset() {
        Some(_) if request.earlier == 1 => vec![Act::Cut],
        Some(_) => file(request, "\"one\"", &served),
        None => cut_after(file(request, "\"one\"", &served), 200_000, Act::Cut),
    })
    .await;
    let mut world = World::new();
    world.policy.http.retry.attempts = 1;
    let request = declared(&format!("{}/a", server.url), &body);
    world
        .fetch(std::slice::from_ref(&request))
        .await
        .unwrap_err();
    world.events.lock().unwrap().clear();
    world.fetch(std::slice::from_ref(&request)).await.unwrap();
    let seen = server.requests();
    assert_eq!(seen[2].offset(), Some(200_000));
    assert_eq!(seen[2].header("if-range"), Some("\"one\""));
    let first = world
        .events
        .lock()
        .unwrap()
        .iter()
        .find_map(|event| match event {
            Event::Bytes {
                received, total, ..
            } => Some((*received, *total)),
            _ => None,
        });
    assert_eq!(first, Some((200_000, Some(SIZE as u64))));
    assert_eq!(fs::read(world.src("a")).unwrap(), body);
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_hold_a_source() {
    let body = noise(2_000);
    for limited in [true, false] {
        let served = body.clone();
        let server = Server::start(move |request| {
            let mut acts = file(request, "\"one\"", &served);
            let Act::Send(bytes) = acts.remove(0) else {
                panic!("a reply sends first");
            };
            vec![Act::Trickle(bytes), Act::Cut]
        })
        .await;
        let mut world = World::new();
        world.policy.http.retry.attempts = 2;
        if limited {
            // More than all of it, in a part of the time that it takes.
            world.policy.http.lowest_speed = LowestSpeed {
                bytes: 1 << 20,
                within: Duration::from_millis(100),
            };
        }
        let request = declared(&format!("{}/a", server.url), &body);
        let fetched = world.fetch(&[request]).await;
        if limited {
            let text = chain(&fetched.unwrap_err());
            assert!(text.contains("less than 1048576 bytes in 100ms"), "{text}");
            assert!(text.contains("in 2 attempt(s)"), "{text}");
        } else {
            fetched.unwrap();
            assert_eq!(fs::read(world.src("a")).unwrap(), body);
        }
    }
}

#[tokio::test]
async fn a_secret_goes_to_its_host_alone_and_is_never_told() {
    let other = Server::start(|request| file(request, "\"one\"", b"content")).await;
    let target = format!("{}/b", other.url);
    let server = Server::start(move |_| reply(302, &[("location", &target)], b"")).await;
    let host = server.url.strip_prefix("http://").unwrap();
    let mut world = World::new();
    let variable = "SOURCE_FETCH_TEST_HOME_AS_TOKEN";
    let unset = Credentials::default().with_bearer_variable(host, variable);
    world.policy.credentials = unset;
    let source = format!("{}/a", server.url);
    let error = world
        .fetch(&[declared(&source, b"content")])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, FetchError::Credential { reason, .. } if reason.contains(variable)),
        "{error}"
    );

    // Any variable that is surely set will do as a secret here.
    world.policy.credentials = Credentials::default().with_bearer_variable(host, "PATH");
    world.fetch(&[declared(&source, b"content")]).await.unwrap();
    let secret = std::env::var("PATH").unwrap();
    let sent = server.requests()[0]
        .header("authorization")
        .map(str::to_owned);
    assert_eq!(sent, Some(format!("Bearer {}", secret.trim())));
    assert_eq!(other.requests()[0].header("authorization"), None);
    assert!(!format!("{:?}{:?}", world.policy, world.events.lock().unwrap()).contains(&secret));

    let with_password = source.replace("http://", "http://me:hunter2@");
    let fetched = {
        let other_world = World::new();
        let fetched = other_world
            .fetch(&[declared(&with_password, b"content")])
            .await
            .unwrap();
        assert!(!format!("{:?}", other_world.events.lock().unwrap()).contains("hunter2"));
        fetched
    };
    assert!(!format!("{fetched:?}").contains("hunter2"));
    let basic = server
        .requests()
        .last()
        .unwrap()
        .header("authorization")
        .map(str::to_owned);
    assert_eq!(basic.as_deref(), Some("Basic bWU6aHVudGVyMg=="));
    let error = World::new()
        .fetch(&[declared(&with_password, b"other")])
        .await
        .unwrap_err();
    assert!(!chain(&error).contains("hunter2"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_secret_is_not_sent_where_it_could_be_read() {
    // Stands for a host that is not this machine: a proxy that answers by itself.
    let proxy = Server::start(|request| match request.earlier {
        0 => reply(503, &[], b""),
        _ => file(request, "\"one\"", b"content"),
    })
    .await;
    let clients = http_clients(Access {
        proxies: Proxies::all(&proxy.url).unwrap(),
        ..Access::default()
    });
    let netrc = "machine files.example.org login me password hunter2";
    let source = declared("http://files.example.org/a", b"content");
    let mut world = World::new();
    world.policy.clients = Some(clients);
    let listed = "files.example.org".parse().unwrap();
    world.policy.network = world.policy.network.clone().allow_host(listed);
    world.policy.credentials = Credentials::default().with_netrc(netrc);
    world.fetch(&[source]).await.unwrap();
    for request in proxy.requests() {
        assert_eq!(request.header("authorization"), None);
    }
    let events = world.events.lock().unwrap();
    let told = events.iter().filter(|event| {
        matches!(event, Event::CredentialWithheld { host, .. } if host == "files.example.org")
    });
    assert_eq!(told.count(), 1);
}
