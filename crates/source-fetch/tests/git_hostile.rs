//! Hostile servers and repositories: each ends in its own error, and nothing is left behind.
#![allow(clippy::unwrap_used)]

mod git_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git_support::{Action, Place, Seen, Server, branch, git, git_with, request, sample, tag};
use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History, ProtocolError};

/// A bare repository whose only commit holds the tree made of these entries, unchecked.
fn crafted(root: &Path, name: &str, entries: &[(&str, &[u8], &str)]) -> PathBuf {
    let bare = root.join(name);
    git(root, &["init", "-q", "--bare", "-b", "main", name]);
    let tree = tree(&bare, entries);
    let id = git(&bare, &["commit-tree", "-m", "x", &tree]);
    git(&bare, &["update-ref", "refs/heads/main", &id]);
    bare
}

fn tree(bare: &Path, entries: &[(&str, &[u8], &str)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, id) in entries {
        bytes.extend_from_slice(format!("{mode} ").as_bytes());
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend(
            (0..40)
                .step_by(2)
                .map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()),
        );
    }
    git_with(
        bare,
        &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        &bytes,
    )
}

fn blob(root: &Path, content: &[u8]) -> String {
    // Every crafted repository needs the blob itself, so it is written there again.
    git_with(root, &["hash-object", "--stdin"], content)
}

#[tokio::test]
async fn hostile_trees_are_refused() {
    let place = Place::new();
    let root = place.root();
    let content = b"#!/bin/sh\ntouch pwned\n";
    let file = blob(root, content);
    let names: [&[u8]; 14] = [
        b".git",
        b".GIT",
        b".Git",
        b"git~1",
        b"..",
        b".",
        b"a/b",
        b"../x",
        b"/etc",
        b".git ",
        b".git.",
        b".git::$DATA",
        b".g\xe2\x80\x8cit",
        b"\xef\xbb\xbf.git",
    ];
    let mut repositories = Vec::new();
    for (index, name) in names.iter().enumerate() {
        repositories.push(crafted(
            root,
            &format!("name{index}.git"),
            &[("100644", name, &file)],
        ));
    }
    // `.git` as a directory with a hook in it, the same name twice, and a link that a directory then hides.
    let scratch = crafted(root, "scratch.git", &[]);
    let hooks = tree(&scratch, &[("100755", b"post-checkout", &file)]);
    let link = blob(root, b"../../outside");
    let inner = tree(&scratch, &[("100644", b"file", &file)]);
    let shapes: [&[(&str, &[u8], &str)]; 5] = [
        &[("40000", b".git", &hooks)],
        &[("100644", b"a", &file), ("100644", b"a", &file)],
        &[("120000", b"a", &link), ("40000", b"a", &inner)],
        &[("40000", b"a", &inner), ("120000", b"a", &link)],
        &[("120000", b".gitmodules", &link)],
    ];
    for (index, shape) in shapes.iter().enumerate() {
        repositories.push(crafted(root, &format!("shape{index}.git"), shape));
    }
    for bare in &repositories {
        git_with(bare, &["hash-object", "-w", "--stdin"], content);
        git_with(bare, &["hash-object", "-w", "--stdin"], b"../../outside");
        tree(bare, &[("100755", b"post-checkout", &file)]);
        tree(bare, &[("100644", b"file", &file)]);
    }
    let server = Server::plain(root);
    for bare in &repositories {
        let name = bare.file_name().unwrap().to_str().unwrap();
        for url in [server.url(name), bare.display().to_string()] {
            let result = place
                .provide(&request(&url, branch("main"), History::Shallow), "r")
                .await;
            assert!(result.is_err(), "{url} was checked out");
            assert_eq!(place.leftovers(), Vec::<PathBuf>::new(), "{url}");
        }
        let result = place
            .provide(
                &request(&server.url(name), branch("main"), History::Full),
                "r",
            )
            .await;
        assert!(
            matches!(
                &result,
                Err(GitProblem::UnsafePath { .. }
                    | GitProblem::Protocol { .. }
                    | GitProblem::Git { .. })
            ),
            "{name}: {result:?}"
        );
    }
    assert!(!root.join("outside").exists());
    assert!(!Path::new("pwned").exists());
}

