//! Archives and checkouts, byte for byte against the git program over repositories made at random.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../git_support/mod.rs"]
mod git_support;

mod digests;
mod repository;

use std::fs;
use std::path::Path;
use std::process::Command;

use git_support::{Place, assert_sound, git, isolated, listing, request};
use repository::Made;
use source_fetch::GitReference;
use source_fetch::git::{Archived, Exports, GitProblem, GitRevision, History};

/// Whether there is a git to compare with.
fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no `git`");
    }
    found
}

async fn revision(place: &Place, bare: &Path, reference: GitReference) -> GitRevision {
    let url = bare.to_str().unwrap();
    place
        .fetch(&request(url, reference, History::Full))
        .await
        .unwrap()
}

/// What makepkg would take the digest of.
fn archived_by_git(bare: &Path, reference: &str, exports: Exports) -> Vec<u8> {
    let info = bare.join("info");
    fs::create_dir_all(&info).unwrap();
    let attributes = match exports {
        Exports::Ignored => "* -export-subst -export-ignore\n",
        Exports::Followed => "",
    };
    fs::write(info.join("attributes"), attributes).unwrap();
    let output = isolated("git")
        .args(["-c", "core.abbrev=no", "-C"])
        .arg(bare)
        .args(["archive", "--format", "tar", reference])
        .output()
        .unwrap();
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{problem}");
    output.stdout
}

/// Fails with the first difference, as the whole is too long to be shown.
fn assert_same(ours: &[u8], gits: &[u8], what: &str) {
    if ours == gits {
        return;
    }
    let at = ours.iter().zip(gits).take_while(|(one, two)| one == two);
    let at = at.count();
    let around = |bytes: &[u8]| {
        let start = at / 512 * 512;
        let end = bytes.len().min(start + 512);
        bytes
            .get(start..end)
            .unwrap_or_default()
            .escape_ascii()
            .to_string()
    };
    panic!(
        "{what}: {} and {} bytes, different at {at}:\n{}\n{}",
        ours.len(),
        gits.len(),
        around(ours),
        around(gits)
    );
}

#[tokio::test]
async fn archives_are_the_bytes_that_git_makes() {
    if !has_git() {
        return;
    }
    let (mut undefined, mut with_exports) = (0, 0);
    for seed in 0..40 {
        let place = Place::new();
        let made = Made::at_random(place.root(), seed);
        for (reference, name) in [
            (GitReference::Tag("v1".to_owned()), "v1"),
            (GitReference::Tag("light".to_owned()), "light"),
            (
                GitReference::Commit(made.commit.clone()),
                made.commit.as_str(),
            ),
            (GitReference::Branch("main".to_owned()), "main"),
        ] {
            let revision = revision(&place, &made.bare, reference).await;
            for exports in [Exports::Ignored, Exports::Followed] {
                let (end, ours) = revision
                    .archive(exports, Vec::new(), &place.token)
                    .await
                    .unwrap();
                undefined += u32::from(end == Archived::Undefined);
                with_exports += u32::from(end == Archived::WithExports);
                if end == Archived::Undefined {
                    continue;
                }
                let gits = archived_by_git(&made.bare, name, exports);
                assert_same(&ours, &gits, &format!("seed {seed}, {name}, {exports:?}"));
            }
        }
    }
    assert!(with_exports > 20, "{with_exports}");
    assert!(undefined > 0);
}

#[tokio::test]
async fn checkouts_are_the_files_that_git_writes() {
    if !has_git() {
        return;
    }
    for seed in 100..140 {
        let place = Place::new();
        let made = Made::at_random(place.root(), seed);
        let clone = place.root().join("clone");
        git(
            place.root(),
            &[
                "clone",
                "-q",
                made.bare.to_str().unwrap(),
                clone.to_str().unwrap(),
            ],
        );
        let revision = revision(&place, &made.bare, GitReference::Default).await;
        let checkout = revision
            .check_out(&place.srcdir().join("r"), &place.token)
            .await
            .unwrap();
        let (ours, gits) = (listing(&checkout.path), listing(&clone));
        let names = |listing: &[(std::path::PathBuf, u32, Vec<u8>)]| -> Vec<_> {
            listing
                .iter()
                .map(|(path, mode, _)| (path.clone(), *mode))
                .collect()
        };
        assert_eq!(names(&ours), names(&gits), "seed {seed}");
        for ((path, _, one), (_, _, two)) in ours.iter().zip(&gits) {
            assert_same(one, two, &format!("seed {seed}, {}", path.display()));
        }
    }
}

