//! Sources that wait for a judgement before they are unpacked.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::sync::Arc;

use source_fetch::{Algorithm, Event, FetchError, fetch_and_hold};
use support::{Server, World, declared, run, skipped};
use tokio_util::sync::CancellationToken;

fn reporter(world: &World) -> impl Fn(Event) + Send + Sync + use<> {
    let events = Arc::clone(&world.events);
    move |event| events.lock().unwrap().push(event)
}

async fn archive(world: &World) -> (Server, Vec<u8>) {
    let tree = world.path("tree/foo-1.0");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("main.c"), "int main(){}\n").unwrap();
    run(
        &world.path("tree"),
        "tar",
        &["-czf", "foo.tar.gz", "foo-1.0"],
    )
    .unwrap();
    let archive = fs::read(world.path("tree/foo.tar.gz")).unwrap();
    let server = Server::with_files(vec![("foo.tar.gz", archive.clone())]).await;
    (server, archive)
}

#[tokio::test]
async fn nothing_is_unpacked_before_it_is_asked_for() {
    let world = World::new();
    let (server, archive) = archive(&world).await;
    world.start_file("fix.patch", b"--- a\n");
    let mut packed = declared(&format!("packed.tgz::{}/foo.tar.gz", server.url), &archive);
    packed.no_extract = true;
    packed.wanted = vec![Algorithm::Md5, Algorithm::Cksum];
    let sources = [
        declared(&format!("{}/foo.tar.gz", server.url), &archive),
        skipped("fix.patch"),
        packed,
    ];
    let token = CancellationToken::new();
    let (directories, policy) = (world.directories(), world.policy.clone());
    let held = fetch_and_hold(&sources, &directories, &policy, &token, &reporter(&world))
        .await
        .unwrap();
    assert!(!world.src("").exists());
    let names: Vec<_> = held.fetched().map(|one| one.source.file_name()).collect();
    assert_eq!(names, ["foo.tar.gz", "fix.patch", "packed.tgz"]);
    let computed: Vec<_> = held.fetched().map(|one| one.computed.len()).collect();
    assert_eq!(computed, [0, 0, 2]);
    let copies = world.path("copies");
    fs::create_dir(&copies).unwrap();
    held.copy_to(&copies, &token).await.unwrap();
    assert_eq!(fs::read(copies.join("foo.tar.gz")).unwrap(), archive);
    // What becomes of the copies is nothing to what is unpacked.
    fs::write(copies.join("foo.tar.gz"), "other").unwrap();
    fs::write(copies.join("fix.patch"), "other").unwrap();
    let again = held.copy_to(&copies, &token).await;
    assert!(matches!(again, Err(FetchError::Io { .. })), "{again:?}");
    let fetched = held.unpack(&token, &reporter(&world)).await.unwrap();
    assert_eq!(fetched[0].extracted, Some(2));
    assert_eq!(fetched[2].extracted, None);
    assert_eq!(
        fs::read(world.src("foo-1.0/main.c")).unwrap(),
        b"int main(){}\n"
    );
    assert_eq!(fs::read(world.src("foo.tar.gz")).unwrap(), archive);
    assert_eq!(fs::read(world.src("fix.patch")).unwrap(), b"--- a\n");
    let finished = |event: &Event| matches!(event, Event::Finished { .. });
    assert_eq!(
        world
            .events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| finished(event))
            .count(),
        3
    );
    world.remove_src();
    world.check_clean();
}

#[tokio::test]
async fn what_is_dropped_or_cancelled_leaves_nothing() {
    let world = World::new();
    let (server, archive) = archive(&world).await;
    let sources = [declared(&format!("{}/foo.tar.gz", server.url), &archive)];
    let token = CancellationToken::new();
    let (directories, policy) = (world.directories(), world.policy.clone());
    let told = reporter(&world);
    let hold = || fetch_and_hold(&sources, &directories, &policy, &token, &told);
    let held = hold().await.unwrap();
    let stopped = CancellationToken::new();
    stopped.cancel();
    let unpacked = held.unpack(&stopped, &reporter(&world)).await;
    assert!(
        matches!(unpacked, Err(FetchError::Cancelled)),
        "{unpacked:?}"
    );
    drop(hold().await.unwrap());
    for _ in 0..500 {
        if fs::read_dir(world.path("start")).is_ok_and(|entries| {
            !entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().contains(".fetch-"))
        }) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!world.src("").exists());
    world.check_clean();
}

#[tokio::test]
async fn a_wrong_digest_is_held_by_nobody() {
    let world = World::new();
    let (server, _) = archive(&world).await;
    let sources = [declared(&format!("{}/foo.tar.gz", server.url), b"other")];
    let token = CancellationToken::new();
    let held = fetch_and_hold(
        &sources,
        &world.directories(),
        &world.policy,
        &token,
        &reporter(&world),
    )
    .await;
    assert!(matches!(held, Err(FetchError::Mismatch { .. })), "{held:?}");
    world.check_clean();
}
