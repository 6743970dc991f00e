//! The files of a commit, listed with every name checked.

use std::io;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};
use tokio_util::sync::CancellationToken;

use super::convert::Conversion;
use super::error::GitProblem;
use super::mirror::problem;
use super::pack::{MAX_TREE, Packs, Place, Reader, unreadable};

/// Deeper trees are refused; a path may be 4096 bytes long.
const MAX_DEPTH: usize = 2048;
/// Bytes of all paths of one commit. The Linux kernel has 4 MB, Chromium 40 MB; a tree that nests the same long name
/// again and again would take gigabytes.
pub(super) const MAX_PATHS: u64 = 128 << 20;

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

    fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o040_000 => Self::Directory,
            0o160_000 => Self::Submodule,
            0o120_000 => Self::Link,
            _ if mode & 0o100 != 0 => Self::Executable,
            _ => Self::File,
        }
    }
}

/// One entry, with its path from the top.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) id: Oid,
    pub(super) kind: Kind,
    /// How its bytes change on their way out; nothing yet when it is listed.
    pub(super) conversion: Option<Conversion>,
}

/// The entries as git goes over them, with their numbers: each directory right before what it holds.
pub(super) fn in_order(entries: &[Entry]) -> Vec<(usize, &Entry)> {
    fn key(entry: &Entry) -> impl Iterator<Item = &u8> {
        let slash = (entry.kind == Kind::Directory).then_some(&b'/');
        entry.path.iter().chain(slash)
    }
    let mut entries: Vec<_> = entries.iter().enumerate().collect();
    entries.sort_by(|(_, one), (_, other)| key(one).cmp(key(other)));
    entries
}

/// Where the trees are, and what stops the listing.
pub(super) struct Listing<'a> {
    pub(super) repository: &'a Repository,
    /// The directory that holds the objects.
    pub(super) mirror: &'a Path,
    pub(super) url: &'a str,
    /// Most entries.
    pub(super) max: u64,
    pub(super) token: &'a CancellationToken,
}

/// A directory whose entries are to be listed.
struct Open {
    /// Which entry it is; nothing for the top.
    entry: Option<usize>,
    id: Oid,
    place: Option<Place>,
}

/// Lists everything below `commit`, directories before what they hold: level by level, so that what is in memory
/// beside the list is one tree object, however deep and repeated the tree is.
///
/// # Errors
/// [`GitProblem::UnsafePath`] for a name git itself refuses to check out, [`GitProblem::Limit`] past
/// `listing.max` entries, [`MAX_PATHS`] bytes of paths or [`MAX_DEPTH`] levels, [`GitProblem::Cancelled`].
pub(super) fn list(listing: &Listing<'_>, commit: Oid) -> Result<Vec<Entry>, GitProblem> {
    let top = listing
        .repository
        .find_commit(commit)
        .map_err(|e| problem(listing.url, "read the commit", e))?
        .tree_id();
    let packs =
        Packs::open(&listing.mirror.join("objects")).map_err(|error| listing.unreadable(error))?;
    let mut lister = Lister {
        listing,
        reader: Reader::new(&packs, listing.token),
        entries: Vec::new(),
        paths: 0,
    };
    let mut level = vec![Open {
        entry: None,
        id: top,
        place: None,
    }];
    for _ in 0..=MAX_DEPTH {
        let ids: Vec<Oid> = level.iter().map(|open| open.id).collect();
        let places = packs
            .locate(&ids)
            .map_err(|error| listing.unreadable(error))?;
        for (open, place) in level.iter_mut().zip(places) {
            open.place = place;
        }
        // The same tree in many places is read once, and each in the order it lies on the disk.
        level.sort_by_key(|open| (open.place, open.id));
        let first = lister.entries.len();
        let mut known: Option<(Oid, Vec<u8>)> = None;
        for open in &level {
            let data = match known.take() {
                Some((id, data)) if id == open.id => data,
                _ => lister.read(open)?,
            };
            lister.tree(open, &data)?;
            known = Some((open.id, data));
        }
        level = (first..)
            .zip(&lister.entries[first..])
            .filter(|(_, entry)| entry.kind == Kind::Directory)
            .map(|(index, entry)| Open {
                entry: Some(index),
                id: entry.id,
                place: None,
            })
            .collect();
        if level.is_empty() {
            return Ok(lister.entries);
        }
    }
    Err(listing.limit("nested directories", MAX_DEPTH as u64))
}

impl Listing<'_> {
    fn limit(&self, unit: &'static str, limit: u64) -> GitProblem {
        GitProblem::Limit {
            url: self.url.to_owned(),
            unit,
            limit,
        }
    }

    fn unreadable(&self, error: io::Error) -> GitProblem {
        if self.token.is_cancelled() {
            return GitProblem::Cancelled;
        }
        unreadable(error, self.mirror, self.url, "read a directory")
    }
}

struct Lister<'a> {
    listing: &'a Listing<'a>,
    reader: Reader<'a>,
    entries: Vec<Entry>,
    /// Bytes of the paths of all entries.
    paths: u64,
}

