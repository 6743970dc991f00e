//! 7z, by the `sevenz-rust2` crate, within limits of its memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, Error, Password};
use tokio_util::sync::CancellationToken;

use super::attributes::Mtime;
use super::tree::Tree;
use super::{Stop, damaged};
use crate::error::ExtractProblem;

/// Most KiB of the list of members, unpacked: some hundred thousand of them. Each takes up to a hundred times its part of
/// the list in memory.
const LIST: usize = 8 << 10;
/// Most KiB that the decoders of a block may ask for: 7-Zip's own largest preset takes 256 MiB.
const MEMORY: usize = 300 << 10;
const MAX_TARGET: u64 = 4096;
const TYPE_MASK: u32 = 0o170_000;

pub(super) fn extract(file: File, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let mut input = Cancellable {
        file: io::BufReader::with_capacity(256 * 1024, file),
        token: tree.token().clone(),
    };
    let password = Password::empty();
    let archive = Archive::read_with_memory_limit(&mut input, &password, LIST).map_err(refuse)?;
    let limit = tree.max_entries();
    if archive.files.len() as u64 > limit {
        return Err(Stop::archive(ExtractProblem::TooManyEntries { limit }));
    }
    for block in 0..archive.blocks.len() {
        let decoder =
            BlockDecoder::new_with_memory_limit(1, MEMORY, block, &archive, &password, &mut input);
        let mut stop = None;
        let done = decoder.for_each_entries(&mut |entry: &ArchiveEntry, content: &mut dyn Read| {
            match member(entry, content, tree) {
                Ok(()) => Ok(true),
                Err(error) => {
                    stop = Some(error);
                    Err(Error::Io(io::ErrorKind::Other.into(), "".into()))
                }
            }
        });
        match (stop, done) {
            (Some(stop), _) => return Err(stop),
            (None, Err(error)) => return Err(refuse(error)),
            (None, Ok(_)) => {}
        }
    }
    // Directories, and files without content.
    for (index, entry) in archive.files.iter().enumerate() {
        let block = archive.stream_map.file_block_index.get(index);
        if block.is_none_or(Option::is_none) {
            member(entry, &mut io::empty(), tree)?;
        }
    }
    Ok(())
}

fn member(entry: &ArchiveEntry, content: &mut dyn Read, tree: &mut Tree<'_>) -> Result<(), Stop> {
    let name = entry.name.as_bytes();
    if entry.is_anti_item {
        return Ok(());
    }
    let Some(path) = tree.enter(name)? else {
        return Ok(());
    };
    let attributes = entry.windows_attributes;
    // The high half is the mode where the other says so: `FILE_ATTRIBUTE_UNIX_EXTENSION`.
    let unix = entry.has_windows_attributes && attributes & 0x8000 != 0;
    let mode = if unix { attributes >> 16 } else { 0 };
    let kind = mode & TYPE_MASK;
    let read_only = entry.has_windows_attributes && attributes & 1 != 0 && !unix;
    let mtime = mtime(entry);
    if entry.is_directory || kind == 0o040_000 {
        let mode = if unix { mode } else { 0o777 };
        return tree.directory(name, &path, mode, mtime);
    }
    let special = match kind {
        0o020_000 => Some("character device"),
        0o060_000 => Some("block device"),
        0o010_000 => Some("named pipe"),
        0o140_000 => Some("socket"),
        _ => None,
    };
    if let Some(kind) = special {
        return Err(Stop::member(name, ExtractProblem::Special { kind }));
    }
    if kind == 0o120_000 {
        let mut target = Vec::new();
        content
            .take(MAX_TARGET)
            .read_to_end(&mut target)
            .map_err(|error| Stop::member(name, ExtractProblem::Io(error)))?;
        return tree.symlink(name, &path, &target, mtime);
    }
    let mode = match (unix, read_only) {
        (true, _) => mode,
        (false, true) => 0o444,
        (false, false) => 0o666,
    };
    tree.file_until_end(name, &path, (mode, mtime), content)
}

fn mtime(entry: &ArchiveEntry) -> Mtime {
    // Hundreds of nanoseconds since 1601.
    const UNIX: i128 = 116_444_736_000_000_000;
    let ticks = i128::from(u64::from(entry.last_modified_date)) - UNIX;
    if !entry.has_last_modified_date {
        return Mtime::default();
    }
    Mtime {
        seconds: i64::try_from(ticks.div_euclid(10_000_000)).unwrap_or(0),
        nanoseconds: u32::try_from(ticks.rem_euclid(10_000_000) * 100).unwrap_or(0),
    }
}

fn refuse(error: Error) -> Stop {
    let problem = match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => ExtractProblem::Encrypted,
        Error::Io(error, _) if error.kind() == io::ErrorKind::UnexpectedEof => {
            damaged("it ends early")
        }
        Error::Io(error, _) => ExtractProblem::Io(error),
        Error::MaxMemLimited { max_kb, .. } => damaged(&format!(
            "unpacking it takes more than {} MiB of memory",
            max_kb >> 10
        )),
        Error::UnsupportedCompressionMethod(method) => damaged(&format!(
            "it is compressed with {method:?}, which is not supported"
        )),
        other => damaged(&other.to_string()),
    };
    Stop::archive(problem)
}

/// A file that cannot be read any more once the token is cancelled.
struct Cancellable {
    file: io::BufReader<File>,
    token: CancellationToken,
}

impl Read for Cancellable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.token.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.file.read(buffer)
    }
}

impl Seek for Cancellable {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
