//! What lies in the way of an installation, and what a store is told by whoever can write to it.

use std::path::Path;

use worker_provisioner::ProvisionRequest;

use crate::harness::{Attack, Verdict};
use crate::scene::{self, Outcome, Place, packaging, recipe};
use crate::server::Host;

const KIND: &str = "installing";

/// Programs of a package that are no files; the recipe's lines that make `usr/bin/demo`.
const PROGRAMS: [(&str, &str); 6] = [
    ("a link to a private file", "ln -s @SECRET@ demo"),
    (
        "a link out of the package by `..`",
        "ln -s ../../../../../../../../../..@SECRET@ demo",
    ),
    (
        "a link to a link that leads out",
        "ln -s @SECRET@ way; ln -s way demo",
    ),
    (
        "a link to the host's environment",
        "ln -s /proc/self/environ demo",
    ),
    ("a pipe", "mkfifo demo"),
    (
        "a folder that is a link",
        "cd ..; rmdir bin; ln -s @FOLDER@ bin",
    ),
];

pub(crate) fn attacks() -> Vec<Attack> {
    let programs = PROGRAMS.iter().map(|&(name, lines)| {
        let name = format!("the program is {name}");
        Attack::new(KIND, name, move |place| program(place, lines))
    });
    let others = [
        Attack::new(
            KIND,
            "a link of the program's name leads to another file",
            |place| {
                in_the_way(place, |target, victim| {
                    std::os::unix::fs::symlink(victim, target).unwrap();
                })
            },
        ),
        Attack::new(
            KIND,
            "a second name of another file is in the way",
            |place| {
                in_the_way(place, |target, victim| {
                    std::fs::hard_link(victim, target).unwrap();
                })
            },
        ),
        Attack::new(KIND, "somebody's own file is in the way", |place| {
            in_the_way(place, |target, victim| {
                assert!(std::fs::copy(victim, target).is_ok());
            })
        }),
        Attack::new(
            KIND,
            "the folder of programs may be written by everybody",
            open_folder,
        ),
        Attack::new(
            KIND,
            "a forged receipt has a file outside removed",
            forged_removal,
        ),
        Attack::new(KIND, "a stored version is a link", linked_version),
        Attack::new(
            KIND,
            "an installed program was changed and passes for intact",
            changed,
        ),
    ];
    programs.chain(others).collect()
}

async fn program(place: Place, lines: &'static str) -> Verdict {
    let folder = place.folder("private");
    let (path, secret) = place.secret("private/demo");
    let lines = lines
        .replace("@SECRET@", &path.display().to_string())
        .replace("@FOLDER@", &folder.display().to_string());
    let package = format!("mkdir -p \"$pkgdir/usr/bin\"\ncd \"$pkgdir/usr/bin\"\n{lines}\n");
    let host = Host::with_recipe(&recipe(&format!("package() {{\n{package}\n}}"))).await;
    let outcome = place.provision(&host).await;
    let environment = std::env::var(crate::harness::SECRET_VARIABLE).unwrap();
    let won =
        place.leaked(&secret, &outcome, &host) || place.holds(&environment) || outcome.installed();
    place.plain_bash(&package);
    let built = place.path("plain/pkg/usr/bin/demo");
    // Opening a pipe would wait for somebody who writes.
    let control = lines.contains("mkfifo") && built.exists()
        || std::fs::read(&built).is_ok_and(|bytes| !bytes.is_empty());
    outcome.judged(control, won)
}

async fn in_the_way(place: Place, put: fn(&Path, &Path)) -> Verdict {
    let victim = place.path("victim");
    std::fs::write(&victim, "mine").unwrap();
    let target = place.folder("bin").join("demo");
    put(&target, &victim);
    let host = Host::with_recipe(&packaging("")).await;
    let outcome = place.provision(&host).await;
    let mine = |path: &Path| std::fs::read(path).is_ok_and(|bytes| bytes == b"mine");
    let won = !mine(&victim) || !mine(&target);
    let plain = place.folder("naive").join("demo");
    put(&plain, &victim);
    std::fs::write(&plain, "evil").unwrap();
    outcome.judged(!mine(&victim) || !mine(&plain), won)
}

