//! Temporary files that tell whether their owner lives.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// Creates a file in `folder` that stays locked while it is open, so that no [`sweep`] takes it.
pub(crate) fn create(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    loop {
        let temporary = tempfile::Builder::new()
            .prefix(prefix)
            .tempfile_in(folder)?;
        // A sweep that came between the two calls has the lock, or has removed the file already.
        if temporary.as_file().try_lock().is_ok() && temporary.as_file().metadata()?.nlink() > 0 {
            return Ok(temporary);
        }
    }
}

/// Removes the files of that prefix in `folder` whose owners are dead.
///
/// The kernel releases a lock when the last descriptor is closed (flock(2)), so neither the age of
/// a file nor a process id, which another process may have by now, is asked for. Files of other
/// users are theirs.
pub(crate) fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let is_temporary = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes());
        // The entry's own metadata: opening a pipe would wait, and a link leads elsewhere.
        let is_ours = entry.metadata().is_ok_and(|metadata| {
            metadata.is_file() && metadata.uid() == nix::unistd::geteuid().as_raw()
        });
        if !is_temporary || !is_ours {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::debug!(%error, path = %entry.path().display(), "a stale file was not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn only_files_of_dead_owners_go_whatever_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let living = create(folder.path(), ".x-").unwrap();
        let day = Duration::from_hours(24);
        let now = SystemTime::now();
        for (name, time) in [
            (".x-new", now),
            (".x-old", now - 400 * day),
            (".x-future", now + 400 * day),
            ("x-other", now - 400 * day),
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
        }
        living.as_file().set_modified(now - 400 * day).unwrap();
        std::os::unix::fs::symlink("x-other", folder.path().join(".x-link")).unwrap();
        sweep(folder.path(), ".x-");
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let living = living.path().file_name().unwrap().to_str().unwrap();
        let mut expected = vec![living, ".x-link", "x-other"];
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_sweep_never_takes_a_file_that_is_being_created() {
        let folder = tempfile::tempdir().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(folder.path(), ".x-");
                }
            });
            for _ in 0..500 {
                let file = create(folder.path(), ".x-").unwrap();
                file.persist(folder.path().join("kept")).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
