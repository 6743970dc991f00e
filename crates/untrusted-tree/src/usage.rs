//! How much of a disk a tree takes.

use std::collections::HashSet;
use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::chain::{Identity, file_type};
use crate::cursor::{Kind, Visit};
use crate::error::TreeError;
use crate::limits::Limits;
use crate::tree::Tree;

/// How many files with several names are remembered, so that each counts once; further ones count
/// once for each name.
const REMEMBERED: usize = 100_000;

/// How much of a disk a tree takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes of the blocks that are allocated: holes do not count, directories do.
    pub bytes: u64,
    /// Directories, files, links and everything else.
    pub entries: u64,
    /// Length in bytes of the longest file, holes included.
    pub largest: u64,
}

/// How often a tree that is changed meanwhile is measured.
const TRIES: u32 = 3;

/// Adds up what the tree at `root` takes. A file with several names counts once, and what is
/// mounted inside not at all; what vanishes meanwhile or may not be read is passed over.
///
/// # Errors
/// [`TreeError::NotADirectory`], [`TreeError::Limit`], [`TreeError::Cancelled`],
/// [`TreeError::Changed`], [`TreeError::Io`].
pub fn usage(
    root: impl AsRef<Path>,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
) -> Result<Usage, TreeError> {
    let mut usage = Usage::default();
    count(root.as_ref(), limits, cancelled, &mut usage)?;
    Ok(usage)
}

/// As [`usage`], for a tree that others are writing to: what could be counted, whatever has ended
/// it, so that nobody escapes being measured by getting in the way.
///
/// When directories are moved under its feet it begins again, up to three times, and the largest
/// figures count.
pub fn usage_at_least(root: impl AsRef<Path>, cancelled: &dyn Fn() -> bool) -> Usage {
    let unlimited = Limits {
        depth: u64::MAX,
        entries: u64::MAX,
        ..Limits::default()
    };
    let mut most = Usage::default();
    for _ in 0..TRIES {
        let mut usage = Usage::default();
        let counted = count(root.as_ref(), &unlimited, cancelled, &mut usage);
        most = Usage {
            bytes: most.bytes.max(usage.bytes),
            entries: most.entries.max(usage.entries),
            largest: most.largest.max(usage.largest),
        };
        if !matches!(
            counted,
            Err(TreeError::Changed { .. } | TreeError::Io { .. })
        ) {
            break;
        }
    }
    most
}

fn count(
    root: &Path,
    limits: &Limits,
    cancelled: &dyn Fn() -> bool,
    usage: &mut Usage,
) -> Result<(), TreeError> {
    let tree = Tree::open(root)?;
    let mut walk = tree.walk(limits, cancelled)?;
    let mut several: HashSet<Identity> = HashSet::new();
    while let Some(visit) = walk.next()? {
        let Visit::Entry(entry) = visit else {
            continue;
        };
        usage.entries += 1;
        let stat = match walk.stat(&entry.name) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::ACCESS) => continue,
            Err(errno) => return Err(walk.failed("look at", &entry.name, errno)),
        };
        let is_file = file_type(&stat) == FileType::RegularFile;
        let is_repeated = is_file
            && stat.st_nlink > 1
            && several.len() < REMEMBERED
            && !several.insert(Identity::of(&stat));
        if !is_repeated {
            #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
            // The types differ between systems.
            let bytes = (stat.st_blocks as u64).saturating_mul(512);
            usage.bytes = usage.bytes.saturating_add(bytes);
        }
        if is_file {
            usage.largest = usage.largest.max(u64::try_from(stat.st_size).unwrap_or(0));
        }
        if entry.kind == Kind::Directory {
            match walk.descend(&entry) {
                Ok(_) | Err(TreeError::MountPoint { .. } | TreeError::Changed { .. }) => {}
                Err(error) if error.io_kind() == Some(std::io::ErrorKind::PermissionDenied) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
