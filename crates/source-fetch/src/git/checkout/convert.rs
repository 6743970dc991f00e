//! Checkouts whose attributes change bytes on their way to disk. Only line ends and `ident` can: libgit2 runs no
//! filter programs.

use std::collections::HashMap;
use std::io;

use git2::build::CheckoutBuilder;
use git2::{Odb, Oid, Repository};

use super::Plan;
use crate::git::error::GitProblem;
use crate::git::mirror::problem;
use crate::git::pack::{Packs, Place, Reader, unreadable};
use crate::git::tree::{Entry, Kind};

/// Largest `.gitattributes`, in bytes. git leaves out those beyond 100 MiB.
pub(super) const MAX_ATTRIBUTES: u64 = 1 << 20;
/// Bytes of all `.gitattributes` of a checkout that needs conversions, one that is in many directories counted in
/// each: libgit2 keeps every one parsed, and compares its lines with every path below.
const MAX_ALL_ATTRIBUTES: u64 = 1 << 20;
/// Most `**` in one line of such a file: the time of a comparison grows as the length of the path to this power.
const MAX_WILD: usize = 2;
/// Largest file of a checkout that needs conversions, as libgit2 has it in memory before and after.
const MAX_CONVERTED: u64 = 128 << 20;
/// Most files that libgit2 is handed at once, between two looks at the token.
const BATCH_FILES: usize = 4096;
/// The same for their bytes.
const BATCH_BYTES: u64 = 64 << 20;

/// Whether an attribute could change bytes on their way to disk.
///
/// # Errors
/// [`GitProblem::Limit`] for attributes beyond the constants above, [`GitProblem::Cancelled`].
pub(super) fn is_needed(plan: &Plan<'_>, entries: &[Entry]) -> Result<bool, GitProblem> {
    let files: Vec<&Entry> = entries
        .iter()
        .filter(|entry| is_attributes(entry))
        .collect();
    if files.is_empty() {
        return Ok(false);
    }
    let failed = |error| unread(plan, error);
    let packs = Packs::open(&plan.mirror.path().join("objects")).map_err(failed)?;
    let ids: Vec<Oid> = files.iter().map(|entry| entry.id).collect();
    let places = packs.locate(&ids).map_err(failed)?;
    let mut reader = Reader::new(&packs, plan.token);
    // The same file in a thousand directories is read once, and counted a thousand times.
    let mut sizes: HashMap<Oid, u64> = HashMap::new();
    let (mut needed, mut wild, mut all) = (false, false, 0_u64);
    for (id, place) in ids.into_iter().zip(places) {
        if plan.token.is_cancelled() {
            return Err(GitProblem::Cancelled);
        }
        let size = if let Some(size) = sizes.get(&id) {
            *size
        } else {
            let content = read(plan, &mut reader, id, place)?;
            let holds = |word: &[u8]| content.windows(word.len()).any(|part| part == word);
            needed |= holds(b"crlf") || holds(b"ident");
            wild |= content
                .split(|byte| *byte == b'\n')
                .any(|line| line.windows(2).filter(|two| two == b"**").count() > MAX_WILD);
            let size = content.len() as u64;
            sizes.insert(id, size);
            size
        };
        all = all.saturating_add(size);
    }
    if needed && all > MAX_ALL_ATTRIBUTES {
        return Err(plan.limit("bytes of attributes", MAX_ALL_ATTRIBUTES));
    }
    if needed && wild {
        return Err(plan.limit("`**` in one line of attributes", MAX_WILD as u64));
    }
    Ok(needed)
}

fn is_attributes(entry: &Entry) -> bool {
    let named = entry.path == b".gitattributes" || entry.path.ends_with(b"/.gitattributes");
    named && !matches!(entry.kind, Kind::Directory | Kind::Submodule)
}

