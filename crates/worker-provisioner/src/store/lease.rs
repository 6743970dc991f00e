//! Versions that are being run are not removed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use catalog_client::WorkerType;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use super::{Store, Version};
use crate::error::ProvisionError;

/// The file in a version's directory that whoever runs it holds a lock on.
const NAME: &str = "lease";

/// How often a version is looked for again that was replaced while it was being leased.
const ATTEMPTS: usize = 10;

/// A version of a worker that is kept as long as this lives: [`Store::gc`] leaves it alone, and removing
/// the worker is refused.
///
/// The lock of flock(2) below it goes with its owners, whatever ends them. A worker that is to go on
/// when its hive is gone becomes an owner by [`Lease::share_with_children`].
#[derive(Debug)]
pub struct Lease {
    file: File,
    tree: PathBuf,
}

impl Lease {
    /// The package tree that is kept.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Lets the processes that are started from now on inherit the lease, which then lasts as long as
    /// the last of them.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn share_with_children(&self) -> io::Result<()> {
        fcntl(&self.file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    }
}

impl Store {
    /// Keeps the installed version of a worker while it runs. Several may do so at once.
    ///
    /// # Errors
    /// [`ProvisionError::NotInstalled`], [`ProvisionError::Io`].
    pub fn lease(&self, worker_id: &str, backend: WorkerType) -> Result<Lease, ProvisionError> {
        for _ in 0..ATTEMPTS {
            let version = self.installed(worker_id, backend)?;
            let path = version.folder.join(NAME);
            let failed = |source| ProvisionError::io("lock", &path, source);
            let file = match open(&path, true) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(failed)?,
            };
            // Whoever holds it is about to remove the version, or looks whether that may be done.
            match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    continue;
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Ok(()) => {}
            }
            // It may have gone between the two.
            if path.exists() {
                return Ok(Lease {
                    file,
                    tree: version.tree(),
                });
            }
        }
        Err(ProvisionError::NotInstalled {
            id: worker_id.to_owned(),
            backend,
        })
    }
}

impl Version {
    /// Makes sure that nobody runs this version or will as long as the answer lives; nothing where
    /// somebody does.
    pub(super) fn claim(&self) -> Result<Option<Claim>, ProvisionError> {
        let path = self.folder.join(NAME);
        let failed = |source| ProvisionError::io("lock", &path, source);
        let file = open(&path, true).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Ok(()) => {}
        }
        Ok((!is_running(&self.tree())).then_some(Claim { _file: file }))
    }
}

/// The right to remove a version.
#[derive(Debug)]
pub(super) struct Claim {
    _file: File,
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// Whether a process that this one can see has been started from the tree: by its program, or for an
/// interpreter by an argument.
fn is_running(tree: &Path) -> bool {
    let prefix = tree.as_os_str().as_bytes();
    let starts = |text: &[u8]| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        let is_process = process
            .file_name()
            .as_bytes()
            .iter()
            .all(u8::is_ascii_digit);
        if !is_process {
            return false;
        }
        let path = process.path();
        let exe = fs::read_link(path.join("exe"));
        if exe.is_ok_and(|exe| starts(exe.as_os_str().as_bytes())) {
            return true;
        }
        let arguments = fs::read(path.join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).take(3).any(starts)
    })
}
