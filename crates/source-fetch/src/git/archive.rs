//! `git archive --format tar`, byte for byte: git's `archive.c` and `archive-tar.c`, as makepkg calls it for the digest of a
//! git source (`source/git.sh`, `calc_checksum_git`): without a prefix, with its own empty configuration, so with the
//! `tar.umask` of 0002, and with ids in full length.

use std::io::Write;
use std::path::Path;

use git2::Oid;
use tokio_util::sync::CancellationToken;

use super::attributed::Attributes;
use super::attributes::Value;
use super::blobs::Blobs;
use super::convert::{Conversion, Purpose};
use super::error::GitProblem;
use super::mirror::{Mirror, problem};
use super::options::GitLimits;
use super::pack::{Packs, Place, io_problem, unreadable};
use super::tree::{self, Entry, Kind, Listing};

mod expand;
mod tar;

use expand::Commit;
use tar::{Item, Tar};

/// What becomes of the attributes `export-ignore` and `export-subst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exports {
    /// They are switched off, as makepkg does since pacman 7.0: nothing is left out or replaced.
    Ignored,
    /// They are followed, as in pacman 6.1.
    Followed,
}

/// What an archive was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Archived {
    /// Both ways of [`Exports`] give the same bytes.
    Plain,
    /// A file of it has one of the attributes.
    WithExports,
    /// It is not whole: a file asks for text that depends on more than the commit, such as the names of branches.
    Undefined,
}

/// What is to be archived.
pub(super) struct Plan<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) url: &'a str,
    pub(super) commit: Oid,
    pub(super) limits: &'a GitLimits,
    pub(super) token: &'a CancellationToken,
}

/// Largest file in which `$Format:...$` is replaced.
const MAX_REPLACED: u64 = 128 << 20;

/// Writes the archive of a commit.
///
/// # Errors
/// As a checkout of the commit: [`GitProblem::Limit`], [`GitProblem::UnsafePath`], [`GitProblem::Conversion`],
/// [`GitProblem::Cancelled`].
pub(super) fn write(
    plan: &Plan<'_>,
    exports: Exports,
    to: &mut dyn Write,
) -> Result<Archived, GitProblem> {
    let mirror: &Path = plan.mirror.path();
    let failed = |error| unreadable(error, mirror, plan.url, "read the packs");
    let commit = read_commit(plan)?;
    let entries = tree::list(
        &Listing {
            repository: plan.mirror.repository(),
            mirror,
            url: plan.url,
            max: plan.limits.files,
            token: plan.token,
        },
        plan.commit,
    )?;
    let packs = Packs::open(&mirror.join("objects")).map_err(failed)?;
    let mut blobs = Blobs::new(&packs, mirror, plan.url, plan.token);
    let attributes = Attributes::read(&mut blobs, &packs, plan.url, &entries)?;
    let ids: Vec<Oid> = entries.iter().map(|entry| entry.id).collect();
    let places = packs.locate(&ids).map_err(failed)?;
    let mut archive = Archive {
        plan,
        exports,
        commit: &commit,
        tar: Tar::new(to, commit.committed),
        blobs,
        content: 0,
        end: Archived::Plain,
    };
    let write_failed = io_problem("write", "the archive");
    archive
        .tar
        .begin(&plan.commit.to_string())
        .map_err(write_failed)?;
    let mut walk = attributes
        .as_ref()
        .map(|found| found.walk(plan.limits.comparisons, plan.token));
    // Directories are written before the first file in them, so those without any are not.
    let mut open: Vec<&Entry> = Vec::new();
    let mut left_out: Option<&Entry> = None;
    for (number, entry) in tree::in_order(&entries) {
        if plan.token.is_cancelled() {
            return Err(GitProblem::Cancelled);
        }
        let values = match &mut walk {
            Some(walk) => Some(walk.next(entry)?),
            None => None,
        };
        if left_out.is_some_and(|directory| is_below(entry, directory)) {
            continue;
        }
        let (mut ignored, mut replaced) = (false, false);
        if let Some(values) = &values {
            ignored = values.export_ignore == Value::True;
            replaced = values.export_subst == Value::True && entry.kind != Kind::Directory;
            if ignored || replaced {
                archive.end = Archived::WithExports;
            }
        }
        if exports == Exports::Ignored {
            (ignored, replaced) = (false, false);
        }
        if ignored {
            left_out = (entry.kind == Kind::Directory).then_some(entry);
            continue;
        }
        while open
            .last()
            .is_some_and(|directory| !is_below(entry, directory))
        {
            open.pop();
        }
        if entry.kind == Kind::Directory {
            open.push(entry);
            continue;
        }
        for directory in open.drain(..) {
            archive.directory(directory)?;
        }
        let conversion = match &values {
            Some(values) => Conversion::of(values).map_err(|source| GitProblem::Conversion {
                url: plan.url.to_owned(),
                path: entry.path.escape_ascii().to_string(),
                source,
            })?,
            None => None,
        };
        archive.entry(entry, places[number], conversion, replaced)?;
        if archive.end == Archived::Undefined {
            return Ok(archive.end);
        }
    }
    archive
        .tar
        .end()
        .map_err(io_problem("write", "the archive"))?;
    Ok(archive.end)
}

fn is_below(entry: &Entry, directory: &Entry) -> bool {
    entry
        .path
        .strip_prefix(directory.path.as_slice())
        .is_some_and(|rest| rest.starts_with(b"/"))
}

