//! Against `git check-attr`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// What `git` prints in `directory`; nothing where there is no git.
fn git(directory: &Path, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("HOME", directory)
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no `git`");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        stdin.write_all(&input).unwrap();
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

/// What git says: for each path the attributes and their values.
fn asked(
    directory: &Path,
    paths: &[String],
    names: &[&str],
) -> Option<BTreeMap<String, BTreeMap<String, String>>> {
    let mut arguments = vec!["check-attr", "-z", "--stdin"];
    arguments.extend(names);
    let output = git(directory, &arguments, (paths.join("\0") + "\0").as_bytes())?;
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let text = String::from_utf8(output).unwrap();
    let words: Vec<&str> = text.split_terminator('\0').collect();
    for row in words.chunks(3) {
        let values = found.entry(row[0].to_owned()).or_default();
        values.insert(row[1].to_owned(), row[2].to_owned());
    }
    Some(found)
}

fn pick<'a>(random: &mut fastrand::Rng, parts: &[&'a str]) -> &'a str {
    parts[random.usize(..parts.len())]
}

fn text(random: &mut fastrand::Rng, parts: &[&str], most: usize) -> String {
    let count = random.usize(1..=most);
    (0..count).map(|_| pick(random, parts)).collect()
}

/// Paths that patterns of the same letters may match.
fn paths(random: &mut fastrand::Rng) -> Vec<String> {
    let parts = [
        "a", "b", "-", "]", "x", "A", "\u{7f}", "é", "!", "\\", "*", "1", "_", ":",
    ];
    let mut found = BTreeSet::new();
    for _ in 0..120 {
        let depth = random.usize(1..=4);
        let names: Vec<String> = (0..depth).map(|_| text(random, &parts, 3)).collect();
        let slash = if random.u8(..8) == 0 { "/" } else { "" };
        found.insert(names.join("/") + slash);
    }
    found.into_iter().collect()
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "a",
    "b",
    "x",
    "*",
    "*",
    "**",
    "/",
    "/",
    "**/",
    "/**",
    "?",
    "[ab]",
    "[!a]",
    "[^b-x]",
    "[]a]",
    "[a-]",
    "[[:alpha:]]",
    "[[:punct:]]",
    "[[:nothing:]]",
    "[[:]",
    "[a",
    "\\",
    "\\*",
    "\\a",
    "\\/",
    "é",
    "[é]",
    "!",
    "#",
    "***",
    "[\\]]",
    "[--0]",
    "-",
    "]",
    ":",
    "1",
    "[[:alpha:]-b]",
];

/// git before 2.52 takes `**` for one between slashes where it follows the literal beginning of a pattern with a slash.
fn depends_on_version(pattern: &str) -> bool {
    let literal = pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len());
    literal > 0
        && !pattern[..literal].ends_with('/')
        && pattern[literal..].starts_with("**")
        && pattern.contains('/')
}

#[test]
fn patterns_match_what_they_match_in_git() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..40 {
        let directory = tempfile::tempdir().unwrap();
        let mut patterns: Vec<String> = (0..100).map(|_| text(&mut random, PIECES, 7)).collect();
        patterns.retain(|pattern| !depends_on_version(pattern));
        let paths = paths(&mut random);
        let lines: String = patterns
            .iter()
            .enumerate()
            .map(|(number, pattern)| format!("{pattern} p{number}\n"))
            .collect::<Vec<_>>()
            .concat();
        fs::write(directory.path().join(".gitattributes"), lines).unwrap();
        if git(directory.path(), &["init", "-q"], b"").is_none() {
            return;
        }
        let known = asked(directory.path(), &paths, &["--all"]).unwrap();
        for path in &paths {
            let (bare, is_directory) = match path.strip_suffix('/') {
                Some(bare) => (bare, true),
                None => (path.as_str(), false),
            };
            let base = bare.rfind('/').map_or(0, |slash| slash + 1);
            for (number, pattern) in patterns.iter().enumerate() {
                let ours = !pattern.starts_with('#')
                    && Pattern::parse(pattern.as_bytes())
                        .is_some_and(|p| p.matches(bare.as_bytes(), base, is_directory).0);
                let name = format!("p{number}");
                let gits = known
                    .get(path)
                    .is_some_and(|values| values.contains_key(&name));
                assert_eq!(ours, gits, "`{pattern}` and `{path}`");
            }
        }
    }
}

