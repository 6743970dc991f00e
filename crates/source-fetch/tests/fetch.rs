//! What arrives in `srcdir`, from every kind of source.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use source_fetch::{Algorithm, Event, FetchError, Origin, SourceRequest, Verification};
use support::{Act, Server, World, chain, declared, file, noise, reply, run, skipped};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn every_kind_of_source_arrives_together() {
    let world = World::new();
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
    world.start_file("fix.patch", b"--- a\n");
    let elsewhere = world.path("data.bin");
    fs::write(&elsewhere, b"data").unwrap();

    let sources = [
        declared(&format!("{}/foo.tar.gz", server.url), &archive),
        declared("fix.patch", b"--- a\n"),
        skipped(&format!("renamed::file://{}", elsewhere.display())),
    ];
    let fetched = world.fetch(&sources).await.unwrap();
    assert_eq!(
        fs::read(world.src("foo-1.0/main.c")).unwrap(),
        b"int main(){}\n"
    );
    assert_eq!(fs::read(world.src("foo.tar.gz")).unwrap(), archive);
    assert_eq!(fs::read(world.src("fix.patch")).unwrap(), b"--- a\n");
    assert_eq!(fs::read(world.src("renamed")).unwrap(), b"data");
    assert_eq!(fetched[0].extracted, Some(2));
    assert_eq!(fetched[0].verification.digests, [Algorithm::Sha256]);
    assert!(matches!(
        &fetched[0].origin,
        Origin::Http { tls: false, .. }
    ));
    assert_eq!(fetched[1].origin, Origin::File);
    assert!(fetched[2].verification.skipped);
    world.check_events();
    let finished = |event: &&Event| matches!(event, Event::Finished { .. });
    assert_eq!(
        world.events.lock().unwrap().iter().filter(finished).count(),
        3
    );

    world.remove_src();
    let again = world.fetch(&sources[..1]).await.unwrap();
    assert!(again[0].from_cache);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(
        fs::read(world.src("foo-1.0/main.c")).unwrap(),
        b"int main(){}\n"
    );
}

#[tokio::test]
async fn a_git_repository_is_checked_out() {
    let world = World::new();
    let repository = world.path("upstream");
    fs::create_dir(&repository).unwrap();
    fs::write(repository.join("README"), "hello\n").unwrap();
    let identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "."],
        &["commit", "-q", "-m", "one"],
        &["tag", "v1"],
    ] {
        let arguments = [&identity, arguments].concat();
        if run(&repository, "git", &arguments).is_none() {
            return;
        }
    }
    let source = format!("code::git+file://{}#tag=v1", repository.display());
    let request = SourceRequest::new(source.parse().unwrap());
    let fetched = world.fetch(&[request]).await.unwrap();
    assert_eq!(fs::read(world.src("code/README")).unwrap(), b"hello\n");
    let Origin::Git { commit } = &fetched[0].origin else {
        panic!("{fetched:?}");
    };
    assert_eq!(commit.len(), 40);
    run(&world.src("code"), "git", &["status", "--porcelain"]).unwrap();
}

#[tokio::test]
async fn only_a_whole_commit_id_pins() {
    let world = World::new();
    let repository = world.path("upstream");
    fs::create_dir(&repository).unwrap();
    let identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["commit", "-q", "--allow-empty", "-m", "one"],
        &["tag", "v1"],
    ] {
        if run(&repository, "git", &[&identity, arguments].concat()).is_none() {
            return;
        }
    }
    let id = fs::read_to_string(repository.join(".git/refs/heads/main")).unwrap();
    let id = id.trim();
    let (short, upper) = (&id[..39], id.to_uppercase());
    let names = [short, &id[..6], "main", "HEAD", "main~0", ":/one", "v1"];
    let cases = [("commit", id, true), ("commit", &upper, true)]
        .into_iter()
        .chain(names.map(|name| ("commit", name, false)))
        .chain([("branch", "main", false), ("tag", "v1", false)]);
    for (kind, name, pinned) in cases {
        let source = format!("code::git+file://{}#{kind}={name}", repository.display());
        let fetched = world.fetch(&[skipped(&source)]).await.unwrap();
        let proof = &fetched[0].verification;
        assert_eq!(
            (proof.pinned, proof.is_strong()),
            (pinned, pinned),
            "{source}"
        );
        world.remove_src();
    }
}

#[test]
fn digests_that_can_be_forged_are_weak() {
    let weak: Vec<_> = Algorithm::ALL
        .into_iter()
        .filter(|kind| kind.is_weak())
        .collect();
    assert_eq!(weak, [Algorithm::Cksum, Algorithm::Md5, Algorithm::Sha1]);
    let proof = |digests| Verification {
        digests,
        ..Verification::default()
    };
    assert!(!proof(weak.clone()).is_strong());
    assert!(proof([weak, vec![Algorithm::Sha224]].concat()).is_strong());
}

