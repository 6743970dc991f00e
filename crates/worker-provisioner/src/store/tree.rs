//! A package tree as a list of files with their digests.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use untrusted_tree::{Kind, Limits, Tree, TreeError, Visit};

use crate::error::ProvisionError;
use crate::receipt::{FileContent, FileRecord};

/// Lists everything below `root`, ordered by path.
pub(super) fn record(
    root: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<FileRecord>, ProvisionError> {
    let failed = |source: TreeError| ProvisionError::tree("read", root, source);
    let tree = Tree::open(root).map_err(failed)?;
    let mut walk = tree.walk(&Limits::default(), cancelled).map_err(failed)?;
    let mut files = Vec::new();
    while let Some(visit) = walk.next().map_err(failed)? {
        let Visit::Entry(entry) = visit else {
            continue;
        };
        let mode = walk.mode(&entry).map_err(failed)?;
        let content = match entry.kind {
            Kind::Directory => FileContent::Folder,
            Kind::Link => FileContent::Link {
                target: walk.read_link(&entry).map_err(failed)?,
            },
            // Nothing else is ever stored; what somebody puts there is no file.
            Kind::File | Kind::Other => {
                let file = walk.open_file(&entry).map_err(failed)?;
                let io = |source| ProvisionError::io("read", &walk.path(&entry), source);
                FileContent::File {
                    size: file.metadata().map_err(io)?.len(),
                    sha256: sha256(file, cancelled).map_err(io)?,
                }
            }
        };
        files.push(FileRecord {
            path: walk.relative_path(&entry),
            mode,
            content,
        });
        if entry.kind == Kind::Directory {
            walk.descend(&entry).map_err(failed)?;
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// What differs between the tree and its list, one line for people each.
pub(super) fn verify(root: &Path, expected: &[FileRecord]) -> Result<Vec<String>, ProvisionError> {
    let found = if root.symlink_metadata().is_ok() {
        record(root, &|| false)?
    } else {
        Vec::new()
    };
    let mut problems = Vec::new();
    for file in expected {
        match found.binary_search_by(|other| other.path.cmp(&file.path)) {
            Ok(at) if found[at] == *file => {}
            Ok(_) => problems.push(format!("`{}` was changed", file.path.display())),
            Err(_) => problems.push(format!("`{}` is missing", file.path.display())),
        }
    }
    for file in &found {
        if expected
            .binary_search_by(|other| other.path.cmp(&file.path))
            .is_err()
        {
            problems.push(format!("`{}` was added", file.path.display()));
        }
    }
    Ok(problems)
}

/// Whether every file is still there with its size and mode; digests are left to [`verify`].
pub(super) fn is_unchanged(root: &Path, expected: &[FileRecord]) -> bool {
    expected.iter().all(|file| {
        root.join(&file.path)
            .symlink_metadata()
            .is_ok_and(|metadata| match &file.content {
                FileContent::Folder => metadata.is_dir(),
                FileContent::Link { .. } => metadata.is_symlink(),
                FileContent::File { size, .. } => {
                    metadata.is_file()
                        && metadata.len() == *size
                        && metadata.mode() & 0o7777 == file.mode
                }
            })
    })
}

/// The bytes of a file; 0 for anything else.
pub(super) fn size(file: &FileRecord) -> u64 {
    match &file.content {
        FileContent::File { size, .. } => *size,
        FileContent::Folder | FileContent::Link { .. } => 0,
    }
}

/// The sha256 of the regular file at `path` in lower-case hexadecimal.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a link or anything else, which is neither followed nor
/// waited for.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    sha256(untrusted_tree::open_file(path)?, &|| false)
}

/// The sha256 of an open file from its beginning, whatever its name leads to by now.
pub(crate) fn sha256_of_open(file: &File) -> io::Result<String> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    sha256(file, &|| false)
}

fn sha256(mut file: File, cancelled: &dyn Fn() -> bool) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        if cancelled() {
            return Err(TreeError::Cancelled.into());
        }
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
