//! The bare mirror of one repository in the cache.
//!
//! A mirror is a directory named after its address, beside a lock file. References live in `packed-refs` alone,
//! which is replaced by a rename, so that a crash leaves the old or the new ones. Packs are never removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use git2::{ErrorCode, Oid, Repository};

use super::error::GitProblem;
use super::pack::{io_problem, sync};
use super::reference::InWords;
use super::session::ShallowUpdate;
use crate::source::GitReference;

/// Beyond this many commits nothing is offered as a common ancestor.
const WALKED: usize = 4096;

/// References by their full names, which need not be UTF-8.
pub(super) type References = BTreeMap<Vec<u8>, Oid>;

/// The exclusive right to a mirror; the system takes it back when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// A mirror in the cache, opened.
pub(super) struct Mirror {
    path: PathBuf,
    url: String,
    repository: Repository,
}

/// Where the mirror of `url` is kept below `cache`: readable beginning, then a hash of the whole.
pub(super) fn location(cache: &Path, url: &str) -> Result<PathBuf, GitProblem> {
    // Without secrets, so that a new token finds the old mirror.
    let shown = super::address::without_secrets(url);
    let id = Oid::hash_object(git2::ObjectType::Blob, shown.as_bytes()).map_err(|source| {
        GitProblem::Git {
            url: shown.clone(),
            action: "hash the address",
            source,
        }
    })?;
    let tail: String = shown
        .trim_end_matches('/')
        .trim_end_matches(".git")
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .take(40)
        .collect();
    Ok(cache.join("git").join(format!("{tail}-{id}")))
}