#[tokio::test]
async fn a_mismatch_says_what_differs_and_leaves_nothing() {
    let world = World::new();
    let server = Server::with_files(vec![("a", b"changed".to_vec())]).await;
    let request = declared(&format!("{}/a", server.url), b"original");
    let error = world
        .fetch(std::slice::from_ref(&request))
        .await
        .unwrap_err();
    let text = chain(&error);
    let expected = request.checksums[0].to_string();
    assert!(
        matches!(
            error,
            FetchError::Mismatch {
                kind: Algorithm::Sha256,
                ..
            }
        ),
        "{text}"
    );
    assert!(text.contains(&expected) && text.contains("/a"), "{text}");
    world.check_clean();
    let listing = fs::read_dir(world.path("cache/files/sha256").join(&expected[..2])).unwrap();
    let names: Vec<_> = listing.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| name.to_string_lossy().ends_with(".lock")),
        "{names:?}"
    );
}

#[tokio::test]
async fn refusals_come_before_any_transfer() {
    let world = World::new();
    let server = Server::with_files(vec![]).await;
    let url = &server.url;
    let plain = |text: &str| SourceRequest::new(text.parse().unwrap());
    let cases = [
        (vec![plain(&format!("{url}/a"))], "has no digest"),
        (vec![plain("svn+https://example.org/a")], "needs `svn`"),
        (vec![plain("hg+https://example.org/a")], "needs `hg`"),
        (vec![plain("bzr+lp:a")], "needs `bzr`"),
        (
            vec![plain("fossil+https://example.org/a")],
            "needs `fossil`",
        ),
        (
            vec![skipped("a"), skipped("a.sig")],
            "`a.sig` is not accepted",
        ),
        (
            vec![plain("git+https://example.org/a.git?signed")],
            "is not accepted: no keyring",
        ),
        (
            vec![skipped("a"), skipped(&format!("{url}/a"))],
            "are both named `a`",
        ),
    ];
    for (sources, expected) in cases {
        let error = chain(&world.fetch(&sources).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(server.requests().len(), 0);
    world.check_clean();
}

#[tokio::test]
async fn srcdir_must_be_free() {
    let world = World::new();
    world.start_file("a", b"1");
    fs::create_dir(world.src("")).unwrap();
    world.fetch(&[skipped("a")]).await.unwrap();
    let error = world.fetch(&[skipped("a")]).await.unwrap_err();
    assert!(
        matches!(error, FetchError::SrcdirNotEmpty { .. }),
        "{error}"
    );
    assert_eq!(fs::read(world.src("a")).unwrap(), b"1");
}

#[tokio::test]
async fn cancelling_a_silent_peer_is_prompt_and_clean() {
    let world = World::new();
    let body = noise(300_000);
    let served = body.clone();
    let server = Server::start(move |request| {
        support::cut_after(file(request, "\"one\"", &served), 200_000, Act::Stall)
    })
    .await;
    let token = CancellationToken::new();
    let request = declared(&format!("{}/a", server.url), &body);
    let fetch = world.fetch_until(std::slice::from_ref(&request), &token);
    tokio::pin!(fetch);
    loop {
        tokio::select! {
            result = &mut fetch => panic!("{result:?}"),
            () = tokio::task::yield_now() => {}
        }
        let received =
            |event: &Event| matches!(event, Event::Bytes { received, .. } if *received > 0);
        if world.events.lock().unwrap().iter().any(received) {
            break;
        }
    }
    token.cancel();
    let before = Instant::now();
    let result = fetch.await;
    assert!(matches!(result, Err(FetchError::Cancelled)), "{result:?}");
    // A bound on the wait for the peer, which would last a minute, and not on our speed.
    assert!(before.elapsed() < Duration::from_secs(5));
    world.check_clean();
}

#[tokio::test]
async fn a_missing_file_is_not_asked_for_twice() {
    let world = World::new();
    let server = Server::start(|_| reply(404, &[], b"no")).await;
    let error = world
        .fetch(&[skipped(&format!("{}/a?key=secret", server.url))])
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Status { status: 404, .. }),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1);
    world.check_clean();
}

#[tokio::test]
async fn local_sources_stay_beside_the_recipe() {
    let world = World::new();
    fs::write(world.path("outside"), "x").unwrap();
    std::os::unix::fs::symlink(world.path("outside"), world.path("start/link")).unwrap();
    fs::create_dir(world.path("start/dir")).unwrap();
    let cases = [
        ("link", "outside of the recipe's directory"),
        ("dir", "no regular file"),
        ("absent", "does not exist"),
    ];
    for (name, expected) in cases {
        let error = world.fetch(&[skipped(name)]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let script = world.start_file("run.sh", b"#!/bin/sh\n");
    run(&world.path("start"), "chmod", &["755", "run.sh"]).unwrap();
    world.fetch(&[skipped("run.sh")]).await.unwrap();
    let (copied, original) = (
        fs::metadata(world.src("run.sh")).unwrap(),
        fs::metadata(script).unwrap(),
    );
    assert_eq!(copied.mode() & 0o777, 0o755);
    assert_eq!(copied.mtime(), original.mtime());
}
