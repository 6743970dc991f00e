//! Repositories whose trees and addresses reach out of the checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_tests::git_server::GitServer;
use git2::{ObjectType, Oid, Repository};

use crate::harness::{self, Attack, Verdict};
use crate::scene::{Outcome, PROGRAM, Place, found_in, recipe};
use crate::server::Host;

const KIND: &str = "git";

/// What lies in a hostile tree.
#[derive(Debug, Clone)]
enum Entry {
    File(&'static str),
    Link(String),
    Tree(Vec<(&'static str, Entry)>),
    Module(String),
}

use Entry::{File, Link, Module, Tree};

/// `@` in a link's target is a folder of the attacked user.
fn trees() -> Vec<(&'static str, Vec<(&'static str, Entry)>)> {
    let hook = || Tree(vec![("hooks", Tree(vec![("post-checkout", File("evil"))]))]);
    let out = || Link("@".to_owned());
    vec![
        ("a tree with `.git`", vec![(".git", hook())]),
        ("a tree with `.GIT`", vec![(".GIT", hook())]),
        ("a tree with `.git` and a space", vec![(".git ", hook())]),
        ("a tree with `.git.`", vec![(".git.", hook())]),
        ("a tree with `git~1`", vec![("git~1", hook())]),
        (
            "a tree with `.g\\u{200c}it`",
            vec![(".g\u{200c}it", hook())],
        ),
        (
            "a tree with `.git` below a folder",
            vec![("sub", Tree(vec![(".git", hook())]))],
        ),
        (
            "a tree with `..`",
            vec![("..", Tree(vec![("new", File("evil"))]))],
        ),
        (
            "a tree with `.`",
            vec![(".", Tree(vec![("new", File("evil"))]))],
        ),
        (
            "a name with a slash that climbs",
            vec![("../../new", File("evil"))],
        ),
        (
            "a link, then a folder of that name",
            vec![("out", out()), ("out", Tree(vec![("new", File("evil"))]))],
        ),
        (
            "a folder, then a link of that name",
            vec![("out", Tree(vec![("new", File("evil"))])), ("out", out())],
        ),
        (
            "a link to `.git`, and a folder of that name",
            vec![("dot", Link(".git".to_owned())), ("dot", hook())],
        ),
        (
            "`.gitmodules` is a link",
            vec![(".gitmodules", out()), ("module", Module("1".repeat(40)))],
        ),
    ]
}

/// Addresses that have a program run: `@` is a file that the program makes. The second is how a
/// careless caller would come to run it.
const ADDRESSES: [(&str, &str, &str); 6] = [
    (
        "the transport `ext`",
        "git+ext::sh -c touch% @",
        "GIT_ALLOW_PROTOCOL=ext git ls-remote 'ext::sh -c touch% @'",
    ),
    (
        "an ssh host that is an option",
        "git+ssh://-oProxyCommand=touch$IFS@/x",
        "ssh -oProxyCommand='touch @' x",
    ),
    (
        "an ssh user that is an option",
        "git+ssh://-oProxyCommand=touch$IFS@@127.0.0.1/x",
        "ssh -oProxyCommand='touch @' x",
    ),
    (
        "a branch that is an option",
        "git+HOST/git/tree#branch=--upload-pack=touch @;",
        "git ls-remote --upload-pack='touch @;' .",
    ),
    (
        "a commit that is an option",
        "git+HOST/git/tree#commit=--upload-pack=touch @;",
        "git ls-remote --upload-pack='touch @;' .",
    ),
    (
        "an ssh host with shell characters",
        "git+ssh://x;touch$IFS@;/x",
        "sh -c 'ssh -V;touch @;'",
    ),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let trees = trees().into_iter().map(|(name, tree)| {
        Attack::new(KIND, name, move |place| hostile_tree(place, tree.clone()))
    });
    let addresses = ADDRESSES.iter().map(|&(name, address, careless)| {
        let name = format!("{name} runs a program");
        Attack::new(KIND, name, move |place| runs(place, address, careless))
    });
    let others = [
        Attack::new(KIND, "a submodule at a private path is fetched", submodule),
        Attack::new(KIND, "the person's filter runs on a checkout", filter),
        Attack::new(KIND, "a hook of the person's template runs", template),
    ];
    trees.chain(addresses).chain(others).collect()
}

/// Writes a tree, sorted by nobody and checked by nobody.
fn write(repository: &Repository, tree: &[(&str, Entry)], victim: &Path) -> Oid {
    let odb = repository.odb().unwrap();
    let mut bytes = Vec::new();
    for (name, entry) in tree {
        let (mode, id) = match entry {
            File(text) => (
                "100755",
                odb.write(ObjectType::Blob, text.as_bytes()).unwrap(),
            ),
            Link(to) => {
                let to = to.replace('@', &victim.display().to_string());
                (
                    "120000",
                    odb.write(ObjectType::Blob, to.as_bytes()).unwrap(),
                )
            }
            Tree(below) => ("40000", write(repository, below, victim)),
            Module(id) => ("160000", Oid::from_str(id).unwrap()),
        };
        bytes.extend(format!("{mode} {name}\0").as_bytes());
        bytes.extend(id.as_bytes());
    }
    odb.write(ObjectType::Tree, &bytes).unwrap()
}

/// A bare repository of one commit with this tree, below the folder that is served.
fn repository(place: &Place, name: &str, tree: &[(&str, Entry)], victim: &Path) -> PathBuf {
    let path = place.folder("served").join(name);
    let repository = Repository::init_bare(&path).unwrap();
    let tree = write(&repository, tree, victim);
    let who = "a <a@rbee.invalid> 1700000000 +0000";
    let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nAdd all\n");
    let odb = repository.odb().unwrap();
    let commit = odb.write(ObjectType::Commit, text.as_bytes()).unwrap();
    repository
        .reference("refs/heads/main", commit, true, "")
        .unwrap();
    repository.set_head("refs/heads/main").unwrap();
    path
}

/// Serves what [`repository`] has made, below `/git/` of the host.
pub(crate) async fn serve(place: &Place, host: &Host) -> GitServer {
    let server = GitServer::start(&place.folder("served")).await.unwrap();
    let base = server.url("");
    host.serve_git(base.trim_end_matches('/').to_owned());
    server
}

async fn fetch(place: &Place, source: &str, lines: &str) -> (Host, Outcome) {
    let host = Host::start().await;
    let server = serve(place, &host).await;
    let source = source.replace("HOST", &host.url(""));
    host.offer(&recipe(&format!(
        "source=('{source}')\nsha256sums=(SKIP)\npackage() {{\n{lines}\n{PROGRAM}\n}}"
    )));
    let outcome = place.provision(&host).await;
    drop(server);
    (host, outcome)
}

async fn hostile_tree(place: Place, tree: Vec<(&'static str, Entry)>) -> Verdict {
    let [attacked, plain] = ["victim", "unprotected"].map(|name| place.folder(name));
    repository(&place, "tree", &tree, &attacked);
    // The repository's own folder is there; what counts is a second one, and links that lead out.
    let look = "  find \"$srcdir/tree\" -path '*/hooks/post-checkout' -exec grep -l evil {} + && echo gone''-wrong hook\n  \
        find \"$srcdir\" -mindepth 1 -name new && [ -e \"$srcdir/new\" -o -e \"$srcdir/../new\" ] && echo gone''-wrong new\n  \
        true";
    let (_host, outcome) = fetch(&place, "git+HOST/git/tree", look).await;
    let written = attacked.read_dir().unwrap().count() > 0;
    let into = place.folder("out/side/checkout");
    std::fs::create_dir(into.join(".git")).unwrap();
    naive(&tree, &plain, &into);
    let control = place.path("out/side/new").exists()
        || place.path("out/new").exists()
        || plain.read_dir().unwrap().count() > 0
        || found_in(&into, "evil")
        || into.join("out").is_symlink()
        || into.join(".gitmodules").is_symlink();
    outcome.judged(control, written || outcome.tells("gone-wrong"))
}

/// A checkout that joins names and follows what is there.
fn naive(tree: &[(&str, Entry)], victim: &Path, into: &Path) {
    for (name, entry) in tree {
        let path = into.join(name);
        match entry {
            File(text) => drop(std::fs::write(path, text)),
            Link(to) => {
                let to = to.replace('@', &victim.display().to_string());
                let _ = std::os::unix::fs::symlink(to, path);
            }
            Tree(below) => {
                let _ = std::fs::create_dir_all(&path);
                naive(below, victim, &path);
            }
            Module(_) => {}
        }
    }
}

async fn runs(place: Place, address: &'static str, careless: &'static str) -> Verdict {
    if careless.contains("ssh") && harness::program("ssh").is_none() {
        return Verdict::Skipped("ssh is not installed".to_owned());
    }
    if careless.contains("ssh") && !harness::is_root() {
        return Verdict::Skipped("ssh runs for users with an account only".to_owned());
    }
    repository(&place, "tree", &[("file", File("text"))], Path::new(""));
    let (made, plain) = (place.path("made"), place.path("plainly"));
    let address = address.replace('@', &made.display().to_string());
    let address = address.replace(
        &format!("{0}{0}", made.display()),
        &format!("{}@", made.display()),
    );
    let (_host, outcome) = fetch(&place, &address, "").await;
    let won = made.exists();
    let repository = place.path("served/tree");
    let careless = careless.replace('@', &plain.display().to_string());
    place.plain_bash(&format!(
        "cd {}; {careless} < /dev/null",
        repository.display()
    ));
    outcome.judged(plain.exists(), won)
}

/// A private repository with a secret, and the secret.
pub(crate) fn private_repository(place: &Place) -> (PathBuf, String) {
    let (_, secret) = place.secret("key");
    let kept: &'static str = Box::leak(secret.clone().into_boxed_str());
    let path = repository(place, "private", &[("key", File(kept))], Path::new(""));
    let moved = place.path("private-repository");
    std::fs::rename(path, &moved).unwrap();
    (moved, secret)
}

/// Lines that print every file of the sources.
pub(crate) const PRINT: &str = "find \"$srcdir\" -type f -exec cat {} + || true";

fn head(repository: &Path) -> String {
    let repository = Repository::open(repository).unwrap();
    repository.head().unwrap().target().unwrap().to_string()
}

async fn submodule(place: Place) -> Verdict {
    let (path, secret) = private_repository(&place);
    let commit = head(&path);
    let modules = format!(
        "[submodule \"m\"]\n\tpath = m\n\turl = file://{}\n",
        path.display()
    );
    let modules: &'static str = Box::leak(modules.into_boxed_str());
    repository(
        &place,
        "tree",
        &[(".gitmodules", File(modules)), ("m", Module(commit))],
        Path::new(""),
    );
    let (host, outcome) = fetch(&place, "git+HOST/git/tree", PRINT).await;
    let won = place.leaked(&secret, &outcome, &host);
    place.plain_bash(&format!(
        "git -c protocol.file.allow=always -c safe.directory='*' clone -q --recurse-submodules {} cloned",
        place.path("served/tree").display()
    ));
    outcome.judged(found_in(&place.path("plain/src/cloned"), &secret), won)
}

/// The configuration that the attacked person has, while the attempt runs under another name.
async fn filter(place: Place) -> Verdict {
    let made = place.path("made");
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let name = format!("f{}", place.root().file_name().unwrap().to_str().unwrap());
    let attributes: &'static str = Box::leak(format!("* filter={name}\n").into_boxed_str());
    let set = format!("filter.{name}.smudge");
    let run = format!("touch {}; cat", made.display());
    let config = home.join(".gitconfig");
    let mut git = Command::new("git");
    git.args(["config", "--file"])
        .arg(&config)
        .args([&set, &run]);
    assert!(git.status().unwrap().success());
    let tree = [(".gitattributes", File(attributes)), ("file", File("text"))];
    repository(&place, "tree", &tree, Path::new(""));
    let (_host, outcome) = fetch(&place, "git+HOST/git/tree", "").await;
    let won = made.exists();
    place.plain_bash(&format!(
        "git clone -q {} cloned",
        place.path("served/tree").display()
    ));
    outcome.judged(made.exists(), won)
}

async fn template(place: Place) -> Verdict {
    let made = place.path("made");
    let hooks = place.folder("template/hooks");
    let hook = hooks.join("post-checkout");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", made.display())).unwrap();
    harness::open_to_all(&hook);
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    // Told in a file of its own, so that no other attempt has it.
    let config = home.join(format!("{}.gitconfig", place.tier.name()));
    std::fs::write(
        &config,
        format!(
            "[init]\n\ttemplateDir = {}\n",
            place.path("template").display()
        ),
    )
    .unwrap();
    repository(&place, "tree", &[("file", File("text"))], Path::new(""));
    let (_host, outcome) = fetch(&place, "git+HOST/git/tree", "").await;
    let won = made.exists() || found_in(&place.path("tmp"), "touch");
    place.plain_bash(&format!(
        "GIT_CONFIG_GLOBAL={} git clone -q {} cloned",
        config.display(),
        place.path("served/tree").display()
    ));
    outcome.judged(made.exists(), won)
}
