//! Hosts that lack something: user namespaces, space, the right to write.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use build_sandbox::{
    Config, Isolation, IsolationChoice, Network, Phase, Sandbox, SandboxError, Silent, Writable,
};
use support::{Recorder, build, build_in, chain, have, sandbox, tiers, until};
use tokio_util::sync::CancellationToken;

fn recipe(body: &str) -> String {
    format!("pkgname=demo\nbuild() {{\n{body}\n}}\n")
}

/// The directory that the test may use if it runs inside already. Otherwise the test is run again
/// in a mount namespace of its own, after a line of shell with `$INSIDE` as that directory: as root
/// with the rights of root, otherwise as root of a user namespace.
fn inside(test: &str, prepare: &str) -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("INSIDE") {
        return Some(directory.into());
    }
    if !have("unshare") {
        return None;
    }
    let root = nix::unistd::Uid::effective().is_root();
    let directory = tempfile::tempdir().unwrap();
    let script = format!("{prepare} && exec \"$0\" --exact {test} --nocapture");
    let output = Command::new("unshare")
        .args([if root { "-m" } else { "-Urm" }, "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("INSIDE", directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("unshare failed") {
        eprintln!("skipped: {text}");
        return None;
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{text}{stdout}"
    );
    None
}

#[tokio::test]
async fn a_weaker_host_falls_to_the_next_tier_and_says_so() {
    let build = build(Isolation::Namespaces, &recipe("true"));
    let token = CancellationToken::new();
    for ceiling in [Isolation::Landlock, Isolation::Group] {
        let sandbox = Sandbox::new(Config {
            ceiling,
            ..Config::default()
        });
        let expected = sandbox.probe().await.strongest();
        let mut spec = build.spec.clone();
        spec.isolation = IsolationChoice::Auto;
        let recorder = Recorder::default();
        let outcome = sandbox
            .run(&spec, Phase::Build, &token, &recorder)
            .await
            .unwrap();
        assert_eq!(outcome.report.unwrap().isolation, expected);
        assert!(
            recorder.warnings.lock().unwrap()[0].contains("falls back"),
            "{expected}"
        );
        spec.minimum = Isolation::Namespaces;
        let error = sandbox
            .run(&spec, Phase::Build, &token, &Silent)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                SandboxError::IsolationUnavailable {
                    required: Isolation::Namespaces,
                    ..
                }
            ),
            "{error:?}"
        );
        spec.minimum = Isolation::Group;
        spec.isolation = IsolationChoice::Exactly(Isolation::Namespaces);
        let error = sandbox
            .run(&spec, Phase::Build, &token, &Silent)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SandboxError::IsolationUnavailable { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn without_user_namespaces_the_next_tier_runs() {
    let test = "without_user_namespaces_the_next_tier_runs";
    if std::env::var_os("INSIDE").is_none() {
        if !have("unshare") {
            return;
        }
        if !nix::unistd::Uid::effective().is_root() {
            eprintln!("skipped: only root can map the users of a namespace");
            return;
        }
        // The limit holds for a user namespace, so for one that has all users of this one.
        let script = "mkfifo \"$INSIDE/go\" || exit 1
            inner='echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" --exact \"$1\" --nocapture'
            unshare -Um sh -c 'read -r _ < \"$INSIDE/go\" && exec sh -c \"$2\" \"$0\" \"$1\"' \"$0\" \"$1\" \"$inner\" & child=$!
            while [ \"$(readlink /proc/$child/ns/user)\" = \"$(readlink /proc/self/ns/user)\" ]; do kill -0 $child || exit 77; done
            cat /proc/self/uid_map > /proc/$child/uid_map && cat /proc/self/gid_map > /proc/$child/gid_map || exit 77
            echo > \"$INSIDE/go\"; wait $child";
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env("INSIDE", directory.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && stdout.contains("1 passed"),
            "{text}{stdout}"
        );
        return;
    }
    let sandbox = sandbox();
    let mut build = build(Isolation::Landlock, &recipe("true"));
    build.spec.isolation = IsolationChoice::Auto;
    let recorder = Recorder::default();
    let token = CancellationToken::new();
    let outcome = sandbox
        .run(&build.spec, Phase::Build, &token, &recorder)
        .await;
    let outcome = outcome.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(outcome.report.unwrap().isolation < Isolation::Namespaces);
    let warnings = recorder.warnings.lock().unwrap();
    assert!(
        warnings.iter().any(|text| text.contains("falls back")),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_disk_that_becomes_full_fails_the_build_and_spares_the_log() {
    let test = "a_disk_that_becomes_full_fails_the_build_and_spares_the_log";
    let prepare = "mount -t tmpfs -o size=2m,mode=755 none \"$INSIDE\"";
    let Some(directory) = inside(test, prepare) else {
        return;
    };
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build_in(&directory, tier, &recipe("head -c 8M /dev/zero > big"));
        build.spec.log_file = Some(build.directory.path().join("log"));
        let (recorder, token) = (Recorder::default(), CancellationToken::new());
        let run = sandbox.run(&build.spec, Phase::Build, &token, &recorder);
        let error = run.await.unwrap_err();
        assert!(
            matches!(&error, SandboxError::Failed { tail, .. } if tail.text().contains("No space left")),
            "{tier}: {error:?}"
        );
        let warnings = recorder.warnings.lock().unwrap().join(" ");
        assert!(
            warnings.contains("failed to write log file"),
            "{tier}: {warnings}"
        );
        assert_eq!(build.survivors(), [0u32; 0], "{tier}");
    }
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_a_clear_error() {
    let test = "a_disk_that_is_read_only_is_a_clear_error";
    let prepare = "mount -t tmpfs -o size=2m,mode=755 none \"$INSIDE\"";
    let Some(directory) = inside(test, prepare) else {
        return;
    };
    let sandbox = sandbox();
    // Refused for as long as a process that has just ended holds a file.
    let mode = async |mode: &str| {
        until("the disk is mounted anew", || {
            let mut command = Command::new("mount");
            command.args(["-o", &format!("remount,{mode}")]);
            // With a source mount(8) takes no other options, such as ids that are not mapped here.
            command.arg("none").arg(&directory).stderr(Stdio::null());
            command.status().unwrap().success()
        })
        .await;
    };
    for tier in tiers(&sandbox).await {
        let build = build_in(&directory, tier, &recipe("touch file"));
        let token = CancellationToken::new();
        mode("ro").await;
        let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
        let error = run.await.unwrap_err();
        assert!(
            matches!(
                error,
                SandboxError::Io {
                    action: "create directory",
                    ..
                }
            ),
            "{tier}: {error:?}"
        );
        mode("rw").await;
        let echo = ["/bin/echo".to_owned(), "made".to_owned()];
        let run = sandbox.run_command(
            &build.spec,
            &echo,
            Network::None,
            Writable::Build,
            &token,
            &Silent,
        );
        run.await
            .unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        mode("ro").await;
        let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
        let error = run.await.unwrap_err();
        assert!(
            matches!(&error, SandboxError::Failed { tail, .. } if tail.text().contains("Read-only")),
            "{tier}: {error:?}"
        );
        mode("rw").await;
    }
}

#[tokio::test]
async fn a_full_disk_is_an_ordinary_failure_and_the_log_a_warning() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(tier, &recipe("echo text; head -c 1M /dev/zero > /dev/full"));
        build.spec.log_file = Some("/dev/full".into());
        let recorder = Recorder::default();
        let token = CancellationToken::new();
        let error = sandbox
            .run(&build.spec, Phase::Build, &token, &recorder)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, SandboxError::Failed { tail, .. } if tail.text().contains("No space left")),
            "{tier}: {error:?}"
        );
        let warnings = recorder.warnings.lock().unwrap();
        assert!(
            warnings
                .iter()
                .any(|text| text.contains("failed to write log file")),
            "{tier}: {warnings:?}"
        );
    }
}

#[tokio::test]
async fn a_read_only_disk_is_a_clear_error() {
    let parent = std::path::Path::new("/proc");
    let build = build(Isolation::Group, &recipe("true"));
    let mut spec = build.spec.clone();
    spec.srcdir = parent.join("src");
    let token = CancellationToken::new();
    let error = sandbox()
        .run(&spec, Phase::Build, &token, &Silent)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SandboxError::Io {
                action: "create directory",
                ..
            }
        ),
        "{error:?}"
    );
}
