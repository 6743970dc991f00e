//! Repositories on this machine: objects are linked into the mirror, not sent through a transport.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use git2::Repository;
use tokio_util::sync::CancellationToken;

use super::error::GitProblem;
use super::mirror::{Head, Mirror, References};
use super::pack::io_problem;
use super::session::ShallowUpdate;

/// How many repositories may borrow from one another in a row; git's own bound.
const MAX_ALTERNATES: usize = 5;
/// Bytes copied between two looks at the token.
const PIECE: u64 = 16 << 20;

/// Brings the branches and tags of the repository at `source`, and every object it has, into `mirror`.
///
/// libgit2 refuses a repository that belongs to somebody else, like git does.
pub(super) fn borrow(
    mirror: &Mirror,
    source: &Path,
    shown: &str,
    token: &CancellationToken,
) -> Result<(), GitProblem> {
    let with_suffix = source.with_added_extension("git");
    let found = if !source.exists() && with_suffix.exists() {
        &with_suffix
    } else {
        source
    };
    let repository =
        Repository::open(found).map_err(|e| failed(shown, "open the repository", e))?;
    // A repack between the two steps can take objects away; the second try then sees the new packs.
    for last in [false, true] {
        let (references, head) =
            read(&repository).map_err(|e| failed(shown, "read the references", e))?;
        let unchanged = references == mirror.references()? && head == mirror.head()?;
        if !(unchanged && references.values().all(|id| mirror.has(*id))) {
            let shallow = super::checkout::read_shallow(repository.commondir())?;
            mirror.update_shallow_before(&ShallowUpdate {
                shallow,
                unshallow: Vec::new(),
            })?;
            link_objects(&repository.commondir().join("objects"), mirror, token, 0)?;
        }
        let missing = references.values().any(|id| !mirror.has(*id));
        if missing && !last {
            continue;
        }
        let references = references
            .into_iter()
            .filter(|(_, id)| mirror.has(*id))
            .collect();
        mirror.set_references(&references)?;
        return mirror.set_head(&head);
    }
    Ok(())
}

/// What concerns the source and not the mirror, which has to stay then.
fn failed(url: &str, action: &'static str, source: git2::Error) -> GitProblem {
    GitProblem::Library {
        url: url.to_owned(),
        action,
        source,
    }
}

fn read(repository: &Repository) -> Result<(References, Head), git2::Error> {
    let mut references = References::new();
    for reference in repository.references()? {
        let reference = reference?;
        let Ok(resolved) = reference.resolve() else {
            continue;
        };
        let name = reference.name_bytes();
        if (name.starts_with(b"refs/heads/") || name.starts_with(b"refs/tags/"))
            && let Some(id) = resolved.target()
        {
            references.insert(name.to_vec(), id);
        }
    }
    let head = repository.find_reference("HEAD")?;
    let head = match (head.symbolic_target().ok().flatten(), head.target()) {
        (Some(name), _) => Head::Branch(name.to_owned()),
        (None, Some(id)) => Head::Detached(id),
        (None, None) => Head::none(),
    };
    Ok((references, head))
}

fn link_objects(
    objects: &Path,
    mirror: &Mirror,
    token: &CancellationToken,
    depth: usize,
) -> Result<(), GitProblem> {
    link_store(objects, &mirror.path().join("objects"), token, true)?;
    let alternates = objects.join("info/alternates");
    if depth < MAX_ALTERNATES
        && let Ok(text) = fs::read_to_string(alternates)
    {
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            link_objects(&objects.join(line), mirror, token, depth + 1)?;
        }
    }
    Ok(())
}

/// Puts the packs and loose objects of one store into another: by hard links, or by copies where `link` is not
/// set or links are impossible. An index follows its pack, since it makes the pack visible.
pub(super) fn link_store(
    from: &Path,
    to: &Path,
    token: &CancellationToken,
    link: bool,
) -> Result<(), GitProblem> {
    let packs = from.join("pack");
    for extension in ["pack", "idx"] {
        for file in files(&packs)? {
            if file.extension().is_some_and(|e| e == extension) {
                link_file(&file, &to.join("pack"), token, link)?;
            }
        }
    }
    for directory in entries(from)? {
        let name = directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            for file in files(&directory)? {
                link_file(&file, &to.join(&name), token, link)?;
            }
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, GitProblem> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_problem("read", directory)(error)),
    }
}

/// Regular files only: a link in a store could name anything.
fn files(directory: &Path) -> Result<Vec<PathBuf>, GitProblem> {
    let mut files = entries(directory)?;
    files.retain(|path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()));
    Ok(files)
}

fn link_file(
    file: &Path,
    directory: &Path,
    token: &CancellationToken,
    link: bool,
) -> Result<(), GitProblem> {
    if token.is_cancelled() {
        return Err(GitProblem::Cancelled);
    }
    let Some(name) = file.file_name() else {
        return Ok(());
    };
    let target = directory.join(name);
    if target.exists() {
        return Ok(());
    }
    fs::create_dir_all(directory).map_err(io_problem("create", directory))?;
    // Another user's file could be changed by them after it was verified.
    let is_own = || {
        let uid = rustix::process::geteuid().as_raw();
        fs::symlink_metadata(file).is_ok_and(|metadata| metadata.uid() == uid)
    };
    if link && is_own() && fs::hard_link(file, &target).is_ok() {
        return Ok(());
    }
    // Under another name first, so that a reader never sees half an object.
    let partial = directory.join(format!("tmp_{}", name.to_string_lossy()));
    super::mirror::discard(&partial)?;
    copy(file, &partial, token)?;
    fs::rename(&partial, &target).map_err(io_problem("create", target))
}

/// Copies a file, sharing its blocks where the file system can, and looks at the token now and then.
fn copy(from: &Path, to: &Path, token: &CancellationToken) -> Result<(), GitProblem> {
    let mut source = File::open(from).map_err(io_problem("copy", from))?;
    let mode = source.metadata().map_err(io_problem("copy", from))?.mode();
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode & 0o777)
        .open(to)
        .map_err(io_problem("create", to))?;
    loop {
        if token.is_cancelled() {
            return Err(GitProblem::Cancelled);
        }
        let mut piece = Read::by_ref(&mut source).take(PIECE);
        if io::copy(&mut piece, &mut target).map_err(io_problem("write", to))? == 0 {
            return Ok(());
        }
    }
}
