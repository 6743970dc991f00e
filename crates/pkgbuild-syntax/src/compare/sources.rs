//! Sources: where they come from, and what proves them.

use std::collections::BTreeSet;

use super::{ChangeKind, RecipeChange, Weight};
use crate::package::{Algorithm, Array, ArrayField, ArrayKey, Package};
use crate::source_text::SourceText;
use crate::span::Span;

/// One source with the checksums that are not skipped.
struct Entry<'package> {
    list: &'package ArrayKey,
    text: &'package str,
    source: SourceText<'package>,
    span: Option<Span>,
    proofs: Vec<(Algorithm, &'package str)>,
}

impl Entry<'_> {
    /// What it is called, whatever its version.
    fn shape(&self) -> String {
        let mut shape = String::new();
        for character in self.source.file_name().chars() {
            match character {
                '0'..='9' | '.' | '_' | '-' if shape.ends_with('#') => {}
                '0'..='9' => shape.push('#'),
                character => shape.push(character),
            }
        }
        shape
    }

    fn is_weak(&self) -> bool {
        let weak = |algorithm: Algorithm| {
            matches!(algorithm, Algorithm::Ck | Algorithm::Md5 | Algorithm::Sha1)
        };
        self.proofs.iter().all(|(algorithm, _)| weak(*algorithm))
    }

    /// Whether a signature is asked for.
    fn is_signed(&self) -> bool {
        let query = self
            .source
            .location
            .split_once('?')
            .map_or("", |(_, query)| query);
        query.split(['&', '#']).any(|part| part == "signed")
    }

    fn is_proved(&self) -> bool {
        !self.proofs.is_empty() || self.source.is_commit()
    }
}

fn entries(package: &Package) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let lists = package.common.arrays.iter();
    for (list, sources) in lists.filter(|(key, _)| key.field == ArrayField::Source) {
        let first = entries.len();
        entries.extend(sources.known().map(|(text, span)| Entry {
            list,
            text,
            source: SourceText::parse(text),
            span,
            proofs: Vec::new(),
        }));
        for algorithm in Algorithm::ALL {
            let key = ArrayKey {
                field: ArrayField::Checksums(algorithm),
                arch: list.arch.clone(),
            };
            let Some(Ok(digests)) = package.common.arrays.get(&key).map(Array::texts) else {
                continue;
            };
            for (digest, entry) in digests.into_iter().zip(&mut entries[first..]) {
                if digest != "SKIP" {
                    entry.proofs.push((algorithm, digest));
                }
            }
        }
    }
    entries
}

pub(super) fn compare(old: &Package, new: &Package, changes: &mut Vec<RecipeChange>) {
    let (before, after) = (entries(old), entries(new));
    let hosts: BTreeSet<&str> = before.iter().map(|entry| entry.source.host()).collect();
    let mut left: Vec<Option<&Entry<'_>>> = before.iter().map(Some).collect();
    let mut take = |fits: &dyn Fn(&Entry<'_>) -> bool| {
        let at = left.iter().position(|entry| entry.is_some_and(fits))?;
        left[at].take()
    };
    // The same text first, then the same name apart from its version.
    let mut pairs: Vec<(&Entry<'_>, Option<&Entry<'_>>)> = after
        .iter()
        .map(|entry| {
            (
                entry,
                take(&|other| other.list == entry.list && other.text == entry.text),
            )
        })
        .collect();
    for (entry, partner) in &mut pairs {
        if partner.is_none() {
            *partner = take(&|other| other.list == entry.list && other.shape() == entry.shape());
        }
    }
    for (entry, partner) in pairs {
        match partner {
            Some(partner) => pair(partner, entry, changes),
            None => added(entry, &hosts, changes),
        }
    }
    for gone in left.into_iter().flatten() {
        let message = format!("the source `{}` is gone", gone.source.file_name());
        changes.push(RecipeChange::new(ChangeKind::Source, Weight::Note, message).from(gone.text));
    }
}

