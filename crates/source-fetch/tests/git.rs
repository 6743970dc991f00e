//! Git sources against the real `git`: over HTTP, the daemon, ssh and from the same machine.
#![allow(clippy::unwrap_used)]

mod git_support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use git_support::{
    Action, Place, Running, Server, advance, assert_sound, branch, commit, git, isolated, listing,
    request, sample, tag, work_of,
};
use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History, UrlRewrites};

fn clone(url: &str, to: &Path, arguments: &[&str]) {
    let mut all = vec!["clone", "-q"];
    all.extend_from_slice(arguments);
    all.extend_from_slice(&[url, to.to_str().unwrap()]);
    git(Path::new("/"), &all);
}

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

#[tokio::test]
async fn shallow_means_one_commit_and_full_makes_it_whole() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let url = server.url("r.git");
    let shallow = place
        .provide(&request(&url, GitReference::Default, History::Shallow), "a")
        .await
        .unwrap();
    assert_eq!(git(&shallow.path, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(
        git(&shallow.path, &["rev-parse", "--is-shallow-repository"]),
        "true"
    );
    let full = place
        .provide(&request(&url, GitReference::Default, History::Full), "b")
        .await
        .unwrap();
    assert_eq!(git(&full.path, &["rev-list", "--count", "HEAD"]), "7");
    assert_eq!(
        git(&full.path, &["rev-parse", "--is-shallow-repository"]),
        "false"
    );
    // What is whole stays whole.
    let tip = advance(&bare, "later");
    let later = place
        .provide(&request(&url, GitReference::Default, History::Shallow), "c")
        .await
        .unwrap();
    assert_eq!(later.commit, tip);
    assert_eq!(git(&later.path, &["rev-list", "--count", "HEAD"]), "8");
    assert_sound(&later.path);
}

#[tokio::test]
async fn the_second_run_transfers_only_what_is_new() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let request = request(&server.url("r.git"), GitReference::Default, History::Full);
    assert!(place.fetch(&request).await.unwrap().received_bytes() > 0);
    let before = server.seen().len();
    assert_eq!(place.fetch(&request).await.unwrap().received_bytes(), 0);
    assert!(server.seen()[before..].iter().all(|seen| !seen.is_fetch()));
    let tip = advance(&bare, "new");
    let revision = place.fetch(&request).await.unwrap();
    assert_eq!(revision.commit(), tip);
    assert!(
        revision.received_bytes() < 1000,
        "{}",
        revision.received_bytes()
    );
}

#[tokio::test]
async fn a_pinned_commit_in_the_cache_needs_no_server() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let id = git(&bare, &["rev-parse", "main~2"]);
    let request = request(&server.url("r.git"), commit(&id), History::Shallow);
    assert_eq!(place.fetch(&request).await.unwrap().commit(), id);
    let before = server.seen().len();
    assert_eq!(place.fetch(&request).await.unwrap().commit(), id);
    assert_eq!(server.seen().len(), before);
}

#[tokio::test]
async fn a_commit_that_no_branch_holds_is_found() {
    for old in [false, true] {
        let place = Place::new();
        let bare = sample(place.root(), "r");
        let work = work_of(&bare);
        fs::write(work.join("side"), "s").unwrap();
        git(&work, &["checkout", "-q", "-b", "side"]);
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "side"]);
        let id = git(&work, &["rev-parse", "HEAD"]);
        git(
            &work,
            &[
                "push",
                "-q",
                bare.to_str().unwrap(),
                "HEAD:refs/pull/1/head",
            ],
        );
        let server = Server::start(place.root(), move |_| {
            if old { Action::Old } else { Action::Backend }
        });
        let url = server.url("r.git");
        for history in [History::Shallow, History::Full] {
            let checkout = place
                .provide(
                    &request(&url, commit(&id), history),
                    &format!("{history:?}"),
                )
                .await
                .unwrap();
            assert_eq!(checkout.commit, id, "old: {old}, {history:?}");
            assert_sound(&checkout.path);
        }
        let short = git(&bare, &["rev-parse", "--short", "main~1"]);
        let short = place
            .fetch(&request(&url, commit(&short), History::Shallow))
            .await;
        assert_eq!(
            short.unwrap().commit(),
            git(&bare, &["rev-parse", "main~1"])
        );
    }
}

#[tokio::test]
async fn a_rewritten_branch_is_followed() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let work = work_of(&bare);
    for (index, history) in [History::Shallow, History::Full, History::Shallow]
        .into_iter()
        .enumerate()
    {
        git(&work, &["reset", "-q", "--hard", "HEAD~1"]);
        let tip = advance(&bare, &format!("rewritten {index}"));
        let name = index.to_string();
        let checkout = place
            .provide(
                &request(&server.url("r.git"), branch("main"), history),
                &name,
            )
            .await
            .unwrap();
        assert_eq!(checkout.commit, tip);
        assert_sound(&checkout.path);
    }
}

