//! Every file in `tests/cases/parse/ok` parses without an error into the tree beside it; every
//! file in `tests/cases/parse/err` gives the errors beside it.
//!
//! A new case is one file: run with `UPDATE_GOLDEN=1` and read what was written beside it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod dump;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pkgbuild_syntax::{LeafKind, parse};

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/parse")
        .join(folder);
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .collect();
    cases.sort();
    cases
}

/// Compares with the golden file, or writes it; whether it agrees.
fn agrees(case: &Path, extension: &str, actual: &str) -> bool {
    let golden = case.with_extension(extension);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, actual).unwrap();
        return true;
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    if expected != actual {
        eprintln!("{} differs; now it is\n{actual}", golden.display());
    }
    expected == actual
}

fn assert_lossless(case: &Path, source: &[u8], parse: &pkgbuild_syntax::Parse) {
    let mut joined = Vec::new();
    for leaf in parse.file.leaves() {
        assert_eq!(leaf.span.start as usize, joined.len(), "{}", case.display());
        joined.extend_from_slice(parse.file.text(leaf.span));
    }
    assert_eq!(joined, source, "{}", case.display());
}

#[test]
fn well_formed() {
    let cases = cases("ok");
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let mut agreed = true;
    for case in cases {
        let source = fs::read(&case).unwrap();
        let parse = parse(&source);
        assert_lossless(&case, &source, &parse);
        assert_eq!(parse.errors, [], "{}", case.display());
        let valid = parse
            .file
            .leaves()
            .all(|leaf| leaf.kind != LeafKind::Invalid);
        assert!(
            valid,
            "{} has a leaf that no rule has taken",
            case.display()
        );
        agreed &= agrees(&case, "tree", &dump::dump(&parse.file));
    }
    assert!(agreed, "a tree differs, see above");
}

#[test]
fn mistakes() {
    let cases = cases("err");
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut agreed = true;
    for case in cases {
        let source = fs::read(&case).unwrap();
        let parse = parse(&source);
        assert_lossless(&case, &source, &parse);
        assert_ne!(parse.errors, [], "{}", case.display());
        let mut text = String::new();
        for error in &parse.errors {
            writeln!(text, "{error:#}").unwrap();
        }
        text.push_str("---\n");
        text.push_str(&dump::dump(&parse.file));
        agreed &= agrees(&case, "errors", &text);
    }
    assert!(agreed, "an error differs, see above");
}

/// Where `bash -n` says nothing although something is wrong, or refuses what may be right.
const BASH_DIFFERS: [&str; 6] = [
    // Reported only when they run.
    "condition_empty",
    "condition_trailing_and",
    "backquote_mistake_inside",
    // Mistakes only while `extglob` is off, which a parser cannot know.
    "array_extended_glob",
    "case_extended_glob",
    "extended_glob",
];

#[test]
fn bash_agrees() {
    if Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: bash is not installed");
        return;
    }
    for (folder, accepted) in [("ok", true), ("err", false)] {
        for case in cases(folder) {
            let name = case.file_stem().unwrap().to_str().unwrap();
            if BASH_DIFFERS.contains(&name) {
                continue;
            }
            let output = Command::new("bash").arg("-n").arg(&case).output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            let quiet = output.status.success() && message.is_empty();
            assert_eq!(quiet, accepted, "{}: {message}", case.display());
        }
    }
}
