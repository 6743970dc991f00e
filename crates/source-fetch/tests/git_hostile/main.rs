//! Hostile servers and repositories: each ends in its own error, and nothing is left behind.
#![allow(clippy::unwrap_used)]

#[path = "../git_support/mod.rs"]
mod git_support;

mod content;
mod resources;
mod server;
mod transfer;

use std::path::PathBuf;

use source_fetch::git::{GitProblem, History, ProtocolError};

use git_support::{Action, Place, Seen, Server, branch, request, sample};

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
