//! How much history a checkout has, and what it says where it has none.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use network_policy::SourcePolicy;
use source_fetch::git::{GitProblem, History};
use source_fetch::{Directories, FetchError, GitReference, Policy, SourceRequest, fetch_all};
use tokio_util::sync::CancellationToken;

use crate::git_support::{
    Place, Server, advance, assert_sound, branch, commit, fails, git, request, sample, tag, work_of,
};

#[tokio::test]
async fn a_build_that_counts_commits_fails_without_history() {
    let place = Place::new();
    sample(place.root(), "r");
    let server = Server::plain(place.root());
    let checkout = place
        .provide(
            &request(&server.url("r.git"), branch("main"), History::Shallow),
            "r",
        )
        .await
        .unwrap()
        .path;
    for question in [
        &["rev-list", "--count", "HEAD"][..],
        &["describe"],
        &["describe", "--tags"],
        &["describe", "--long", "--match", "v*"],
        &["log", "--oneline"],
        &["shortlog", "-s", "HEAD"],
    ] {
        assert!(fails(&checkout, question), "{question:?}");
    }
    // What concerns the commit alone is answered.
    assert_eq!(git(&checkout, &["status", "--porcelain"]), "");
    assert_eq!(git(&checkout, &["diff", "HEAD"]), "");
    fs::write(checkout.join("README"), "changed\n").unwrap();
    git(&checkout, &["commit", "-q", "-a", "-m", "on top"]);
    assert_sound(&checkout);
}

/// Fetches as a recipe does, and says how many commits there are.
async fn commits(
    root: &Path,
    url: &str,
    needs_history: bool,
    offline: bool,
) -> Result<String, FetchError> {
    let place = tempfile::tempdir().unwrap();
    let source = format!("r::git+{url}#branch=main");
    let mut request = SourceRequest::new(source.parse().unwrap());
    request.needs_history = needs_history;
    let directories = Directories {
        srcdir: place.path().join("src"),
        cache: root.join("sources"),
        startdir: place.path().to_owned(),
    };
    let policy = Policy {
        network: SourcePolicy::default()
            .allow_host("127.0.0.1".parse().unwrap())
            .allow_insecure(true),
        offline,
        ..Policy::default()
    };
    let token = CancellationToken::new();
    fetch_all(&[request], &directories, &policy, &token, &|_| {}).await?;
    let checkout = place.path().join("src/r");
    let question = ["rev-list", "--count", "HEAD"];
    Ok(if fails(&checkout, &question) {
        "none".to_owned()
    } else {
        git(&checkout, &question)
    })
}

#[tokio::test]
async fn a_build_system_that_asks_gets_the_history() {
    let files = [
        ("notes.txt", "git describe", "none"),
        ("CMakeLists.txt", "project(x)", "none"),
        ("meson.build", "run_command('git', 'describe')", "8"),
        (
            "cmake/build-info.cmake",
            "${GIT_EXECUTABLE} rev-list --count HEAD",
            "8",
        ),
        ("deep/Makefile", "git rev-parse --short HEAD", "8"),
        ("pyproject.toml", "requires = ['setuptools_scm'] # git", "8"),
    ];
    for (name, text, expected) in files {
        let root = tempfile::tempdir().unwrap();
        let bare = sample(root.path(), "r");
        let path = work_of(&bare).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        git(&work_of(&bare), &["add", "-A"]);
        advance(&bare, "asks");
        let server = Server::plain(root.path());
        let url = server.url("r.git");
        for (needs_history, offline) in [(false, false), (false, true)] {
            let found = commits(root.path(), &url, needs_history, offline)
                .await
                .unwrap();
            assert_eq!(found, expected, "{name}, offline: {offline}");
        }
        assert_eq!(commits(root.path(), &url, true, false).await.unwrap(), "8");
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_costs_no_transfer() {
    let place = Place::new();
    sample(place.root(), "r");
    for old in [false, true] {
        let server = server_of(place.root(), old);
        for reference in [branch("absent"), tag("absent")] {
            for history in [History::Shallow, History::Full] {
                let wanted = request(&server.url("r.git"), reference.clone(), history);
                let result = place.fetch(&wanted).await;
                assert!(
                    matches!(result, Err(GitProblem::Missing { .. })),
                    "{result:?}"
                );
            }
        }
        assert!(server.seen().iter().all(|seen| !seen.is_fetch()));
    }
}

fn server_of(root: &Path, old: bool) -> Server {
    use crate::git_support::Action;
    Server::start(
        root,
        move |_| if old { Action::Old } else { Action::Backend },
    )
}

#[tokio::test]
async fn abbreviated_ids_are_as_long_as_in_a_mirror() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    // Enough objects that no branch leads to for one more digit.
    let mut stream = String::new();
    for n in 0..17_000 {
        let _ = write!(stream, "blob\nmark :{}\ndata <<E\nblob {n}\nE\n", n + 1);
    }
    stream += "commit refs/pull/1/head\ncommitter A <a@example.org> 1704067200 +0000\ndata 1\nx\n";
    for n in 0..17_000 {
        let _ = writeln!(stream, "M 100644 :{} f{n}", n + 1);
    }
    crate::git_support::git_with(
        &bare,
        &["fast-import", "--quiet", "--force"],
        stream.as_bytes(),
    );
    let mirror = place.root().join("mirror.git");
    let paths = [bare.to_str().unwrap(), mirror.to_str().unwrap()];
    git(
        place.root(),
        &["clone", "-q", "--mirror", paths[0], paths[1]],
    );
    let expected = git(&mirror, &["rev-parse", "--short", "main"]);
    assert!(expected.len() > git(&work_of(&bare), &["rev-parse", "--short", "HEAD"]).len());
    for old in [false, true] {
        let place = Place::new();
        let server = server_of(bare.parent().unwrap(), old);
        let id = git(&mirror, &["rev-parse", "main"]);
        for reference in [
            GitReference::Default,
            branch("main"),
            tag("v1.0"),
            commit(&id),
        ] {
            let is_tag = matches!(reference, GitReference::Tag(_));
            let wanted = request(&server.url("r.git"), reference, History::Full);
            let _ = fs::remove_dir_all(place.srcdir());
            let checkout = place.provide(&wanted, "r").await.unwrap();
            let short = git(&checkout.path, &["rev-parse", "--short", "HEAD"]);
            assert_eq!(short.len(), expected.len());
            assert!(is_tag || short == expected);
        }
    }
}