/// Waits for the lock of the mirror at `path`.
pub(super) async fn lock(path: &Path) -> Result<Lock, GitProblem> {
    loop {
        let attempt = {
            let path = path.to_owned();
            super::blocking(move || try_lock(&path)).await?
        };
        if let Some(lock) = attempt {
            return Ok(lock);
        }
        // There is no way to wait for `flock` that a cancelled task could leave.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes the lock of the mirror at `path`, unless somebody has it; its file then says when the mirror was used last.
pub(super) fn try_lock(path: &Path) -> Result<Option<Lock>, GitProblem> {
    let path = &path.with_added_extension("lock");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(io_problem("create", parent))?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io_problem("create", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(io_problem("lock", path)(source)),
    }
    // A collection may have removed the file before it was locked, and somebody else made another.
    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let is_same = match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => number(held) == number(named),
        _ => false,
    };
    if !is_same {
        return Ok(None);
    }
    file.set_modified(SystemTime::now())
        .map_err(io_problem("date", path))?;
    Ok(Some(Lock { _file: file }))
}

impl Mirror {
    /// Opens the mirror at `path`, or makes an empty one. Needs the lock.
    pub(super) fn open_or_create(path: &Path, url: &str) -> Result<Self, GitProblem> {
        match Self::open(path, url) {
            Ok(mirror) => return Ok(mirror),
            Err(GitProblem::Git { source, .. }) if source.code() != ErrorCode::Owner => {
                tracing::debug!(%source, path = %path.display(), "starting a new mirror");
            }
            Err(error) => return Err(error),
        }
        discard(path)?;
        let mut options = git2::RepositoryInitOptions::new();
        // Templates of the person could bring hooks.
        options
            .bare(true)
            .external_template(false)
            .mkpath(true)
            .initial_head("main");
        Repository::init_opts(path, &options).map_err(|source| GitProblem::Library {
            url: url.to_owned(),
            action: "create the mirror",
            source,
        })?;
        Self::open(path, url)
    }

    /// Opens an existing mirror; libgit2 refuses one that belongs to somebody else.
    pub(super) fn open(path: &Path, url: &str) -> Result<Self, GitProblem> {
        let repository = Repository::open_bare(path)
            .map_err(|source| problem(url, "open the mirror", source))?;
        Ok(Self {
            path: path.to_owned(),
            url: url.to_owned(),
            repository,
        })
    }

    /// Removes what a killed process left. Needs the lock, and no pack under way.
    pub(super) fn sweep(&self) -> Result<(), GitProblem> {
        for entry in fs::read_dir(&self.path)
            .map_err(io_problem("read", &self.path))?
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with("incoming-") {
                discard(&entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(super) fn has(&self, id: Oid) -> bool {
        self.repository.odb().is_ok_and(|odb| odb.exists(id))
    }

    /// Every reference with its id; `HEAD` is not among them.
    pub(super) fn references(&self) -> Result<References, GitProblem> {
        let path = self.path.join("packed-refs");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(io_problem("read", path)(error)),
        };
        Ok(text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                let space = line.iter().position(|byte| *byte == b' ')?;
                let id = std::str::from_utf8(&line[..space]).ok()?;
                Some((line[space + 1..].to_vec(), id.parse().ok()?))
            })
            .collect())
    }

    /// Replaces every reference at once.
    pub(super) fn set_references(&self, references: &References) -> Result<(), GitProblem> {
        if *references == self.references()? {
            return Ok(());
        }
        replace(&self.path.join("packed-refs"), &packed_refs(references))
    }

    /// What `HEAD` holds: the name of a branch, or an id.
    pub(super) fn head(&self) -> Result<Head, GitProblem> {
        let path = self.path.join("HEAD");
        let text = fs::read_to_string(&path).map_err(io_problem("read", path))?;
        let text = text.trim();
        Ok(match (text.strip_prefix("ref: "), text.parse()) {
            (Some(name), _) => Head::Branch(name.to_owned()),
            (None, Ok(id)) => Head::Detached(id),
            (None, Err(_)) => Head::none(),
        })
    }

    pub(super) fn set_head(&self, head: &Head) -> Result<(), GitProblem> {
        if *head == self.head()? {
            return Ok(());
        }
        let text = match head {
            Head::Branch(name) => format!("ref: {name}\n"),
            Head::Detached(id) => format!("{id}\n"),
        };
        replace(&self.path.join("HEAD"), text.as_bytes())
    }

    /// Commits whose parents are missing.
    pub(super) fn shallow(&self) -> Result<BTreeSet<Oid>, GitProblem> {
        Ok(super::checkout::read_shallow(&self.path)?
            .into_iter()
            .collect())
    }

    /// Marks the commits whose parents are about to be missing. Goes before the pack, as a commit without its
    /// parents and without the mark would be taken for a damaged history.
    pub(super) fn update_shallow_before(&self, update: &ShallowUpdate) -> Result<(), GitProblem> {
        let mut shallow = self.shallow()?;
        shallow.extend(&update.shallow);
        self.set_shallow(&shallow)
    }

    /// Takes the mark from commits whose parents have come. Goes after the pack.
    pub(super) fn update_shallow_after(&self, update: &ShallowUpdate) -> Result<(), GitProblem> {
        let mut shallow = self.shallow()?;
        shallow.retain(|id| !update.unshallow.contains(id) && self.has(*id));
        self.set_shallow(&shallow)
    }

    fn set_shallow(&self, shallow: &BTreeSet<Oid>) -> Result<(), GitProblem> {
        if *shallow == self.shallow()? {
            return Ok(());
        }
        let path = self.path.join("shallow");
        if shallow.is_empty() {
            return discard(&path);
        }
        replace(&path, shallow_file(shallow).as_bytes())
    }

    /// Whether every branch and tag has been fetched with its whole history.
    pub(super) fn is_full(&self) -> bool {
        self.path.join("full-history").exists()
    }

    pub(super) fn set_full(&self) -> Result<(), GitProblem> {
        if self.is_full() {
            return Ok(());
        }
        replace(&self.path.join("full-history"), b"")
    }

    /// Ids to offer as common ancestors: the tips, and ever sparser ones of their ancestors.
    pub(super) fn haves(&self) -> Result<Vec<Oid>, GitProblem> {
        let mut haves: BTreeSet<Oid> = BTreeSet::new();
        let mut walk = || -> Result<(), git2::Error> {
            let mut walk = self.repository.revwalk()?;
            walk.set_sorting(git2::Sort::TIME)?;
            for id in self.references().unwrap_or_default().values() {
                if let Ok(commit) = self
                    .repository
                    .find_object(*id, None)
                    .and_then(|o| o.peel_to_commit())
                {
                    if haves.len() < 192 {
                        haves.insert(commit.id());
                    }
                    walk.push(commit.id())?;
                }
            }
            let mut next = 1;
            for (index, id) in walk.take(WALKED).enumerate() {
                if index == next {
                    haves.insert(id?);
                    next = (next * 3).div_ceil(2);
                }
            }
            Ok(())
        };
        walk().map_err(|source| problem(&self.url, "read the history", source))?;
        Ok(haves.into_iter().collect())
    }

    /// The object a reference stands for, and the commit it leads to.
    pub(super) fn resolve(&self, reference: &GitReference) -> Result<Resolved, GitProblem> {
        let missing = || GitProblem::Missing {
            url: self.url.clone(),
            reference: InWords(reference).to_string(),
        };
        let id = match reference {
            GitReference::Default => match self.head()? {
                Head::Detached(id) => Some(id),
                Head::Branch(name) => self.references()?.get(name.as_bytes()).copied(),
            }
            .ok_or_else(|| GitProblem::Empty {
                url: self.url.clone(),
            })?,
            GitReference::Tag(_) if reference.is_full_commit() => {
                reference.object_id().ok_or_else(missing)?
            }
            GitReference::Branch(_) | GitReference::Tag(_) => {
                let name = reference.full_name().ok_or_else(missing)?;
                let references = self.references()?;
                references
                    .get(name.as_bytes())
                    .copied()
                    .ok_or_else(missing)?
            }
            GitReference::Commit(text) => match reference.object_id() {
                Some(id) => id,
                // As a name, a branch called so would answer for a commit that is not there.
                None if reference.is_full_commit() => return Err(missing()),
                None => self
                    .repository
                    .revparse_single(text)
                    .map_err(|_| missing())?
                    .id(),
            },
        };
        let object =
            self.repository
                .find_object(id, None)
                .map_err(|source| match source.code() {
                    ErrorCode::NotFound => missing(),
                    _ => problem(&self.url, "read the mirror", source),
                })?;
        let commit = object
            .peel_to_commit()
            .map_err(|source| match source.code() {
                ErrorCode::NotFound => problem(&self.url, "find the commit", source),
                _ => GitProblem::NotCommit {
                    url: self.url.clone(),
                    reference: InWords(reference).to_string(),
                },
            })?;
        if let (GitReference::Tag(wanted), Some(tag)) = (reference, object.as_tag()) {
            let found = String::from_utf8_lossy(tag.name_bytes());
            if found != wanted.as_str() {
                return Err(GitProblem::ForgedTag {
                    url: self.url.clone(),
                    tag: wanted.clone(),
                    found: found.escape_debug().to_string(),
                });
            }
        }
        Ok(Resolved {
            object: id,
            commit: commit.id(),
        })
    }
}

/// The name of a file that says a mirror cannot be read.
const DAMAGED: &str = "damaged";

/// Notes that the mirror at `path` cannot be read, so that the next fetch brings another. Until then it stays: without
/// the server a part of it is better than nothing.
pub(super) fn mark_damaged(path: &Path) -> Result<(), GitProblem> {
    let mark = path.join(DAMAGED);
    match fs::write(&mark, b"") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(io_problem("write", mark)),
    }
}

