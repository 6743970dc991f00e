//! Each limit, its breach and its error; output as it really comes.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use build_sandbox::{
    Access, BuildSpec, Event, Isolation, LimitKind, LineEnd, Mount, Network, Phase, SandboxError,
    Silent, Writable,
};
use support::{build, build_in, chain, have, sandbox, tiers};
use tokio_util::sync::CancellationToken;

fn recipe(body: &str) -> String {
    format!("pkgname=demo\nbuild() {{\n{body}\n}}\n")
}

type Change = fn(&mut BuildSpec);
type Expected = fn(&SandboxError) -> bool;

const BREACHES: &[(&str, &str, Change, Expected)] = &[
    (
        "wall",
        "sleep 1000",
        |s| s.limits.wall = Duration::from_millis(300),
        |e| {
            matches!(
                e,
                SandboxError::TimedOut {
                    limit: LimitKind::Wall,
                    ..
                }
            )
        },
    ),
    (
        "silent",
        "echo x; sleep 1000",
        |s| s.limits.silent = Duration::from_millis(300),
        |e| matches!(e, SandboxError::TimedOut { limit: LimitKind::Silent, tail, .. } if tail.text() == "x"),
    ),
    (
        "memory",
        "perl -e '$x = \"x\" x 300_000_000; sleep 1000'",
        |s| s.limits.memory = Some(200 << 20),
        |e| matches!(e, SandboxError::Memory { used, .. } if *used > 200 << 20),
    ),
    (
        "memory, shared by mapping",
        "perl -e 'syscall(9, 0, 3e8, 3, 0x21, -1, 0) > 0 or die; $p = syscall(9, 0, 3e8, 3, 0x8021, -1, 0); sleep 1000'",
        |s| s.limits.memory = Some(200 << 20),
        |e| matches!(e, SandboxError::Memory { used, .. } if *used > 200 << 20),
    ),
    (
        "memory, a file without a name",
        "perl -e '$n = \"x\"; $f = syscall(319, $n, 0); open(F, \">&=\", $f); $z = \"x\" x 1048576; syswrite(F, $z) for 1..300; sleep 1000'",
        |s| s.limits.memory = Some(200 << 20),
        |e| matches!(e, SandboxError::Memory { used, .. } if *used > 200 << 20),
    ),
    (
        "disk, an open file without a name",
        "perl -e 'open(F, \">\", \"gone\"); unlink(\"gone\"); $z = \"x\" x 1048576; syswrite(F, $z) for 1..30; sleep 1000'",
        |s| s.limits.disk = 10 << 20,
        |e| matches!(e, SandboxError::Disk { .. }),
    ),
    (
        "disk, below more directories than a path can name",
        "perl -e '$n = \"d\" x 200; for (1..30) { mkdir $n; chdir $n or die } open(F, \">\", \"big\"); $z = \"x\" x 1048576; syswrite(F, $z) for 1..30; sleep 1000'",
        |s| s.limits.disk = 10 << 20,
        |e| matches!(e, SandboxError::Disk { .. }),
    ),
    (
        "disk, in startdir",
        "head -c 30M /dev/zero > \"$startdir/big\"; sleep 1000",
        |s| s.limits.disk = 10 << 20,
        |e| matches!(e, SandboxError::Disk { .. }),
    ),
    (
        "processes",
        "for i in {1..60}; do sleep 1000 & done; wait",
        |s| s.limits.processes = 40,
        |e| matches!(e, SandboxError::Processes { used, .. } if *used > 40),
    ),
    (
        "file size",
        "head -c 3M /dev/zero > big",
        |s| s.limits.file_size = 1 << 20,
        |e| matches!(e, SandboxError::FileSize { .. }),
    ),
    (
        "file size, seen by a child only",
        "( head -c 3M /dev/zero > big ) || exit 1",
        |s| s.limits.file_size = 1 << 20,
        |e| matches!(e, SandboxError::FileSize { .. }),
    ),
    (
        "open files",
        "perl -e 'for (1..100) { open($f[$_], \"/dev/null\") or die $! }'",
        |s| s.limits.open_files = 50,
        |e| matches!(e, SandboxError::OpenFiles { .. }),
    ),
    (
        "open files, held",
        "perl -e 'for (1..100) { open($f[$_], \"/dev/null\") } sleep 1000'",
        |s| s.limits.open_files = 50,
        |e| matches!(e, SandboxError::OpenFiles { .. }),
    ),
    (
        "disk",
        "head -c 30M /dev/zero > big; sleep 1000",
        |s| s.limits.disk = 10 << 20,
        |e| matches!(e, SandboxError::Disk { .. }),
    ),
    (
        "log",
        "yes",
        |s| s.limits.log = 1 << 20,
        |e| matches!(e, SandboxError::LogSize { .. }),
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_breach_has_its_error() {
    if !have("perl") {
        return;
    }
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        for (name, body, change, expected) in BREACHES {
            let mut build = build(tier, &recipe(body));
            change(&mut build.spec);
            let token = CancellationToken::new();
            let error = sandbox
                .run(&build.spec, Phase::Build, &token, &Silent)
                .await
                .unwrap_err();
            assert!(expected(&error), "{tier}: {name}: {error:?}");
            assert_eq!(build.survivors(), [0u32; 0], "{tier}: {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_comes_as_it_is() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            &recipe(
                r"printf 'a\xffb\n'; printf '10%%\r20%%\r'; sleep 0.05; printf '100%%\n'; head -c 200000 /dev/zero | tr '\0' x; echo; printf last",
            ),
        );
        build.spec.log_file = Some(build.directory.path().join("log"));
        build.spec.log_file_cap = 10_000;
        let seen = std::sync::Mutex::new(Vec::new());
        let record = |event: Event<'_>| {
            if let Event::Output {
                text, end, dropped, ..
            } = event
            {
                seen.lock().unwrap().push((text.into_owned(), end, dropped));
            }
        };
        let token = CancellationToken::new();
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &record)
            .await;
        outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen[0], ("a\u{fffd}b".to_owned(), LineEnd::Newline, 0));
        assert_eq!(seen[1], ("10%".to_owned(), LineEnd::CarriageReturn, 0));
        assert_eq!(seen[2], ("20%".to_owned(), LineEnd::CarriageReturn, 0));
        assert_eq!(seen[3], ("100%".to_owned(), LineEnd::Newline, 0));
        assert_eq!(
            (seen[4].0.len() as u64 + seen[4].2, seen[4].2 > 0),
            (200_000, true)
        );
        assert_eq!(seen[5], ("last".to_owned(), LineEnd::EndOfStream, 0));
        let log = fs::read(build.directory.path().join("log")).unwrap();
        let text = String::from_utf8_lossy(&log);
        assert!(
            log.len() < 20_000 && text.contains("bytes dropped") && text.ends_with("x\nlast"),
            "{}",
            log.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_the_build_back_and_loses_nothing() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let build = build(tier, &recipe("seq 300000; seq 300000 >&2"));
        let count = std::sync::atomic::AtomicU64::new(0);
        let slow = |event: Event<'_>| {
            if matches!(event, Event::Output { .. })
                && count
                    .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                    .is_multiple_of(50_000)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let token = CancellationToken::new();
        sandbox
            .run(&build.spec, Phase::Build, &token, &slow)
            .await
            .unwrap();
        assert_eq!(count.into_inner(), 600_000, "{tier}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_background_child_does_not_delay_the_result() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let build = build(tier, &recipe("sleep 1000 & echo done"));
        let (token, started) = (CancellationToken::new(), Instant::now());
        sandbox
            .run(&build.spec, Phase::Build, &token, &Silent)
            .await
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(100), "{tier}");
    }
}

