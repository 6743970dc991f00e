//! Digests of git sources, as pacman 6.1 and later take them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use network_policy::SourcePolicy;
use source_fetch::{
    Algorithm, Checksum, Directories, FetchError, Fetched, Policy, SourceRequest, fetch_all,
};
use tokio_util::sync::CancellationToken;

use crate::git_support::git;
use crate::repository::{Made, of_files};
use crate::{archived_by_git, has_git};
use source_fetch::git::Exports;

const KINDS: [(&str, &str); 8] = [
    ("cksums", "cksum"),
    ("md5sums", "md5sum"),
    ("sha1sums", "sha1sum"),
    ("sha224sums", "sha224sum"),
    ("sha256sums", "sha256sum"),
    ("sha384sums", "sha384sum"),
    ("sha512sums", "sha512sum"),
    ("b2sums", "b2sum"),
];

/// What a program of coreutils says of these bytes.
fn summed(program: &str, bytes: &[u8]) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

async fn fetch(
    root: &Path,
    bare: &Path,
    fragment: &str,
    sums: &[(&str, &str)],
) -> Result<Vec<Fetched>, FetchError> {
    let source = format!("r::git+file://{}{fragment}", bare.display());
    let mut request = SourceRequest::new(source.parse().unwrap());
    for (kind, digest) in sums {
        request = request.with_checksum(Checksum::parse(kind, digest).unwrap());
    }
    let directories = Directories {
        srcdir: root.join("src"),
        cache: root.join("cache"),
        startdir: root.to_owned(),
    };
    let policy = Policy {
        network: SourcePolicy::default().allow_files(true),
        ..Policy::default()
    };
    let token = CancellationToken::new();
    fetch_all(&[request], &directories, &policy, &token, &|_| {}).await
}

#[tokio::test]
async fn a_digest_of_every_kind_is_compared() {
    if !has_git() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let made = Made::at_random(root.path(), 3);
    let archive = archived_by_git(&made.bare, "v1", Exports::Ignored);
    let digests: Vec<(&str, String)> = KINDS
        .iter()
        .map(|(kind, program)| (*kind, summed(program, &archive)))
        .collect();
    let commit = format!("#commit={}", made.commit);
    let abbreviated = format!("#commit={}", &made.commit[..12]);
    for fragment in [
        "#tag=v1",
        "#tag=light",
        &commit,
        &abbreviated,
        "#branch=main",
        "",
    ] {
        let all: Vec<(&str, &str)> = digests.iter().map(|(k, d)| (*k, d.as_str())).collect();
        let place = tempfile::tempdir().unwrap();
        let fetched = fetch(place.path(), &made.bare, fragment, &all)
            .await
            .unwrap();
        let proof = &fetched[0].verification;
        assert_eq!(proof.digests, Algorithm::ALL, "{fragment}");
        assert!(proof.is_strong() && !proof.skipped, "{fragment}");
        for (kind, digest) in &digests {
            let mut wrong = digest.clone().into_bytes();
            wrong[0] = if wrong[0] == b'1' { b'2' } else { b'1' };
            let wrong = String::from_utf8(wrong).unwrap();
            let place = tempfile::tempdir().unwrap();
            let result = fetch(place.path(), &made.bare, fragment, &[(kind, &wrong)]).await;
            let Err(FetchError::Mismatch { expected, got, .. }) = result else {
                panic!("{kind} {fragment}: {result:?}");
            };
            assert_eq!((&expected, &got), (&wrong, digest));
            assert!(!place.path().join("src").exists());
        }
    }
}

#[tokio::test]
async fn what_is_skipped_is_not_verified() {
    if !has_git() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let made = Made::at_random(root.path(), 4);
    for sums in [&[("sha256sums", "SKIP")][..], &[]] {
        let place = tempfile::tempdir().unwrap();
        let fetched = fetch(place.path(), &made.bare, "#tag=v1", sums)
            .await
            .unwrap();
        let proof = &fetched[0].verification;
        assert!(proof.digests.is_empty() && !proof.is_strong());
        assert_eq!(proof.skipped, !sums.is_empty());
    }
}

#[tokio::test]
async fn the_digest_of_either_pacman_is_taken() {
    if !has_git() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let bare = of_files(
        root.path(),
        &[
            (".gitattributes", "v export-subst\ntests export-ignore\n"),
            ("v", "$Format:%H %h %cd$\n"),
            ("tests/x", "x"),
            ("a", "a"),
        ],
    );
    git(&bare, &["tag", "v1", "main"]);
    let digests: Vec<String> = [Exports::Ignored, Exports::Followed]
        .into_iter()
        .map(|exports| summed("sha256sum", &archived_by_git(&bare, "v1", exports)))
        .collect();
    assert_ne!(digests[0], digests[1]);
    for digest in digests {
        let place = tempfile::tempdir().unwrap();
        let sums = [("sha256sums", digest.as_str())];
        let fetched = fetch(place.path(), &bare, "#tag=v1", &sums).await.unwrap();
        assert_eq!(fetched[0].verification.digests, [Algorithm::Sha256]);
        // What is exported has no say in what is checked out.
        assert!(place.path().join("src/r/tests/x").exists());
    }
}
