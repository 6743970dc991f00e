//! Whether what a command names is there.

use std::collections::BTreeSet;
use std::process::Command;

use super::{program_of, readme_commands, root};

/// `--from source|binary` and `[--quick]` name one flag each.
fn flags(command: &str) -> impl Iterator<Item = &str> {
    command
        .split(|c: char| c.is_whitespace() || "[]=|,…".contains(c))
        .filter(|word| word.starts_with("--") && word.len() > 2)
}

/// Whether one of our programs has the subcommand and the switches.
fn check_own(command: &str) {
    let run = |arguments: &[&str]| {
        let mut program = Command::new(program_of(command));
        program.args(arguments).output().unwrap()
    };
    let words: Vec<&str> = command.split_whitespace().skip(2).collect();
    let first = words.first().copied().unwrap_or("--help");
    if first.starts_with('-') {
        let output = run(&[first]);
        assert!(output.status.success(), "README: `{command}` fails");
        return;
    }
    // `cargo xtask list|verify` names two.
    for name in first.split('|') {
        if name.starts_with(|c: char| !c.is_ascii_lowercase()) {
            continue;
        }
        let output = run(&[name, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "README: `{command}`: there is no `{name}`"
        );
        for flag in flags(command) {
            assert!(
                help.contains(flag),
                "README: `{command}`: `{name}` has no `{flag}`"
            );
        }
    }
}

/// Names of the workspace's packages and of their examples, benches and tests.
fn targets() -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        found.insert((name.to_owned(), String::new()));
        for target in package["targets"].as_array().unwrap() {
            found.insert((name.to_owned(), target["name"].as_str().unwrap().to_owned()));
        }
    }
    found
}

fn check_cargo(command: &str, targets: &BTreeSet<(String, String)>) {
    let own = command.split(" -- ").next().unwrap();
    let words: Vec<&str> = own.split_whitespace().collect();
    let after = |names: &[&str]| {
        let at = words.iter().position(|word| names.contains(word))?;
        words.get(at + 1).copied()
    };
    if let Some(manifest) = after(&["--manifest-path"]) {
        assert!(
            root().join(manifest).is_file(),
            "README: `{command}`: no `{manifest}`"
        );
        return;
    }
    if let Some(path) = after(&["--path"]) {
        assert!(
            root().join(path).join("Cargo.toml").is_file(),
            "README: `{command}`: no `{path}`"
        );
        return;
    }
    let package = after(&["-p", "--package"]);
    let target = after(&["--example", "--bench", "--test"]);
    let exists = targets.iter().any(|(name, one)| {
        package.is_none_or(|package| package == name) && target.is_none_or(|target| target == one)
    });
    assert!(
        exists,
        "README: `{command}` names something that the workspace does not have"
    );
    let known = [
        "test", "run", "doc", "build", "clippy", "fmt", "bench", "check", "install", "tree",
    ];
    assert!(
        known.contains(&words[1]),
        "README: `{command}`: cargo has no such command"
    );
}

#[test]
fn every_command_exists() {
    let targets = targets();
    let commands: BTreeSet<String> = readme_commands().into_iter().collect();
    assert!(
        commands
            .iter()
            .any(|command| command.starts_with("cargo xtask e2e")),
        "the README names no commands, or this test no longer finds them: {commands:?}"
    );
    for command in &commands {
        let program = command.split_whitespace().next().unwrap();
        if command.starts_with("cargo xtask") || command.starts_with("cargo worker") {
            check_own(command);
        } else if program == "cargo" {
            check_cargo(command, &targets);
        } else {
            assert!(
                root().join(program).is_file(),
                "README: there is no `{program}`"
            );
        }
    }
}
