//! The folders of one lane: set up, put back, and looked through for what should not be there.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e_tests::processes;

/// The folders a provision writes to.
pub(crate) const FOLDERS: [&str; 4] = ["bin", "cache", "data", "tmp"];

/// A process on its way out is gone by then, or it is not on its way out.
const DYING: Duration = Duration::from_secs(10);

/// Names, or parts of names, of what is unfinished or temporary.
const UNFINISHED_PREFIXES: [&str; 2] = [".", "incoming-"];
const UNFINISHED_SUFFIXES: [&str; 3] = [".part", ".part.json", ".tmp"];

/// The folders of one lane and the marker of its processes.
#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
    marker: (String, String),
}

impl Site {
    /// Creates empty folders below `root`.
    pub(crate) fn create(root: PathBuf) -> Result<Self> {
        let value = format!(
            "{}-{}",
            root.file_name()
                .map(OsStr::to_string_lossy)
                .unwrap_or_default(),
            std::process::id()
        );
        let site = Self {
            root,
            marker: ("RBEE_FAULT_MARK".to_owned(), value),
        };
        for folder in FOLDERS {
            fs::create_dir_all(site.folder(folder))?;
        }
        Ok(site)
    }

    /// One of [`FOLDERS`].
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The variable, and its value, that all processes of this lane have.
    pub(crate) fn marker(&self) -> (&str, &str) {
        (&self.marker.0, &self.marker.1)
    }

    /// Empties the folders, whose own inodes stay since they may be mounts.
    pub(crate) fn clear(&self) -> Result<()> {
        for folder in FOLDERS {
            empty(&self.folder(folder))?;
        }
        Ok(())
    }

    /// Keeps the state of the folders under `name`.
    pub(crate) fn snapshot(&self, name: &str) -> Result<()> {
        for folder in FOLDERS {
            copy(&self.folder(folder), &self.root.join(name).join(folder))?;
        }
        Ok(())
    }

    /// Puts back the state that was kept under `name`.
    pub(crate) fn restore(&self, name: &str) -> Result<()> {
        self.clear()?;
        for folder in FOLDERS {
            copy(&self.root.join(name).join(folder), &self.folder(folder))?;
        }
        Ok(())
    }

    /// The processes that are still there once those that are dying are dead.
    pub(crate) fn survivors(&self) -> Vec<u32> {
        let marker = format!("{}={}", self.marker.0, self.marker.1);
        let deadline = Instant::now() + DYING;
        loop {
            let found = processes::with_marker(&marker);
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything unfinished, temporary or locked that is left after a provision that has ended.
    ///
    /// An interrupted download may stay in the cache if it is `resumable`, for the next run.
    pub(crate) fn left_behind(&self, installed: &[&str], resumable: bool) -> Result<Vec<String>> {
        let mut left: Vec<String> = self
            .survivors()
            .iter()
            .map(|pid| format!("process {pid}"))
            .collect();
        for entry in fs::read_dir(self.folder("tmp"))?.flatten() {
            left.push(entry.path().display().to_string());
        }
        for entry in fs::read_dir(self.folder("bin"))?.flatten() {
            let name = entry.file_name();
            // Each has the name of its backend, and its plain one.
            let is_program =
                |installed: &&str| name == **installed || name == *format!("{installed}-cpu");
            if !installed.iter().any(is_program) {
                left.push(entry.path().display().to_string());
            }
        }
        if let Ok(locks) = fs::read_dir(self.folder("data").join("locks")) {
            left.extend(
                locks
                    .flatten()
                    .map(|lock| lock.path().display().to_string()),
            );
        }
        let unfinished = fs::read_dir(self.folder("data").join("store/.unfinished"));
        for entry in unfinished.into_iter().flatten().flatten() {
            left.push(entry.path().display().to_string());
        }
        for path in walk(&self.folder("cache"))? {
            let is_part = path.extension() == Some(OsStr::new("part"))
                || path.to_string_lossy().ends_with(".part.json");
            if (is_unfinished(&path) && !(resumable && is_part)) || is_locked(&path) {
                left.push(path.display().to_string());
            }
        }
        Ok(left)
    }

    /// How many versions of whichever worker the store holds.
    pub(crate) fn versions(&self) -> usize {
        let folders = |path: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            let seen = entries.filter(|entry| !entry.file_name().as_bytes().starts_with(b"."));
            seen.map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect()
        };
        folders(&self.folder("data").join("store"))
            .iter()
            .map(|worker| folders(worker).len())
            .sum()
    }
}

fn is_unfinished(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else {
        return true;
    };
    UNFINISHED_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || UNFINISHED_SUFFIXES
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

/// Whether somebody holds the lock of a lock file; the file itself may stay in a cache.
fn is_locked(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("lock"))
        && File::open(path)
            .is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Everything below `folder`, links not followed.
fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(format!("list {}", folder.display())),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn empty(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        untrusted_tree::remove(entry?.path(), &|| false)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
