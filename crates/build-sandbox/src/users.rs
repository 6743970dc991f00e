//! Users of their own for the builds of a caller that is root.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Group, Uid, User};

use crate::config::Config;
use crate::error::SandboxError;
use crate::prepare::io_error;

/// Numbers that no convention gives to anybody. Source: systemd's `UIDS-GIDS.md`, "Summary"; the
/// second is for containers that map 65536 ids only.
const UNUSED: [RangeInclusive<u32>; 2] = [1_879_048_192..=1_879_113_727, 60_706..=61_183];

/// Where the locks are, the first that can be had. All processes of a host find the same.
const LOCKS: [&str; 3] = [
    "/run/build-sandbox",
    "/var/run/build-sandbox",
    "/tmp/build-sandbox-users",
];

/// A user and a group of the same number that nobody else has while this lives.
#[derive(Debug)]
pub(crate) struct Lease {
    id: u32,
    lock: Option<(File, PathBuf)>,
    trees: Mutex<BTreeSet<PathBuf>>,
}

impl Lease {
    /// For a trial that runs no program and makes no file.
    pub(crate) fn unlocked(id: u32) -> Self {
        Self {
            id,
            lock: None,
            trees: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Gives what root owns below `root` to this user.
    pub(crate) fn hand_over(
        &self,
        root: &Path,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), SandboxError> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.insert(root.to_owned());
        drop(trees);
        untrusted_tree::change_owner(root, 0, self.id, self.id, cancelled)
            .map_err(|source| SandboxError::HandOver { source })
    }

    /// Lets this user, and nobody else but root, pass a directory that stays root's.
    pub(crate) fn let_pass(&self, directory: &Path) -> io::Result<()> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let directory = File::options()
            .read(true)
            .custom_flags(flags.bits())
            .open(directory)?;
        if directory.metadata()?.uid() != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        std::os::unix::fs::fchown(&directory, None, Some(self.id))?;
        directory.set_permissions(Permissions::from_mode(0o710))
    }

    fn return_trees(trees: &BTreeSet<PathBuf>, id: u32) {
        for tree in trees {
            let returned = untrusted_tree::change_owner(tree, id, 0, 0, &|| false);
            if let Err(error) = returned
                && tree.exists()
            {
                tracing::warn!(%error, tree = %tree.display(), "not all files went back to root");
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut trees =
            std::mem::take(&mut *self.trees.lock().unwrap_or_else(PoisonError::into_inner));
        trees.retain(|tree| tree.exists());
        let trees_are_gone = trees.is_empty();
        let (id, lock) = (self.id, self.lock.take());
        let end = move || {
            Self::return_trees(&trees, id);
            if let Some((lock, path)) = lock {
                // Removed while it is held, so that whoever takes the next file of this name knows.
                let _ = fs::remove_file(&path);
                drop(lock);
            }
        };
        if trees_are_gone {
            return end();
        }
        // The last owner may be a future that is dropped on a thread of the runtime.
        let named = std::thread::Builder::new().name("build-sandbox-return".to_owned());
        if let Err(error) = named.spawn(end) {
            tracing::warn!(%error, "files of a build stay with its user");
        }
    }
}

/// The leases of one sandbox, by startdir: all phases of a build run as the same user.
#[derive(Debug, Default)]
pub(crate) struct Users {
    leases: Mutex<HashMap<PathBuf, Arc<Lease>>>,
}

impl Users {
    /// The user that the build in `startdir` has already.
    pub(crate) fn held(&self, startdir: &Path) -> Option<Arc<Lease>> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(startdir).map(Arc::clone)
    }

    /// The user of the build in `startdir`. Blocks.
    pub(crate) fn lease(
        &self,
        config: &Config,
        startdir: &Path,
    ) -> Result<Arc<Lease>, SandboxError> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = leases.get(startdir) {
            return Ok(Arc::clone(lease));
        }
        leases.retain(|startdir, _| startdir.exists());
        let lease = Arc::new(choose(config)?);
        leases.insert(startdir.to_owned(), Arc::clone(&lease));
        Ok(lease)
    }
}

fn choose(config: &Config) -> Result<Lease, SandboxError> {
    let none = |reason: &str| SandboxError::NoBuildUser {
        reason: reason.to_owned(),
    };
    let ranges = ranges(config);
    if ranges.is_empty() {
        return Err(none(
            "none of the ids of the range is mapped in this user namespace",
        ));
    }
    let locks = lock_directory()?;
    let mut taken = Taken::read();
    let start = RandomState::new().build_hasher().finish();
    for range in ranges {
        let count = u64::from(range.end() - range.start()) + 1;
        for step in 0..count {
            let offset = (start.wrapping_add(step)) % count;
            let id = range.start() + u32::try_from(offset).unwrap_or(0);
            if id == 0 || taken.has(id, config.build_users.is_none()) {
                continue;
            }
            let Some(lock) = try_lock(&locks, id)? else {
                continue;
            };
            // Only now, that nobody who asks for the lock can begin.
            taken.running = processes();
            if taken.running.contains(&id) {
                continue;
            }
            return Ok(Lease {
                id,
                lock: Some(lock),
                trees: Mutex::default(),
            });
        }
    }
    Err(none("each id of the range belongs to somebody"))
}

