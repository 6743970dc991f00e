//! Phases run as makepkg runs them, in every tier.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use build_sandbox::{
    CheckPolicy, HOST_NAME, Isolation, Kill, Ownership, Phase, PhaseStatus, SandboxError, Silent,
    Value, recipe_environment, recipe_variables,
};
use support::{Recorder, build, chain, sandbox, tiers};
use tokio_util::sync::CancellationToken;

type Expected = fn(&SandboxError) -> bool;

const RECIPE: &str = r#"
pkgname=demo
pkgver=1.0
pkgrel=2
arch=(x86_64)
_derived="v$pkgver"
declare -A _map=([a b]=1 [c]="x'y")
_helper() { local greeting=hello; echo "$greeting $1"; }
prepare() { msg "preparing %s" "$pkgname"; [[ $PWD == "$srcdir" ]]; echo "$_derived" > prepared; }
pkgver() { echo noise >&2; echo 1.1.r5; }
build() { cat prepared; _helper "$CARCH"; printf '%s\n' "$CFLAGS" "$MAKEFLAGS" "$SOURCE_DATE_EPOCH"; [[ $TMPDIR -ef $HOME/tmp ]] && touch "$TMPDIR/x"; }
check() { echo failing; false; echo unreached; }
package() { install -Dm755 -o root -g root prepared "$pkgdir/usr/bin/demo"; stat -c %u:%g "$pkgdir/usr/bin/demo"; id -u; }
"#;

#[tokio::test]
async fn a_recipe_runs_through_all_phases() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(tier, RECIPE);
        build.spec.flags.cflags = "-O2 -g 'x'".to_owned();
        build.spec.makeflags = "-j3".to_owned();
        build.spec.source_date_epoch = Some(1_700_000_000);
        build.spec.check = CheckPolicy::Warn;
        let token = CancellationToken::new();
        let recorder = Recorder::default();
        let run = async |phase| {
            let result = sandbox.run(&build.spec, phase, &token, &recorder).await;
            result.unwrap_or_else(|error| panic!("{tier}: {}\n{}", chain(&error), recorder.text()))
        };
        assert_eq!(run(Phase::Prepare).await.status, PhaseStatus::Ran);
        let pkgver = run(Phase::Pkgver).await;
        assert_eq!(pkgver.pkgver.as_deref(), Some("1.1.r5"));
        run(Phase::Build).await;
        assert_eq!(run(Phase::Check).await.status, PhaseStatus::CheckFailed(1));
        let package = run(Phase::Package("demo".to_owned())).await;
        let report = package.report.unwrap();
        assert_eq!((report.isolation, report.kill), (tier, Kill::Proven));
        assert!(build.spec.pkgdir.join("usr/bin/demo").is_file());
        let text = recorder.text();
        for line in [
            "==> preparing demo",
            "noise",
            "v1.0",
            "hello x86_64",
            "-O2 -g 'x'",
            "-j3",
            "1700000000",
            "failing",
        ] {
            assert!(
                text.lines().any(|seen| seen == line),
                "{tier}: `{line}` is missing in\n{text}"
            );
        }
        assert!(!text.contains("unreached"));
        if tier == Isolation::Namespaces {
            assert_eq!(report.ownership, Ownership::Root);
            assert!(text.contains("0:0\n0"), "{text}");
        }
        assert!(build.survivors().is_empty());
    }
}

