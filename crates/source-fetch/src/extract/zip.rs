//! zip, through its central directory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use zip::result::ZipError;
use zip::{CompressionMethod, ExtraField, ZipArchive};

mod lzma;

use super::attributes::Mtime;
use super::tree::Tree;
use super::{Stop, damaged};
use crate::error::ExtractProblem;

const MAX_TARGET: u64 = 4096;
/// Most bytes of the central directory, which the zip crate reads into memory: a million members
/// with names of 100 bytes.
const MAX_DIRECTORY: u64 = 256 << 20;
const TYPE_MASK: u32 = 0o170_000;

/// Whether a file that begins otherwise ends as a zip does: behind a program or a script. As in libarchive, the end record
/// is in the last 16 KiB, has no disk number and names a directory that is before it.
pub(super) fn is_behind(file: &mut File) -> std::io::Result<bool> {
    let size = file.seek(SeekFrom::End(0))?;
    let start = size.saturating_sub(16 << 10);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.by_ref().take(16 << 10).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    let found = tail.windows(22).enumerate().rev().find(|(at, record)| {
        let short = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        let long = |at: usize| {
            u64::from(u32::from_le_bytes([
                record[at],
                record[at + 1],
                record[at + 2],
                record[at + 3],
            ]))
        };
        record.starts_with(b"PK\x05\x06")
            && short(4) == 0
            && short(6) == 0
            && short(8) == short(10)
            && short(8) > 0
            && long(12) + long(16) <= start + *at as u64
    });
    Ok(found.is_some())
}

pub(super) fn extract(mut file: File, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let limit = tree.max_entries();
    // The zip crate reads the whole directory at once, so its announced size is judged first.
    if announced_entries(&mut file).map_err(Stop::read)? > limit {
        return Err(Stop::archive(ExtractProblem::TooManyEntries { limit }));
    }
    let left = Arc::new(AtomicU64::new(MAX_DIRECTORY));
    let reader = std::io::BufReader::new(Bounded {
        file,
        left: Arc::clone(&left),
        token: tree.token().clone(),
    });
    let mut archive = ZipArchive::new(reader).map_err(|error| refuse(None, error))?;
    left.store(u64::MAX, Ordering::Relaxed);
    for index in 0..archive.len() {
        let method = packing(&mut archive, index)?;
        let opened = match method {
            None => archive.by_index(index),
            Some(_) => archive.by_index_raw(index),
        };
        let mut member = opened.map_err(|error| refuse(None, error))?;
        let name = name_of(&member);
        let mode = member.unix_mode().unwrap_or(0);
        let mtime = mtime(&member);
        let Some(path) = tree.enter(&name)? else {
            continue;
        };
        if member.encrypted() {
            return Err(Stop::member(&name, ExtractProblem::Encrypted));
        }
        let kind = mode & TYPE_MASK;
        if name.ends_with(b"/") || kind == 0o040_000 {
            let mode = with_default(mode, 0o755);
            tree.directory(&name, &path, mode, mtime)?;
            continue;
        }
        let special = match kind {
            0o020_000 => Some("character device"),
            0o060_000 => Some("block device"),
            0o010_000 => Some("named pipe"),
            0o140_000 => Some("socket"),
            _ => None,
        };
        if let Some(kind) = special {
            return Err(Stop::member(&name, ExtractProblem::Special { kind }));
        }
        if kind == 0o120_000 {
            let mut target = Vec::new();
            member
                .by_ref()
                .take(MAX_TARGET)
                .read_to_end(&mut target)
                .map_err(|error| Stop::member(&name, ExtractProblem::Io(error)))?;
            tree.symlink(&name, &path, &target, mtime)?;
            continue;
        }
        let mode = with_default(mode, 0o644);
        match method {
            None => tree.file_until_end(&name, &path, (mode, mtime), &mut member)?,
            Some(method) => {
                let (size, crc) = (member.size(), member.crc32());
                let streamed = lzma::decoder(method, member)
                    .map_err(|error| Stop::member(&name, ExtractProblem::Io(error)))?;
                let mut content = lzma::Checked::new(streamed, size, crc);
                tree.file_until_end(&name, &path, (mode, mtime), &mut content)?;
            }
        }
    }
    Ok(())
}

