//! Transfers that break, end early or never end.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use source_fetch::LowestSpeed;
use source_fetch::git::{GitProblem, History, ProtocolError};

use crate::content::crafted;
use crate::git_support::{self, Action, Place, Server, branch, git, request, sample};
use crate::{against, answer, protocol};

#[tokio::test]
async fn broken_transfers_leave_the_mirror_as_it_was() {
    for at in [0, 1, 20, 200, 600, 1500] {
        let problem = against(move |seen| {
            if seen.is_fetch() {
                Action::Cut(at)
            } else {
                Action::Backend
            }
        })
        .await;
        assert!(
            matches!(
                problem,
                GitProblem::Protocol { .. } | GitProblem::Http { .. }
            ),
            "{at}: {problem:?}"
        );
    }
}

/// A version 2 fetch answer that carries `pack`.
fn pack_answer(pack: &[u8]) -> Vec<u8> {
    let mut body = b"000dpackfile\n".to_vec();
    for chunk in pack.chunks(60_000) {
        body.extend_from_slice(format!("{:04x}\x01", chunk.len() + 5).as_bytes());
        body.extend_from_slice(chunk);
    }
    body.extend_from_slice(b"0000");
    body
}

#[tokio::test]
async fn damaged_packs_are_refused() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = sample(elsewhere.path(), "other");
    let pack = fs::read_dir(other.join("objects/pack"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().unwrap() == "pack");
    let whole = if let Some(pack) = pack {
        fs::read(pack).unwrap()
    } else {
        git(&other, &["repack", "-adq"]);
        let mut files = fs::read_dir(other.join("objects/pack"))
            .unwrap()
            .map(|e| e.unwrap().path());
        fs::read(files.find(|p| p.extension().unwrap() == "pack").unwrap()).unwrap()
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0xff;
    let mut many = whole.clone();
    many[8..12].copy_from_slice(&[0xff; 4]);
    let cases: [(&str, Vec<u8>); 8] = [
        ("empty", Vec::new()),
        (
            "no pack",
            b"this is not a pack at all, but long enough to be one".to_vec(),
        ),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("flipped", flipped),
        ("too many announced", many),
        ("no trailer", whole[..whole.len() - 20].to_vec()),
        ("trailing bytes", [whole.as_slice(), b"more"].concat()),
        (
            "no objects",
            [b"PACK\0\0\0\x02\0\0\0\0".as_slice(), &[0x55; 20]].concat(),
        ),
    ];
    for (name, pack) in cases {
        let body = pack_answer(&pack);
        let problem = against(move |seen| {
            if seen.is_fetch() {
                answer("application/x-git-upload-pack-result", &body)
            } else {
                Action::Backend
            }
        })
        .await;
        assert!(
            matches!(
                problem,
                GitProblem::Protocol {
                    source: ProtocolError::Pack(_),
                    ..
                } | GitProblem::Limit { .. }
            ),
            "{name}: {problem:?}"
        );
    }
}

#[tokio::test]
async fn a_pack_without_the_wanted_commit_is_refused() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = crafted(elsewhere.path(), "other.git", &[]);
    git(&other, &["repack", "-adq"]);
    let mut files = fs::read_dir(other.join("objects/pack"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let pack = fs::read(files.find(|p| p.extension().unwrap() == "pack").unwrap()).unwrap();
    let body = pack_answer(&pack);
    let problem = against(move |seen| {
        if seen.is_fetch() {
            answer("application/x-git-upload-pack-result", &body)
        } else {
            Action::Backend
        }
    })
    .await;
    assert!(
        matches!(protocol(&problem), ProtocolError::Pack(_)),
        "{problem:?}"
    );
}

#[tokio::test]
async fn a_silent_server_meets_the_idle_limit() {
    let mut place = Place::new();
    place.options.limits.idle = Duration::from_millis(200);
    sample(place.root(), "r");
    let server = Server::start(place.root(), |seen| {
        if seen.is_fetch() {
            Action::Stall(300)
        } else {
            Action::Backend
        }
    });
    let result = place
        .fetch(&request(
            &server.url("r.git"),
            branch("main"),
            History::Full,
        ))
        .await;
    assert!(matches!(result, Err(GitProblem::Idle { .. })), "{result:?}");
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_hold_a_repository() {
    let mut place = Place::new();
    // Silence is not what ends it.
    place.options.limits.idle = Duration::from_mins(5);
    place.options.retry.attempts = 3;
    sample(place.root(), "r");
    let is_advertisement: fn(&git_support::Seen) -> bool = |seen| seen.method == "GET";
    for is_slow in [is_advertisement, git_support::Seen::is_fetch] {
        let server = Server::start(place.root(), move |seen| {
            if is_slow(seen) {
                Action::Trickle(20)
            } else {
                Action::Backend
            }
        });
        let lowest = LowestSpeed {
            bytes: 10_000,
            within: Duration::from_millis(200),
        };
        place.options.limits.lowest_speed = lowest;
        let wanted = request(&server.url("r.git"), branch("main"), History::Full);
        let result = place.fetch(&wanted).await;
        assert!(
            matches!(result, Err(GitProblem::TooSlow { lowest: said, .. }) if said == lowest),
            "{result:?}"
        );
        let slow = server.seen().iter().filter(|seen| is_slow(seen)).count();
        assert_eq!(slow, 1, "it is not begun again");
        // Where it does not matter, it arrives.
        place.options.limits.lowest_speed.bytes = 0;
        place.fetch(&wanted).await.unwrap();
    }
}

#[tokio::test]
async fn a_cancelled_or_dropped_fetch_frees_the_mirror() {
    use std::sync::atomic::{AtomicBool, Ordering};
    for dropped in [false, true] {
        let mut place = Place::new();
        sample(place.root(), "r");
        let stall = std::sync::Arc::new(AtomicBool::new(true));
        let server = {
            let stall = stall.clone();
            std::sync::Arc::new(Server::start(place.root(), move |seen| {
                if seen.is_fetch() && stall.load(Ordering::SeqCst) {
                    Action::Stall(400)
                } else {
                    Action::Backend
                }
            }))
        };
        let request = request(&server.url("r.git"), branch("main"), History::Full);
        let waiting = {
            let server = server.clone();
            tokio::task::spawn_blocking(move || server.wait_for_stall())
        };
        {
            let fetching = place.fetch(&request);
            tokio::pin!(fetching);
            tokio::select! {
                result = &mut fetching => panic!("{result:?}"),
                _ = waiting => {}
            }
            if !dropped {
                let begun = Instant::now();
                place.token.cancel();
                assert!(matches!(fetching.await, Err(GitProblem::Cancelled)));
                // Far above the promise and far below the idle limit: only a hang fails here.
                assert!(begun.elapsed() < Duration::from_secs(5));
            }
        }
        stall.store(false, Ordering::SeqCst);
        place.token = tokio_util::sync::CancellationToken::new();
        let checkout = place.provide(&request, "r").await.unwrap();
        git_support::assert_sound(&checkout.path);
        let left: Vec<_> = place
            .leftovers()
            .into_iter()
            .filter(|p| !p.ends_with("r"))
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}