#[tokio::test]
async fn a_deleted_branch_is_gone_with_the_next_full_fetch() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let url = server.url("r.git");
    place
        .fetch(&request(&url, branch("feature/x"), History::Full))
        .await
        .unwrap();
    git(&bare, &["branch", "-D", "feature/x"]);
    for history in [History::Full, History::Shallow] {
        let result = place
            .fetch(&request(&url, branch("feature/x"), history))
            .await;
        assert!(
            matches!(result, Err(GitProblem::Missing { .. })),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let place = Place::new();
    sample(place.root(), "r");
    git(place.root(), &["init", "-q", "--bare", "empty.git"]);
    let unborn = sample(place.root(), "unborn");
    git(&unborn, &["symbolic-ref", "HEAD", "refs/heads/nothing"]);
    for old in [false, true] {
        let server = Server::start(place.root(), move |_| {
            if old { Action::Old } else { Action::Backend }
        });
        let local = format!("file://{}/", place.root().display());
        for base in [server.url(""), local] {
            for history in [History::Shallow, History::Full] {
                let none = "0123456789012345678901234567890123456789";
                for reference in [branch("none"), tag("none"), commit(none), commit("abcdef0")] {
                    let result = place
                        .fetch(&request(
                            &format!("{base}r.git"),
                            reference.clone(),
                            history,
                        ))
                        .await;
                    assert!(
                        matches!(result, Err(GitProblem::Missing { .. })),
                        "{base} {reference:?} {result:?}"
                    );
                }
                for name in ["empty.git", "unborn.git"] {
                    let result = place
                        .fetch(&request(
                            &format!("{base}{name}"),
                            GitReference::Default,
                            history,
                        ))
                        .await;
                    assert!(
                        matches!(result, Err(GitProblem::Empty { .. })),
                        "{base}{name} {history:?} {result:?}"
                    );
                }
            }
            assert!(
                place
                    .fetch(&request(
                        &format!("{base}none.git"),
                        GitReference::Default,
                        History::Full
                    ))
                    .await
                    .is_err()
            );
        }
    }
}

#[tokio::test]
async fn offline_uses_the_cache_alone() {
    let mut place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let shallow = request(&server.url("r.git"), tag("v1.0"), History::Shallow);
    let full = request(&server.url("r.git"), tag("v1.0"), History::Full);
    place.options.offline = true;
    assert!(matches!(
        place.fetch(&shallow).await,
        Err(GitProblem::Offline { .. })
    ));
    place.options.offline = false;
    place.fetch(&shallow).await.unwrap();
    place.options.offline = true;
    place.fetch(&shallow).await.unwrap();
    assert!(matches!(
        place.fetch(&full).await,
        Err(GitProblem::Offline { .. })
    ));
}

#[tokio::test]
async fn submodules_can_be_updated_from_sibling_checkouts() {
    let place = Place::new();
    let library = sample(place.root(), "lib");
    let pinned = git(&library, &["rev-parse", "main~3"]);
    let bare = sample(place.root(), "app");
    let work = work_of(&bare);
    git(
        &work,
        &[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            library.to_str().unwrap(),
            "libs/x",
        ],
    );
    git(&work.join("libs/x"), &["checkout", "-q", &pinned]);
    advance(&bare, "with submodule");

    let server = Server::plain(place.root());
    let app = place
        .provide(
            &request(&server.url("app.git"), branch("main"), History::Full),
            "app",
        )
        .await
        .unwrap();
    let x = place
        .provide(
            &request(&server.url("lib.git"), GitReference::Default, History::Full),
            "x",
        )
        .await
        .unwrap();
    assert!(
        fs::read_dir(app.path.join("libs/x"))
            .unwrap()
            .next()
            .is_none()
    );
    assert_sound(&app.path);
    // The cache is out of sight inside a sandbox.
    fs::rename(place.cache(), place.root().join("hidden")).unwrap();
    git(&app.path, &["submodule", "--quiet", "init"]);
    git(
        &app.path,
        &["config", "submodule.libs/x.url", x.path.to_str().unwrap()],
    );
    git(
        &app.path,
        &[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "update",
        ],
    );
    assert_eq!(
        git(&app.path.join("libs/x"), &["rev-parse", "HEAD"]),
        pinned
    );
}

#[tokio::test]
async fn addresses_are_rewritten_as_the_configuration_says() {
    let mut place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let config = place.root().join("config");
    fs::write(
        &config,
        format!(
            "[url \"{}\"]\n\tinsteadOf = https://example.invalid/\n",
            server.url("")
        ),
    )
    .unwrap();
    place.options.rewrites = UrlRewrites::from_file(&config).unwrap();
    let url = "https://example.invalid/r.git";
    let checkout = place
        .provide(&request(url, tag("v1.0"), History::Shallow), "r")
        .await
        .unwrap();
    assert_eq!(git(&checkout.path, &["config", "remote.origin.url"]), url);
}

#[tokio::test]
async fn line_ends_follow_the_attributes_of_the_repository() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let work = work_of(&bare);
    fs::write(
        work.join(".gitattributes"),
        "*.bat text eol=crlf\n*.id ident\n",
    )
    .unwrap();
    fs::write(work.join("a.bat"), "one\r\ntwo\r\n").unwrap();
    fs::write(work.join("b.id"), "$Id$\n").unwrap();
    git(&work, &["add", "-A"]);
    advance(&bare, "attributes");
    let clone_path = place.root().join("clone");
    clone(bare.to_str().unwrap(), &clone_path, &[]);
    let server = Server::plain(place.root());
    let checkout = place
        .provide(
            &request(&server.url("r.git"), branch("main"), History::Shallow),
            "r",
        )
        .await
        .unwrap();
    assert!(
        fs::read(checkout.path.join("a.bat"))
            .unwrap()
            .contains(&b'\r')
    );
    assert_eq!(listing(&checkout.path), listing(&clone_path));
    assert_sound(&checkout.path);
}

