//! The files of a commit, listed with every name checked.

use git2::{ObjectType, Oid, Repository};

use super::error::GitProblem;
use super::mirror::problem;

/// Deeper trees are refused; a path may be 4096 bytes long.
const MAX_DEPTH: usize = 2048;

/// What one entry of a tree becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Executable,
    Link,
    Directory,
    /// A submodule: an empty directory, as `git clone` leaves it.
    Submodule,
}

impl Kind {
    /// The mode as the index holds it.
    pub(super) fn mode(self) -> u32 {
        match self {
            Self::File => 0o100_644,
            Self::Executable => 0o100_755,
            Self::Link => 0o120_000,
            Self::Directory => 0o040_000,
            Self::Submodule => 0o160_000,
        }
    }
}

/// One entry, with its path from the top.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) id: Oid,
    pub(super) kind: Kind,
}

/// Lists everything below `commit`, directories before what they hold.
///
/// # Errors
/// [`GitProblem::UnsafePath`] for a name git itself refuses to check out, [`GitProblem::Limit`] past `max` entries.
pub(super) fn list(
    repository: &Repository,
    url: &str,
    commit: Oid,
    max: u64,
) -> Result<Vec<Entry>, GitProblem> {
    let tree = repository
        .find_commit(commit)
        .and_then(|commit| repository.find_tree(commit.tree_id()))
        .map_err(|e| problem(url, "read the commit", e))?;
    let mut entries = Vec::new();
    let mut lister = Lister {
        repository,
        url,
        max,
        entries: &mut entries,
    };
    lister.tree(&tree, &mut Vec::new(), 0)?;
    Ok(entries)
}

struct Lister<'a> {
    repository: &'a Repository,
    url: &'a str,
    max: u64,
    entries: &'a mut Vec<Entry>,
}

impl Lister<'_> {
    fn tree(
        &mut self,
        tree: &git2::Tree<'_>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), GitProblem> {
        if depth > MAX_DEPTH {
            return Err(GitProblem::Limit {
                url: self.url.to_owned(),
                unit: "nested directories",
                limit: MAX_DEPTH as u64,
            });
        }
        for entry in tree {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name_bytes());
            let kind = match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) => Kind::Directory,
                (Some(ObjectType::Commit), _) => Kind::Submodule,
                (_, 0o120_000) => Kind::Link,
                (_, mode) if mode & 0o111 != 0 => Kind::Executable,
                _ => Kind::File,
            };
            if !is_safe(entry.name_bytes(), kind) || path.len() >= 4096 {
                return Err(GitProblem::UnsafePath {
                    url: self.url.to_owned(),
                    path: path.escape_ascii().to_string(),
                });
            }
            if self.entries.len() as u64 >= self.max {
                return Err(GitProblem::Limit {
                    url: self.url.to_owned(),
                    unit: "files",
                    limit: self.max,
                });
            }
            self.entries.push(Entry {
                path: path.clone(),
                id: entry.id(),
                kind,
            });
            if kind == Kind::Directory {
                let tree = self
                    .repository
                    .find_tree(entry.id())
                    .map_err(|e| problem(self.url, "read a directory", e))?;
                self.tree(&tree, path, depth + 1)?;
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// git's `verify_path`, with the protections for HFS+ and NTFS that git switches on everywhere.
fn is_safe(name: &[u8], kind: Kind) -> bool {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0)
    {
        return false;
    }
    let folded = folded(name);
    // NTFS drops dots and blanks at the end, and a colon begins a stream name.
    let end = folded
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(folded.len());
    let stem = folded[..end].trim_ascii_end();
    let stem = stem
        .iter()
        .rposition(|byte| !b". ".contains(byte))
        .map_or(&stem[..0], |last| &stem[..=last]);
    if stem == b".git" || stem == b"git~1" {
        return false;
    }
    // A link there would let the next `git submodule` read a file of the host.
    !(kind == Kind::Link && (stem == b".gitmodules" || stem.starts_with(b"gitmod~")))
}

/// ASCII lower case, without the code points that HFS+ ignores in names.
fn folded(name: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(name) else {
        return name.to_ascii_lowercase();
    };
    text.chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .collect::<String>()
        .to_ascii_lowercase()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_reach_the_git_directory_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a\0b",
            ".git",
            ".GIT",
            ".gIt",
            "git~1",
            "GIT~1",
            ".git ",
            ".git.",
            ".git...",
            ".git::$INDEX_ALLOCATION",
            ".g\u{200c}it",
            "\u{feff}.git",
            ".Git\u{200d}",
        ] {
            assert!(!is_safe(name.as_bytes(), Kind::File), "{name:?}");
        }
        for name in [".gitmodules", ".gitModules", "gitmod~1"] {
            assert!(!is_safe(name.as_bytes(), Kind::Link), "{name:?}");
            assert!(is_safe(name.as_bytes(), Kind::File), "{name:?}");
        }
        for name in [
            "a",
            "...",
            ".gitignore",
            ".gitattributes",
            "git",
            "é",
            "a:b",
            "git~2",
            " ",
            "\u{200c}",
        ] {
            assert!(is_safe(name.as_bytes(), Kind::File), "{name:?}");
        }
        assert!(is_safe(b"\xff\xfe", Kind::File));
    }
}
