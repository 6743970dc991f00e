//! Every line of `tests/tables` is a script of its own: what we know must be what bash has, and
//! all of it must be known unless the line ends in `# dynamic`. `\N` stands for a line feed.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod bash;

use std::fs;
use std::path::PathBuf;

#[test]
fn lines_leave_what_they_leave_in_bash() {
    if !bash::has_bash() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tables");
    let mut tables: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    tables.sort();
    assert!(!tables.is_empty());
    let mut wrong = Vec::new();
    for table in tables {
        let text = fs::read_to_string(&table).unwrap();
        let scripts: Vec<String> = text
            .lines()
            .map(|line| format!("{}\n:\n", line.replace("\\N", "\n")))
            .collect();
        let dumps = bash::in_bash(&scripts);
        assert_eq!(dumps.len(), scripts.len(), "every script gives a dump");
        for (script, dump) in scripts.iter().zip(&dumps) {
            let ours = bash::ours(script);
            let known = !ours.iter().any(|line| line.contains("<dynamic>"));
            let may_be_dynamic = script.contains("# dynamic");
            if !bash::agrees(&ours, dump) || known == may_be_dynamic {
                let script = script.lines().next().unwrap_or_default();
                wrong.push(format!("{script}\n  ours {ours:?}\n  bash {dump:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