fn read_commit(plan: &Plan<'_>) -> Result<Commit, GitProblem> {
    let failed = |error| problem(plan.url, "read the commit", error);
    let odb = plan.mirror.repository().odb().map_err(failed)?;
    let object = odb.read(plan.commit).map_err(failed)?;
    Ok(Commit::parse(plan.commit, object.data()))
}

struct Archive<'a, 'w> {
    plan: &'a Plan<'a>,
    exports: Exports,
    commit: &'a Commit,
    tar: Tar<'w>,
    blobs: Blobs<'a>,
    /// Bytes of all files so far.
    content: u64,
    end: Archived,
}

impl Archive<'_, '_> {
    fn directory(&mut self, entry: &Entry) -> Result<(), GitProblem> {
        let mut path = entry.path.clone();
        path.push(b'/');
        self.item(&Item {
            path: &path,
            id: entry.id,
            kind: entry.kind,
            size: 0,
            link: b"",
        })
    }

    fn item(&mut self, item: &Item<'_>) -> Result<(), GitProblem> {
        self.tar
            .item(item)
            .map_err(io_problem("write", "the archive"))
    }

    fn entry(
        &mut self,
        entry: &Entry,
        place: Option<Place>,
        conversion: Option<Conversion>,
        replaced: bool,
    ) -> Result<(), GitProblem> {
        match entry.kind {
            Kind::Directory | Kind::Submodule => return self.directory(entry),
            Kind::Link => return self.link(entry, place),
            Kind::File | Kind::Executable if replaced => {
                return self.with_replacements(entry, place, conversion);
            }
            Kind::File | Kind::Executable => {}
        }
        let (plan, tar, content) = (self.plan, &mut self.tar, &mut self.content);
        let mut begun = false;
        let mut sink = |length: u64, piece: &[u8]| {
            if plan.token.is_cancelled() {
                return Err(GitProblem::Cancelled);
            }
            if !begun {
                begun = true;
                count(plan, content, length)?;
                tar.item(&Item {
                    path: &entry.path,
                    id: entry.id,
                    kind: entry.kind,
                    size: length,
                    link: b"",
                })
                .map_err(io_problem("write", "the archive"))?;
            }
            tar.put(piece).map_err(io_problem("write", "the archive"))
        };
        let is_blob = match conversion {
            Some(conversion) => {
                self.blobs
                    .converted(place, entry, conversion, Purpose::Archive, &mut sink)?
            }
            None => self.blobs.read(place, entry.id, &mut sink)?,
        };
        self.ended(entry, is_blob)
    }

    /// Fills up the last record of a file.
    fn ended(&mut self, entry: &Entry, is_blob: bool) -> Result<(), GitProblem> {
        if !is_blob {
            return Err(GitProblem::UnsafePath {
                url: self.plan.url.to_owned(),
                path: entry.path.escape_ascii().to_string(),
            });
        }
        self.tar.pad().map_err(io_problem("write", "the archive"))
    }

    fn link(&mut self, entry: &Entry, place: Option<Place>) -> Result<(), GitProblem> {
        let limit = self.too_large(MAX_TARGET);
        let target = self
            .blobs
            .whole(place, entry.id, MAX_TARGET, || limit(entry))?;
        let is_blob = target.is_some();
        let target = target.unwrap_or_default();
        self.item(&Item {
            path: &entry.path,
            id: entry.id,
            kind: entry.kind,
            size: target.len() as u64,
            link: &target,
        })?;
        self.ended(entry, is_blob)
    }

    fn with_replacements(
        &mut self,
        entry: &Entry,
        place: Option<Place>,
        conversion: Option<Conversion>,
    ) -> Result<(), GitProblem> {
        debug_assert!(self.exports == Exports::Followed);
        let limit = self.too_large(MAX_REPLACED);
        let mut bytes = Vec::new();
        let mut sink = |length: u64, piece: &[u8]| {
            if length > MAX_REPLACED {
                return Err(limit(entry));
            }
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let is_blob = match conversion {
            Some(conversion) => {
                self.blobs
                    .converted(place, entry, conversion, Purpose::Archive, &mut sink)?
            }
            None => self.blobs.read(place, entry.id, &mut sink)?,
        };
        let Some(bytes) = self.commit.expand(&bytes) else {
            self.end = Archived::Undefined;
            return Ok(());
        };
        count(self.plan, &mut self.content, bytes.len() as u64)?;
        self.item(&Item {
            path: &entry.path,
            id: entry.id,
            kind: entry.kind,
            size: bytes.len() as u64,
            link: b"",
        })?;
        self.tar
            .put(&bytes)
            .map_err(io_problem("write", "the archive"))?;
        self.ended(entry, is_blob)
    }

    fn too_large(&self, limit: u64) -> impl Fn(&Entry) -> GitProblem + use<> {
        let url = self.plan.url.to_owned();
        move |entry| GitProblem::Limit {
            url: url.clone(),
            unit: if entry.kind == Kind::Link {
                "bytes of the target of a link"
            } else {
                "bytes of a file with the attribute `export-subst`"
            },
            limit,
        }
    }
}

/// Longest target of a link that is archived; no system makes longer ones.
const MAX_TARGET: u64 = 64 << 10;

fn count(plan: &Plan<'_>, content: &mut u64, length: u64) -> Result<(), GitProblem> {
    *content = content.saturating_add(length);
    if *content > plan.limits.checkout_bytes {
        return Err(GitProblem::Limit {
            url: plan.url.to_owned(),
            unit: "bytes",
            limit: plan.limits.checkout_bytes,
        });
    }
    Ok(())
}
