//! The tar form of git's `archive-tar.c`: ustar, with pax records where a name is too long for it.

use std::io::{self, Write};

use git2::Oid;

use crate::git::tree::Kind;

/// Bytes of a header, and what each file is filled up to.
const RECORD: usize = 512;
/// What an archive is filled up to.
const BLOCK: usize = 20 * RECORD;
/// The largest number that eleven octal digits hold.
const MAX_OCTAL: u64 = 0o77_777_777_777;

/// What one header is about.
pub(super) struct Item<'a> {
    /// With a slash at the end for a directory.
    pub(super) path: &'a [u8],
    pub(super) id: Oid,
    pub(super) kind: Kind,
    /// Bytes that follow, or of the target of a link.
    pub(super) size: u64,
    pub(super) link: &'a [u8],
}

/// An archive that is being written.
pub(super) struct Tar<'w> {
    to: &'w mut dyn Write,
    written: u64,
    time: u64,
}

impl<'w> Tar<'w> {
    /// `time` is that of every member, in seconds since 1970.
    pub(super) fn new(to: &'w mut dyn Write, time: u64) -> Self {
        Self {
            to,
            written: 0,
            time,
        }
    }

    /// Writes the pax header that names the commit.
    pub(super) fn begin(&mut self, commit: &str) -> io::Result<()> {
        let mut records = Vec::new();
        record(&mut records, "comment", commit.as_bytes());
        if self.time > MAX_OCTAL {
            record(&mut records, "mtime", self.time.to_string().as_bytes());
            self.time = MAX_OCTAL;
        }
        self.extended(b'g', b"pax_global_header", &records)
    }

    fn extended(&mut self, flag: u8, name: &[u8], records: &[u8]) -> io::Result<()> {
        let mut header = Header::new(flag, name);
        header.finish(0o666, records.len() as u64, self.time);
        self.put(&header.0)?;
        self.put(records)?;
        self.pad()
    }

    /// Writes the header of a member; the bytes of a file are to follow.
    pub(super) fn item(&mut self, item: &Item<'_>) -> io::Result<()> {
        let (flag, mode) = match item.kind {
            Kind::Directory | Kind::Submodule => (b'5', 0o775),
            Kind::Link => (b'2', 0o777),
            Kind::Executable => (b'0', 0o775),
            Kind::File => (b'0', 0o664),
        };
        let mut records = Vec::new();
        let mut header = Header::new(flag, b"");
        if item.path.len() <= 100 {
            header.set(0, item.path);
        } else {
            let prefix = prefix_length(item.path);
            let rest = item.path.get(prefix + 1..).unwrap_or_default();
            if prefix > 0 && rest.len() <= 100 {
                header.set(345, &item.path[..prefix]);
                header.set(0, rest);
            } else {
                header.set(0, format!("{}.data", item.id).as_bytes());
                record(&mut records, "path", item.path);
            }
        }
        if item.link.len() > 100 {
            header.set(157, format!("see {}.paxheader", item.id).as_bytes());
            record(&mut records, "linkpath", item.link);
        } else {
            header.set(157, item.link);
        }
        let is_file = matches!(item.kind, Kind::File | Kind::Executable);
        let mut size = if is_file { item.size } else { 0 };
        if size > MAX_OCTAL {
            record(&mut records, "size", size.to_string().as_bytes());
            size = 0;
        }
        if !records.is_empty() {
            let name = format!("{}.paxheader", item.id);
            self.extended(b'x', name.as_bytes(), &records)?;
        }
        header.finish(mode, size, self.time);
        self.put(&header.0)
    }

    /// Writes bytes of a file.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    /// Fills up the last record.
    pub(super) fn pad(&mut self) -> io::Result<()> {
        self.fill(RECORD)
    }

    fn fill(&mut self, to: usize) -> io::Result<()> {
        let missing = self.written.next_multiple_of(to as u64) - self.written;
        let zeros = [0; BLOCK];
        let zeros = usize::try_from(missing)
            .ok()
            .and_then(|count| zeros.get(..count));
        self.put(zeros.unwrap_or_default())
    }

    /// Writes what ends an archive.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.put(&[0; 2 * RECORD])?;
        self.fill(BLOCK)
    }
}

struct Header([u8; RECORD]);

impl Header {
    fn new(flag: u8, name: &[u8]) -> Self {
        let mut header = Self([0; RECORD]);
        header.set(0, name);
        header.set(156, &[flag]);
        header
    }

    fn set(&mut self, at: usize, bytes: &[u8]) {
        if let Some(field) = self.0.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }

    fn finish(&mut self, mode: u32, size: u64, time: u64) {
        self.set(100, format!("{mode:07o}").as_bytes());
        self.set(108, b"0000000");
        self.set(116, b"0000000");
        self.set(124, format!("{size:011o}").as_bytes());
        self.set(136, format!("{time:011o}").as_bytes());
        self.set(257, b"ustar\x0000");
        self.set(265, b"root");
        self.set(297, b"root");
        self.set(329, b"0000000");
        self.set(337, b"0000000");
        self.set(148, b"        ");
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.set(148, format!("{sum:07o}\0").as_bytes());
    }
}

/// Where to split a path that is too long for one field: git's `get_path_prefix`.
fn prefix_length(path: &[u8]) -> usize {
    let mut length = path.len();
    if length > 1 && path.ends_with(b"/") {
        length -= 1;
    }
    length = length.min(155);
    loop {
        length = length.saturating_sub(1);
        if length == 0 || path.get(length) == Some(&b'/') {
            return length;
        }
    }
}

/// Adds a pax record, which begins with its own length.
fn record(to: &mut Vec<u8>, key: &str, value: &[u8]) {
    let without = key.len() + value.len() + 3;
    let mut length = without + 1;
    while length.to_string().len() + without != length {
        length = length.to_string().len() + without;
    }
    to.extend(format!("{length} {key}=").as_bytes());
    to.extend(value);
    to.push(b'\n');
}