#[tokio::test]
async fn mounts_are_shown_where_asked() {
    let sandbox = sandbox();
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("file"), "shared").unwrap();
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for tier in tiers(&sandbox).await {
        let mut build = build(tier, "");
        let target = if tier == Isolation::Namespaces {
            build.spec.homedir.join("cargo/registry")
        } else {
            shared.path().to_owned()
        };
        let text = format!(
            "build() {{ cat {0}/file; echo x > {0}/new {1}; }}",
            target.display(),
            if tier == Isolation::Group {
                ""
            } else {
                "&& exit 9 || echo refused"
            }
        );
        fs::write(&build.spec.recipe, text).unwrap();
        let mount = Mount::read_only(shared.path()).at(&target);
        let token = CancellationToken::new();
        build.spec.mounts = vec![mount.clone()];
        if tier > Isolation::Group {
            let result = sandbox
                .run(&build.spec, Phase::Build, &token, &Silent)
                .await;
            result.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
            assert!(!shared.path().join("new").exists());
        }
        build.spec.mounts = vec![Mount {
            access: Access::Writable,
            ..mount
        }];
        fs::write(
            &build.spec.recipe,
            format!("build() {{ echo x > {}/new; }}", target.display()),
        )
        .unwrap();
        let result = sandbox
            .run(&build.spec, Phase::Build, &token, &Silent)
            .await;
        result.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        fs::remove_file(shared.path().join("new")).unwrap();
    }
}

