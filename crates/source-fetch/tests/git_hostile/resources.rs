//! Small repositories that would take much memory or time.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use source_fetch::git::{GitCheckout, GitProblem, History};

use crate::content::{crafted, tree};
use crate::git_support::{Place, Server, branch, git, git_with, request};

/// Names the child process that a test measures; see [`measured`].
const CHILD: &str = "GIT_HOSTILE_CHILD";

/// Runs the calling test, `name`, in a process of its own, where this returns false; there `true` in the caller says
/// that it took no more than `limit` bytes at its peak.
fn measured(name: &str, limit: u64) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return false;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let peak = text
        .split("peak=")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let peak: u64 = peak.unwrap().parse().unwrap();
    assert!(peak <= limit, "{peak} bytes, more than {limit}");
    true
}

fn tell_peak() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes: u64 = line
        .and_then(|line| line.split_ascii_whitespace().nth(1))
        .unwrap()
        .parse()
        .unwrap();
    let line = format!("\npeak={}\n", kibibytes << 10);
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

fn commit_tree(bare: &Path, tree: &str) {
    let id = git(bare, &["commit-tree", "-m", "x", tree]);
    git(bare, &["update-ref", "refs/heads/main", &id]);
}

async fn checked_out(place: &Place, bare: &Path) -> Result<GitCheckout, GitProblem> {
    let server = Server::plain(place.root());
    let name = bare.file_name().unwrap().to_str().unwrap();
    let result = place
        .provide(
            &request(&server.url(name), branch("main"), History::Shallow),
            "r",
        )
        .await;
    if result.is_err() {
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    }
    result
}

#[tokio::test]
async fn long_names_that_multiply_take_little_memory() {
    if measured(
        "resources::long_names_that_multiply_take_little_memory",
        600 << 20,
    ) {
        return;
    }
    let place = Place::new();
    let bare = crafted(place.root(), "names.git", &[]);
    let file = git_with(&bare, &["hash-object", "-w", "--stdin"], b"x");
    let mut level = tree(&bare, &[("100644", b"f", &file)]);
    for _ in 0..15 {
        let names: Vec<String> = (0..4).map(|n| format!("{n}{}", "n".repeat(249))).collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| ("40000", name.as_bytes(), level.as_str()))
            .collect();
        level = tree(&bare, &entries);
    }
    commit_tree(&bare, &level);
    let result = checked_out(&place, &bare).await;
    let is_limit = matches!(
        result,
        Err(GitProblem::Limit {
            unit: "bytes of paths",
            ..
        })
    );
    assert!(is_limit, "{result:?}");
    tell_peak();
}

#[tokio::test]
async fn objects_that_are_read_whole_are_bounded() {
    if measured(
        "resources::objects_that_are_read_whole_are_bounded",
        256 << 20,
    ) {
        return;
    }
    let place = Place::new();
    let bare = crafted(place.root(), "large.git", &[]);
    let empty = tree(&bare, &[]);
    let head = format!("tree {empty}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\n");
    let path = place.root().join("commit");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(head.as_bytes()).unwrap();
    let mebibyte = vec![b'x'; 1 << 20];
    for _ in 0..300 {
        file.write_all(&mebibyte).unwrap();
    }
    let path = path.to_str().unwrap();
    let id = git(&bare, &["hash-object", "-t", "commit", "-w", path]);
    git(&bare, &["update-ref", "refs/heads/main", &id]);
    let result = checked_out(&place, &bare).await;
    assert!(
        matches!(result, Err(GitProblem::Protocol { .. })),
        "{result:?}"
    );
    tell_peak();
}

#[tokio::test]
async fn attributes_are_bounded() {
    let place = Place::new();
    let large = b"* text\n".repeat(200_000);
    let converting = b"*.bat eol=crlf\n".repeat(5_000);
    let wild = b"**/a/**/b/** eol=crlf\n";
    let plain = b"*.png binary\n".repeat(1_000);
    let cases: [(&str, &[u8], usize, Option<&str>); 5] = [
        ("large.git", &large, 1, Some("bytes of a `.gitattributes`")),
        ("many.git", &converting, 50, None),
        ("wild.git", wild, 1, None),
        ("few.git", &converting, 5, None),
        ("plain.git", &plain, 200, None),
    ];
    for (name, content, directories, expected) in cases {
        let bare = crafted(place.root(), name, &[]);
        let attributes = git_with(&bare, &["hash-object", "-w", "--stdin"], content);
        let file = git_with(&bare, &["hash-object", "-w", "--stdin"], b"one\ntwo\n");
        let inner = tree(
            &bare,
            &[
                ("100644", b".gitattributes", &attributes),
                ("100644", b"run.bat", &file),
            ],
        );
        let names: Vec<String> = (0..directories).map(|n| format!("d{n:04}")).collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| ("40000", name.as_bytes(), inner.as_str()))
            .collect();
        commit_tree(&bare, &tree(&bare, &entries));
        let result = checked_out(&place, &bare).await;
        match (expected, result) {
            (Some(expected), Err(GitProblem::Limit { unit, .. })) => {
                assert_eq!(unit, expected, "{name}");
            }
            (None, Ok(checkout)) => {
                assert_eq!(
                    git(&checkout.path, &["status", "--porcelain"]),
                    "",
                    "{name}"
                );
                let written = fs::read(checkout.path.join("d0000/run.bat")).unwrap();
                let is_converted = written == b"one\r\ntwo\r\n";
                assert_eq!(is_converted, ["few.git", "many.git"].contains(&name));
                assert_eq!(checkout.files, 3 * directories as u64);
                fs::remove_dir_all(&checkout.path).unwrap();
            }
            (_, result) => panic!("{name}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn conversion_keeps_the_limits_of_a_checkout() {
    let mut place = Place::new();
    let bare = crafted(place.root(), "r.git", &[]);
    let attributes = git_with(
        &bare,
        &["hash-object", "-w", "--stdin"],
        b"* text=auto eol=crlf\nb ident\n",
    );
    let file = git_with(&bare, &["hash-object", "-w", "--stdin"], &[b'x'; 5000]);
    let huge = git_with(
        &bare,
        &["hash-object", "-w", "--stdin"],
        &vec![0; 129 << 20],
    );
    let with = |last: &str| {
        tree(
            &bare,
            &[
                ("100644", b".gitattributes", &attributes),
                ("100644", b"a", &file),
                ("100644", b"b", last),
            ],
        )
    };
    commit_tree(&bare, &with(&huge));
    let result = checked_out(&place, &bare).await;
    let unit = "bytes of a file whose encoding or `$Id$` is converted";
    assert!(
        matches!(&result, Err(GitProblem::Limit { unit: found, .. }) if *found == unit),
        "{result:?}"
    );
    commit_tree(&bare, &with(&file));
    place.options.limits.checkout_bytes = 9_000;
    let result = checked_out(&place, &bare).await;
    assert!(
        matches!(result, Err(GitProblem::Limit { unit: "bytes", .. })),
        "{result:?}"
    );
    place.options.limits.checkout_bytes = 20_000;
    checked_out(&place, &bare).await.unwrap();
}