/// The ranges to choose from, as far as this user namespace has them.
pub(crate) fn ranges(config: &Config) -> Vec<RangeInclusive<u32>> {
    let wanted = match &config.build_users {
        Some(range) => vec![range.clone()],
        None => UNUSED.to_vec(),
    };
    if !cfg!(target_os = "linux") {
        return wanted;
    }
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"].map(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(map_line).collect::<Vec<_>>()
    });
    let mut found = Vec::new();
    for range in wanted {
        for uids in &maps[0] {
            for gids in &maps[1] {
                let start = *range.start().max(uids.start()).max(gids.start());
                let end = *range.end().min(uids.end()).min(gids.end());
                if start <= end && end > 0 {
                    found.push(start..=end);
                }
            }
        }
    }
    found
}

/// The ids of one line of `uid_map`, as they are inside. Source: `user_namespaces(7)`.
fn map_line(line: &str) -> Option<RangeInclusive<u32>> {
    let mut fields = line.split_whitespace().map(str::parse::<u32>);
    let (first, _, count) = (fields.next()?.ok()?, fields.next()?, fields.next()?.ok()?);
    Some(first..=first.saturating_add(count.checked_sub(1)?))
}

/// Whether a build of a caller that is root can have another user.
pub(crate) fn any(config: &Config) -> Option<u32> {
    let ranges = ranges(config);
    ranges.into_iter().next().map(|range| *range.end())
}

/// Whether root of this user namespace is an ordinary user outside of it.
pub(crate) fn root_is_another_outside() -> bool {
    let text = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    text.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        matches!(fields.as_slice(), ["0", outside, _] if *outside != "0")
    })
}

/// Ids that belong to somebody.
struct Taken {
    subordinate: Vec<RangeInclusive<u32>>,
    /// As far as they have been looked at.
    running: BTreeSet<u32>,
}

impl Taken {
    fn read() -> Self {
        let mut subordinate = Vec::new();
        for path in ["/etc/subuid", "/etc/subgid"] {
            let text = fs::read_to_string(path).unwrap_or_default();
            subordinate.extend(text.lines().filter_map(|line| {
                let mut fields = line.split(':').skip(1).map(str::parse::<u32>);
                let (first, count) = (fields.next()?.ok()?, fields.next()?.ok()?);
                Some(first..=first.saturating_add(count.checked_sub(1)?))
            }));
        }
        Self {
            subordinate,
            running: BTreeSet::new(),
        }
    }

    /// A range that the caller names may consist of accounts, which then are for builds.
    fn has(&self, id: u32, accounts: bool) -> bool {
        let account = || {
            !matches!(User::from_uid(Uid::from_raw(id)), Ok(None))
                || !matches!(Group::from_gid(Gid::from_raw(id)), Ok(None))
        };
        self.running.contains(&id)
            || accounts && (self.subordinate.iter().any(|range| range.contains(&id)) || account())
    }
}

/// User and group ids of all processes. Source: proc(5), `/proc/pid/status`.
fn processes() -> BTreeSet<u32> {
    let mut ids = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let text = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            ["Uid:", "Gid:", "Groups:"]
                .iter()
                .find_map(|start| line.strip_prefix(start))
        });
        ids.extend(lines.flat_map(|line| {
            line.split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok())
        }));
    }
    ids
}

fn lock_directory() -> Result<PathBuf, SandboxError> {
    let mut last = None;
    for path in LOCKS.map(Path::new) {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                last = Some(io_error("create the directory of locks", path)(error));
                continue;
            }
            _ => {}
        }
        let metadata = fs::symlink_metadata(path);
        let metadata = metadata.map_err(io_error("look at the directory of locks", path))?;
        if metadata.is_dir() && metadata.uid() == 0 && metadata.mode() & 0o022 == 0 {
            return Ok(path.to_owned());
        }
        last = Some(SandboxError::NotADirectory {
            path: path.to_owned(),
        });
    }
    Err(last.unwrap_or_else(|| SandboxError::NoBuildUser {
        reason: "there is no directory for its lock".to_owned(),
    }))
}

/// `None` if another build has the id.
fn try_lock(directory: &Path, id: u32) -> Result<Option<(File, PathBuf)>, SandboxError> {
    let path = directory.join(id.to_string());
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open the lock of a user id", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => {
            return Err(io_error("lock a user id", &path)(error));
        }
    }
    // Its last owner may have removed it between the opening and the lock.
    let held = file.metadata().map_err(io_error("look at a lock", &path))?;
    let named = fs::symlink_metadata(&path);
    let same = named.is_ok_and(|named| named.ino() == held.ino() && named.dev() == held.dev());
    Ok(same.then_some((file, path)))
}
