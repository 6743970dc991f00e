//! What a git fetch tries again, and what it does not.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::git_support::{
    Action, Place, Seen, Server, advance, assert_sound, branch, git, request, sample, work_of,
};
use source_fetch::GitReference;
use source_fetch::git::{self, GitProblem, GitProgress, GitRevision, GitStep, History};

type Choose = dyn Fn(&Seen) -> Action + Send + Sync;

/// What the reporter was told, in words.
#[derive(Default)]
struct Told {
    attempts: Vec<(u32, String)>,
    highest: GitProgress,
}

async fn fetch(place: &Place, url: &str) -> (Result<GitRevision, GitProblem>, Told) {
    let told = Mutex::new(Told::default());
    let report = |step: GitStep<'_>| {
        let mut told = told.lock().unwrap();
        match step {
            GitStep::Progress(now) => {
                assert!(now.received_bytes >= told.highest.received_bytes);
                assert!(now.objects >= told.highest.objects);
                told.highest = now;
            }
            GitStep::Retrying {
                attempt, problem, ..
            } => told.attempts.push((attempt, problem.to_string())),
            _ => {}
        }
    };
    let wanted = request(url, GitReference::Default, History::Shallow);
    let result = git::fetch(
        &wanted,
        &place.cache(),
        &place.options,
        &place.token,
        &report,
    )
    .await;
    (result, told.into_inner().unwrap())
}

fn status(status: &'static str, headers: Vec<(&'static str, String)>) -> Action {
    Action::Answer {
        status,
        headers,
        body: Vec::new(),
    }
}

fn soon() -> Vec<(&'static str, String)> {
    vec![("Retry-After", "0".to_owned())]
}

/// Lets the first two requests of a kind fail.
fn twice(
    is_meant: fn(&Seen) -> bool,
    fail: fn() -> Action,
) -> impl Fn(&Seen) -> Action + Send + Sync {
    let count = AtomicUsize::new(0);
    move |seen| {
        if is_meant(seen) && count.fetch_add(1, Ordering::SeqCst) < 2 {
            fail()
        } else {
            Action::Backend
        }
    }
}

