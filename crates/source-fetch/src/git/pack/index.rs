//! Makes an arrived pack complete, and its index: gitformat-pack(5), "Version 2 pack-*.idx files".

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use flate2::{Compression, Crc, write::ZlibEncoder};
use git2::{ObjectType, Oid};
use sha1::Digest as _;
use tokio_util::sync::CancellationToken;

use super::format::{self, Content, HEADER, damaged};
use super::scan::{Entry, Scanned};
use crate::git::summing::Summing;

/// Offsets from here on are in a table of their own.
const LARGE: u64 = 1 << 31;

/// Appends the bases that a thin pack lacks.
pub(super) struct Completion<'a> {
    file: &'a File,
    /// Where the checksum goes.
    pub(super) end: u64,
    /// What was appended.
    pub(super) added: Vec<(Entry, Oid)>,
}

impl<'a> Completion<'a> {
    /// Begins where the last entry ends.
    pub(super) fn new(file: &'a File, end: u64) -> Self {
        Self {
            file,
            end,
            added: Vec::new(),
        }
    }

    /// Writes an object after the last entry.
    pub(super) fn append(&mut self, id: Oid, kind: ObjectType, data: &[u8]) -> io::Result<()> {
        let mut bytes = format::whole_header(kind, data.len() as u64);
        let mut encoder = ZlibEncoder::new(&mut bytes, Compression::default());
        encoder.write_all(data)?;
        encoder.finish()?;
        self.file.write_all_at(&bytes, self.end)?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        let entry = Entry {
            offset: self.end,
            crc: crc.sum(),
            content: Content::Whole(kind),
        };
        self.added.push((entry, id));
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// Writes the number of objects and the checksum of a pack anew, after `added` was appended.
pub(super) fn seal(
    file: &File,
    scanned: &mut Scanned,
    added: Vec<(Entry, Oid)>,
    end: u64,
    token: &CancellationToken,
) -> io::Result<()> {
    for (entry, id) in added {
        scanned.entries.push(entry);
        scanned.ids.push(Some(id));
    }
    let count = u32::try_from(scanned.entries.len());
    let count = count.map_err(|_| damaged("it has too many objects"))?;
    file.write_all_at(&count.to_be_bytes(), HEADER as u64 - 4)?;
    let mut sum = sha1::Sha1::new();
    let mut buffer = vec![0; 64 << 10];
    let mut offset = 0;
    while offset < end {
        if token.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        file.read_exact_at(&mut buffer[..wanted], offset)?;
        sum.update(&buffer[..wanted]);
        offset += wanted as u64;
    }
    scanned.checksum = sum.finalize().into();
    scanned.end = end;
    file.write_all_at(&scanned.checksum, end)
}

/// Writes the index of a pack whose ids are all known to a new file.
pub(super) fn write(scanned: &Scanned, path: &Path) -> io::Result<()> {
    let mut sorted: Vec<(Oid, &Entry)> = Vec::with_capacity(scanned.entries.len());
    for (id, entry) in scanned.ids.iter().zip(&scanned.entries) {
        let id = id.ok_or_else(|| damaged("a delta has no base"))?;
        sorted.push((id, entry));
    }
    sorted.sort_unstable_by_key(|(id, _)| *id);
    if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(damaged("an object is in it twice"));
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)?;
    let mut out = Summing::new(file);
    out.put(b"\xfftOc\0\0\0\x02")?;
    let mut below = 0;
    for first in 0..=u8::MAX {
        below += sorted[below..].partition_point(|(id, _)| id.as_bytes()[0] <= first);
        out.put(
            &u32::try_from(below)
                .map_err(io::Error::other)?
                .to_be_bytes(),
        )?;
    }
    for (id, _) in &sorted {
        out.put(id.as_bytes())?;
    }
    for (_, entry) in &sorted {
        out.put(&entry.crc.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for (_, entry) in &sorted {
        let short = match u32::try_from(entry.offset) {
            Ok(offset) if entry.offset < LARGE => offset,
            _ => {
                large.push(entry.offset);
                (1 << 31) | u32::try_from(large.len() - 1).map_err(io::Error::other)?
            }
        };
        out.put(&short.to_be_bytes())?;
    }
    for offset in large {
        out.put(&offset.to_be_bytes())?;
    }
    out.put(&scanned.checksum)?;
    out.finish()
}
