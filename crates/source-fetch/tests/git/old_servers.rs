//! Servers that speak protocol version 0, and others that are not quite git.

use std::fs;
use std::path::Path;

use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History};

use crate::git_support::{
    Action, Place, Server, advance, assert_sound, branch, git, listing, request, sample, work_of,
};

/// Adds commits, force pushes, and moves tags and branches, then compares each time.
async fn follow(place: &Place, bare: &Path, url: &str, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let work = work_of(bare);
    let to = bare.to_str().unwrap();
    for round in 0..12 {
        match random.u8(..6) {
            0 => {
                git(&work, &["reset", "-q", "--hard", "HEAD~1"]);
            }
            1 => {
                git(&work, &["tag", "-f", "moving"]);
            }
            2 => {
                git(&work, &["branch", "-f", "other"]);
                git(&work, &["push", "-q", "-f", to, "other"]);
            }
            3 => {
                git(bare, &["gc", "-q", "--prune=now"]);
            }
            _ => {}
        }
        for n in 0..random.usize(..4) {
            advance(bare, &format!("{seed} {round} {n}"));
        }
        git(&work, &["push", "-q", "-f", to, "main", "--tags"]);
        let history = if random.bool() {
            History::Full
        } else {
            History::Shallow
        };
        let reference = match random.u8(..3) {
            0 => GitReference::Default,
            1 => branch("main"),
            _ => GitReference::Tag("light".to_owned()),
        };
        let expected = match &reference {
            GitReference::Tag(_) => git(bare, &["rev-parse", "light"]),
            _ => git(bare, &["rev-parse", "main"]),
        };
        let wanted = request(url, reference, history);
        let _ = fs::remove_dir_all(place.srcdir());
        let checkout = place.provide(&wanted, "r").await.unwrap();
        assert_eq!(checkout.commit, expected, "seed {seed}, round {round}");
        assert_sound(&checkout.path);
        if history == History::Full {
            for question in [&["rev-list", "--count", "HEAD"][..], &["tag", "-l"]] {
                let mut arguments = vec!["--git-dir", to];
                arguments.extend(question);
                let gits = git(
                    &work,
                    &arguments
                        .iter()
                        .map(|word| {
                            if *word == "HEAD" {
                                expected.as_str()
                            } else {
                                word
                            }
                        })
                        .collect::<Vec<_>>(),
                );
                assert_eq!(
                    git(&checkout.path, question),
                    gits,
                    "seed {seed}, round {round}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_repository_that_moves_on_is_followed_over_every_version() {
    for seed in 0..4 {
        for old in [true, false] {
            let place = Place::new();
            let bare = sample(place.root(), "r");
            let server = Server::start(place.root(), move |_| {
                if old { Action::Old } else { Action::Backend }
            });
            follow(&place, &bare, &server.url("r.git"), seed).await;
        }
    }
}

/// Whether a request offers this capability.
fn offers(body: &[u8], capability: &str) -> bool {
    body.windows(capability.len())
        .any(|part| part == capability.as_bytes())
}

#[tokio::test]
async fn a_server_that_demands_multi_ack_is_served() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::start(place.root(), |seen| {
        if seen.method == "POST" && !offers(&seen.body, " multi_ack") {
            return Action::Answer {
                status: "400 Bad Request",
                headers: Vec::new(),
                body: Vec::new(),
            };
        }
        Action::Old
    });
    follow(&place, &bare, &server.url("r.git"), 42).await;
}

#[tokio::test]
async fn a_server_without_multi_ack_acknowledges_each_commit() {
    // git never leaves the capability out, so it is taken from what it announces.
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::start(place.root(), |_| Action::OldWithout("multi_ack"));
    follow(&place, &bare, &server.url("r.git"), 43).await;
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| !offers(&seen.body, "multi_ack"))
    );
}

#[tokio::test]
async fn a_name_that_is_not_utf_8_is_a_name() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let id = git(&bare, &["rev-parse", "main~3"]);
    // Neither a command line nor a test can hold such a name.
    git(&bare, &["pack-refs", "--all"]);
    let packed = fs::read(bare.join("packed-refs")).unwrap();
    let mut lines: Vec<&[u8]> = packed.split_inclusive(|byte| *byte == b'\n').collect();
    let mut line = format!("{id} refs/tags/").into_bytes();
    line.extend(b"latin-\xe9\n");
    lines[0] = b"# pack-refs with: peeled \n";
    lines.insert(1, &line);
    fs::write(bare.join("packed-refs"), lines.concat()).unwrap();
    for action in [|| Action::Backend, || Action::Old] {
        let place = Place::new();
        let server = Server::start(bare.parent().unwrap(), move |_| action());
        let wanted = request(&server.url("r.git"), branch("main"), History::Full);
        let checkout = place.provide(&wanted, "r").await.unwrap();
        assert_sound(&checkout.path);
        let output = std::process::Command::new("git")
            .args(["for-each-ref", "--points-at", &id, "--format=%(refname)"])
            .current_dir(&checkout.path)
            .output()
            .unwrap();
        assert!(
            output.stdout.windows(7).any(|part| part == b"latin-\xe9"),
            "{:?}",
            output.stdout
        );
    }
    // The same from this machine.
    let wanted = request(bare.to_str().unwrap(), branch("main"), History::Full);
    assert_sound(&place.provide(&wanted, "r").await.unwrap().path);
}

