//! Repositories made to do harm.

use std::fs;
use std::path::{Path, PathBuf};

use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History};

use crate::git_support::{self, Place, Server, branch, git, git_with, request, sample, tag};

/// A bare repository whose only commit holds the tree made of these entries, unchecked.
pub(crate) fn crafted(root: &Path, name: &str, entries: &[(&str, &[u8], &str)]) -> PathBuf {
    let bare = root.join(name);
    git(root, &["init", "-q", "--bare", "-b", "main", name]);
    let tree = tree(&bare, entries);
    let id = git(&bare, &["commit-tree", "-m", "x", &tree]);
    git(&bare, &["update-ref", "refs/heads/main", &id]);
    bare
}

pub(crate) fn tree(bare: &Path, entries: &[(&str, &[u8], &str)]) -> String {
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
