//! Lists and hints in the words of errors.

use std::path::{Path, PathBuf};

use crate::dependencies::MissingDependency;

/// What came from elsewhere, in words that drive no terminal.
#[allow(
    clippy::needless_pass_by_value,
    reason = "paths give what they display by value"
)]
pub(super) fn shown(text: impl ToString) -> String {
    printable::text(&text.to_string()).into_owned()
}

pub(super) fn place(line: Option<u32>) -> String {
    line.map(|line| format!("line {line}: "))
        .unwrap_or_default()
}

pub(super) fn values(values: &[String]) -> String {
    match values {
        [] => "nothing".to_owned(),
        values => list(values).replace(" or ", " "),
    }
}

pub(super) fn named_sources(names: &[String]) -> String {
    match names {
        [] => "named after no backend".to_owned(),
        names => list(names).replace(" or ", " and "),
    }
}

pub(super) fn each(missing: &[MissingDependency]) -> String {
    let missing: Vec<_> = missing.iter().map(shown).collect();
    missing.join(", ")
}

pub(super) fn hint(install: Option<&str>) -> String {
    install
        .map(|command| format!("; `{command}` gets it"))
        .unwrap_or_default()
}

pub(super) fn repair(part: &Path, problem: &str) -> String {
    let part = shown(part.display());
    if problem.starts_with("belongs") {
        return format!("give it away with `chown \"$(id -u)\" {part}`");
    }
    format!("mend it with `chmod go-w {part}`")
}

pub(super) fn unverified(sources: &[String]) -> String {
    match sources {
        [] => "the recipe has no sources, so nobody vouches for its content".to_owned(),
        sources => shown(sources.join(", ")),
    }
}

pub(super) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", shown(name)))
        .collect();
    quoted.join(" or ")
}

pub(super) fn ambiguity(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return " and no other program".to_owned();
    }
    let names: Vec<String> = paths
        .iter()
        .map(|path| format!("`{}`", shown(path.display())))
        .collect();
    format!("; which of {} is meant is not clear", names.join(", "))
}