#[tokio::test]
async fn a_tree_that_multiplies_is_bounded() {
    let mut place = Place::new();
    place.options.limits.files = 5000;
    let bare = crafted(place.root(), "bomb.git", &[]);
    let file = git_with(&bare, &["hash-object", "-w", "--stdin"], b"x");
    let mut level = tree(&bare, &[("100644", b"f", &file)]);
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| ("40000", name.as_bytes(), level.as_str()))
            .collect();
        level = tree(&bare, &entries);
    }
    let id = git(&bare, &["commit-tree", "-m", "x", &level]);
    git(&bare, &["update-ref", "refs/heads/main", &id]);
    let server = Server::plain(place.root());
    let result = place
        .provide(
            &request(&server.url("bomb.git"), branch("main"), History::Shallow),
            "r",
        )
        .await;
    assert!(
        matches!(result, Err(GitProblem::Limit { unit: "files", .. })),
        "{result:?}"
    );
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn sizes_are_bounded() {
    let mut place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let request = request(&server.url("r.git"), GitReference::Default, History::Full);
    let defaults = place.options.limits.clone();
    place.options.limits.objects = 5;
    let result = place.fetch(&request).await;
    assert!(
        matches!(
            result,
            Err(GitProblem::Limit {
                unit: "objects",
                ..
            })
        ),
        "{result:?}"
    );
    place.options.limits = defaults.clone();
    place.options.limits.received_bytes = 500;
    let result = place.fetch(&request).await;
    assert!(
        matches!(result, Err(GitProblem::Limit { unit: "bytes", .. })),
        "{result:?}"
    );
    place.options.limits = defaults.clone();
    place.options.limits.references = 1;
    let result = place.fetch(&request).await;
    assert!(
        matches!(
            result,
            Err(GitProblem::Limit {
                unit: "references",
                ..
            })
        ),
        "{result:?}"
    );
    place.options.limits = defaults.clone();
    place.options.limits.checkout_bytes = 100;
    let result = place.provide(&request, "r").await;
    assert!(
        matches!(result, Err(GitProblem::Limit { unit: "bytes", .. })),
        "{result:?}"
    );
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    place.options.limits = defaults;
    place.provide(&request, "r").await.unwrap();
}

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";

fn answer(content_type: &'static str, body: &[u8]) -> Action {
    Action::Answer {
        status: "200 OK",
        headers: vec![("Content-Type", content_type.to_owned())],
        body: body.to_vec(),
    }
}

fn redirect(to: &str) -> Action {
    Action::Answer {
        status: "302 Found",
        headers: vec![("Location", to.to_owned())],
        body: Vec::new(),
    }
}

