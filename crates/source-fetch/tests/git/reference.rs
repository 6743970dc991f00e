//! Tags, branches, commits and addresses.

use std::fs;

use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History, UrlRewrites};

use crate::git_support::{
    self, Action, Place, Server, advance, assert_sound, branch, commit, git, request, sample, tag,
    work_of,
};

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

#[tokio::test]
async fn a_full_commit_id_is_never_a_name() {
    let place = Place::new();
    let bare = sample(place.root(), "r");
    let server = Server::plain(place.root());
    let local = format!("file://{}/", place.root().display());
    for length in [40, 64] {
        let id = "0123456789abcdef".repeat(4)[..length].to_owned();
        assert!(commit(&id).is_full_commit());
        // git itself refuses such a branch through `branch`, and not through `update-ref`.
        git(&bare, &["update-ref", &format!("refs/heads/{id}"), "main"]);
        git(&bare, &["update-ref", &format!("refs/tags/{id}"), "main"]);
        for (base, history) in [
            (server.url(""), History::Shallow),
            (server.url(""), History::Full),
            (local.clone(), History::Full),
        ] {
            let result = place
                .fetch(&request(&format!("{base}r.git"), commit(&id), history))
                .await;
            assert!(
                matches!(result, Err(GitProblem::Missing { .. })),
                "{base} {history:?} {result:?}"
            );
        }
    }
    let upper = git(&bare, &["rev-parse", "main"]).to_uppercase();
    let found = place
        .fetch(&request(
            &server.url("r.git"),
            commit(&upper),
            History::Shallow,
        ))
        .await
        .unwrap();
    assert_eq!(found.commit().to_uppercase(), upper);
}

#[tokio::test]
async fn a_commit_id_for_a_tag_is_that_commit() {
    let origin = Place::new();
    let bare = sample(origin.root(), "r");
    let server = Server::plain(origin.root());
    let id = git(&bare, &["rev-parse", "main~2"]);
    for history in [History::Shallow, History::Full] {
        for url in [server.url("r.git"), bare.display().to_string()] {
            let place = Place::new();
            let wanted = request(&url, tag(&id), history);
            let checkout = place.provide(&wanted, "r").await.unwrap();
            assert_eq!(checkout.commit, id);
            assert_eq!(git(&checkout.path, &["rev-parse", "HEAD"]), id);
            let absent = request(&url, tag(&id.replace(['0', '1', '2'], "3")), history);
            let result = place.fetch(&absent).await;
            assert!(
                matches!(result, Err(GitProblem::Missing { .. })),
                "{result:?}"
            );
        }
    }
    let source: source_fetch::Source = format!("git+https://example.org/r#tag={id}")
        .parse()
        .unwrap();
    let source_fetch::Location::Git(source) = source.location() else {
        panic!("{source:?}");
    };
    assert!(source.reference().is_full_commit());
    assert!(!tag("v1.0").is_full_commit());
}