#[tokio::test]
async fn what_can_succeed_later_is_tried_again() {
    type Case = (&'static str, fn(&Seen) -> bool, fn() -> Action);
    let first: fn(&Seen) -> bool = |seen| seen.method == "GET";
    let cases: [Case; 10] = [
        ("cut in mid-pack", Seen::is_fetch, || Action::Cut(300)),
        ("cut before the pack", Seen::is_fetch, || Action::Cut(0)),
        ("cut announcement", first, || Action::Cut(20)),
        ("408", first, || status("408 Request Timeout", vec![])),
        ("425", first, || status("425 Too Early", vec![])),
        ("429", first, || status("429 Too Many Requests", soon())),
        ("500", first, || status("500 Internal Server Error", vec![])),
        ("502", first, || status("502 Bad Gateway", vec![])),
        ("503", Seen::is_fetch, || {
            status("503 Service Unavailable", soon())
        }),
        ("504", Seen::is_fetch, || {
            status("504 Gateway Timeout", vec![])
        }),
    ];
    let origin = tempfile::tempdir().unwrap();
    sample(origin.path(), "r");
    for (name, is_meant, fail) in cases {
        let mut place = Place::new();
        place.options.retry.attempts = 3;
        let server = Server::start(origin.path(), twice(is_meant, fail));
        let (result, told) = fetch(&place, &server.url("r.git")).await;
        let revision = result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let attempts: Vec<u32> = told.attempts.iter().map(|(attempt, _)| *attempt).collect();
        assert_eq!(attempts, [1, 2], "{name}");
        let checkout = revision
            .check_out(&place.srcdir().join("r"), &place.token)
            .await
            .unwrap();
        assert_sound(&checkout.path);
    }
}

#[tokio::test]
async fn what_cannot_succeed_is_not() {
    let pack = || Action::Answer {
        status: "200 OK",
        headers: vec![(
            "Content-Type",
            "application/x-git-upload-pack-result".to_owned(),
        )],
        body: b"000dpackfile\n000a\x01PACK!0000".to_vec(),
    };
    let cases: Vec<(&str, Box<Choose>)> = vec![
        ("400", Box::new(|_| status("400 Bad Request", vec![]))),
        ("401", Box::new(|_| status("401 Unauthorized", soon()))),
        ("403", Box::new(|_| status("403 Forbidden", vec![]))),
        ("404", Box::new(|_| status("404 Not Found", soon()))),
        ("410", Box::new(|_| status("410 Gone", vec![]))),
        ("501", Box::new(|_| status("501 Not Implemented", soon()))),
        ("another content", Box::new(|_| status("200 OK", vec![]))),
        (
            "a redirect to nowhere",
            Box::new(|_| status("302 Found", vec![("Location", "/x".to_owned())])),
        ),
        (
            "a pack that is none",
            Box::new(move |seen| {
                if seen.is_fetch() {
                    pack()
                } else {
                    Action::Backend
                }
            }),
        ),
        (
            "busy for an hour",
            Box::new(|_| status("503 Busy", vec![("Retry-After", "3600".to_owned())])),
        ),
    ];
    let origin = tempfile::tempdir().unwrap();
    sample(origin.path(), "r");
    for (name, choose) in cases {
        let mut place = Place::new();
        place.options.retry.attempts = 5;
        let server = Server::start(origin.path(), choose);
        let (result, told) = fetch(&place, &server.url("r.git")).await;
        assert!(result.is_err(), "{name}");
        assert_eq!(told.attempts, [], "{name}");
        let firsts = server
            .seen()
            .iter()
            .filter(|seen| seen.method == "GET")
            .count();
        assert_eq!(firsts, 1, "{name}");
        assert_eq!(place.leftovers(), [] as [std::path::PathBuf; 0], "{name}");
    }
}

#[tokio::test]
async fn attempts_come_to_an_end() {
    let mut place = Place::new();
    place.options.retry.attempts = 3;
    sample(place.root(), "r");
    let server = Server::start(place.root(), |_| status("503 Busy", vec![]));
    let (result, told) = fetch(&place, &server.url("r.git")).await;
    assert!(
        matches!(result, Err(GitProblem::Status { status: 503, .. })),
        "{result:?}"
    );
    // For want of room it is four times as patient.
    assert_eq!(told.attempts.len(), 8);
    assert_eq!(server.seen().len(), 9);
    let server = Server::start(place.root(), |_| status("500 Broken", vec![]));
    let (result, told) = fetch(&place, &server.url("r.git")).await;
    assert!(result.is_err());
    assert_eq!(told.attempts.len(), 2);
    // A pause ends with the token.
    place.options.retry.backoff = Duration::from_hours(1);
    place.options.retry.max_backoff = Duration::from_hours(1);
    let cancelled = place.token.clone();
    let wanted = request(
        &server.url("r.git"),
        GitReference::Default,
        History::Shallow,
    );
    let report = |step: GitStep<'_>| {
        if let GitStep::Retrying { .. } = step {
            cancelled.cancel();
        }
    };
    let result = git::fetch(
        &wanted,
        &place.cache(),
        &place.options,
        &place.token,
        &report,
    )
    .await;
    assert!(matches!(result, Err(GitProblem::Cancelled)), "{result:?}");
}

#[tokio::test]
async fn a_branch_that_moves_costs_what_is_new() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    fs::write(work_of(&bare).join("noise"), noise).unwrap();
    git(&work_of(&bare), &["add", "noise"]);
    advance(&bare, "with noise");
    let server = Server::plain(place.root());
    for history in [History::Shallow, History::Full] {
        let wanted = request(&server.url("r.git"), branch("main"), history);
        let mut before = 0;
        for turn in 0..3 {
            let tip = advance(&bare, &format!("turn {turn} of {history:?}"));
            let revision = place.fetch(&wanted).await.unwrap();
            assert_eq!(revision.commit(), tip);
            if turn > 0 || history == History::Full {
                assert!(
                    revision.received_bytes() < 10_000,
                    "{}",
                    revision.received_bytes()
                );
            }
            before += revision.received_bytes();
        }
        assert_eq!(before > 1 << 20, history == History::Shallow);
    }
}