pub(super) fn is_damaged(path: &Path) -> bool {
    path.join(DAMAGED).exists()
}

/// Puts a mirror aside while another is fetched. Needs the lock.
pub(super) fn set_aside(path: &Path) -> Result<(), GitProblem> {
    let aside = path.with_added_extension("aside");
    discard(&aside)?;
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(io_problem("put aside", path)),
    }
}

/// Puts back what was put aside, if it still is: the fetch that did so failed, or was interrupted. Needs the lock.
pub(super) fn put_back(path: &Path) -> Result<(), GitProblem> {
    let aside = path.with_added_extension("aside");
    if !aside.exists() {
        return Ok(());
    }
    discard(path)?;
    fs::rename(&aside, path).map_err(io_problem("put back", path))
}

/// Removes what was put aside. Needs the lock.
pub(super) fn forget_aside(path: &Path) -> Result<(), GitProblem> {
    discard(&path.with_added_extension("aside"))
}

/// What `HEAD` of a mirror holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// The full name of a branch, which may not exist yet.
    Branch(String),
    /// A commit.
    Detached(Oid),
}

impl Head {
    /// A branch that cannot exist; git uses the same placeholder.
    pub(super) fn none() -> Self {
        Self::Branch("refs/heads/.invalid".to_owned())
    }
}

/// A reference, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved {
    /// A commit, or an annotated tag.
    pub(super) object: Oid,
    /// The commit.
    pub(super) commit: Oid,
}

/// The format is in gitrepository-layout(5); without the `peeled` trait git peels tags by itself, so nothing a
/// server says about that is trusted.
pub(super) fn packed_refs(references: &References) -> Vec<u8> {
    let mut text = b"# pack-refs with: sorted \n".to_vec();
    for (name, id) in references {
        text.extend(format!("{id} ").as_bytes());
        text.extend(name);
        text.push(b'\n');
    }
    text
}

pub(super) fn shallow_file(shallow: &BTreeSet<Oid>) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for id in shallow {
        let _ = writeln!(text, "{id}");
    }
    text
}

fn replace(path: &Path, content: &[u8]) -> Result<(), GitProblem> {
    let parent = path.parent().unwrap_or(path);
    let mut file = tempfile::Builder::new()
        .prefix("incoming-")
        .tempfile_in(parent)
        .map_err(io_problem("create a file in", parent))?;
    file.write_all(content)
        .and_then(|()| file.as_file().sync_all())
        .map_err(io_problem("write", path))?;
    file.persist(path)
        .map_err(|error| io_problem("replace", path)(error.error))?;
    sync(parent)
}

/// Removes a file or a tree, if there is one.
pub(super) fn discard(path: &Path) -> Result<(), GitProblem> {
    untrusted_tree::remove(path, &|| false)
        .map_err(|error| io_problem("remove", path)(error.into()))
}

pub(super) fn problem(url: &str, action: &'static str, source: git2::Error) -> GitProblem {
    GitProblem::Git {
        url: url.to_owned(),
        action,
        source,
    }
}
