//! The index of a fresh checkout: gitformat-index(5), version 2.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use git2::Oid;

use crate::git::summing::Summing;
use crate::git::tree::{Entry, Kind};

/// What the index says about one file.
pub(super) struct Row<'a> {
    path: &'a [u8],
    id: Oid,
    mode: u32,
    /// From `stat`, in the order of the format; the mode comes between the fourth and the fifth pair.
    stat: [u32; 9],
}

impl<'a> Row<'a> {
    /// The index keeps the low 32 bits of each figure, as git does.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the index format has 32 bits"
    )]
    pub(super) fn new(entry: &'a Entry, metadata: &Metadata) -> Self {
        Self {
            path: &entry.path,
            id: entry.id,
            mode: entry.kind.mode(),
            stat: [
                metadata.ctime() as u32,
                metadata.ctime_nsec() as u32,
                metadata.mtime() as u32,
                metadata.mtime_nsec() as u32,
                metadata.dev() as u32,
                metadata.ino() as u32,
                metadata.uid(),
                metadata.gid(),
                match entry.kind {
                    Kind::Submodule => 0,
                    _ => metadata.size() as u32,
                },
            ],
        }
    }
}

/// Writes the rows to the index at `path`, which must not exist. libgit2 would look up each object once more.
pub(super) fn write(rows: &mut [Row<'_>], path: &Path) -> io::Result<()> {
    rows.sort_unstable_by_key(|row| row.path);
    let mut out = Summing::new(File::create_new(path)?);
    let count = u32::try_from(rows.len()).map_err(io::Error::other)?;
    out.put(b"DIRC\0\0\0\x02")?;
    out.put(&count.to_be_bytes())?;
    let mut bytes = Vec::new();
    for row in rows {
        let (before, after) = row.stat.split_at(6);
        for number in before.iter().chain([&row.mode]).chain(after) {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(row.id.as_bytes());
        // Longer paths are marked with the largest length.
        let length = u16::try_from(row.path.len()).unwrap_or(0xfff).min(0xfff);
        bytes.extend(length.to_be_bytes());
        bytes.extend(row.path);
        // Ten numbers, an id and a length make 62; one to eight zeros lead to a multiple of eight.
        let zeros = 8 - (62 + row.path.len()) % 8;
        bytes.extend(&[0; 8][..zeros]);
        out.put(&bytes)?;
        bytes.clear();
    }
    out.finish()
}
