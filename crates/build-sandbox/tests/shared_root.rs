//! Runs whose roots are copies of one: nothing that one does is seen by another.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fs;

use build_sandbox::{Access, Isolation, Mount, Phase, Sandbox};
use support::{Build, Recorder, build, sandbox, tiers};
use tokio_util::sync::CancellationToken;

async fn output(sandbox: &Sandbox, build: &Build, phase: Phase) -> String {
    let recorder = Recorder::default();
    let token = CancellationToken::new();
    let run = sandbox.run(&build.spec, phase, &token, &recorder);
    run.await.unwrap();
    recorder.text()
}

/// What every build sees: names, owners and modes, and the text of some files.
const LOOK: &str = "stat -c '%n %a %u %F' / /* /etc/* /var/* /dev/* || true; cat /etc/passwd /etc/hosts; ls -A /tmp /dev/shm";

/// As far as may be: everything that is written here is tried by the user that a run has.
const SPOIL: &str = "set +e
    for name in / /etc /var /dev /usr /home /mnt /opt /root /run /sys /tmp /dev/shm; do
        touch $name/left; mkdir $name/left-too; chmod 777 $name
    done 2>/dev/null
    rm -rf /etc/passwd /etc/hosts /var/tmp /bin /dev/null 2>/dev/null
    echo spoilt > /etc/hosts 2>/dev/null; : >> /etc/passwd 2>/dev/null
    mv /etc /gone 2>/dev/null; ln -s x /link 2>/dev/null
    umount /usr /etc/ssl/certs /proc /tmp /dev 2>/dev/null
    mount -o remount,rw / 2>/dev/null
    true";

#[tokio::test]
async fn what_one_run_spoils_another_finds_whole() {
    let sandbox = sandbox();
    if !tiers(&sandbox).await.contains(&Isolation::Namespaces) {
        return;
    }
    let looker = build(
        Isolation::Namespaces,
        &format!("pkgname=demo\nbuild() {{\n{LOOK}\n}}\n"),
    );
    let spoiler = build(
        Isolation::Namespaces,
        &format!("pkgname=demo\nbuild() {{\n{SPOIL}\n}}\npackage() {{\n{SPOIL}\n}}\n"),
    );
    let before = output(&sandbox, &looker, Phase::Build).await;
    assert!(before.contains("root:x:0:0"), "{before}");
    output(&sandbox, &spoiler, Phase::Build).await;
    output(&sandbox, &spoiler, Phase::Package("demo".to_owned())).await;
    assert_eq!(output(&sandbox, &looker, Phase::Build).await, before);
}

#[tokio::test]
async fn mount_points_of_one_build_are_empty_for_another_or_absent() {
    let sandbox = sandbox();
    if !tiers(&sandbox).await.contains(&Isolation::Namespaces) {
        return;
    }
    let shown = tempfile::tempdir().unwrap();
    fs::write(shown.path().join("secret"), "of the first").unwrap();
    let recipe = "pkgname=demo\nbuild() { find /of-one /mnt /srv/of-one /opt -mindepth 1 2>/dev/null || true; }\n";
    let mut first = build(Isolation::Namespaces, recipe);
    for target in [
        "/of-one/a/b",
        "/mnt/private-name",
        "/srv/of-one",
        "/opt/kit/c",
    ] {
        first.spec.mounts.push(Mount {
            source: shown.path().to_owned(),
            target: target.into(),
            access: Access::ReadOnly,
        });
    }
    let second = build(Isolation::Namespaces, recipe);
    let seen = output(&sandbox, &first, Phase::Build).await;
    for expected in [
        "/of-one/a/b/secret",
        "/mnt/private-name/secret",
        "/srv/of-one/secret",
        "/opt/kit/c/secret",
    ] {
        assert!(seen.lines().any(|line| line == expected), "{seen}");
    }
    for _ in 0..2 {
        let seen = output(&sandbox, &second, Phase::Build).await;
        assert_eq!(seen, "", "the second build sees what only the first may");
        // Side by side with the first as well.
        output(&sandbox, &first, Phase::Build).await;
    }
}

#[tokio::test]
async fn a_directory_that_is_mounted_later_is_seen() {
    let sandbox = sandbox();
    if !tiers(&sandbox).await.contains(&Isolation::Namespaces) {
        return;
    }
    // The first run has the root prepared; the second's directories did not exist then.
    let recipe = "pkgname=demo\nbuild() { echo made > made; cat made; id -u; stat -c %u /usr; }\n";
    let first = build(Isolation::Namespaces, recipe);
    let seen = output(&sandbox, &first, Phase::Build).await;
    let second = build(Isolation::Namespaces, recipe);
    assert_eq!(output(&sandbox, &second, Phase::Build).await, seen);
    assert!(seen.starts_with("made\n"), "{seen}");
    assert_eq!(fs::read_to_string(second.path("made")).unwrap(), "made\n");
}