const ALL: [&str; 8] = [
    "text",
    "crlf",
    "eol",
    "ident",
    "filter",
    "working-tree-encoding",
    "export-ignore",
    "export-subst",
];

fn line(random: &mut fastrand::Rng) -> String {
    let states = [
        "text",
        "-text",
        "!text",
        "text=auto",
        "eol=crlf",
        "eol=lf",
        "crlf",
        "-crlf",
        "crlf=input",
        "binary",
        "-binary",
        "!binary",
        "mine",
        "-mine",
        "yours",
        "ident",
        "-ident",
        "filter=lfs",
        "working-tree-encoding=UTF-16",
        "export-ignore",
        "export-subst",
        "-export-subst",
        "diff",
        "builtin_x",
        "-",
        "a=b=c",
        "=",
        "what?",
        "text=",
        "--text",
        "loop",
    ];
    let pattern = match random.u8(..8) {
        0 => format!(
            "\"{}\"",
            pick(
                random,
                &["a*", "\\141", "a\\tb", "b\\", "x y", "\\303\\251*", "*"]
            )
        ),
        1 => format!(
            "[attr]{}",
            pick(random, &["mine", "yours", "text", "loop", "binary", ""])
        ),
        2 => format!(" {}", text(random, PIECES, 3)),
        _ => text(random, PIECES, 4),
    };
    if depends_on_version(pattern.trim()) {
        return String::new();
    }
    let states: Vec<&str> = (0..random.usize(..4))
        .map(|_| pick(random, &states))
        .collect();
    let long = "x".repeat(2100);
    let end = pick(random, &["", "", "\r", " ", "\t\r", &long]);
    format!("{pattern} {}{end}\n", states.join(" "))
}

#[test]
fn attributes_are_what_git_says_they_are() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..120 {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for place in ["", "a", "a/b", "b"] {
            if random.bool() || place.is_empty() {
                let content: String = (0..random.usize(1..12))
                    .map(|_| line(&mut random))
                    .collect();
                fs::create_dir_all(top.join(place)).unwrap();
                let path = top.join(place).join(".gitattributes");
                fs::write(path, &content).unwrap();
                files.insert(place.to_owned(), content.into_bytes());
            }
        }
        if git(top, &["init", "-q"], b"").is_none() {
            return;
        }
        let paths = paths(&mut random);
        let known = asked(top, &paths, &ALL).unwrap();
        let reader = Reader::new(&files[""]);
        let rules: BTreeMap<&str, Arc<Rules>> = files
            .iter()
            .map(|(place, content)| (place.as_str(), Arc::new(reader.rules(content))))
            .collect();
        for path in &paths {
            let bare = path.trim_end_matches('/');
            let mut stack: Vec<(&[u8], Arc<Rules>)> = vec![(b"", rules[""].clone())];
            for (slash, _) in bare.match_indices('/') {
                if let Some(rules) = rules.get(&bare[..slash]) {
                    stack.push((&bare.as_bytes()[..slash], rules.clone()));
                }
            }
            let is_directory = bare != path;
            let values = reader
                .values(bare.as_bytes(), is_directory, &stack, &mut |_| true)
                .unwrap();
            let ours = [
                &values.text,
                &values.crlf,
                &values.eol,
                &values.ident,
                &values.filter,
                &values.encoding,
                &values.export_ignore,
                &values.export_subst,
            ];
            for (name, value) in ALL.iter().zip(ours) {
                let value = match value {
                    Value::Unspecified => "unspecified".to_owned(),
                    Value::True => "set".to_owned(),
                    Value::False => "unset".to_owned(),
                    Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
                };
                assert_eq!(value, known[path][*name], "{name} of `{path}` by {files:?}");
            }
        }
    }
}

#[test]
fn a_hostile_pattern_takes_no_longer_than_its_length() {
    let pattern = Pattern::parse("**/a*".repeat(60).as_bytes()).unwrap();
    let path = "a/".repeat(1500) + "b";
    let (matches, cost) = pattern.matches(path.as_bytes(), path.len() - 1, false);
    assert!(!matches);
    assert!(cost <= 1 + 240 * 3001, "{cost}");
}