async fn open_folder(place: Place) -> Verdict {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = place.folder("bin");
    std::fs::set_permissions(&bin, std::fs::Permissions::from_mode(0o777)).unwrap();
    let host = Host::with_recipe(&packaging("")).await;
    let outcome = place.provision(&host).await;
    let mode = bin.metadata().unwrap().permissions().mode();
    outcome.judged(mode & 0o002 != 0, outcome.installed())
}

/// Installs `demo` and returns the folder of its stored version.
async fn install(place: &Place, host: &Host) -> (Outcome, Option<std::path::PathBuf>) {
    let outcome = place.provision(host).await;
    let found = find_receipt(&place.path("data"));
    (outcome, found)
}

fn find_receipt(folder: &Path) -> Option<std::path::PathBuf> {
    if folder.join("receipt.json").is_file() {
        return Some(folder.to_owned());
    }
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find_receipt(&entry.path()))
}

async fn forged_removal(place: Place) -> Verdict {
    let victim = place.folder("victim").join("mine");
    std::fs::write(&victim, "mine").unwrap();
    let host = Host::with_recipe(&packaging("")).await;
    let (outcome, Some(version)) = install(&place, &host).await else {
        return Verdict::Skipped("the store has no receipt to forge".to_owned());
    };
    let path = version.join("receipt.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let installed = place.path("bin/demo").display().to_string();
    let forged = text.replace(&installed, &victim.display().to_string());
    let forged = forged.replace(
        "usr/bin/demo",
        &format!("../../../../../..{}", victim.display()),
    );
    writable(&version);
    std::fs::write(&path, &forged).unwrap();
    let provisioner = worker_provisioner::WorkerProvisioner::new(place.config(&host)).unwrap();
    let token = tokio_util::sync::CancellationToken::new();
    let worker_type = worker_provisioner::WorkerType::Cpu;
    let _ = provisioner.store().verify("demo", worker_type);
    let _ = provisioner.remove("demo", worker_type, &token).await;
    outcome.judged(forged != text, !victim.exists())
}

fn writable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let _ = std::fs::set_permissions(
        folder.join("receipt.json"),
        std::fs::Permissions::from_mode(0o644),
    );
}

async fn linked_version(place: Place) -> Verdict {
    let host = Host::with_recipe(&packaging("")).await;
    let (outcome, Some(version)) = install(&place, &host).await else {
        return Verdict::Skipped("the store has no version to move".to_owned());
    };
    let victim = place.path("victim");
    let worker = version.parent().unwrap();
    writable(worker);
    std::fs::rename(&version, &victim).unwrap();
    std::fs::write(victim.join("mine"), "mine").unwrap();
    std::os::unix::fs::symlink(&victim, &version).unwrap();
    let provisioner = worker_provisioner::WorkerProvisioner::new(place.config(&host)).unwrap();
    let token = tokio_util::sync::CancellationToken::new();
    let worker_type = worker_provisioner::WorkerType::Cpu;
    let followed = version.join("mine").exists();
    let _ = provisioner.remove("demo", worker_type, &token).await;
    let _ = provisioner.store().gc(0);
    outcome.judged(followed, !victim.join("mine").exists())
}

async fn changed(place: Place) -> Verdict {
    let host = Host::with_recipe(&packaging("")).await;
    place.provision(&host).await;
    // The program itself: `demo` beside it is a link to it.
    let installed = place.path("bin/demo-cpu");
    let before = std::fs::read(&installed).unwrap();
    let evil = vec![b'#'; before.len()];
    writable(&place.path("bin"));
    std::fs::remove_file(&installed).unwrap();
    std::fs::write(&installed, &evil).unwrap();
    crate::harness::open_to_all(&installed);
    let control = installed.metadata().unwrap().len() == before.len() as u64;
    let request = ProvisionRequest::new("demo");
    let outcome = scene::provision_request(place.config(&host), request).await;
    let reused = outcome.result.as_ref().is_ok_and(|done| done.reused);
    let still = outcome.installed() && std::fs::read(&installed).unwrap() == evil;
    outcome.judged(control, reused || still)
}
