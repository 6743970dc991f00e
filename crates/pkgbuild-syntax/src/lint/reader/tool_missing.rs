//! Checkouts whose program is not among the dependencies.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic};
use crate::package::ArrayField;

const TOOLS: &[(&str, &[&str])] = &[
    ("git", &["git"]),
    ("hg", &["mercurial"]),
    ("svn", &["subversion"]),
    ("bzr", &["breezy", "bzr"]),
    ("fossil", &["fossil"]),
];

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let arrays = &subject.package.common.arrays;
    let needed: Vec<&str> = arrays
        .iter()
        .filter(|(key, _)| {
            let fields = [
                ArrayField::Makedepends,
                ArrayField::Checkdepends,
                ArrayField::Depends,
            ];
            fields.contains(&key.field)
        })
        .flat_map(|(_, array)| array.known())
        .map(|(text, _)| text.split(['<', '>', '=']).next().unwrap_or(text))
        .collect();
    let unknown = arrays.iter().any(|(key, array)| {
        key.field == ArrayField::Makedepends && array.reasons().next().is_some()
    });
    if unknown {
        return;
    }
    let sources = arrays
        .iter()
        .filter(|(key, _)| key.field == ArrayField::Source);
    let sources: Vec<_> = sources.flat_map(|(_, sources)| sources.known()).collect();
    for (scheme, packages) in TOOLS {
        let first = sources.iter().find(|(source, _)| {
            let location = source
                .split_once("::")
                .map_or(*source, |(_, location)| location);
            let rest = location.strip_prefix(scheme);
            rest.is_some_and(|rest| rest.starts_with('+') || rest.starts_with("://"))
        });
        // `git-lfs`, `mingw-w64-x86_64-git` and the like bring it along.
        let has = packages.iter().any(|package| {
            needed
                .iter()
                .any(|name| name.split('-').any(|part| part == *package))
        });
        if let Some((source, span)) = first
            && !has
        {
            found.push(Code::ToolMissing.found(
                *span,
                format!(
                    "`{source}` needs `{}`, which is not in `makedepends`",
                    packages[0]
                ),
                format!("add `{}` to `makedepends`", packages[0]),
            ));
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    (
        "source=(git+https://x.org/b#tag=1)\nsha256sums=(SKIP)",
        &[(Code::ToolMissing, "git+https://x.org/b#tag=1")],
    ),
    ("source=(hg+https://x.org/b)", &[(Code::ToolMissing, "*")]),
    (
        "makedepends=('git>=2')\nsource=(git+https://x.org/b#tag=1)\nb2sums=(1)",
        &[],
    ),
    ("depends=(git)\nsource=(git+https://x.org/b)", &[]),
];
