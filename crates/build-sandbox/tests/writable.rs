//! What a function and a command may write, and what not.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use build_sandbox::{Isolation, Network, Phase, Silent, Writable};
use support::{Recorder, build, chain, sandbox, tiers};
use tokio_util::sync::CancellationToken;

/// A program that does what it can to what it belongs to; each line says what worked.
const PROGRAM: &str = r#"#!/bin/bash
[[ $(find "$HOME" -type f | wc -l) == 0 ]] && echo empty
try() { ( eval "$2" ) >/dev/null 2>&1 && echo "ESCAPED $1" || :; }
try 'replace by a link' 'ln -sf /etc/passwd "$0"'
try 'rename over' 'echo x > "$HOME/new" && mv "$HOME/new" "$0"'
try 'append' 'echo x >> "$0"'
try 'remove' 'rm -f "$0"'
try 'rename its directory' 'mv "${0%/*}" "${0%/*}.old"'
try 'new file beside' 'echo x > "${0%/*}/new"'
try 'write to srcdir' 'echo x > "$START/src/new"'
try 'write to startdir' 'echo x > "$START/new"'
try 'write to homedir' 'echo x > "$START/home/new"'
try 'replace the recipe' 'echo x > "$START/PKGBUILD"'
touch "$HOME/mine" "$TMPDIR/mine" mine && echo private
[[ $PWD -ef $HOME ]] && echo inside
exit 0
"#;

#[tokio::test]
async fn a_trial_cannot_change_what_is_tried() {
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            "package() { install -Dm755 program \"$pkgdir/usr/bin/program\"; touch \"$HOME/kept\"; }",
        );
        fs::create_dir_all(&build.spec.srcdir).unwrap();
        fs::write(build.path("program"), PROGRAM).unwrap();
        let phase = Phase::Package("demo".to_owned());
        let outcome = sandbox.run(&build.spec, phase, &token, &Silent).await;
        outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
        let start = build.spec.startdir.display().to_string();
        build.spec.environment.insert("START".to_owned(), start);
        let program = build.spec.pkgdir.join("usr/bin/program");
        let command = [program.display().to_string()];
        let run = async |writable| {
            let (network, spec) = (Network::None, &build.spec);
            let outcome = sandbox.run_command(spec, &command, network, writable, &token, &Silent);
            let outcome = outcome.await;
            outcome
                .unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)))
                .stdout
        };
        let text = run(Writable::Private).await;
        for line in ["empty", "private", "inside"] {
            assert!(text.lines().any(|l| l == line), "{tier}: {text}");
        }
        let home = fs::read_dir(&build.spec.homedir).unwrap();
        let left = home
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("private"));
        assert_eq!(left.count(), 0, "{tier}: the private directory is removed");
        if tier == Isolation::Group {
            continue;
        }
        assert!(!text.contains("ESCAPED"), "{tier}: {text}");
        assert_eq!(fs::read_to_string(&program).unwrap(), PROGRAM, "{tier}");
        // The control: with the rights of `build()` the same program does all of that.
        let text = run(Writable::Build).await;
        assert!(
            text.contains("ESCAPED replace by a link") && text.contains("ESCAPED write to srcdir"),
            "{tier}: {text}"
        );
    }
}

const SPLIT: &str = r#"
pkgname=(a b)
build() { echo "built" > product; mkdir -p "$startdir/beside"; }
package_a() { echo a > "$pkgdir/file"; }
package_b() {
    try() { ( eval "$2" ) >/dev/null 2>&1 && echo "ESCAPED $1" || :; }
    try 'move another package away' 'mv "$startdir/pkg/a" "$startdir/pkg/old" && ln -s /etc "$startdir/pkg/a"'
    try 'write into another package' 'echo x > "$startdir/pkg/a/new"'
    try 'remove from another package' 'rm "$startdir/pkg/a/file"'
    try 'make a package' 'mkdir "$startdir/pkg/c"'
    try 'move its own package' 'mv "$pkgdir" "$startdir/pkg/moved"'
    try 'replace the recipe' 'echo x > "$startdir/PKGBUILD"'
    try 'write beside' 'echo x > "$startdir/beside/new"'
    try 'move srcdir away' 'mv "$srcdir" "$startdir/moved"'
    echo b > "$pkgdir/file" && echo x >> "$srcdir/product" && touch "$HOME/x" "$TMPDIR/x" && echo packaged
}
"#;

#[tokio::test]
async fn a_package_function_writes_to_its_own_package() {
    let sandbox = sandbox();
    let token = CancellationToken::new();
    for tier in tiers(&sandbox).await {
        let mut build = build(tier, SPLIT);
        build.spec.pkgbase = "ab".to_owned();
        build.spec.pkgname = vec!["a".to_owned(), "b".to_owned()];
        let recorder = Recorder::default();
        let pkg = build.spec.startdir.join("pkg");
        for phase in [
            Phase::Build,
            Phase::Package("a".to_owned()),
            Phase::Package("b".to_owned()),
        ] {
            if let Phase::Package(name) = &phase {
                build.spec.pkgdir = pkg.join(name);
            }
            let outcome = sandbox.run(&build.spec, phase, &token, &recorder).await;
            // Nothing holds a package of `group` back from its own harm: it is the control.
            if tier > Isolation::Group {
                outcome.unwrap_or_else(|error| panic!("{tier}: {}", chain(&error)));
            }
        }
        let text = recorder.text();
        if tier == Isolation::Group {
            assert!(text.contains("ESCAPED move another"), "{text}");
            continue;
        }
        assert!(text.contains("packaged"), "{tier}: {text}");
        assert!(!text.contains("ESCAPED"), "{tier}: {text}");
        assert_eq!(fs::read_to_string(pkg.join("a/file")).unwrap(), "a\n");
        let mode = fs::metadata(&build.spec.recipe).unwrap().permissions();
        assert!(mode.mode() & 0o400 != 0);
    }
}