#[tokio::test]
async fn a_directory_replaced_by_a_link_is_refused() {
    let sandbox = sandbox();
    let outside = tempfile::tempdir().unwrap();
    for tier in tiers(&sandbox).await {
        let build = build(
            tier,
            &format!(
                "build() {{ cd /; mv \"$startdir/pkg\" \"$startdir/old\"; ln -s {} \"$startdir/pkg\"; }}",
                outside.path().display()
            ),
        );
        let token = CancellationToken::new();
        let first = sandbox
            .run(&build.spec, Phase::Build, &token, &Silent)
            .await;
        if fs::symlink_metadata(build.spec.startdir.join("pkg"))
            .unwrap()
            .is_symlink()
        {
            let second = sandbox
                .run(&build.spec, Phase::Build, &token, &Silent)
                .await
                .unwrap_err();
            assert!(
                matches!(second, SandboxError::NotADirectory { .. }),
                "{tier}: {second:?}"
            );
        } else {
            assert!(
                first.is_err(),
                "{tier}: the link could not be made, so the phase failed"
            );
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{tier}");
    }
}

#[tokio::test]
async fn a_command_runs_beside_the_phases() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let build = build_in(&std::env::temp_dir(), tier, &recipe("true"));
        let token = CancellationToken::new();
        let command = ["/bin/echo".to_owned(), "version 1".to_owned()];
        let outcome = sandbox
            .run_command(
                &build.spec,
                &command,
                Network::None,
                Writable::Build,
                &token,
                &Silent,
            )
            .await
            .unwrap();
        assert_eq!(outcome.stdout, "version 1\n");
        let command = ["/bin/missing".to_owned()];
        let error = sandbox
            .run_command(
                &build.spec,
                &command,
                Network::None,
                Writable::Build,
                &token,
                &Silent,
            )
            .await
            .unwrap_err();
        assert!(matches!(error, SandboxError::Execute { .. }), "{error:?}");
        let error = sandbox
            .run_command(
                &build.spec,
                &["x".to_owned()],
                Network::None,
                Writable::Build,
                &token,
                &Silent,
            )
            .await
            .unwrap_err();
        assert!(matches!(error, SandboxError::InvalidSpec { .. }));
    }
}

#[tokio::test]
async fn what_the_view_holds_in_memory_counts() {
    let sandbox = sandbox();
    if !tiers(&sandbox).await.contains(&Isolation::Namespaces) {
        return;
    }
    let token = CancellationToken::new();
    for body in [
        "head -c 300M /dev/zero > /tmp/big; sleep 1000",
        "head -c 300M /dev/zero > /var/tmp/big; sleep 1000",
        "head -c 300M /dev/zero > /dev/shm/big; sleep 1000",
        "head -c 150M /dev/zero > /tmp/big; head -c 150M /dev/zero > /dev/shm/big; sleep 1000",
        "perl -e '$i = shmget(0, 3e8, 01600) // die; $z = \"x\" x 1048576; shmwrite($i, $z, $_ * 1048576, 1048576) for 0..285; sleep 1000'",
    ] {
        let mut build = build(Isolation::Namespaces, &recipe(body));
        build.spec.limits.memory = Some(200 << 20);
        let run = sandbox.run(&build.spec, Phase::Build, &token, &Silent);
        let error = run.await.unwrap_err();
        // What does not fit into one of them at all is refused by the kernel at once.
        let fine = match &error {
            SandboxError::Memory { .. } => true,
            SandboxError::Failed { tail, .. } => tail.text().contains("No space left"),
            _ => false,
        };
        assert!(fine, "{body}: {error:?}");
        assert_eq!(build.survivors(), [0u32; 0], "{body}");
    }
}

#[tokio::test]
async fn the_kernel_takes_a_build_first() {
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        let build = build(tier, "");
        let command = ["/bin/cat".to_owned(), "/proc/self/oom_score_adj".to_owned()];
        let run = sandbox.run_command(
            &build.spec,
            &command,
            Network::None,
            Writable::Build,
            &token,
            &Silent,
        );
        assert_eq!(run.await.unwrap().stdout, "1000\n", "{tier}");
    }
}
