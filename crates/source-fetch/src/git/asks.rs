//! Whether the files that build a source ask git for more than the commit they are in.

use git2::Oid;

use super::archive::Plan;
use super::blobs::Blobs;
use super::error::GitProblem;
use super::pack::{Packs, unreadable};
use super::tree::{self, Entry, Kind, Listing};

/// Larger files are no recipes of a build.
const MAX_BYTES: u64 = 1 << 20;

/// Names of files that build systems and version scripts are in.
const NAMES: &[&[u8]] = &[
    b"CMakeLists.txt",
    b"meson.build",
    b"meson_options.txt",
    b"build.rs",
    b"build.zig",
    b"build.sbt",
    b"Cargo.toml",
    b"setup.py",
    b"setup.cfg",
    b"pyproject.toml",
    b"package.json",
    b"wscript",
    b"SConstruct",
    b"SConscript",
    b"configure",
    b"configure.ac",
    b"configure.in",
    b"autogen.sh",
    b"bootstrap",
    b"Rakefile",
    b"justfile",
    b"Justfile",
    b"Taskfile.yml",
    b"version.py",
    b"_version.py",
    b"conanfile.py",
    b"xmake.lua",
    b"premake5.lua",
];
/// The same by their beginning or end.
const BEGINNINGS: &[&[u8]] = &[
    b"Makefile",
    b"makefile",
    b"GNUmakefile",
    b"GIT-VERSION",
    b"git-version",
    b"Dockerfile",
];
const ENDINGS: &[&[u8]] = &[
    b".cmake",
    b".mk",
    b".mak",
    b".m4",
    b".am",
    b".sh",
    b".bash",
    b".pri",
    b".pro",
    b".gradle",
    b".gradle.kts",
    b".gyp",
    b".gypi",
    b".gn",
    b".gni",
    b".bzl",
    b".nim",
    b".cmake.in",
    b".sh.in",
    b".mjs",
    b"version.txt.in",
];

/// Words that say that git is asked about history, tags, or how few digits name an object.
const WORDS: &[&str] = &[
    "rev-list",
    "describe",
    "shortlog",
    "name-rev",
    "for-each-ref",
    "show-ref",
    "merge-base",
    "--short",
    "--abbrev",
    "--count",
    "git log",
    "git tag",
    "git show",
    "log -",
    "log --",
    "tag --",
    "tag -l",
    "git blame",
    "whatchanged",
    "git_describe",
    "git-describe",
    "git rev-parse -",
    "get_git_",
    "gitversion",
    "git_version",
    "git-version",
    "setuptools_scm",
    "setuptools-scm",
    "hatch-vcs",
    "hatch_vcs",
    "versioneer",
    "versioningit",
    "dunamai",
    "pbr",
    "vcs_tag",
    "vergen",
    "shadow-rs",
    "built = ",
    "git2",
    // In lists of arguments.
    "'log'",
    "\"log\"",
    "'tag'",
    "\"tag\"",
    "'show'",
    "\"show\"",
];

/// The first file, by path, that holds both `git` and one of [`WORDS`]. A false alarm costs the time to fetch a history; a
/// miss is a build that git tells the history ends here.
pub(super) fn first(plan: &Plan<'_>) -> Result<Option<Vec<u8>>, GitProblem> {
    let mirror = plan.mirror.path();
    let failed = |error| unreadable(error, mirror, plan.url, "read the packs");
    let listing = Listing {
        repository: plan.mirror.repository(),
        mirror,
        url: plan.url,
        max: plan.limits.files,
        token: plan.token,
    };
    let entries = tree::list(&listing, plan.commit)?;
    let mut files: Vec<&Entry> = entries
        .iter()
        .filter(|entry| is_of_a_build(entry))
        .collect();
    files.sort_unstable_by_key(|entry| &entry.path);
    let ids: Vec<Oid> = files.iter().map(|entry| entry.id).collect();
    let packs = Packs::open(&mirror.join("objects")).map_err(failed)?;
    let places = packs.locate(&ids).map_err(failed)?;
    let mut blobs = Blobs::new(&packs, mirror, plan.url, plan.token);
    for (entry, place) in files.into_iter().zip(places) {
        let mut text = Vec::new();
        blobs.read(place, entry.id, &mut |length, piece| {
            if plan.token.is_cancelled() {
                return Err(GitProblem::Cancelled);
            }
            if length <= MAX_BYTES {
                text.extend(piece.iter().map(u8::to_ascii_lowercase));
            }
            Ok(())
        })?;
        if asks(&text) {
            return Ok(Some(entry.path.clone()));
        }
    }
    Ok(None)
}

fn is_of_a_build(entry: &Entry) -> bool {
    if !matches!(entry.kind, Kind::File | Kind::Executable) {
        return false;
    }
    let name = entry.path.rsplit(|byte| *byte == b'/').next();
    let name = name.unwrap_or_default();
    NAMES.contains(&name)
        || BEGINNINGS.iter().any(|start| name.starts_with(start))
        || ENDINGS.iter().any(|end| name.ends_with(end))
}

/// Whether a file, in lower case, mentions git and a question for it.
fn asks(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("git") && WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_for_git_are_found() {
        for text in [
            "execute_process(COMMAND ${GIT_EXECUTABLE} rev-list --count HEAD",
            "vcs_tag(command: ['git', 'describe'])",
            "run_command('git', 'log', '-1')",
            "$(shell git rev-parse --short HEAD)",
            "git describe --tags",
            "build-backend = 'setuptools.build_meta' # setuptools_scm reads git",
        ] {
            assert!(asks(text.to_ascii_lowercase().as_bytes()), "{text}");
        }
        for text in [
            "",
            "git clone x",
            "describe the log",
            "git rev-parse HEAD",
            "# digit",
        ] {
            assert!(!asks(text.as_bytes()), "{text}");
        }
    }
}
