//! Text that would drive the terminal it is printed on.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Attack, COMMANDS_VARIABLE, Verdict};
use crate::scene::{PROGRAM, Place, packaging, recipe};
use crate::server::{Answer, Host, RECIPE, entry};

const KIND: &str = "terminal";

/// Clipboard, title, other screen, erased screen, device control, eight-bit control, reversed text.
const SEQUENCES: [(&str, &str); 7] = [
    ("the clipboard", "\u{1b}]52;c;ZXZpbA==\u{7}"),
    ("the title", "\u{1b}]0;evil\u{7}"),
    ("the other screen", "\u{1b}[?1049h"),
    ("the erased screen", "\u{1b}[2J"),
    ("a device control string", "\u{1b}Pevil\u{1b}\\"),
    ("an eight-bit control", "\u{9b}2J"),
    ("reversed text", "\u{202e}evil"),
];

/// Where the text stands, the name of a place and how it gets there.
const PLACES: [&str; 8] = [
    "the output of build()",
    "the errors of a build that fails",
    "what the program answers when it is tried",
    "the name of a source",
    "the version",
    "the name of the program",
    "the answer of a catalog that fails",
    "the list of a catalog",
];

pub(crate) fn attacks() -> Vec<Attack> {
    let all = PLACES.iter().enumerate().flat_map(|(index, &place)| {
        // Every place has one sequence of its own, and the output of a build has them all.
        let some = if index == 0 {
            0..SEQUENCES.len()
        } else {
            index % 7..index % 7 + 1
        };
        some.map(move |which| {
            let (what, text) = SEQUENCES[which];
            Attack::new(KIND, format!("{what}, by {place}"), move |at| {
                printed(at, place, text)
            })
        })
    });
    all.collect()
}

async fn offer(place: &str, text: &str) -> Host {
    let bytes: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let print = format!("printf '%b\\n' '{bytes}x'");
    let word = format!("$'{bytes}'");
    let host = Host::with_recipe("").await;
    let text_of = match place {
        "the output of build()" => recipe(&format!(
            "build() {{\n{print}; {print} >&2\n}}\npackage() {{\n{PROGRAM}\n}}"
        )),
        "the errors of a build that fails" => recipe(&format!(
            "build() {{\n{print} >&2\nexit 3\n}}\npackage() {{\n{PROGRAM}\n}}"
        )),
        "what the program answers when it is tried" => recipe(&format!(
            "package() {{\nmkdir -p $pkgdir/usr/bin\ncat > $pkgdir/usr/bin/demo <<'END'\n#!/bin/sh\n\
             printf '{bytes}\\n'\nEND\nchmod 755 $pkgdir/usr/bin/demo\n}}"
        )),
        "the name of a source" => {
            let url = host.url("/file");
            host.put("/file", Answer::bytes("x"));
            packaging("").replace(
                "package()",
                &format!("source=({word}\"::{url}\")\nsha256sums=(SKIP)\npackage()"),
            )
        }
        "the version" => packaging("").replace("pkgver=1.0.0", &format!("pkgver=1{word}")),
        _ => packaging(""),
    };
    host.put(RECIPE, Answer::bytes(text_of));
    let mut entry = entry();
    match place {
        "the name of the program" => entry["variants"][0]["binaryName"] = json!(text),
        "the list of a catalog" => {
            entry["name"] = json!(text);
            entry["description"] = json!(text);
            entry["version"] = json!(text);
            entry["license"] = json!(text);
        }
        _ => {}
    }
    host.offer_entry(&entry);
    if place == "the answer of a catalog that fails" {
        let body = json!({"error": text, "message": text});
        for path in ["/workers", "/workers/demo"] {
            host.put(path, Answer::json(&body).with_status(400));
        }
    }
    host
}

async fn printed(at: Place, place: &'static str, text: &'static str) -> Verdict {
    let Some(program) = std::env::var_os(COMMANDS_VARIABLE) else {
        return Verdict::Skipped("`cargo build -p rbee-worker` has not been run".to_owned());
    };
    let host = offer(place, text).await;
    let url = host.url("");
    let run = |name: &str, switches: &[&str]| {
        let mut command = Command::new(&program);
        if place == "the list of a catalog" {
            command.args(["show", "demo", "--catalog", &url]);
        } else {
            command.args(["install", "demo", "--backend", "cpu", "--catalog", &url]);
            let folder = |below: &str| at.path(&format!("{name}/{below}"));
            command.arg("--bin-dir").arg(folder("bin"));
            command.arg("--data-dir").arg(folder("data"));
            command.arg("--cache-dir").arg(folder("cache"));
        }
        command.args(switches).env("TMPDIR", at.path("tmp"));
        async move { said(command).await }
    };
    let (people, machines) = (run("people", &[]).await, run("machines", &["--json"]).await);
    // What a program reads has every byte, so the text did come this far.
    let escaped = serde_json::to_string(text).unwrap();
    let escaped = escaped.trim_matches('"');
    let control = machines.contains(escaped) || machines.contains(text) || refused_before(&people);
    let seen = format!("{} bytes, {}", people.len(), last_line(&people));
    Verdict::Judged {
        control,
        won: people.contains(text),
        seen,
    }
}

/// A refusal that shows the text escaped has had it in its hands.
fn refused_before(said: &str) -> bool {
    [
        "\\u{1b}",
        "\\u{9b}",
        "\\u{202e}",
        "\\x1b",
        "\\e",
        "\\u001b",
        "\u{241b}",
        "\\u{7}",
    ]
    .iter()
    .any(|escape| said.contains(escape))
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}

async fn said(mut command: Command) -> String {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

/// Runs a command of people with an environment of its own and says whether it ended well.
pub(crate) async fn command_without_home(temporary: &Path, arguments: Vec<String>) -> Option<bool> {
    let program = std::env::var_os(COMMANDS_VARIABLE)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command
        .env("PATH", "/usr/bin:/bin")
        .env("TMPDIR", temporary);
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    Some(output.await.unwrap().status.success())
}
