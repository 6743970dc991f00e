//! Every command that the root README names exists, takes the flags it is shown with, and does what
//! it is there for. What takes minutes runs with `README_COMMANDS=all`, as in `.ci/run`.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod commands;
mod existing;
mod place;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use commands::{PROGRAMS, block_commands, inline_commands};
use place::{Place, Server, WORKER};

/// Subcommands that run here, in the order of the README.
const QUICK: [&str; 19] = [
    "install",
    "search",
    "show",
    "list",
    "info",
    "outdated",
    "upgrade",
    "verify",
    "repair",
    "rollback",
    "doctor",
    "config",
    "completions",
    "man",
    "remove",
    "gc",
    "srcinfo",
    "lint",
    "fetch",
];

/// Those that have a test of their own, here or in `recipe_commands`.
const APART: [&str; 5] = ["catalog", "picture", "diff", "bump", "archives"];

/// Those that take minutes.
const SLOW: [&str; 4] = ["e2e", "faults", "soak", "bench"];

/// What is neither of our programs: the tests themselves and what runs them, and what is run below.
const OTHERS: [&str; 7] = [
    INSTALL,
    "cargo test --workspace",
    "cargo test -p e2e-tests --test attacks -- --nocapture",
    ".ci/run",
    DOC,
    "cargo run -p worker-provisioner --example embed -- <worker id> [<catalog URL>]",
    "cargo run -p worker-provisioner --example hive",
];

const INSTALL: &str = "cargo install --path crates/rbee-worker";
const DOC: &str = "cargo doc --workspace --no-deps --open";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn readme_commands() -> Vec<String> {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    [block_commands(&text), inline_commands(&text)].concat()
}

/// `rbee-worker`, which `cargo test --workspace` builds beside `xtask`.
fn worker() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("rbee-worker");
        if !program.is_file() {
            let output = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--package", "rbee-worker"])
                .current_dir(root())
                .output()
                .unwrap();
            assert_success("cargo build", &output);
        }
        program
    })
}

/// The program that a command of the README starts.
fn program_of(command: &str) -> &'static Path {
    if command.starts_with("cargo worker") {
        worker()
    } else {
        Path::new(env!("CARGO_BIN_EXE_xtask"))
    }
}

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .env("RBEE_WORKER", worker())
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap()
}

