//! What a checkout looks like.

use std::fs;

use source_fetch::GitReference;
use source_fetch::git::{GitProblem, History};

use crate::clone;
use crate::git_support::{
    Place, Server, advance, assert_sound, branch, git, listing, request, sample, work_of,
};

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
