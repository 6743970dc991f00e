//! Archives that are unpacked while they arrive: broken off, changed, wrong, given up.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use source_fetch::{Event, FetchError};
use support::archive::{Tar, ZipMember, gzip, zip};
use support::{Act, Server, World, cut_after, declared, file, noise};
use tokio_util::sync::CancellationToken;

const MEMBERS: usize = 40;
const MEMBER: usize = 40_000;

fn tarball(seed: usize) -> Vec<u8> {
    let content = noise(MEMBERS * MEMBER + seed);
    let mut tar = Tar::new().directory("pkg/");
    for index in 0..MEMBERS {
        let start = index * MEMBER + seed;
        tar = tar.file(&name(seed, index), &content[start..start + MEMBER]);
    }
    tar.end()
}

fn name(seed: usize, index: usize) -> String {
    format!("pkg/{seed}-{index:02}")
}

/// The members of `tarball(seed)` and nothing else are below `top`.
fn assert_unpacked(top: &Path, seed: usize) {
    let content = noise(MEMBERS * MEMBER + seed);
    for index in 0..MEMBERS {
        let start = index * MEMBER + seed;
        let found = fs::read(top.join(name(seed, index))).unwrap();
        assert!(found == content[start..start + MEMBER], "member {index}");
    }
    assert_eq!(fs::read_dir(top.join("pkg")).unwrap().count(), MEMBERS);
}

fn unpacked_members(start: &Path) -> usize {
    let staging = fs::read_dir(start).unwrap().flatten().find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(".src.fetch-")
    });
    staging
        .and_then(|staging| fs::read_dir(staging.path().join("unpacked/0/pkg")).ok())
        .map_or(0, Iterator::count)
}

/// Returns once members of an unfinished download are on disk.
async fn members_appear(start: PathBuf) {
    while unpacked_members(&start) < 10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn members_appear_before_the_download_ends_and_go_when_it_is_cancelled() {
    for pack in [|bytes: &[u8]| bytes.to_vec(), gzip] {
        let world = World::new();
        let body = pack(&tarball(0));
        let served = body.clone();
        let server = Server::start(move |request| {
            cut_after(file(request, "\"one\"", &served), 1_000_000, Act::Stall)
        })
        .await;
        let sources = [declared(&format!("{}/a.tar", server.url), &body)];
        let token = CancellationToken::new();
        let start = world.path("start");
        let (result, ()) = tokio::join!(world.fetch_until(&sources, &token), async {
            members_appear(start).await;
            token.cancel();
        });
        assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
        while fs::read_dir(world.path("start")).unwrap().count() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn a_dropped_fetch_stops_the_unpacking() {
    let world = World::new();
    let body = tarball(0);
    let served = body.clone();
    let server = Server::start(move |request| {
        cut_after(file(request, "\"one\"", &served), 1_000_000, Act::Stall)
    })
    .await;
    let sources = [declared(&format!("{}/a.tar", server.url), &body)];
    tokio::select! {
        result = world.fetch(&sources) => panic!("{result:?}"),
        () = members_appear(world.path("start")) => {}
    }
    while fs::read_dir(world.path("start")).unwrap().count() > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_breaks_off_is_unpacked_on_with_the_rest() {
    for pack in [|bytes: &[u8]| bytes.to_vec(), gzip] {
        let world = World::new();
        let body = pack(&tarball(0));
        let served = body.clone();
        let server = Server::start(move |request| {
            let whole = file(request, "\"one\"", &served);
            match request.earlier {
                0..3 => cut_after(whole, 400_000, Act::Cut),
                _ => whole,
            }
        })
        .await;
        let sources = [declared(&format!("{}/a.tar", server.url), &body)];
        let fetched = world.fetch(&sources).await.unwrap();
        assert_eq!(fetched[0].extracted, Some(MEMBERS as u64 + 1));
        assert_unpacked(&world.path("start/src"), 0);
        assert!(server.requests()[3].offset().is_some());
        world.check_events();
    }
}

#[tokio::test]
async fn what_an_earlier_fetch_has_left_is_followed_from_its_first_byte() {
    let world = World::new();
    let body = gzip(&tarball(0));
    let served = body.clone();
    let server = Server::start(move |request| {
        let whole = file(request, "\"one\"", &served);
        match request.earlier {
            0 => cut_after(whole, 1_000_000, Act::Stall),
            _ => whole,
        }
    })
    .await;
    let sources = [declared(&format!("{}/a.tar.gz", server.url), &body)];
    tokio::select! {
        result = world.fetch(&sources) => panic!("{result:?}"),
        () = members_appear(world.path("start")) => {}
    }
    world.fetch(&sources).await.unwrap();
    assert!(server.requests()[1].offset().is_some());
    assert_unpacked(&world.path("start/src"), 0);
}

#[tokio::test]
async fn what_changes_between_two_ranges_leaves_no_member_of_the_old() {
    let world = World::new();
    let (old, new) = (tarball(1), tarball(0));
    let served = new.clone();
    let server = Server::start(move |request| match request.earlier {
        0 => cut_after(file(request, "\"one\"", &old), 1_000_000, Act::Cut),
        // Without a word, as a careless mirror does it.
        _ => file(request, "\"one\"", &served),
    })
    .await;
    let sources = [declared(&format!("{}/a.tar", server.url), &new)];
    world.fetch(&sources).await.unwrap();
    assert_unpacked(&world.path("start/src"), 0);
}

#[tokio::test]
async fn a_wrong_digest_leaves_nothing_and_is_what_is_told() {
    let hostile = Tar::new().file("../out", b"x").end();
    for served in [tarball(0), gzip(&tarball(0)), hostile] {
        let world = World::new();
        let server = Server::with_files(vec![("a.tar", served)]).await;
        let sources = [declared(
            &format!("{}/a.tar", server.url),
            b"something else",
        )];
        let result = world.fetch(&sources).await;
        assert!(
            matches!(result, Err(FetchError::Mismatch { .. })),
            "{result:?}"
        );
        world.check_clean();
        assert!(
            !world
                .events
                .lock()
                .unwrap()
                .iter()
                .any(|event| matches!(event, Event::Extracted { .. }))
        );
    }
}

#[tokio::test]
async fn what_can_only_be_read_as_a_whole_is_unpacked_at_the_end() {
    let world = World::new();
    let body = zip(&[ZipMember::new("pkg/a", 0o100_644, b"zipped")]);
    let server = Server::with_files(vec![("a.zip", body.clone())]).await;
    let sources = [declared(&format!("{}/a.zip", server.url), &body)];
    let fetched = world.fetch(&sources).await.unwrap();
    assert_eq!(fetched[0].extracted, Some(1));
    assert_eq!(fs::read(world.src("pkg/a")).unwrap(), b"zipped");
}

#[tokio::test]
async fn a_hostile_archive_is_refused_though_its_digest_is_right() {
    let world = World::new();
    let body = Tar::new()
        .file("pkg/a", &noise(600_000))
        .file("../out", b"x")
        .end();
    let server = Server::with_files(vec![("a.tar", body.clone())]).await;
    let sources = [declared(&format!("{}/a.tar", server.url), &body)];
    let result = world.fetch(&sources).await;
    assert!(
        matches!(result, Err(FetchError::Extract { .. })),
        "{result:?}"
    );
    world.check_clean();
}