fn status(status: &'static str) -> Action {
    Action::Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// Fetches from a server that behaves like this, and hands back the error.
async fn against(choose: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> GitProblem {
    let place = Place::new();
    sample(place.root(), "r");
    let server = Server::start(place.root(), choose);
    let result = place
        .provide(
            &request(&server.url("r.git"), branch("main"), History::Full),
            "r",
        )
        .await;
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    result.unwrap_err()
}

fn protocol(problem: &GitProblem) -> &ProtocolError {
    match problem {
        GitProblem::Protocol { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_that_are_not_git_are_refused() {
    type Case = (&'static str, &'static [u8], fn(&ProtocolError) -> bool);
    let cases: [Case; 14] = [
        ("text/html", b"<html>", |e| matches!(e, ProtocolError::ContentType(_))),
        ("text/plain", b"0123 refs/heads/main\n", |e| matches!(e, ProtocolError::ContentType(_))),
        (ADVERTISEMENT, b"", |e| *e == ProtocolError::Truncated),
        (ADVERTISEMENT, b"00", |e| *e == ProtocolError::Truncated),
        (ADVERTISEMENT, b"ffff", |e| *e == ProtocolError::Truncated),
        (ADVERTISEMENT, b"zzzz", |e| matches!(e, ProtocolError::PacketLength(_))),
        (ADVERTISEMENT, b"0003", |e| matches!(e, ProtocolError::PacketLength(_))),
        (ADVERTISEMENT, b"0001", |e| matches!(e, ProtocolError::Unexpected(_))),
        (ADVERTISEMENT, b"000eversion 2\n", |e| *e == ProtocolError::Truncated),
        (ADVERTISEMENT, b"000eversion 2\n0000", |e| matches!(e, ProtocolError::Capability(_))),
        (ADVERTISEMENT, b"000eversion 2\n0019object-format=sha256\n\x30\x30\x30\x30", |e| {
            matches!(e, ProtocolError::ObjectFormat(_) | ProtocolError::PacketLength(_))
        }),
        (ADVERTISEMENT, b"0008\xff\xff\xff\xff0000", |e| matches!(e, ProtocolError::Reference(_))),
        (ADVERTISEMENT, b"0010not an id\n\x30\x30\x30\x30", |e| {
            matches!(e, ProtocolError::Reference(_) | ProtocolError::PacketLength(_))
        }),
        (
            ADVERTISEMENT,
            b"00520123456789012345678901234567890123456789 refs/heads/../../evil\0side-band-64k ofs\n0000",
            |e| matches!(e, ProtocolError::Reference(_) | ProtocolError::Truncated | ProtocolError::PacketLength(_)),
        ),
    ];
    for (content_type, body, expected) in cases {
        let problem = against(move |_| answer(content_type, body)).await;
        assert!(
            expected(protocol(&problem)),
            "{}: {problem:?}",
            body.escape_ascii()
        );
    }
}

#[tokio::test]
async fn words_of_a_server_are_shown_without_control_characters() {
    let problem = against(|_| answer(ADVERTISEMENT, b"0018ERR \x1b[2Jgo away\x07\n0000")).await;
    let text = problem.to_string();
    assert!(
        matches!(problem, GitProblem::Remote { .. }) && text.contains("go away"),
        "{text}"
    );
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[tokio::test]
async fn statuses_are_told_apart() {
    assert!(matches!(
        against(|_| status("404 Not Found")).await,
        GitProblem::Status { status: 404, .. }
    ));
    assert!(matches!(
        against(|_| status("500 Oops")).await,
        GitProblem::Status { status: 500, .. }
    ));
    assert!(matches!(
        against(|_| status("401 No")).await,
        GitProblem::Authentication { .. }
    ));
}

#[tokio::test]
async fn redirects_follow_gits_rule() {
    for to in [
        "https://127.0.0.1:1/login",
        "http://127.0.0.1:1/r.git/info/refs",
        "file:///etc/passwd",
        "ftp://127.0.0.1/r.git/info/refs?service=git-upload-pack",
        "/r.git/info/refs?service=git-upload-pack",
    ] {
        let problem = against(move |_| redirect(to)).await;
        assert!(
            matches!(problem, GitProblem::Redirect { .. }),
            "{to}: {problem:?}"
        );
    }
    let problem = against(|seen| {
        if seen.method == "POST" {
            redirect("/other.git/git-upload-pack")
        } else {
            Action::Backend
        }
    })
    .await;
    assert!(
        matches!(problem, GitProblem::Redirect { .. }),
        "{problem:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_followed_without_the_credentials_of_the_first_host() {
    let place = Place::new();
    sample(place.root(), "r");
    let second = Server::plain(place.root());
    // Another port is another origin.
    let target = second.url("r.git/info/refs?service=git-upload-pack");
    let first = Server::start(place.root(), move |_| redirect(&target));
    let url = format!("http://user:hunter2@{}/r.git", first.address);
    let checkout = place
        .provide(&request(&url, tag("v1.0"), History::Shallow), "r")
        .await
        .unwrap();
    assert!(
        first.seen()[0]
            .header("authorization")
            .unwrap()
            .starts_with("Basic ")
    );
    assert!(
        second
            .seen()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
    assert_eq!(
        git(&checkout.path, &["config", "remote.origin.url"]),
        first.url("r.git")
    );
    let search = std::process::Command::new("grep")
        .args(["-rl", "hunter2", "."])
        .current_dir(place.root())
        .output();
    assert!(
        search.unwrap().stdout.is_empty(),
        "the password is on the disk"
    );
}

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
async fn a_forged_tag_is_refused() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let id = git(&bare, &["rev-parse", "refs/tags/v1.0"]);
    git(&bare, &["update-ref", "refs/tags/v2.0", &id]);
    let server = Server::plain(place.root());
    for url in [server.url("r.git"), bare.display().to_string()] {
        let result = place
            .fetch(&request(&url, tag("v2.0"), History::Shallow))
            .await;
        assert!(
            matches!(result, Err(GitProblem::ForgedTag { .. })),
            "{result:?}"
        );
    }
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

#[tokio::test]
async fn nothing_in_a_repository_is_executed() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let work = git_support::work_of(&bare);
    let mark = place.root().join("mark");
    let script = format!("#!/bin/sh\ntouch {}\n", mark.display());
    fs::write(
        work.join(".gitattributes"),
        "* filter=evil diff=evil\n*.crlf eol=crlf\n",
    )
    .unwrap();
    fs::create_dir_all(work.join("hooks")).unwrap();
    for name in ["post-checkout", "post-merge", "reference-transaction"] {
        fs::write(work.join("hooks").join(name), &script).unwrap();
        fs::write(bare.join("hooks").join(name), &script).unwrap();
    }
    git(&work, &["add", "-A"]);
    git_support::advance(&bare, "evil");
    git(
        &bare,
        &[
            "config",
            "filter.evil.smudge",
            &format!("touch {}", mark.display()),
        ],
    );
    git(
        &bare,
        &[
            "config",
            "core.fsmonitor",
            &format!("touch {}", mark.display()),
        ],
    );
    git(&bare, &["config", "core.hooksPath", "hooks"]);
    for history in [History::Shallow, History::Full] {
        let name = format!("{history:?}");
        let request = request(bare.to_str().unwrap(), branch("main"), history);
        let checkout = place.provide(&request, &name).await.unwrap();
        let config = fs::read_to_string(checkout.path.join(".git/config")).unwrap();
        assert!(
            !config.contains("evil") && !config.contains("fsmonitor"),
            "{config}"
        );
    }
    assert!(!mark.exists());
}