#[tokio::test]
async fn content_types_are_compared_as_git_does() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let expected = listing(&work_of(&bare));
    for (kind, of_fetch) in [
        (
            "; charset=utf-8",
            "application/x-git-upload-pack-result; charset=utf-8",
        ),
        ("", "application/octet-stream"),
        (" ;x=y", "text/plain"),
    ] {
        let server = Server::start(place.root(), move |seen| {
            if seen.method == "GET" {
                Action::Typed(format!("application/x-git-upload-pack-advertisement{kind}"))
            } else {
                Action::Typed(of_fetch.to_owned())
            }
        });
        let place = Place::new();
        let wanted = request(&server.url("r.git"), branch("main"), History::Full);
        let checkout = place.provide(&wanted, "r").await.unwrap();
        assert_eq!(listing(&checkout.path), expected);
    }
}

#[tokio::test]
async fn a_repository_that_is_away_does_not_cost_the_cache() {
    let mut place = Place::new();
    let bare = sample(place.root(), "r");
    let hidden = place.root().join("hidden.git");
    let local = request(bare.to_str().unwrap(), branch("main"), History::Full);
    let daemon = Server::plain(place.root());
    let remote = request(&daemon.url("r.git"), branch("main"), History::Full);
    let at_default = request(
        &daemon.url("r.git"),
        GitReference::Tag("tree".to_owned()),
        History::Full,
    );
    git(&bare, &["tag", "tree", "main^{tree}"]);
    place.fetch(&local).await.unwrap();
    place.fetch(&remote).await.unwrap();
    // A tag of a directory is no reason to fetch everything again.
    let result = place.fetch(&at_default).await;
    assert!(
        matches!(result, Err(GitProblem::NotCommit { .. })),
        "{result:?}"
    );
    fs::rename(&bare, &hidden).unwrap();
    for wanted in [&local, &remote] {
        place.options.offline = false;
        assert!(place.fetch(wanted).await.is_err());
        place.options.offline = true;
        let _ = fs::remove_dir_all(place.srcdir());
        let checkout = place.provide(wanted, "r").await.unwrap();
        assert_sound(&checkout.path);
    }
    // Nor does a place where no checkout can be made.
    fs::write(place.root().join("file"), "").unwrap();
    let revision = place.fetch(&remote).await.unwrap();
    let impossible = place.root().join("file/r");
    assert!(revision.check_out(&impossible, &place.token).await.is_err());
    place.fetch(&remote).await.unwrap();
}

#[tokio::test]
async fn a_damaged_mirror_stays_until_there_is_another() {
    let mut place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let wanted = request(&server.url("r.git"), branch("main"), History::Full);
    let revision = place.fetch(&wanted).await.unwrap();
    let mirror = fs::read_dir(place.cache().join("git"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    for file in fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let file = file.unwrap().path();
        if file
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            let mut bytes = fs::read(&file).unwrap();
            let end = bytes.len() - 30;
            bytes[12..end].fill(0x55);
            fs::remove_file(&file).unwrap();
            fs::write(&file, bytes).unwrap();
        }
    }
    let result = revision
        .check_out(&place.srcdir().join("r"), &place.token)
        .await;
    assert!(matches!(result, Err(GitProblem::Git { .. })), "{result:?}");
    let hidden = place.root().join("hidden.git");
    fs::rename(&bare, &hidden).unwrap();
    assert!(place.fetch(&wanted).await.is_err());
    assert!(mirror.join("objects/pack").exists());
    fs::rename(&hidden, &bare).unwrap();
    let checkout = place.provide(&wanted, "r").await.unwrap();
    assert_sound(&checkout.path);
    assert!(!mirror.with_added_extension("aside").exists());
    place.options.offline = true;
    place.fetch(&wanted).await.unwrap();
}