#[tokio::test]
async fn the_converted_files_of_every_encoding_are_gits() {
    if !has_git() {
        return;
    }
    let place = Place::new();
    let bare = repository::of_encodings(place.root());
    let clone = place.root().join("clone");
    git(
        place.root(),
        &[
            "clone",
            "-q",
            bare.to_str().unwrap(),
            clone.to_str().unwrap(),
        ],
    );
    let checkout = revision(&place, &bare, GitReference::Default)
        .await
        .check_out(&place.srcdir().join("r"), &place.token)
        .await
        .unwrap();
    let (ours, gits) = (listing(&checkout.path), listing(&clone));
    assert!(ours.len() > 60);
    for ((path, _, one), (_, _, two)) in ours.iter().zip(&gits) {
        assert_same(one, two, &path.display().to_string());
    }
}

#[tokio::test]
async fn an_encoding_without_a_table_is_named() {
    if !has_git() {
        return;
    }
    let place = Place::new();
    let bare = repository::of_files(
        place.root(),
        &[
            (".gitattributes", "*.txt working-tree-encoding=EUC-TW\n"),
            ("a.txt", "a\n"),
        ],
    );
    let revision = revision(&place, &bare, GitReference::Default).await;
    let result = revision
        .check_out(&place.srcdir().join("r"), &place.token)
        .await;
    let Err(problem @ GitProblem::Conversion { .. }) = result else {
        panic!("{result:?}");
    };
    let source = std::error::Error::source(&problem).unwrap().to_string();
    assert!(source.contains("EUC-TW"), "{source}");
    assert!(place.leftovers().is_empty());
}

#[tokio::test]
async fn patterns_that_take_too_long_are_refused() {
    if !has_git() {
        return;
    }
    let mut place = Place::new();
    place.options.limits.comparisons = 1 << 26;
    let stars = "**/a*".repeat(400);
    let lines: Vec<String> = (0..500).map(|n| format!("{stars}{n} text\n")).collect();
    let attributes = lines.concat();
    let name = "a/".repeat(1000);
    let files: Vec<(String, &str)> = (0..40).map(|n| (format!("{name}{n}"), "x")).collect();
    let mut all: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), *text))
        .collect();
    all.push((".gitattributes", &attributes));
    let bare = repository::of_files(place.root(), &all);
    let result = revision(&place, &bare, GitReference::Default)
        .await
        .check_out(&place.srcdir().join("r"), &place.token)
        .await;
    assert!(
        matches!(result, Err(GitProblem::Limit { .. })),
        "{result:?}"
    );
    assert!(place.leftovers().is_empty());
}

#[tokio::test]
async fn a_large_file_is_converted_in_pieces() {
    if !has_git() {
        return;
    }
    let place = Place::new();
    // Beyond what is converted in memory, and one that only looks like text.
    let text = "a line of text\n".repeat(1_300_000);
    let binary = format!("{text}\0");
    let bare = repository::of_files(
        place.root(),
        &[
            (
                ".gitattributes",
                "*.txt eol=crlf\n*.auto text=auto eol=crlf\n",
            ),
            ("a.txt", &text),
            ("a.auto", &text),
            ("b.auto", &binary),
        ],
    );
    let clone = place.root().join("clone");
    git(
        place.root(),
        &[
            "clone",
            "-q",
            bare.to_str().unwrap(),
            clone.to_str().unwrap(),
        ],
    );
    let revision = revision(&place, &bare, GitReference::Default).await;
    let checkout = revision
        .check_out(&place.srcdir().join("r"), &place.token)
        .await
        .unwrap();
    assert!(listing(&checkout.path) == listing(&clone));
    assert_sound(&checkout.path);
    let (_, ours) = revision
        .archive(Exports::Ignored, Vec::new(), &place.token)
        .await
        .unwrap();
    assert_same(
        &ours,
        &archived_by_git(&bare, "main", Exports::Ignored),
        "large",
    );
}

/// Cancels at the first byte.
struct Cancelling(tokio_util::sync::CancellationToken, u64);
impl std::io::Write for Cancelling {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.cancel();
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_archive_ends_when_it_is_cancelled_or_too_large() {
    if !has_git() {
        return;
    }
    let mut place = Place::new();
    let text = "x".repeat(1 << 20);
    let bare = repository::of_files(place.root(), &[("a", &text), ("b", &text)]);
    place.options.limits.checkout_bytes = (2 << 20) - 1;
    let revision = revision(&place, &bare, GitReference::Default).await;
    let result = revision
        .archive(Exports::Ignored, std::io::sink(), &place.token)
        .await;
    assert!(matches!(
        result,
        Err(GitProblem::Limit { unit: "bytes", .. })
    ));

    let to = Cancelling(place.token.clone(), 0);
    let result = revision.archive(Exports::Ignored, to, &place.token).await;
    assert!(matches!(result, Err(GitProblem::Cancelled)));
}