fn added(entry: &Entry<'_>, hosts: &BTreeSet<&str>, changes: &mut Vec<RecipeChange>) {
    let source = &entry.source;
    let name = source.file_name();
    let (weight, message) = if source.is_local() {
        (
            Weight::Note,
            format!("the file `{name}` beside the recipe is new"),
        )
    } else if hosts.contains(source.host()) {
        (Weight::Note, format!("the source `{name}` is new"))
    } else {
        (
            Weight::Warning,
            format!(
                "the source `{name}` is new and comes from `{}`, where nothing came from before",
                source.host()
            ),
        )
    };
    let told = RecipeChange::new(ChangeKind::Source, weight, message);
    changes.push(told.at(entry.span).to(entry.text));
    if !source.is_local() && !entry.is_proved() && source.is_plain() {
        let message = format!("nothing proves `{name}`, which anybody on the way can replace");
        let told = RecipeChange::new(ChangeKind::Digest, Weight::Danger, message);
        changes.push(told.at(entry.span).to(entry.text));
    }
}

fn pair(old: &Entry<'_>, new: &Entry<'_>, changes: &mut Vec<RecipeChange>) {
    let name = new.source.file_name();
    let mut tell = |kind, weight, message: String| {
        let told = RecipeChange::new(kind, weight, message);
        changes.push(told.at(new.span).from(old.text).to(new.text));
    };
    if old.text != new.text {
        let (from, to) = (old.source.host(), new.source.host());
        if from != to {
            let place = |host: &str| match host {
                "" => "beside the recipe".to_owned(),
                host => format!("from `{host}`"),
            };
            let message = format!("`{name}` comes {} and no longer {}", place(to), place(from));
            tell(ChangeKind::Source, Weight::Warning, message);
        } else if old.source.fragment != new.source.fragment {
            let message = format!("another state of the checkout `{name}`");
            tell(ChangeKind::Source, Weight::Note, message);
        } else {
            tell(
                ChangeKind::Source,
                Weight::Note,
                format!("`{name}` has another address"),
            );
        }
        if new.source.is_plain() && !old.source.is_plain() && !old.source.is_local() {
            let message = format!("`{name}` is fetched over a connection that anybody can change");
            tell(ChangeKind::Source, Weight::Warning, message);
        }
        if old.source.is_fixed() && !new.source.is_fixed() && new.source.version_control.is_some() {
            let message = format!("the checkout `{name}` is no longer fixed to a commit or tag");
            tell(ChangeKind::Source, Weight::Danger, message);
        }
        if old.is_signed() && !new.is_signed() {
            let message = format!("no signature is asked of `{name}` any more");
            tell(ChangeKind::Digest, Weight::Danger, message);
        }
    }
    if old.is_proved() && !new.is_proved() {
        tell(
            ChangeKind::Digest,
            Weight::Danger,
            format!("nothing proves `{name}` any more"),
        );
        return;
    }
    if !old.is_weak() && new.is_weak() && !new.proofs.is_empty() {
        let message = format!("only checksums that can be forged prove `{name}` now");
        tell(ChangeKind::Digest, Weight::Warning, message);
    }
    let other = new.proofs.iter().find(|(algorithm, digest)| {
        let known = old.proofs.iter().find(|(known, _)| known == algorithm);
        known.is_some_and(|(_, known)| !known.eq_ignore_ascii_case(digest))
    });
    let Some((algorithm, digest)) = other else {
        return;
    };
    let before = old.proofs.iter().find(|(known, _)| known == algorithm);
    let (weight, message) = if old.text == new.text && !new.source.is_local() {
        (
            Weight::Danger,
            format!("`{name}` has the same address and another content"),
        )
    } else {
        (Weight::Note, format!("`{name}` has another content"))
    };
    let mut told = RecipeChange::new(ChangeKind::Digest, weight, message).at(new.span);
    told.before = before
        .map(|(_, digest)| format!("{algorithm} {digest}"))
        .into_iter()
        .collect();
    changes.push(told.to(format!("{algorithm} {digest}")));
}
