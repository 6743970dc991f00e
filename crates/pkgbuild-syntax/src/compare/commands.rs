//! Functions, and the commands that appeared in them.

use std::collections::BTreeSet;

use super::{ChangeKind, RecipeChange, Weight};
use crate::evaluate::{Evaluated, Evaluation};
use crate::invocation::{self, Invocation};

pub(super) fn compare(old: &Evaluation, new: &Evaluation, changes: &mut Vec<RecipeChange>) {
    let (before, after) = (invocation::all(old.file()), invocation::all(new.file()));
    let names: BTreeSet<&str> = old.functions().into_iter().chain(new.functions()).collect();
    for name in names {
        function(name, old, new, changes);
        appeared(Some(name), &before, &after, changes);
    }
    appeared(None, &before, &after, changes);
}

fn function(name: &str, old: &Evaluation, new: &Evaluation, changes: &mut Vec<RecipeChange>) {
    let (before, after) = (old.declare_f(name), new.declare_f(name));
    if before == after {
        return;
    }
    let span = new.function(name).and_then(Evaluated::known);
    let (weight, what) = match (&before, &after) {
        (None, Some(Evaluated::Known(_))) if name == "verify" => (Weight::Note, "is new"),
        (_, None) if name == "verify" => (
            Weight::Danger,
            "is gone: nothing but the digests judges the sources now",
        ),
        (_, Some(Evaluated::Dynamic(_))) => (
            Weight::Warning,
            "is made while the recipe is read, so that its text is not known",
        ),
        (None, _) => (Weight::Note, "is new"),
        (_, None) => (Weight::Note, "is gone"),
        _ if new.function_tree(name).is_none() => (
            Weight::Warning,
            "is another, made by `eval`: read what it evaluates",
        ),
        _ => (Weight::Note, "is another"),
    };
    let message = format!("the function `{name}` {what}");
    changes.push(RecipeChange::new(ChangeKind::Function, weight, message).at(span));
}

/// The commands of one function, or of the top level, that the old text has not there.
fn appeared(
    function: Option<&str>,
    old: &[Invocation],
    new: &[Invocation],
    changes: &mut Vec<RecipeChange>,
) {
    let own = |invocation: &&Invocation| invocation.function.as_deref() == function;
    let mut before: Vec<String> = old.iter().filter(own).map(text).collect();
    let names: BTreeSet<&str> = old.iter().filter(own).map(Invocation::name).collect();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for invocation in new.iter().filter(own) {
        let text = text(invocation);
        if let Some(at) = before.iter().position(|known| *known == text) {
            before.swap_remove(at);
            continue;
        }
        let place = match function {
            Some(name) => format!("in `{name}`"),
            None => "at the top level".to_owned(),
        };
        let found = judge(invocation, function);
        let mut tell = |weight, message: String| {
            let told = RecipeChange::new(ChangeKind::Command, weight, message);
            changes.push(told.at(Some(invocation.span)).to(text.clone()));
        };
        if found.is_empty() {
            let name = invocation.name();
            if !name.is_empty() && !names.contains(name) && told.insert(name) {
                tell(Weight::Note, format!("`{name}` is new {place}"));
            }
        }
        for (weight, what) in found {
            tell(weight, format!("a new command {place} {what}"));
        }
    }
}

fn text(invocation: &Invocation) -> String {
    let words = invocation.words.iter().map(|word| word.raw.as_str());
    let written = invocation.written.iter().map(|word| word.raw.as_str());
    let mut text: Vec<&str> = words.collect();
    for target in written {
        text.extend([">", target]);
    }
    if let Some(next) = &invocation.pipes_into {
        text.extend(["|", next]);
    }
    text.join(" ")
}

/// What a command does that a reader should know.
fn judge(invocation: &Invocation, function: Option<&str>) -> Vec<(Weight, String)> {
    let mut found = Vec::new();
    let name = invocation.name();
    if invocation.runs_what_it_fetches() {
        found.push((Weight::Danger, "runs what the network sends".to_owned()));
    } else if invocation.needs_network() || talks(name) {
        let weight = match function {
            // There is a network, and nothing proves what comes.
            Some("prepare" | "build") | None => Weight::Warning,
            _ => Weight::Danger,
        };
        found.push((weight, format!("asks the network: `{name}`")));
    }
    if invocation.changes_user() {
        found.push((Weight::Danger, format!("becomes another user: `{name}`")));
    }
    if invocation.gives_rights() {
        found.push((
            Weight::Danger,
            format!("lets a file run with other rights: `{name}`"),
        ));
    } else if matches!(name, "chmod" | "chown" | "chgrp") {
        found.push((Weight::Note, format!("changes who may do what: `{name}`")));
    }
    for target in invocation.host_targets() {
        found.push((
            Weight::Danger,
            format!("writes to the host itself: `{}`", target.raw),
        ));
    }
    if let Some(first) = invocation.words.first().filter(|word| word.known.is_none()) {
        found.push((Weight::Warning, format!("runs what `{}` holds", first.raw)));
    }
    if invocation.unveils() {
        found.push((
            Weight::Warning,
            format!("unveils what the text hides: `{name}`"),
        ));
    }
    if let Some(place) = invocation.secret_place() {
        found.push((
            Weight::Danger,
            format!("names where people keep secrets: `{}`", place.raw),
        ));
    }
    if invocation.stays() {
        found.push((
            Weight::Danger,
            format!("makes something run later: `{name}`"),
        ));
    }
    found
}

/// Programs that do nothing without a network.
fn talks(name: &str) -> bool {
    matches!(
        name,
        "nc" | "ncat" | "netcat" | "socat" | "ssh" | "scp" | "sftp" | "ftp" | "telnet" | "lftp"
    )
}