/// How a member is compressed, if that is one of the ways which the zip crate leaves to us.
fn packing<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
) -> Result<Option<lzma::Method>, Stop> {
    let member = archive
        .by_index_raw(index)
        .map_err(|error| refuse(None, error))?;
    Ok(match member.compression() {
        CompressionMethod::LZMA if !member.encrypted() => Some(lzma::Method::Lzma),
        CompressionMethod::XZ if !member.encrypted() => Some(lzma::Method::Xz),
        _ => None,
    })
}

/// The name of a member. Archivers of Windows write backslashes for slashes: libarchive,
/// `archive_read_support_format_zip.c`, which does not tell them from others, as it looks for the system in a byte that is
/// always zero.
fn name_of<R: Read>(member: &zip::read::ZipFile<'_, R>) -> Vec<u8> {
    let mut name = member.name_raw().to_vec();
    if !name.contains(&b'/') {
        for byte in &mut name {
            if *byte == b'\\' {
                *byte = b'/';
            }
        }
    }
    name
}

/// A file of which no more is read than is left, and nothing once the token is cancelled.
struct Bounded {
    file: File,
    left: Arc<AtomicU64>,
    token: CancellationToken,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.token.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(std::io::Error::other(
                "its central directory is larger than 256 MiB",
            ));
        }
        let want = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read(&mut buffer[..want])?;
        if left != u64::MAX {
            self.left.store(left - count as u64, Ordering::Relaxed);
        }
        Ok(count)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(position)
    }
}

/// A zip made elsewhere than on Unix holds no permissions.
fn with_default(mode: u32, default: u32) -> u32 {
    match mode & 0o777 {
        0 => default,
        _ => mode,
    }
}

fn refuse(name: Option<&[u8]>, error: ZipError) -> Stop {
    let problem = match error {
        ZipError::Io(error) => ExtractProblem::Io(error),
        ZipError::UnsupportedArchive(text) if text.contains("assword") => ExtractProblem::Encrypted,
        ZipError::InvalidPassword => ExtractProblem::Encrypted,
        other => damaged(&other.to_string()),
    };
    match name {
        Some(name) => Stop::member(name, problem),
        None => Stop::archive(problem),
    }
}

/// The Unix time of the extended timestamp field, or else the DOS time taken as UTC.
fn mtime<R: Read>(member: &zip::read::ZipFile<'_, R>) -> Mtime {
    let extended = member.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(time) => time.mod_time(),
        _ => None,
    });
    let seconds = match (extended, member.last_modified()) {
        (Some(time), _) => i64::from(time),
        (None, Some(time)) => {
            dos_seconds(
                i64::from(time.year()),
                i64::from(time.month()),
                i64::from(time.day()),
            ) + i64::from(time.hour()) * 3600
                + i64::from(time.minute()) * 60
                + i64::from(time.second())
        }
        (None, None) => 0,
    };
    Mtime {
        seconds,
        nanoseconds: 0,
    }
}

/// Seconds from 1970 to a day of the proleptic Gregorian calendar.
fn dos_seconds(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era_year = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = era_year * 365 + era_year / 4 - era_year / 100 + day_of_year;
    (year.div_euclid(400) * 146_097 + day_of_era - 719_468) * 86_400
}

/// Largest entry count of any end record in the tail of the file.
fn announced_entries(file: &mut File) -> std::io::Result<u64> {
    const TAIL: u64 = 65_557 + 76;
    let size = file.seek(SeekFrom::End(0))?;
    let start = size.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.by_ref().take(TAIL).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    let mut most = 0;
    for (at, window) in tail.windows(4).enumerate() {
        let number = |offset: usize, length: usize| {
            tail.get(at + offset..at + offset + length)
                .map_or(0, |bytes| {
                    bytes
                        .iter()
                        .rev()
                        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
                })
        };
        match window {
            b"PK\x05\x06" => most = most.max(number(10, 2)),
            b"PK\x06\x06" => most = most.max(number(32, 8)),
            _ => {}
        }
    }
    Ok(most)
}
