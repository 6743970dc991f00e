//! A short form of the fault runs and of the soak.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn xtask(arguments: &[&str]) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // `cargo test --workspace` has built it; otherwise it is built now.
    let worker = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("rbee-worker");
    if worker.is_file() {
        command.env("RBEE_WORKER", worker);
    }
    let output = command.args(arguments).output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.success(), report)
}

#[test]
fn a_few_faults_lose_nothing_and_leave_nothing() {
    let (good, report) = xtask(&["faults", "--quick", "--json", "--count", "4"]);
    let rows = report["rows"].as_array().unwrap();
    for row in rows {
        assert_eq!(row["losses"], serde_json::json!([]), "{row}");
        assert_eq!(row["leftBehind"], serde_json::json!([]), "{row}");
    }
    let killed = rows
        .iter()
        .filter(|row| row["fault"].as_str().unwrap().starts_with("SIGKILL"))
        .map(|row| row["runs"].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(killed, 4);
    assert!(good);
}

#[test]
fn a_short_soak_is_flat() {
    let (good, report) = xtask(&["soak", "--json", "--count", "40"]);
    assert_eq!(report["flat"], true, "{report}");
    assert_eq!(report["leftBehind"], 0, "{report}");
    assert!(good);
}
