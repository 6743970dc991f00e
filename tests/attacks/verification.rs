//! Sources that look verified and are not, versions that go back, answers that never age.

use std::path::Path;

use e2e_tests::release;
use git2::Repository;
use worker_provisioner::{ProvisionRequest, Verification};

use crate::git;
use crate::harness::{Attack, Verdict};
use crate::scene::{self, Outcome, PROGRAM, Place, found_in, packaging, recipe};
use crate::server::{Answer, Host, RECIPE};

const KIND: &str = "verification";

/// Fragments that name a commit and do not pin it; `@` is the full id of one.
const FRAGMENTS: [&str; 8] = [
    "commit=main",
    "commit=HEAD",
    "commit=main~0",
    "commit=:/Add",
    "commit=@6",
    "commit=@39",
    "tag=v1",
    "branch=main",
];

/// Digests that anybody can find other bytes for, and the program that makes them.
const WEAK: [(&str, &str); 3] = [
    ("cksums", "cksum"),
    ("md5sums", "md5sum"),
    ("sha1sums", "sha1sum"),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let fragments = FRAGMENTS.iter().map(|&fragment| {
        let name = format!("`#{fragment}` passes for a pinned commit");
        Attack::new(KIND, name, move |place| unpinned(place, fragment))
    });
    let weak = WEAK.iter().map(|&(array, program)| {
        let name = format!("`{array}` alone passes for a checksum");
        Attack::new(KIND, name, move |place| weak(place, array, program))
    });
    let others = [
        Attack::new(KIND, "`SKIP` passes for a checksum", skipped),
        Attack::new(KIND, "other bytes than the digest says", other_bytes),
        Attack::new(KIND, "the catalog offers an older version", |place| {
            older(place, "1.9")
        }),
        Attack::new(
            KIND,
            "the catalog offers an older version with a newer look",
            |place| older(place, "1.10.beta"),
        ),
        Attack::new(KIND, "an answer is kept for ten years", frozen),
    ];
    fragments.chain(weak).chain(others).collect()
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
    let fragment = fragment.replace("@6", &id[..6]).replace("@39", &id[..39]);
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

async fn weak(place: Place, array: &'static str, program: &'static str) -> Verdict {
    let Some(program) = crate::harness::program(program) else {
        return Verdict::Skipped(format!("{program} is not installed"));
    };
    let path = place.path("file");
    std::fs::write(&path, "bytes").unwrap();
    let output = std::process::Command::new(program)
        .stdin(std::fs::File::open(&path).unwrap())
        .output()
        .unwrap();
    let digest = String::from_utf8(output.stdout).unwrap();
    let digest = digest.split_whitespace().next().unwrap();
    let host = Host::start().await;
    host.put("/file", Answer::bytes("bytes"));
    let url = host.url("/file");
    host.offer(&recipe(&format!(
        "source=('{url}')\n{array}=('{digest}')\npackage() {{\n{PROGRAM}\n}}"
    )));
    let outcome = with_minimum(&place, &host, Verification::Checksum).await;
    // The recipe itself is a good one: where nobody asks for a checksum, it is installed.
    let careless = Place::new(place.tier);
    let control = with_minimum(&careless, &host, Verification::Nothing).await;
    outcome.judged(control.installed(), outcome.installed())
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

async fn older(place: Place, version: &'static str) -> Verdict {
    let newer = packaging("").replace("pkgver=1.0.0", "pkgver=2.0");
    let older = packaging("").replace("pkgver=1.0.0", &format!("pkgver={version}"));
    let host = Host::with_recipe(&newer).await;
    let first = place.provision(&host).await;
    host.offer(&older);
    let outcome = place.provision(&host).await;
    // On a host that has no newer one, the old one is as good as any.
    let fresh = Place::new(place.tier).provision(&host).await;
    outcome.judged(first.installed() && fresh.installed(), outcome.installed())
}

async fn frozen(place: Place) -> Verdict {
    let old = packaging("echo old-lines > \"$pkgdir/mark\"");
    let new = old
        .replace("old-lines", "new-lines")
        .replace("pkgrel=1", "pkgrel=2");
    let forever = "max-age=315360000, immutable";
    let host = Host::with_recipe(&old).await;
    host.put(RECIPE, Answer::bytes(old).with("cache-control", forever));
    place.provision(&host).await;
    host.put(RECIPE, Answer::bytes(new));
    let request = ProvisionRequest::new("demo").forced();
    let outcome = scene::provision_request(place.config(&host), request).await;
    let won = !found_in(&place.path("data"), "new-lines");
    // A cache that does as it is told does not ask again: the entry says ten years.
    let fresh = Place::new(place.tier);
    fresh.provision(&host).await;
    outcome.judged(fresh.holds("new-lines"), won)
}
