//! Answers that are wrong.

use source_fetch::git::{GitProblem, History, ProtocolError};

use crate::git_support::{Action, Place, Server, git, request, sample, tag};
use crate::{ADVERTISEMENT, against, answer, protocol, redirect, status};

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
