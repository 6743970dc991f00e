//! Sources that look verified and are not, versions that go back, answers that never age.

use std::path::Path;

use e2e_tests::release;
use git2::Repository;
use worker_provisioner::Verification;

use crate::git;
use crate::harness::{Attack, Verdict};
use crate::scene::{self, Outcome, PROGRAM, Place, recipe};
use crate::server::{Answer, Host};

const KIND: &str = "verification";

/// Fragments that name a commit and do not pin it.
const FRAGMENTS: [&str; 2] = ["tag=v1", "branch=main"];

pub(crate) fn attacks() -> Vec<Attack> {
    let fragments = FRAGMENTS.iter().map(|&fragment| {
        let name = format!("`#{fragment}` passes for a pinned commit");
        Attack::new(KIND, name, move |place| unpinned(place, fragment))
    });
    let others = [
        Attack::new(KIND, "`SKIP` passes for a checksum", skipped),
        Attack::new(KIND, "other bytes than the digest says", other_bytes),
    ];
    fragments.chain(others).collect()
}

async fn with_minimum(place: &Place, host: &Host, minimum: Verification) -> Outcome {
    let mut config = place.config(host);
    config.minimum_verification = minimum;
    scene::provision(config, "demo").await
}

/// A further commit of `main`, tagged as `v1`; its id.
fn commit(path: &Path, text: &str) -> String {
    let repository = Repository::init_bare(path).unwrap();
    repository.set_head("refs/heads/main").unwrap();
    let blob = repository.blob(text.as_bytes()).unwrap();
    let mut tree = repository.treebuilder(None).unwrap();
    tree.insert("file", blob, 0o100_644).unwrap();
    let tree = repository.find_tree(tree.write().unwrap()).unwrap();
    let parent = repository.head().ok();
    let parent = parent.map(|head| head.peel_to_commit().unwrap());
    let parents: Vec<_> = parent.iter().collect();
    let who = git2::Signature::new("a", "a@rbee.invalid", &git2::Time::new(0, 0)).unwrap();
    let id = repository
        .commit(Some("HEAD"), &who, &who, "Add all", &tree, &parents)
        .unwrap();
    let object = repository.find_object(id, None).unwrap();
    repository.tag_lightweight("v1", &object, true).unwrap();
    id.to_string()
}

/// What a name stands for in a repository now.
fn names(path: &Path, name: &str) -> Option<String> {
    let repository = Repository::open(path).unwrap();
    let object = repository.revparse_single(name).ok()?;
    Some(object.id().to_string())
}

async fn unpinned(place: Place, fragment: &'static str) -> Verdict {
    let path = place.folder("served/tree");
    let id = commit(&path, "reviewed");
    let host = Host::start().await;
    let server = git::serve(&place, &host).await;
    let url = host.url("/git/tree");
    host.offer(&recipe(&format!(
        "source=('git+{url}#{fragment}')\nsha256sums=(SKIP)\npackage() {{\n{PROGRAM}\n}}"
    )));
    let outcome = with_minimum(&place, &host, Verification::Checksum).await;
    drop(server);
    // What the fragment names is moved, by whoever serves it, or can be another commit's name.
    let name = fragment.split_once('=').unwrap().1;
    let before = names(&path, name);
    commit(&path, "other");
    let is_prefix = id.starts_with(name);
    let control = is_prefix || names(&path, name) != before;
    outcome.judged(control, outcome.installed())
}

async fn skipped(place: Place) -> Verdict {
    let host = Host::start().await;
    host.put("/file", Answer::bytes("bytes"));
    let url = host.url("/file");
    host.offer(&recipe(&format!(
        "source=('{url}')\nsha256sums=(SKIP)\npackage() {{\n{PROGRAM}\n}}"
    )));
    let outcome = with_minimum(&place, &host, Verification::Checksum).await;
    let careless = Place::new(place.tier);
    let control = with_minimum(&careless, &host, Verification::Nothing).await;
    outcome.judged(control.installed(), outcome.installed())
}

async fn other_bytes(place: Place) -> Verdict {
    let host = Host::start().await;
    host.put("/file", Answer::bytes("evil bytes"));
    let (url, digest) = (host.url("/file"), release::sha256(b"reviewed bytes"));
    let text = |digest: &str| {
        recipe(&format!(
            "source=('{url}')\nsha256sums=('{digest}')\npackage() {{\ncp \"$srcdir/file\" \"$pkgdir/\"\n{PROGRAM}\n}}"
        ))
    };
    host.offer(&text(&digest));
    let outcome = place.provision(&host).await;
    let won = outcome.installed() || place.holds("evil bytes");
    let careless = Place::new(place.tier);
    host.offer(&text("SKIP"));
    careless.provision(&host).await;
    outcome.judged(careless.holds("evil bytes"), won)
}