impl Lister<'_> {
    /// Reads the bytes of one tree.
    fn read(&mut self, open: &Open) -> Result<Vec<u8>, GitProblem> {
        let listing = self.listing;
        let Some(place) = open.place else {
            return listing.loose(open.id);
        };
        self.reader
            .tree(place, open.id)
            .and_then(|tree| tree.ok_or_else(damaged))
            .map_err(|error| listing.unreadable(error))
    }

    /// Adds the entries of one tree: gitformat-pack(5), git-fast-import(1) and `fsck` agree on `mode SP name NUL id`.
    fn tree(&mut self, open: &Open, data: &[u8]) -> Result<(), GitProblem> {
        let listing = self.listing;
        let mut rest = data;
        while !rest.is_empty() {
            if listing.token.is_cancelled() {
                return Err(GitProblem::Cancelled);
            }
            let (mode, name, id, after) =
                split(rest).ok_or_else(|| listing.unreadable(damaged()))?;
            rest = after;
            let kind = Kind::of_mode(mode);
            let mut path = match open.entry {
                Some(index) => {
                    let parent = &self.entries[index].path;
                    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
                    path.extend_from_slice(parent);
                    path.push(b'/');
                    path
                }
                None => Vec::with_capacity(name.len()),
            };
            path.extend_from_slice(name);
            if !is_safe(name, kind) || path.len() >= 4096 {
                return Err(GitProblem::UnsafePath {
                    url: listing.url.to_owned(),
                    path: path.escape_ascii().to_string(),
                });
            }
            if self.entries.len() as u64 >= listing.max {
                return Err(listing.limit("files", listing.max));
            }
            self.paths += path.len() as u64;
            if self.paths > MAX_PATHS {
                return Err(listing.limit("bytes of paths", MAX_PATHS));
            }
            self.entries.push(Entry {
                path,
                id,
                kind,
                conversion: None,
            });
        }
        Ok(())
    }
}

impl Listing<'_> {
    /// A tree that is in no pack, as those of a repository on this machine.
    fn loose(&self, id: Oid) -> Result<Vec<u8>, GitProblem> {
        let failed = |error| problem(self.url, "read a directory", error);
        let odb = self.repository.odb().map_err(failed)?;
        let (size, kind) = odb.read_header(id).map_err(failed)?;
        if kind != ObjectType::Tree {
            return Err(self.unreadable(damaged()));
        }
        if size as u64 > MAX_TREE {
            return Err(self.limit("bytes of a directory", MAX_TREE));
        }
        let object = odb.read(id).map_err(failed)?;
        Ok(object.data().to_vec())
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a directory is not one")
}

/// The mode, name and id of the first entry, and what follows it.
fn split(tree: &[u8]) -> Option<(u32, &[u8], Oid, &[u8])> {
    let space = tree.iter().take(8).position(|byte| *byte == b' ')?;
    let mode = std::str::from_utf8(&tree[..space]).ok()?;
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let rest = &tree[space + 1..];
    // A name that is too long for a path is too long to look for.
    let end = rest.iter().take(4097).position(|byte| *byte == 0)?;
    let (name, rest) = (&rest[..end], &rest[end + 1..]);
    let (id, rest) = rest.split_at_checked(20)?;
    Some((mode, name, Oid::from_bytes(id).ok()?, rest))
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_listing_stops_when_it_is_cancelled_or_past_its_limits() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(directory.path()).unwrap();
        let blob = repository.blob(b"x").unwrap();
        let mut tree = repository.treebuilder(None).unwrap();
        for name in ["a", "b"] {
            tree.insert(name, blob, 0o100_644).unwrap();
        }
        let mut id = tree.write().unwrap();
        for _ in 0..3 {
            let mut tree = repository.treebuilder(None).unwrap();
            tree.insert("d", id, 0o040_000).unwrap();
            id = tree.write().unwrap();
        }
        let who = git2::Signature::now("a", "a@example.org").unwrap();
        let tree = repository.find_tree(id).unwrap();
        let commit = repository
            .commit(None, &who, &who, "x", &tree, &[])
            .unwrap();
        let listed = |max, token: &CancellationToken| {
            let listing = Listing {
                repository: &repository,
                mirror: directory.path(),
                url: "u",
                max,
                token,
            };
            list(&listing, commit)
        };
        let token = CancellationToken::new();
        let paths: Vec<_> = listed(5, &token)
            .unwrap()
            .into_iter()
            .map(|entry| String::from_utf8(entry.path).unwrap())
            .collect();
        assert_eq!(paths, ["d", "d/d", "d/d/d", "d/d/d/a", "d/d/d/b"]);
        assert!(matches!(
            listed(4, &token),
            Err(GitProblem::Limit { unit: "files", .. })
        ));
        token.cancel();
        assert!(matches!(listed(5, &token), Err(GitProblem::Cancelled)));
    }

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
