//! Checkouts compared with clones by the real program.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History};

use crate::clone;
use crate::git_support::{
    Action, Place, Running, Server, assert_sound, branch, commit, git, isolated, listing, request,
    sample, tag,
};

/// Fetches each kind of reference both ways and compares with a clone by the real program.
async fn compare_with_clone(place: &Place, url: &str, bare: &Path) {
    let clone_path = place.root().join("clone");
    clone(bare.to_str().unwrap(), &clone_path, &[]);
    let first = git(bare, &["rev-parse", "light"]);
    let cases = [
        (GitReference::Default, "origin/HEAD", "main"),
        (branch("feature/x"), "origin/feature/x", "makepkg"),
        (tag("v1.0"), "v1.0", "makepkg"),
        (tag("light"), "light", "makepkg"),
        (commit(&first), first.as_str(), "makepkg"),
    ];
    for history in [History::Shallow, History::Full] {
        for (index, (reference, revision, on)) in cases.iter().enumerate() {
            git(&clone_path, &["checkout", "-q", "-B", "work", revision]);
            let name = format!("{history:?}-{index}");
            let checkout = place
                .provide(&request(url, reference.clone(), history), &name)
                .await
                .unwrap();
            let path = &checkout.path;
            assert_eq!(listing(path), listing(&clone_path), "{name}");
            assert_sound(path);
            assert_eq!(checkout.commit, git(&clone_path, &["rev-parse", "HEAD"]));
            assert_eq!(git(path, &["rev-parse", "HEAD"]), checkout.commit);
            assert_eq!(git(path, &["rev-parse", "--abbrev-ref", "HEAD"]), *on);
            assert_eq!(git(path, &["config", "remote.origin.url"]), url);
            if history == History::Full {
                for question in [
                    &["describe", "--tags", "--long", "--always"][..],
                    &["rev-list", "--count", "HEAD"],
                    &["rev-parse", "--short", "HEAD"],
                    &["tag", "-l"],
                    &["branch", "-r"],
                ] {
                    assert_eq!(
                        git(path, question),
                        git(&clone_path, question),
                        "{name} {question:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_checkout_over_http_equals_a_clone() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    compare_with_clone(&place, &server.url("r.git"), &bare).await;
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.header("git-protocol") == Some("version=2"))
    );
}

#[tokio::test]
async fn a_checkout_over_the_old_protocol_equals_a_clone() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::start(place.root(), |_| Action::Old);
    compare_with_clone(&place, &server.url("r.git"), &bare).await;
}

#[tokio::test]
async fn a_checkout_from_this_machine_equals_a_clone() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    compare_with_clone(&place, &format!("file://{}", bare.display()), &bare).await;
    // The mirror borrows: its packs are the very files of the repository.
    let file = |directory: &Path| {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        fs::metadata(&files[0]).unwrap().ino()
    };
    let fan_out = |objects: std::path::PathBuf| {
        let mut all: Vec<_> = fs::read_dir(objects)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        all.retain(|p| p.file_name().unwrap().len() == 2 || p.ends_with("pack"));
        all.retain(|p| fs::read_dir(p).unwrap().count() > 0);
        all.sort();
        all[0].clone()
    };
    let mirror = fs::read_dir(place.cache().join("git"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_dir());
    assert_eq!(
        file(&fan_out(mirror.unwrap().join("objects"))),
        file(&fan_out(bare.join("objects")))
    );
}

#[tokio::test]
async fn a_checkout_from_the_daemon_equals_a_clone() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    // The daemon cannot report a port it has chosen, so one that was free a moment ago is given to it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = isolated(&format!(
        "{}/git-daemon",
        git(Path::new("/"), &["--exec-path"])
    ))
    .args([
        "--export-all",
        "--listen=127.0.0.1",
        "--reuseaddr",
        "--informative-errors",
    ])
    .arg(format!("--port={port}"))
    .arg(format!("--base-path={}", place.root().display()))
    .spawn()
    .unwrap();
    let _daemon = Running(child);
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "git daemon does not listen");
        std::thread::yield_now();
    }
    let url = format!("git://127.0.0.1:{port}/r.git");
    compare_with_clone(&place, &url, &bare).await;
    let missing = place
        .fetch(&request(
            &format!("{url}x"),
            GitReference::Default,
            History::Full,
        ))
        .await;
    assert!(
        matches!(&missing, Err(GitProblem::Remote { .. })),
        "{missing:?}"
    );
}