fn read(
    plan: &Plan<'_>,
    reader: &mut Reader<'_>,
    id: Oid,
    place: Option<Place>,
) -> Result<Vec<u8>, GitProblem> {
    let too_large = || plan.limit("bytes of a `.gitattributes`", MAX_ATTRIBUTES);
    let Some(place) = place else {
        let failed = |error| problem(plan.url, "read the attributes", error);
        let odb = plan.mirror.repository().odb().map_err(failed)?;
        let (size, _) = odb.read_header(id).map_err(failed)?;
        if size as u64 > MAX_ATTRIBUTES {
            return Err(too_large());
        }
        return Ok(odb.read(id).map_err(failed)?.data().to_vec());
    };
    let (mut content, mut large) = (Vec::new(), false);
    let read = reader.blob(place, id, |length, piece| {
        large = length > MAX_ATTRIBUTES;
        if large {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        content.extend_from_slice(piece);
        Ok(())
    });
    match read {
        Err(_) if large => Err(too_large()),
        Err(error) => Err(unread(plan, error)),
        // What is no file has no attributes in it; writing it fails.
        Ok(_) => Ok(content),
    }
}

fn unread(plan: &Plan<'_>, error: io::Error) -> GitProblem {
    if plan.token.is_cancelled() {
        return GitProblem::Cancelled;
    }
    unreadable(error, plan.mirror.path(), plan.url, "read the attributes")
}

/// Lets libgit2 write the files, with its built-in conversions, some at a time, as it cannot be stopped in between.
/// Returns the bytes of all files.
///
/// # Errors
/// [`GitProblem::UnsafePath`] for a name that is there twice, [`GitProblem::Limit`], [`GitProblem::Cancelled`].
pub(super) fn write(
    plan: &Plan<'_>,
    repository: &Repository,
    entries: &[Entry],
) -> Result<u64, GitProblem> {
    let failed = |error| problem(plan.url, "check out the files", error);
    let mut files: Vec<&Entry> = entries.iter().collect();
    files.sort_unstable_by_key(|entry| &entry.path);
    if let Some(twice) = files.windows(2).find(|two| two[0].path == two[1].path) {
        return Err(GitProblem::UnsafePath {
            url: plan.url.to_owned(),
            path: twice[0].path.escape_ascii().to_string(),
        });
    }
    files.retain(|entry| entry.kind != Kind::Directory);
    // The attributes first, as the others are written by them.
    files.sort_by_key(|entry| !is_attributes(entry));
    let commit = repository
        .find_commit(plan.resolved.commit)
        .map_err(failed)?;
    let odb = repository.odb().map_err(failed)?;
    let mut total = 0_u64;
    let mut rest = files.as_slice();
    while !rest.is_empty() {
        let (batch, bytes) = batch(plan, &odb, rest)?;
        total = total.saturating_add(bytes);
        if total > plan.limits.checkout_bytes {
            return Err(plan.limit("bytes", plan.limits.checkout_bytes));
        }
        let (now, later) = rest.split_at(batch);
        rest = later;
        let mut builder = CheckoutBuilder::new();
        builder
            .force()
            .disable_pathspec_match(true)
            .notify_on(git2::CheckoutNotificationType::all())
            .notify(|_, _, _, _, _| !plan.token.is_cancelled());
        for entry in now {
            builder.path(entry.path.as_slice());
        }
        let written = repository.checkout_tree(commit.as_object(), Some(&mut builder));
        if plan.token.is_cancelled() {
            return Err(GitProblem::Cancelled);
        }
        written.map_err(failed)?;
    }
    let index = repository
        .index()
        .map_err(|error| problem(plan.url, "read the index", error))?;
    Ok(index.iter().map(|entry| u64::from(entry.file_size)).sum())
}

/// How many of the first entries go together, and the bytes they have.
fn batch(plan: &Plan<'_>, odb: &Odb<'_>, entries: &[&Entry]) -> Result<(usize, u64), GitProblem> {
    let mut bytes = 0_u64;
    for (count, entry) in entries.iter().enumerate() {
        if plan.token.is_cancelled() {
            return Err(GitProblem::Cancelled);
        }
        if entry.kind == Kind::Submodule {
            continue;
        }
        let header = odb.read_header(entry.id);
        let (size, _) = header.map_err(|error| problem(plan.url, "read a file", error))?;
        let size = size as u64;
        if size > MAX_CONVERTED {
            return Err(plan.limit(
                "bytes of a file where line ends are converted",
                MAX_CONVERTED,
            ));
        }
        if count > 0 && (count >= BATCH_FILES || bytes.saturating_add(size) > BATCH_BYTES) {
            return Ok((count, bytes));
        }
        bytes = bytes.saturating_add(size);
    }
    Ok((entries.len(), bytes))
}
