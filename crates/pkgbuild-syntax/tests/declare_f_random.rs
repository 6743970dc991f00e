//! Random functions, printed as bash's `declare -f` prints them.
//!
//! `EVALUATE_CASES` sets how many are tried; 300 otherwise.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bash;

use std::io::Write as _;
use std::process::{Command, Stdio};

use pkgbuild_syntax::{Environment, Evaluated, evaluate, parse};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A simple command, with the bodies of its here-documents.
fn simple() -> impl Strategy<Value = (String, String)> {
    let plain = prop::sample::select(vec![
        "a",
        "b c",
        "x=1",
        "x=(1 2) y",
        "echo \"$q\" 'r'",
        "c >f",
        "d 2>&1",
        "! e",
        "time g",
        ">h",
        "[[ -n $x && y ]]",
        "((i++))",
        "let 'j = 1'",
    ])
    .prop_map(|text| (text.to_owned(), String::new()));
    let document = (
        prop::sample::select(vec![
            "cat <<E",
            "cat <<'E'",
            "cat <<-E",
            "tr a b <<E >f",
            "<<E cat",
        ]),
        prop::sample::select(vec!["", "one\n", "$two\nx=3\n"]),
    )
        .prop_map(|(text, body)| (text.to_owned(), format!("{body}E\n")));
    let twice = Just(("cat <<E 3<<E".to_owned(), "1\nE\n2\nE\n".to_owned()));
    prop_oneof![4 => plain, 3 => document, 1 => twice]
}

/// Commands joined on one line, then the bodies.
fn line(depth: u32) -> BoxedStrategy<String> {
    let joined = prop::sample::select(vec![" && ", " || ", " | ", " |& ", "; ", " & "]);
    let one = if depth == 0 {
        simple().boxed()
    } else {
        prop_oneof![5 => simple(), 2 => compound(depth - 1)].boxed()
    };
    (
        prop::collection::vec((one, joined), 1..4),
        prop::sample::select(vec!["", ";", " &"]),
    )
        .prop_map(|(commands, end)| {
            let (mut text, mut bodies) = (String::new(), String::new());
            let count = commands.len();
            for (index, ((command, body), joined)) in commands.into_iter().enumerate() {
                match command.split_once('\n') {
                    // The bodies so far follow the first line of a command of several.
                    Some((first, rest)) => {
                        let bodies = std::mem::take(&mut bodies);
                        text = format!("{text}{first}\n{bodies}{rest}");
                    }
                    None => text.push_str(&command),
                }
                bodies.push_str(&body);
                if index + 1 < count {
                    text.push_str(joined);
                }
            }
            format!("{text}{end}\n{bodies}")
        })
        .boxed()
}

fn compound(depth: u32) -> BoxedStrategy<(String, String)> {
    let body = prop::collection::vec(line(depth), 1..3).prop_map(|lines| lines.concat());
    let shape = prop::sample::select(vec![
        ("{\n", "}"),
        ("(\n", ")"),
        ("if a; then\n", "fi"),
        ("while b; do\n", "done"),
        ("for i in 1 2; do\n", "done"),
        ("case $x in\n a|b)\n", ";; esac"),
        ("g() {\n", "}"),
        ("if a; then b; else\n", "fi"),
    ]);
    let tail = prop::sample::select(vec!["", " >f", " 2>&1"]);
    (shape, body, tail)
        .prop_map(|((open, close), body, tail)| {
            (format!("{open}{body}{close}{tail}"), String::new())
        })
        .boxed()
}

fn function() -> impl Strategy<Value = String> {
    prop::collection::vec(line(1), 1..3).prop_map(|lines| format!("f() {{\n{}}}\n", lines.concat()))
}

fn in_bash(functions: &[String]) -> Vec<Option<String>> {
    let script: Vec<String> = functions
        .iter()
        .map(|text| {
            let quoted = text.replace('\'', "'\\''");
            format!("( eval '{quoted}' 2>/dev/null && declare -f f ); printf '\\0'\n")
        })
        .collect();
    let script = script.concat();
    let mut child = Command::new("bash")
        .args(["--norc", "--noprofile"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut printed: Vec<_> = text
        .split('\0')
        .map(|text| (!text.is_empty()).then(|| text.to_owned()))
        .collect();
    printed.pop();
    printed
}

#[test]
fn functions_print_as_in_bash() {
    if !bash::has_bash() {
        return;
    }
    let count = std::env::var("EVALUATE_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    let seed = std::env::var("EVALUATE_SEED")
        .ok()
        .and_then(|text| text.parse::<u8>().ok())
        .unwrap_or(7);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let functions: Vec<String> = (0..count)
        .map(|_| function().new_tree(&mut runner).unwrap().current())
        .collect();
    let expected = in_bash(&functions);
    assert_eq!(expected.len(), functions.len());
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for (text, expected) in functions.iter().zip(&expected) {
        let Some(expected) = expected else { continue };
        let evaluation = evaluate(&parse(text).file, &Environment::default());
        let Some(Evaluated::Known(ours)) = evaluation.declare_f("f") else {
            panic!("not defined: {text}");
        };
        compared += 1;
        if ours != *expected {
            wrong.push(format!("{text}--- bash\n{expected}--- ours\n{ours}"));
        }
    }
    assert!(
        compared * 2 > functions.len(),
        "only {compared} are functions"
    );
    wrong.sort_by_key(String::len);
    for text in wrong.iter().take(3) {
        eprintln!("{text}");
    }
    assert_eq!(wrong.len(), 0, "of {compared}");
}