#[tokio::test]
async fn a_replaced_version_reaches_derived_variables() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(tier, RECIPE);
        build.spec.pkgver = Some("9.9".to_owned());
        let token = CancellationToken::new();
        let declared = sandbox
            .evaluate(&build.spec, &token, &Silent)
            .await
            .unwrap();
        let scalar = |name: &str| match &declared.variables[name] {
            Value::Scalar(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(scalar("pkgver"), "9.9");
        assert_eq!(scalar("_derived"), "v9.9");
        assert_eq!(
            declared.variables["arch"],
            Value::Array(vec!["x86_64".to_owned()])
        );
        let Value::Map(map) = &declared.variables["_map"] else {
            panic!()
        };
        assert_eq!((map["a b"].as_str(), map["c"].as_str()), ("1", "x'y"));
        assert_eq!(
            declared.functions,
            ["_helper", "build", "check", "package", "pkgver", "prepare"]
        );
        assert!(
            !declared.variables.contains_key("HOME") && !declared.variables.contains_key("srcdir")
        );
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let sandbox = sandbox();
    let cases: &[(&str, Phase, Expected)] = &[
        (
            "build() { echo why; exit 7; }",
            Phase::Build,
            |e| matches!(e, SandboxError::Failed { status: 7, tail, .. } if tail.text() == "why"),
        ),
        ("build() { kill -9 $$; }", Phase::Build, |e| {
            matches!(e, SandboxError::Signalled { signal: 9, .. })
        }),
        ("build() { (", Phase::Build, |e| {
            matches!(e, SandboxError::Recipe { .. })
        }),
        ("exit 111", Phase::Build, |e| {
            matches!(e, SandboxError::Recipe { status: 111, .. })
        }),
        ("exit 0", Phase::Build, |e| {
            matches!(e, SandboxError::Recipe { status: 0, .. })
        }),
        ("true", Phase::Package("demo".to_owned()), |e| {
            matches!(e, SandboxError::MissingFunction { .. })
        }),
        ("pkgver() { echo 'a b'; }", Phase::Pkgver, |e| {
            matches!(e, SandboxError::InvalidPkgver { .. })
        }),
        ("pkgver() { :; }", Phase::Pkgver, |e| {
            matches!(e, SandboxError::InvalidPkgver { .. })
        }),
        ("pkgver() { yes | head -c 10M; }", Phase::Pkgver, |e| {
            matches!(e, SandboxError::InvalidPkgver { .. })
        }),
        (
            "build() { rm -rf \"$srcdir\"; false; }",
            Phase::Build,
            |e| matches!(e, SandboxError::Failed { .. }),
        ),
    ];
    for tier in tiers(&sandbox).await {
        for (recipe, phase, expected) in cases {
            let build = build(tier, recipe);
            let token = CancellationToken::new();
            let error = sandbox
                .run(&build.spec, phase.clone(), &token, &Silent)
                .await
                .unwrap_err();
            assert!(expected(&error), "{tier}: {recipe}: {error:?}");
        }
        let build = build(tier, "true");
        let token = CancellationToken::new();
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &Silent)
            .await
            .unwrap();
        assert_eq!(outcome.status, PhaseStatus::Skipped);
    }
}

/// Prints the environment and the variables of bash, each as a line.
const SHOW: &str = r#"
pkgname=demo
pkgver=1
_seen=$(env | grep -v -e '^_=' -e '^SHLVL=' -e '^PWD=' -e '^OLDPWD='; compgen -v | grep -x -e BUILDFILE -e BUILDSCRIPT -e startdir -e srcdir -e pkgdir -e pkgdirbase)
_mode=${CPPFLAGS-unset}${RUSTFLAGS-unset}
build() { printf '%s\n' "$_seen"; (BUILDSCRIPT=x) 2>/dev/null || echo "readonly $BUILDSCRIPT"; uname -n; }
"#;

#[tokio::test]
async fn a_recipe_finds_what_the_table_says() {
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let build = build(tier, SHOW);
        let token = CancellationToken::new();
        let recorder = Recorder::default();
        let outcome = sandbox
            .run(&build.spec, Phase::Build, &token, &recorder)
            .await;
        outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        let text = recorder.text();
        let (seen, rest) = text.split_once("readonly PKGBUILD").unwrap();
        let mut expected: Vec<String> = recipe_environment(&build.spec)
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .chain(recipe_variables(&build.spec).into_keys())
            .collect();
        let mut seen: Vec<String> = seen.lines().map(str::to_owned).collect();
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected, "{tier}");
        let has = |start: &str| expected.iter().any(|line| line.starts_with(start));
        for name in [
            "SOURCE_DATE_EPOCH=1",
            "CPPFLAGS=",
            "TEXTDOMAIN=pacman-scripts",
            "COMMAND_MODE=legacy",
        ] {
            assert!(has(name), "{tier}: {name}: {expected:?}");
        }
        if tier == Isolation::Namespaces {
            assert_eq!(rest.trim(), HOST_NAME);
        }
        let declared = sandbox
            .evaluate(&build.spec, &token, &Silent)
            .await
            .unwrap();
        let value = |name: &str| match &declared.variables[name] {
            Value::Scalar(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let mut evaluated: Vec<String> = value("_seen").lines().map(str::to_owned).collect();
        evaluated.sort();
        assert_eq!(evaluated, expected, "{tier}: evaluation sees the same");
        assert_eq!(value("_mode"), "unset", "{tier}");
        assert!(!declared.variables.contains_key("BUILDSCRIPT"));
    }
}
