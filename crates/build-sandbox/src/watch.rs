//! Samples the disk space that a build takes.

use std::path::{Path, PathBuf};

/// What a walk over the build directories found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Bytes allocated on disk.
    pub(crate) disk: u64,
    /// Size of the largest file.
    pub(crate) largest: u64,
}

/// Adds up what is below `roots`, at whatever depth. Files that vanish while it looks are skipped,
/// links are not followed, holes take no space, and a file with several names counts once.
pub(crate) fn measure(roots: &[PathBuf]) -> Usage {
    let mut usage = Usage::default();
    for root in roots {
        let found = untrusted_tree::usage_at_least(root, &|| false);
        usage.disk = usage.disk.saturating_add(found.bytes);
        usage.largest = usage.largest.max(found.largest);
    }
    usage
}

/// The roots that are not inside another one.
pub(crate) fn outermost(roots: &[&Path]) -> Vec<PathBuf> {
    let mut sorted: Vec<&Path> = roots.to_vec();
    sorted.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for root in sorted {
        if !kept.iter().any(|outer| root.starts_with(outer)) {
            kept.push(root.to_owned());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::{self, File};
    use std::os::fd::OwnedFd;

    use nix::fcntl::{OFlag, openat};
    use nix::sys::stat::{Mode, mkdirat};

    use super::*;

    #[test]
    fn deep_directories_count_and_holes_and_second_names_do_not() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir(&root).unwrap();
        let huge = File::create(root.join("huge")).unwrap();
        huge.set_len(64 << 30).unwrap();
        fs::write(root.join("one"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(root.join("one"), root.join("two")).unwrap();
        let before = measure(std::slice::from_ref(&root));
        assert_eq!(before.largest, 64 << 30);
        assert!((1 << 20..2 << 20).contains(&before.disk), "{before:?}");

        // Below what any path can name.
        let mut here: OwnedFd = File::open(&root).unwrap().into();
        for _ in 0..3000 {
            mkdirat(&here, "dd", Mode::S_IRWXU).unwrap();
            here = openat(&here, "dd", OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        }
        let flags = OFlag::O_CREAT | OFlag::O_WRONLY;
        let file = File::from(openat(&here, "file", flags, Mode::S_IRWXU).unwrap());
        std::io::Write::write_all(&mut &file, &vec![1; 8 << 20]).unwrap();
        let after = measure(std::slice::from_ref(&root));
        assert!(after.disk >= before.disk + (8 << 20), "{after:?}");
        untrusted_tree::remove(&root, &|| false).unwrap();
    }
}
