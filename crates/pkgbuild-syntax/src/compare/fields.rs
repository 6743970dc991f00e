//! Fields other than sources and checksums.

use super::{ChangeKind, RecipeChange, Weight};
use crate::package::{ArrayField, ArrayKey, FieldChange, Package};
use crate::source_text::SourceText;
use crate::span::Span;

pub(super) fn compare(old: &Package, new: &Package, changes: &mut Vec<RecipeChange>) {
    for change in old.difference(new) {
        let key = change.field.parse::<ArrayKey>().ok();
        if key
            .as_ref()
            .is_some_and(|key| matches!(key.field, ArrayField::Source | ArrayField::Checksums(_)))
        {
            continue;
        }
        let (weight, why) = judge(&change);
        let whose = match &change.pkgname {
            Some(name) => format!("`{}` of `{name}`", change.field),
            None => format!("`{}`", change.field),
        };
        let what = if change.before.is_empty() {
            "is new"
        } else if change.after.is_empty() {
            "is gone"
        } else {
            "is another"
        };
        let mut told = RecipeChange::new(ChangeKind::Field, weight, format!("{whose} {what}{why}"));
        told.span = place(new, &change, key.as_ref());
        told.before = change.before;
        told.after = change.after;
        changes.push(told);
    }
}

fn place(new: &Package, change: &FieldChange, key: Option<&ArrayKey>) -> Option<Span> {
    let metadata = match &change.pkgname {
        Some(name) => &new.overrides(name)?.metadata,
        None => &new.common,
    };
    match (key, change.field.as_str()) {
        (_, "pkgname") => new.pkgname.span(),
        (_, "pkgbase") => new.pkgbase.span(),
        (Some(key), _) => metadata.arrays.get(key)?.span(),
        (None, field) => metadata.string(field.parse().ok()?)?.span(),
    }
}

/// How much a field's change matters, and why.
fn judge(change: &FieldChange) -> (Weight, &'static str) {
    let field = change.field.split('_').next().unwrap_or_default();
    let grows = change
        .after
        .iter()
        .any(|element| !change.before.contains(element));
    match field {
        "install" if !change.after.is_empty() => (
            Weight::Warning,
            "; its functions run as root when the package is installed",
        ),
        "validpgpkeys" if grows => (Weight::Warning, "; another key can sign the sources now"),
        "validpgpkeys" => (Weight::Warning, "; fewer keys can sign the sources"),
        "replaces" if grows => (Weight::Warning, "; it takes the place of other packages"),
        "provides" if grows => (Weight::Note, "; it answers for other packages"),
        "pkgname" | "pkgbase" => (Weight::Warning, ""),
        "epoch" => (Weight::Warning, "; it outranks every older version"),
        "url" => {
            let host = |texts: &[String]| {
                let first = texts.first().map_or("", String::as_str);
                SourceText::parse(first).host().to_owned()
            };
            if change.before.is_empty() || host(&change.before) == host(&change.after) {
                (Weight::Note, "")
            } else {
                (
                    Weight::Warning,
                    "; the project is said to be at another host",
                )
            }
        }
        _ => (Weight::Note, ""),
    }
}
