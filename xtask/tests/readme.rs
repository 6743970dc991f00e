//! Every command that the root README names exists, takes the flags it is shown with, and the quick
//! ones do what they are there for. With `README_COMMANDS=all` the slow ones run too.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e_tests::sample::{Sample, SampleOptions};
use tempfile::TempDir;

/// Commands that run here, in the order of the README, against a sample catalog and in a home of
/// their own.
const QUICK: [&str; 10] = [
    "provision",
    "workers",
    "list",
    "verify",
    "rollback",
    "remove",
    "gc",
    "srcinfo",
    "lint",
    "fetch",
];

/// The worker that the blocks provision.
const WORKER: &str = "sample-worker-rbee";

/// Programs that a reader has anyway and that are not ours to check.
const FOREIGN: [&str; 4] = ["git", "cd", "curl", "export"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// The lines of all `sh` blocks, without comments and with continued lines joined.
fn block_commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("\n```sh\n").skip(1) {
        let block = block.split("\n```").next().unwrap().replace("\\\n", " ");
        for line in block.lines() {
            let line = line.split(" # ").next().unwrap().trim();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            if !line.is_empty() && !line.starts_with('#') {
                commands.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
    commands
}

/// Commands in backquotes; in the first cell of a table, what follows `cargo xtask A` are its
/// sisters: `B`, `C`.
fn inline_commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('|') {
            let cell = line.trim_matches('|').split('|').next().unwrap();
            let mut sisters = false;
            for code in codes(cell) {
                sisters |= code.starts_with("cargo xtask ");
                if code.starts_with("cargo ") {
                    commands.push(code);
                } else if sisters && code.starts_with(|c: char| c.is_ascii_lowercase()) {
                    commands.push(format!("cargo xtask {code}"));
                }
            }
        } else if !fenced {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    commands.extend(codes(&prose).filter(|code| code.starts_with("cargo ") || code == ".ci/run"));
    commands
}

/// What stands in single backquotes, blanks made single.
fn codes(text: &str) -> impl Iterator<Item = String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap()
}

/// `--from source|binary` and `[--quick]` name one flag each.
fn flags(command: &str) -> impl Iterator<Item = &str> {
    command
        .split(|c: char| c.is_whitespace() || "[]=|,…".contains(c))
        .filter(|word| word.starts_with("--") && word.len() > 2)
}

fn check_xtask(command: &str) {
    let words: Vec<&str> = command.split_whitespace().skip(2).collect();
    let first = words.first().copied().unwrap_or("--help");
    if first.starts_with('-') {
        let output = xtask(&[first]);
        assert!(output.status.success(), "README: `{command}` fails");
        return;
    }
    // `cargo xtask list|verify` names two.
    for name in first.split('|') {
        if name.starts_with(|c: char| !c.is_ascii_lowercase()) {
            continue;
        }
        let output = xtask(&[name, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "README: `{command}`: there is no `cargo xtask {name}`"
        );
        for flag in flags(command) {
            assert!(
                help.contains(flag),
                "README: `{command}`: `cargo xtask {name}` has no `{flag}`"
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
        "test", "run", "doc", "build", "clippy", "fmt", "bench", "check", "tree",
    ];
    assert!(
        known.contains(&words[1]),
        "README: `{command}`: cargo has no such command"
    );
}

#[test]
fn every_command_exists() {
    let text = readme();
    let targets = targets();
    let commands: BTreeSet<String> = block_commands(&text)
        .into_iter()
        .chain(inline_commands(&text))
        .collect();
    assert!(
        commands
            .iter()
            .any(|command| command.starts_with("cargo xtask e2e")),
        "the README names no commands, or this test no longer finds them: {commands:?}"
    );
    for command in &commands {
        let program = command.split_whitespace().next().unwrap();
        if command.starts_with("cargo xtask") {
            check_xtask(command);
        } else if program == "cargo" {
            check_cargo(command, &targets);
        } else if program.starts_with('.') {
            assert!(
                root().join(program).is_file(),
                "README: there is no `{program}`"
            );
        } else {
            assert!(
                FOREIGN.contains(&program),
                "README: `{command}`: this test does not know how to check `{program}`"
            );
        }
    }
}

/// A home, a catalog and a recipe for the commands that run.
struct Place {
    folder: TempDir,
    catalog: String,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs one command with what a reader would fill in filled in.
    fn run(&self, command: &str) -> Option<Output> {
        let mut words = Vec::new();
        for word in command.split_whitespace().skip(2) {
            words.push(match word {
                "FILE" | "FILE…" | "FILE..." => self.path("PKGBUILD").display().to_string(),
                "[ID]" => continue,
                // Without the flags of the block it would be installed for everybody.
                "ID" if words.first().is_none_or(|first| first != "provision") => WORKER.to_owned(),
                "DIR" => self.path("srcdir").display().to_string(),
                // What a reader keeps in the temporary folder stays in this test's own.
                _ => word.replace("/tmp/", &format!("{}/", self.folder.path().display())),
            });
        }
        let placeholder = |word: &String| {
            word.contains(['[', '…', '<', '|']) || word.chars().all(|c| c.is_ascii_uppercase())
        };
        if words.iter().any(placeholder) {
            return None;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(words)
            .current_dir(root())
            .env("WORKER_CATALOG_URL", &self.catalog)
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .output()
            .unwrap();
        Some(output)
    }
}

const RECIPE: &str = "pkgname=sample\npkgver=1.0\npkgrel=1\npkgdesc='A sample'\narch=('any')\n\
    url='https://samples.invalid'\nlicense=('MIT')\npackage() {\n  install -d \"$pkgdir/usr\"\n}\n";

#[test]
fn quick_commands_do_what_they_are_there_for() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = SampleOptions {
        port: 0,
        target: Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample-worker"),
    };
    let sample = runtime
        .block_on(Sample::start(&folder.path().join("sample"), &options))
        .unwrap();
    fs::write(folder.path().join("PKGBUILD"), RECIPE).unwrap();
    let place = Place {
        catalog: sample.catalog_url(),
        folder,
    };
    let text = readme();
    let mut ran = BTreeSet::new();
    // The blocks first: they install what the other commands look at.
    for command in block_commands(&text)
        .into_iter()
        .chain(inline_commands(&text))
    {
        let name = command.split_whitespace().nth(2).unwrap_or_default();
        if !command.starts_with("cargo xtask ")
            || !QUICK.contains(&name)
            || command.contains("--help")
        {
            continue;
        }
        if name == "rollback" {
            // There has to be a version to go back to.
            let bin_dir = place.path("workers");
            let again = format!("cargo xtask provision {WORKER} --backend cpu --force --bin-dir");
            let again = place
                .run(&format!("{again} {}", bin_dir.display()))
                .unwrap();
            assert!(again.status.success(), "{again:?}");
        }
        let Some(output) = place.run(&command) else {
            continue;
        };
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "README: `{command}` fails: {told}");
        let said = String::from_utf8_lossy(&output.stdout);
        match name {
            "provision" => assert!(said.contains("\"status\""), "no artifact: {said}"),
            "srcinfo" => assert!(said.starts_with("pkgbase = sample"), "{said}"),
            "workers" => assert!(said.contains(WORKER), "{said}"),
            "remove" => assert!(!place.path("workers").join(WORKER).exists(), "{said}"),
            _ => {}
        }
        ran.insert(name.to_owned());
    }
    let all: BTreeSet<_> = QUICK.map(str::to_owned).into();
    assert_eq!(ran, all);
}

#[test]
fn slow_commands_run_where_asked_for() {
    if std::env::var_os("README_COMMANDS").is_none_or(|value| value != "all") {
        return;
    }
    let text = readme();
    let commands = [block_commands(&text), inline_commands(&text)].concat();
    let slow = commands.iter().filter_map(|command| {
        let mut arguments: Vec<&str> = command.split_whitespace().skip(2).collect();
        match arguments.first() {
            Some(&("e2e" | "soak")) => {}
            Some(&("bench" | "faults")) if arguments.contains(&"--quick") => {}
            Some(&("bench" | "faults")) => arguments.push("--quick"),
            _ => return None,
        }
        Some(arguments)
    });
    // Several may come to the same once they are made quick.
    for arguments in slow.collect::<BTreeSet<_>>() {
        assert!(
            xtask(&arguments).status.success(),
            "README: `cargo xtask {}` fails",
            arguments.join(" ")
        );
    }
}

#[test]
fn commands_are_found_in_blocks_and_in_prose() {
    let text = "a\n\n```sh\n# first\n$ cargo xtask one \\\n  --two\n```\n\nUse `cargo\nxtask three`.\n\n\
        | command | what |\n|---|---|\n| `cargo xtask four`, `five FILE` | `cargo xtask no` |\n";
    assert_eq!(block_commands(text), ["cargo xtask one --two"]);
    assert_eq!(
        inline_commands(text),
        [
            "cargo xtask four",
            "cargo xtask five FILE",
            "cargo xtask three"
        ]
    );
}
