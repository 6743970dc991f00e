//! What the attributes of a commit say about each of its files.

use std::collections::HashMap;
use std::sync::Arc;

use git2::Oid;
use tokio_util::sync::CancellationToken;

use super::attributes::{Reader, Rules, Values};
use super::blobs::Blobs;
use super::error::GitProblem;
use super::pack::Packs;
use super::tree::{Entry, Kind};

/// Largest `.gitattributes`, in bytes. git leaves out those beyond 100 MiB.
pub(super) const MAX_ATTRIBUTES: u64 = 1 << 20;
/// Bytes of all different ones of a commit.
const MAX_ALL_ATTRIBUTES: u64 = 16 << 20;

const NAME: &[u8] = b".gitattributes";

/// The attribute files of a commit, read.
pub(super) struct Attributes {
    reader: Reader,
    /// By the directory they are in.
    rules: HashMap<Vec<u8>, Arc<Rules>>,
    url: String,
}

impl Attributes {
    /// Reads the files; nothing if there are none. As in git, one that is a link is what the link says.
    ///
    /// # Errors
    /// [`GitProblem::Limit`] for attributes beyond the constants above, [`GitProblem::Cancelled`].
    pub(super) fn read(
        blobs: &mut Blobs<'_>,
        packs: &Packs,
        url: &str,
        entries: &[Entry],
    ) -> Result<Option<Self>, GitProblem> {
        let files: Vec<(&[u8], Oid)> = entries.iter().filter_map(directory_of).collect();
        if files.is_empty() {
            return Ok(None);
        }
        let ids: Vec<Oid> = files.iter().map(|(_, id)| *id).collect();
        let places = packs
            .locate(&ids)
            .map_err(|error| blobs.unreadable(error, "read the attributes"))?;
        let limit = |unit, limit| GitProblem::Limit {
            url: url.to_owned(),
            unit,
            limit,
        };
        // The same file in a thousand directories is read once.
        let mut contents: HashMap<Oid, Vec<u8>> = HashMap::new();
        let mut all = 0_u64;
        for (id, place) in ids.iter().zip(places) {
            if contents.contains_key(id) {
                continue;
            }
            let too_large = || limit("bytes of a `.gitattributes`", MAX_ATTRIBUTES);
            // What is no file has no attributes in it; writing it fails.
            let content = blobs.whole(place, *id, MAX_ATTRIBUTES, too_large)?;
            let content = content.unwrap_or_default();
            all += content.len() as u64;
            if all > MAX_ALL_ATTRIBUTES {
                return Err(limit("bytes of attributes", MAX_ALL_ATTRIBUTES));
            }
            contents.insert(*id, content);
        }
        let top = files.iter().find(|(directory, _)| directory.is_empty());
        let top = top.and_then(|(_, id)| contents.get(id));
        let reader = Reader::new(top.map_or(b"", Vec::as_slice));
        let mut parsed: HashMap<Oid, Arc<Rules>> = HashMap::new();
        for (id, content) in &contents {
            parsed.insert(*id, Arc::new(reader.rules(content)));
        }
        let mut rules = HashMap::new();
        for (directory, id) in files {
            if let Some(found) = parsed.get(&id).filter(|rules| !rules.is_empty()) {
                rules.insert(directory.to_vec(), Arc::clone(found));
            }
        }
        Ok(Some(Self {
            reader,
            rules,
            url: url.to_owned(),
        }))
    }

    /// Begins to go over the entries of the commit, which must come in the order of [`in_order`](super::tree::in_order).
    /// `most` is how many comparisons that may take: [`GitLimits::comparisons`](super::GitLimits::comparisons).
    pub(super) fn walk<'a>(&'a self, most: u64, token: &'a CancellationToken) -> Walk<'a> {
        let top = self.rules.get(b"".as_slice());
        Walk {
            attributes: self,
            token,
            open: top
                .map(|rules| (&[][..], Arc::clone(rules)))
                .into_iter()
                .collect(),
            most,
            left: most,
        }
    }
}

/// The directory of an attribute file.
fn directory_of(entry: &Entry) -> Option<(&[u8], Oid)> {
    if matches!(entry.kind, Kind::Directory | Kind::Submodule) {
        return None;
    }
    let directory = entry.path.strip_suffix(NAME)?;
    match directory.strip_suffix(b"/") {
        Some(directory) => Some((directory, entry.id)),
        None => directory.is_empty().then_some((directory, entry.id)),
    }
}

/// Goes over the entries of a commit, with the rules of the directories that the current one is in.
pub(super) struct Walk<'a> {
    attributes: &'a Attributes,
    token: &'a CancellationToken,
    open: Vec<(&'a [u8], Arc<Rules>)>,
    most: u64,
    /// How many comparisons are left of them.
    left: u64,
}

impl<'a> Walk<'a> {
    /// What the next entry has.
    ///
    /// # Errors
    /// [`GitProblem::Limit`] for patterns that take too long to compare, [`GitProblem::Cancelled`].
    pub(super) fn next(&mut self, entry: &'a Entry) -> Result<Values, GitProblem> {
        while let Some((directory, _)) = self.open.last() {
            let is_above = directory.is_empty()
                || (entry.path.starts_with(directory)
                    && entry.path.get(directory.len()) == Some(&b'/'));
            if is_above {
                break;
            }
            self.open.pop();
        }
        let is_directory = matches!(entry.kind, Kind::Directory | Kind::Submodule);
        let left = &mut self.left;
        let spend = &mut |steps: u64| {
            *left = left.saturating_sub(steps);
            *left > 0 && !self.token.is_cancelled()
        };
        let values = self
            .attributes
            .reader
            .values(&entry.path, is_directory, &self.open, spend);
        let Some(values) = values else {
            if self.token.is_cancelled() {
                return Err(GitProblem::Cancelled);
            }
            return Err(GitProblem::Limit {
                url: self.attributes.url.clone(),
                unit: "comparisons of paths with attributes",
                limit: self.most,
            });
        };
        if entry.kind == Kind::Directory
            && let Some(rules) = self.attributes.rules.get(entry.path.as_slice())
        {
            self.open.push((&entry.path, Arc::clone(rules)));
        }
        Ok(values)
    }
}
