//! Whether a directory is safe to keep programs and records in.
//!
//! What stands there is run, or taken for what was verified. So nobody but the user and root may
//! write there, or exchange one of the directories on the way.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::error::ProvisionError;

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Refuses a directory that somebody else than the user and root owns, may write or may exchange.
/// What does not exist yet is judged by where it would be made.
///
/// A directory on the way may be one that everybody writes where it is sticky, as `/tmp` is: there
/// only the owner of an entry renames it. A group that is the owner's alone (of the same number as
/// the user) may write.
pub(crate) fn judge(directory: &Path) -> Result<(), ProvisionError> {
    judge_as(directory, nix::unistd::geteuid().as_raw())
}

fn judge_as(directory: &Path, user: u32) -> Result<(), ProvisionError> {
    // As it is written, for links that somebody could exchange, and as it resolves.
    walk(directory, user, true)?;
    let mut resolved = directory;
    loop {
        match fs::canonicalize(resolved) {
            Ok(path) => return walk(&path, user, resolved == directory),
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(ProvisionError::io("look at", resolved, source)),
        }
        let Some(parent) = resolved.parent() else {
            return Ok(());
        };
        resolved = parent;
    }
}

fn walk(path: &Path, user: u32, is_whole: bool) -> Result<(), ProvisionError> {
    for part in path.ancestors() {
        let metadata = match part.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => continue,
            Err(source) => return Err(ProvisionError::io("look at", part, source)),
        };
        let is_last = is_whole && part == path;
        if let Some(problem) = problem(&metadata, user, is_last) {
            return Err(ProvisionError::UnsafeDirectory {
                directory: path.to_owned(),
                part: part.to_owned(),
                problem,
            });
        }
    }
    Ok(())
}

/// Below a file there is nothing either; whoever makes the directory finds that out.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn problem(metadata: &Metadata, user: u32, is_last: bool) -> Option<String> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != user && owner != 0 {
        return Some(format!("belongs to user {owner}"));
    }
    if metadata.is_symlink() {
        return None;
    }
    let is_own_group = metadata.gid() == owner;
    let others = mode & OTHERS_WRITE != 0;
    let group = mode & GROUP_WRITES != 0 && !is_own_group;
    let writable = others || group;
    if !writable || (!is_last && mode & STICKY != 0) {
        return None;
    }
    let who = if others { "others" } else { "its group" };
    Some(format!("may be written by {who}"))
}

/// Makes a directory and what is missing above it, writable by the user alone, and judges it.
pub(crate) fn create(directory: &Path) -> Result<(), ProvisionError> {
    judge(directory)?;
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory);
    made.map_err(|source| ProvisionError::io("create", directory, source))?;
    judge(directory)
}

/// The path with the working directory before it where it is relative; an empty path stays empty.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        return PathBuf::new();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn made(path: &Path, mode: u32) -> PathBuf {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        path.to_owned()
    }

    fn refused(path: &Path) -> String {
        let error = judge(path).unwrap_err();
        assert!(
            matches!(error, ProvisionError::UnsafeDirectory { .. }),
            "{error}"
        );
        error.to_string()
    }

    #[test]
    fn what_others_may_write_or_exchange_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let own = made(&root.join("own"), 0o755);
        judge(&own).unwrap();
        judge(&own.join("not/yet")).unwrap();

        let open = made(&root.join("open"), 0o777);
        assert!(refused(&open).contains("chmod"), "{}", refused(&open));
        refused(&open.join("not/yet"));
        let below = made(&open.join("below"), 0o755);
        refused(&below);

        // As in `/tmp`: nobody else renames what is mine, but anybody adds to the directory itself.
        let shared = made(&root.join("shared"), 0o1777);
        judge(&made(&shared.join("mine"), 0o755)).unwrap();
        refused(&shared);

        symlink(&own, root.join("link")).unwrap();
        judge(&root.join("link")).unwrap();
        symlink(&open, root.join("to-open")).unwrap();
        refused(&root.join("to-open"));
        symlink(&own, open.join("exchanged")).unwrap();
        refused(&open.join("exchanged"));
    }

    #[test]
    fn what_another_user_owns_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let own = made(&root.path().join("own"), 0o755);
        let user = own.metadata().unwrap().uid();
        judge_as(&own, user).unwrap();
        if user == 0 {
            std::os::unix::fs::chown(&own, Some(1234), None).unwrap();
            assert!(refused(&own).contains("1234"));
            refused(&own.join("below"));
            // Whose it is may use it.
            judge_as(&own, 1234).unwrap();
        } else {
            assert!(judge_as(&own, user + 1).is_err());
        }
    }

    #[test]
    fn what_is_made_is_the_users_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        create(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o022, 0);
        let open = made(&root.path().join("open"), 0o777);
        assert!(create(&open.join("c")).is_err());
        assert!(!open.join("c").exists());
    }

    #[test]
    fn paths_are_made_absolute_but_for_none() {
        assert!(absolute(Path::new("a/b")).is_absolute());
        assert_eq!(absolute(Path::new("")), Path::new(""));
    }
}
