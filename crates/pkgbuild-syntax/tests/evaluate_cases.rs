//! Every case under `tests/cases/evaluate`: a script and the variables it leaves.
//!
//! Each case is checked against its golden file and, where bash 5.2 is installed, the golden file
//! against bash. `UPDATE_CASES=1` writes the golden files from bash.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bash;

use std::fs;
use std::path::PathBuf;

fn cases(kind: &str) -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/evaluate")
        .join(kind);
    let mut cases: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn values_are_those_of_bash() {
    let cases = cases("ok");
    assert!(!cases.is_empty());
    let scripts: Vec<String> = cases
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let has_bash = bash::has_bash();
    let dumps = if has_bash {
        bash::in_bash(&scripts)
    } else {
        Vec::new()
    };
    let mut wrong = Vec::new();
    for (index, (path, script)) in cases.iter().zip(&scripts).enumerate() {
        let golden = path.with_extension("vars");
        if has_bash && std::env::var_os("UPDATE_CASES").is_some() {
            fs::write(&golden, dumps[index].join("\n") + "\n").unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        let expected: Vec<&str> = expected.lines().collect();
        if has_bash && dumps[index] != expected {
            wrong.push(format!("{}: golden file differs from bash", path.display()));
        }
        let ours = bash::ours(script);
        let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
        for line in ours.iter().filter(|line| !expected.contains(line)) {
            wrong.push(format!("{}: ours {line:?}", path.display()));
        }
        for line in expected.iter().filter(|line| !ours.contains(line)) {
            wrong.push(format!("{}: bash {line:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
