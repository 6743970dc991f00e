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

/// Adds up what is below `roots`. Files that vanish while it looks are skipped, links are not
/// followed, and an inode with several names counts for each: the answer is an upper bound.
pub(crate) fn measure(roots: &[PathBuf]) -> Usage {
    let mut usage = Usage::default();
    let mut pending: Vec<PathBuf> = roots.to_vec();
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                use std::os::unix::fs::MetadataExt;
                usage.disk += metadata.blocks() * 512;
                usage.largest = usage.largest.max(metadata.len());
            }
        }
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
