//! A package tree as a list of files with their digests.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::ProvisionError;
use crate::receipt::{FileContent, FileRecord};

/// Copies what is below `from` to `to`, folders, files and links; anything else is left out.
///
/// Set-user-id bits do not survive, and the owner is whoever copies.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            match fs::create_dir(&target) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            copy(&source, &target)?;
        } else if kind.is_file() {
            let mode = entry.metadata()?.mode() & 0o777;
            fs::copy(&source, &target)?;
            fs::set_permissions(&target, Permissions::from_mode(mode | 0o600))?;
            File::open(&target)?.sync_all()?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        }
    }
    Ok(())
}

/// Lists everything below `root`, ordered by path.
pub(super) fn record(root: &Path) -> io::Result<Vec<FileRecord>> {
    let mut files = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            let content = if metadata.is_dir() {
                pending.push(path.clone());
                FileContent::Folder
            } else if metadata.is_symlink() {
                FileContent::Link {
                    target: fs::read_link(&path)?,
                }
            } else {
                FileContent::File {
                    size: metadata.len(),
                    sha256: sha256_of(&path)?,
                }
            };
            let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
            files.push(FileRecord {
                path: relative,
                mode: metadata.mode() & 0o7777,
                content,
            });
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// What differs between the tree and its list, one line for people each.
pub(super) fn verify(root: &Path, expected: &[FileRecord]) -> Result<Vec<String>, ProvisionError> {
    let found = match record(root) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(ProvisionError::io("read", root, source)),
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

/// The sha256 of a file in lower-case hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}