fn assert_success(what: &str, output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{what}` fails: {told}");
}

#[test]
fn every_command_is_run_by_a_test() {
    for command in readme_commands() {
        let mut programs = PROGRAMS.into_iter();
        let ran = match programs.find_map(|name| command.strip_prefix(name)) {
            Some(rest) => {
                let name = rest.split_whitespace().next().unwrap();
                [&QUICK[..], &APART, &SLOW]
                    .iter()
                    .any(|names| names.contains(&name))
            }
            None => OTHERS.contains(&command.as_str()),
        };
        assert!(ran, "README: no test runs `{command}`");
    }
}

#[test]
fn quick_commands_do_what_they_are_there_for() {
    let (place, catalog) = Place::with_catalog();
    let mut ran = BTreeSet::new();
    // The blocks come first: they install what the other commands look at.
    for command in readme_commands() {
        let name = command.split_whitespace().nth(2).unwrap_or_default();
        if !PROGRAMS.iter().any(|name| command.starts_with(name))
            || !QUICK.contains(&name)
            || command.contains("--help")
        {
            continue;
        }
        if name == "rollback" {
            // There has to be a version to go back to.
            let again = format!(
                "cargo worker install {WORKER} --backend cpu --force --allow-source-host 127.0.0.1"
            );
            assert_success(&again, &place.run(&again).unwrap());
        }
        let Some(output) = place.run(&command) else {
            continue;
        };
        assert_success(&command, &output);
        let said = String::from_utf8_lossy(&output.stdout);
        match name {
            "install" => assert!(place.path("workers").join(WORKER).exists(), "{said}"),
            "srcinfo" => assert!(said.starts_with("pkgbase = sample"), "{said}"),
            "search" | "show" | "info" => assert!(said.contains(WORKER), "{said}"),
            "remove" => assert!(!place.path("workers").join(WORKER).exists(), "{said}"),
            _ => {}
        }
        ran.insert(name.to_owned());
    }
    let all: BTreeSet<_> = QUICK.map(str::to_owned).into();
    assert_eq!(ran, all);
    assert!(catalog.interrupt(), "Ctrl-C ends the catalog with an error");
}

#[test]
fn the_picture_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.svg");
    let output = xtask(&["picture", "--out", file.to_str().unwrap()]);
    assert_success("cargo xtask picture", &output);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("<svg") && text.contains(WORKER), "{text}");
}

#[test]
fn archives_are_compared() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !has("bsdtar") || !has("tar") {
        eprintln!("skipped: `bsdtar` or `tar` is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "hello").unwrap();
    let made = Command::new("tar")
        .args(["-czf", "a.tar.gz", "file"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_success("tar", &made);
    let output = xtask(&["archives", folder.path().to_str().unwrap()]);
    assert_success("cargo xtask archives", &output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 archives"), "{text}");
}

/// The example, built as `cargo run` builds it.
fn example(name: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--workspace", "--example", name])
        .current_dir(root())
        .output()
        .unwrap();
    assert_success("cargo build", &output);
    let profile = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
    profile.join("examples").join(name)
}

#[test]
fn the_examples_run() {
    let (place, _catalog) = Place::with_catalog();
    let embed = place
        .command(example("embed"))
        // The sample's servers are on this machine.
        .env("WORKER_SOURCE_HOSTS", "127.0.0.1")
        .args([WORKER, place.catalog()])
        .output()
        .unwrap();
    assert_success("embed", &embed);
    let binary = place.path("workers").join(WORKER);
    let said = String::from_utf8_lossy(&embed.stdout);
    assert!(said.contains(binary.to_str().unwrap()), "{said}");
    assert!(binary.exists());

    let mut hive = Server::start(place.command(example("hive")).arg("0"));
    let url = hive.url("listening on");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream
        .write_all(b"GET /v1/workers HTTP/1.1\r\nhost: hive\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn slow_commands_run_where_asked_for() {
    if std::env::var_os("README_COMMANDS").is_none_or(|value| value != "all") {
        eprintln!("skipped: README_COMMANDS is not `all`");
        return;
    }
    let commands = readme_commands();
    assert!(commands.iter().any(|command| command == DOC));
    let documented = Command::new(env!("CARGO"))
        .args(DOC.split(' ').skip(1).filter(|word| *word != "--open"))
        .current_dir(root())
        .output()
        .unwrap();
    assert_success(DOC, &documented);
    assert!(commands.iter().any(|command| command == INSTALL));
    let place = tempfile::tempdir().unwrap();
    let installed = Command::new(env!("CARGO"))
        .args(INSTALL.split(' ').skip(1))
        // What was built already will do, and nothing of the reader's home is touched.
        .args(["--debug", "--locked", "--target-dir", "target", "--root"])
        .arg(place.path())
        .current_dir(root())
        .output()
        .unwrap();
    assert_success(INSTALL, &installed);
    let version = Command::new(place.path().join("bin/rbee-worker"))
        .arg("--version")
        .output()
        .unwrap();
    assert_success("rbee-worker --version", &version);
    let slow = commands.iter().filter_map(|command| {
        let mut arguments: Vec<&str> = command
            .strip_prefix("cargo xtask ")?
            .split_whitespace()
            .collect();
        if !SLOW.contains(arguments.first()?) {
            return None;
        }
        if matches!(arguments[0], "bench" | "faults") && !arguments.contains(&"--quick") {
            arguments.push("--quick");
        }
        Some(arguments)
    });
    // Several come to the same once they are made quick.
    for arguments in slow.collect::<BTreeSet<_>>() {
        let command = format!("cargo xtask {}", arguments.join(" "));
        eprintln!("running {command}");
        assert_success(&command, &xtask(&arguments));
    }
}