#[tokio::test]
async fn two_fetches_share_one_mirror() {
    let place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let url = server.url("r.git");
    let (a, b) = (
        request(&url, tag("v1.0"), History::Full),
        request(&url, branch("feature/x"), History::Shallow),
    );
    let (a, b) = tokio::join!(place.provide(&a, "a"), place.provide(&b, "b"));
    assert_sound(&a.unwrap().path);
    assert_sound(&b.unwrap().path);
    assert_eq!(
        fs::read_dir(place.cache().join("git")).unwrap().count(),
        2,
        "one mirror and its lock"
    );
}

#[tokio::test]
async fn a_destination_in_use_is_left_alone() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let request = request(
        bare.to_str().unwrap(),
        GitReference::Default,
        History::Shallow,
    );
    fs::create_dir_all(place.srcdir().join("r")).unwrap();
    place.provide(&request, "r").await.unwrap();
    let result = place.provide(&request, "r").await;
    assert!(
        matches!(result, Err(GitProblem::Exists { .. })),
        "{result:?}"
    );
    assert_sound(&place.srcdir().join("r"));
}

#[tokio::test]
async fn a_damaged_mirror_is_replaced() {
    let place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let request = request(&server.url("r.git"), GitReference::Default, History::Full);
    place.fetch(&request).await.unwrap();
    let mirror = fs::read_dir(place.cache().join("git"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_dir())
        .unwrap();
    for file in fs::read_dir(mirror.join("objects/pack"))
        .unwrap()
        .map(|e| e.unwrap().path())
    {
        if file.extension().unwrap() == "pack" {
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[20..middle].fill(0x55);
            fs::remove_file(&file).unwrap();
            fs::write(&file, bytes).unwrap();
        }
    }
    assert_sound(&place.provide(&request, "r").await.unwrap().path);
}

#[tokio::test]
async fn signatures_are_taken_out_with_what_they_sign() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let write = |kind: &str, text: &str| {
        git_support::git_with(
            &bare,
            &["hash-object", "-t", kind, "-w", "--stdin"],
            text.as_bytes(),
        )
    };
    let armor = "-----BEGIN PGP SIGNATURE-----\n\nabcd\n-----END PGP SIGNATURE-----\n";
    let tree = git(&bare, &["rev-parse", "main^{tree}"]);
    let who = "A <a@example.org> 1700000000 +0000";
    let head = format!("tree {tree}\nauthor {who}\ncommitter {who}\n");
    let indented = armor.trim_end().replace('\n', "\n ");
    let signed = write("commit", &format!("{head}gpgsig {indented}\n\nhello\n"));
    let payload = format!("object {signed}\ntype commit\ntag v3\ntagger {who}\n\nhello\n");
    let tag_id = write("tag", &format!("{payload}{armor}"));
    git(&bare, &["update-ref", "refs/tags/v3", &tag_id]);
    git(&bare, &["update-ref", "refs/heads/signed", &signed]);

    let server = Server::plain(place.root());
    let ask = |reference| {
        let mut request = request(&server.url("r.git"), reference, History::Shallow);
        request.signed = true;
        request
    };
    let revision = place.fetch(&ask(branch("signed"))).await.unwrap();
    let found = revision.signed().unwrap();
    assert_eq!((found.kind, found.id.as_str()), ("commit", signed.as_str()));
    assert_eq!(
        String::from_utf8_lossy(&found.payload),
        format!("{head}\nhello\n")
    );
    assert_eq!(
        String::from_utf8_lossy(&found.signature).trim(),
        armor.trim()
    );
    let revision = place.fetch(&ask(tag("v3"))).await.unwrap();
    let found = revision.signed().unwrap();
    assert_eq!((found.kind, found.id.as_str()), ("tag", tag_id.as_str()));
    assert_eq!(String::from_utf8_lossy(&found.payload), payload);
    assert_eq!(String::from_utf8_lossy(&found.signature), armor);
    for reference in [GitReference::Default, tag("v1.0"), tag("light")] {
        let result = place.fetch(&ask(reference)).await;
        assert!(
            matches!(result, Err(GitProblem::Unsigned { .. })),
            "{result:?}"
        );
    }
}
