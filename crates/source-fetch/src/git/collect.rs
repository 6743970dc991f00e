//! Removes mirrors that nobody uses any more.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::error::GitProblem;
use super::mirror;
use super::pack::io_problem;

/// What a collection has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CollectedMirrors {
    /// Mirrors that are gone.
    pub mirrors: u64,
    /// Bytes that they took.
    pub bytes: u64,
}

/// Removes the mirrors below `cache` that no fetch and no checkout has used for so long. One that is in use stays. The next
/// fetch of its repository brings all of it again. Reads and removes files; call it off the runtime.
///
/// # Errors
/// [`GitProblem::Io`] when a file cannot be listed or removed; what was removed until then is gone.
pub fn collect_mirrors(cache: &Path, unused_for: Duration) -> Result<CollectedMirrors, GitProblem> {
    let directory = cache.join("git");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(CollectedMirrors::default());
        }
        Err(error) => return Err(io_problem("list", directory)(error)),
    };
    let mut collected = CollectedMirrors::default();
    for entry in entries {
        let path = entry.map_err(io_problem("list", &directory))?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let is_old = used.is_ok_and(|used| {
            let age = SystemTime::now().duration_since(used);
            age.is_ok_and(|age| age >= unused_for)
        });
        let mirror = path.with_extension("");
        if !is_old {
            continue;
        }
        // Held until the lock's own file is gone; whoever has opened that before takes another then.
        let Some(_lock) = mirror::try_lock(&mirror)? else {
            continue;
        };
        let aside = mirror.with_added_extension("aside");
        for tree in [&mirror, &aside] {
            collected.bytes += size(tree);
            mirror::discard(tree)?;
        }
        fs::remove_file(&path).map_err(io_problem("remove", path))?;
        collected.mirrors += 1;
    }
    Ok(collected)
}

/// Bytes of the files below a mirror, which is no deeper than git makes it.
fn size(directory: &Path) -> u64 {
    let (mut bytes, mut pending) = (0, vec![directory.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}
