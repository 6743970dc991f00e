//! What the cache keeps, mends, shares and gives up.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use source_fetch::{FetchError, collect_garbage};
use support::{Server, World, archive, declared, file, noise, reply, skipped};

fn entries(world: &World) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![world.path("cache/files")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_none() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn the_same_content_is_stored_once() {
    let world = World::new();
    let body = noise(10_000);
    let server = Server::with_files(vec![("a", body.clone()), ("b", body.clone())]).await;
    let sources = [
        declared(&format!("{}/a", server.url), &body),
        declared(&format!("{}/b", server.url), &body),
    ];
    world.fetch(&sources).await.unwrap();
    assert_eq!(entries(&world).len(), 1);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(fs::read(world.src("a")).unwrap(), body);
    assert_eq!(fs::read(world.src("b")).unwrap(), body);
    // The build may write to what it got without reaching the cache.
    fs::write(world.src("a"), "changed").unwrap();
    assert_eq!(fs::read(&entries(&world)[0]).unwrap(), body);
}

#[tokio::test]
async fn no_build_holds_a_file_of_the_cache() {
    let world = World::new();
    let body = archive::gzip(&archive::Tar::new().file("member", b"right").bytes());
    let server = Server::with_files(vec![("a.tar.gz", body.clone())]).await;
    let request = declared(&format!("{}/a.tar.gz", server.url), &body);
    for round in 0..2 {
        world.fetch(std::slice::from_ref(&request)).await.unwrap();
        assert_eq!(fs::read(world.src("member")).unwrap(), b"right");
        let entry = entries(&world).remove(0);
        let (cached, given) = (
            fs::metadata(&entry).unwrap(),
            fs::metadata(world.src("a.tar.gz")).unwrap(),
        );
        assert_ne!(cached.ino(), given.ino(), "round {round}");
        assert_eq!((cached.nlink(), given.nlink()), (1, 1));
        world.remove_src();
    }
    // What an older version has left: somebody may still hold the other name.
    let entry = entries(&world).remove(0);
    fs::hard_link(&entry, world.path("held")).unwrap();
    let fetched = world.fetch(std::slice::from_ref(&request)).await.unwrap();
    assert!(!fetched[0].from_cache);
    let entry = entries(&world).remove(0);
    assert_eq!(fs::metadata(entry).unwrap().nlink(), 1);
}

#[tokio::test]
async fn a_damaged_entry_is_fetched_again() {
    for replacement in [b"damaged".as_slice(), b""] {
        let world = World::new();
        let server = Server::with_files(vec![("a", b"right".to_vec())]).await;
        let request = declared(&format!("{}/a", server.url), b"right");
        world.fetch(std::slice::from_ref(&request)).await.unwrap();
        let entry = entries(&world).remove(0);
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&entry, replacement).unwrap();
        world.remove_src();
        let fetched = world.fetch(std::slice::from_ref(&request)).await.unwrap();
        assert!(!fetched[0].from_cache);
        assert_eq!(fs::read(world.src("a")).unwrap(), b"right");
        assert_eq!(fs::read(entry).unwrap(), b"right");
    }
}

#[tokio::test]
async fn offline_says_everything_that_is_missing() {
    let mut world = World::new();
    let server = Server::with_files(vec![("a", b"1".to_vec())]).await;
    let a = declared(&format!("{}/a", server.url), b"1");
    let (b, c) = (
        declared(&format!("{}/b", server.url), b"2"),
        skipped(&format!("{}/c", server.url)),
    );
    world.fetch(std::slice::from_ref(&a)).await.unwrap();
    world.remove_src();
    world.policy.offline = true;
    let error = world.fetch(&[a.clone(), b, c]).await.unwrap_err();
    let FetchError::Offline { missing } = &error else {
        panic!("{error}");
    };
    assert_eq!(missing.len(), 2);
    assert!(
        error.to_string().contains("/b") && error.to_string().contains("/c"),
        "{error}"
    );
    world.check_clean();
    let fetched = world.fetch(&[a]).await.unwrap();
    assert!(fetched[0].from_cache);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_has_no_digest_is_asked_for_again() {
    let world = World::new();
    let server = Server::start(|request| match request.header("if-none-match") {
        Some("\"one\"") if request.earlier == 1 => reply(304, &[], b""),
        _ if request.earlier == 0 => file(request, "\"one\"", b"first"),
        _ => file(request, "\"two\"", b"second"),
    })
    .await;
    let request = skipped(&format!("{}/a", server.url));
    for (expected, from_cache) in [("first", false), ("first", true), ("second", false)] {
        let fetched = world.fetch(std::slice::from_ref(&request)).await.unwrap();
        assert_eq!(fs::read_to_string(world.src("a")).unwrap(), expected);
        assert_eq!(fetched[0].from_cache, from_cache);
        world.remove_src();
    }
}

#[tokio::test]
async fn two_fetches_at_once_share_one_download() {
    let body = noise(200_000);
    let server = Server::with_files(vec![("a", body.clone())]).await;
    let (one, other) = (World::new(), World::new());
    let request = [declared(&format!("{}/a", server.url), &body)];
    let mut elsewhere = one.directories();
    elsewhere.srcdir = other.src("");
    elsewhere.startdir = other.path("start");
    let token = tokio_util::sync::CancellationToken::new();
    let silent = source_fetch::Silent;
    let (first, second) = tokio::join!(
        one.fetch(&request),
        source_fetch::fetch_all(&request, &elsewhere, &one.policy, &token, &silent),
    );
    first.unwrap();
    second.unwrap();
    assert_eq!(server.requests().len(), 1);
    assert_eq!(fs::read(one.src("a")).unwrap(), body);
    assert_eq!(fs::read(other.src("a")).unwrap(), body);
}

#[tokio::test]
async fn garbage_goes_by_age_and_by_size() {
    let world = World::new();
    let bodies: Vec<_> = (1..=3).map(|index| noise(index * 1000)).collect();
    let names = ["a", "b", "c"];
    let files = names.into_iter().zip(bodies.clone()).collect();
    let server = Server::with_files(files).await;
    for (name, body) in names.iter().zip(&bodies) {
        let request = declared(&format!("{}/{name}", server.url), body);
        world.fetch(&[request]).await.unwrap();
        world.remove_src();
    }
    let old = SystemTime::now() - Duration::from_hours(240);
    let by_size = |size: u64| {
        entries(&world)
            .into_iter()
            .find(|path| fs::metadata(path).unwrap().len() == size)
            .unwrap()
    };
    let age = |size: u64, time: SystemTime| {
        let mut side = by_size(size).into_os_string();
        side.push(".json");
        fs::File::options()
            .append(true)
            .open(side)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    age(3000, old);
    age(1000, SystemTime::now() - Duration::from_mins(1));
    let cache = world.path("cache");
    let report = collect_garbage(&cache, Some(Duration::from_hours(24)), None).unwrap();
    assert_eq!(
        (report.removed, report.removed_bytes, report.kept_bytes),
        (1, 3000, 3000)
    );
    let report = collect_garbage(&cache, None, Some(2500)).unwrap();
    assert_eq!(
        (report.removed, report.removed_bytes, report.kept_bytes),
        (1, 1000, 2000)
    );
    assert_eq!(entries(&world).len(), 1);
    let nothing = collect_garbage(&world.path("absent"), None, Some(0)).unwrap();
    assert_eq!(nothing.removed, 0);
}
