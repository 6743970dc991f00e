//! The first pass over a pack, while it arrives: where each entry lies, and the ids of the whole objects.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes};
use flate2::{Crc, Decompress};
use git2::{ObjectType, Oid};
use sha1::Digest as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Counters;
use super::format::{self, Content, HEADER, ID, WHOLE, damaged};

/// One entry of a pack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: u64,
    /// CRC-32 of the entry as it lies in the pack.
    pub(super) crc: u32,
    pub(super) content: Content,
}

/// What the first pass finds.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) entries: Vec<Entry>,
    /// One for each entry; only those of whole objects are known yet.
    pub(super) ids: Vec<Option<Oid>>,
    /// Where the checksum begins.
    pub(super) end: u64,
    pub(super) checksum: [u8; ID],
}

/// The chunks of a pack, written to a file and summed up on their way.
pub(super) struct Incoming<'a> {
    chunks: mpsc::Receiver<Bytes>,
    chunk: Bytes,
    file: &'a File,
    offset: u64,
    sum: sha1::Sha1,
    crc: Crc,
    counters: &'a Counters,
    token: &'a CancellationToken,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(
        chunks: mpsc::Receiver<Bytes>,
        file: &'a File,
        counters: &'a Counters,
        token: &'a CancellationToken,
    ) -> Self {
        Self {
            chunks,
            chunk: Bytes::new(),
            file,
            offset: 0,
            sum: sha1::Sha1::new(),
            crc: Crc::new(),
            counters,
            token,
        }
    }

    /// Reads the header of the pack: how many objects there are.
    pub(super) fn header(&mut self) -> io::Result<u32> {
        let mut header = [0; HEADER];
        self.read_exact(&mut header)?;
        let (magic, count) = header.split_at(8);
        if magic != b"PACK\0\0\0\x02" && magic != b"PACK\0\0\0\x03" {
            return Err(damaged("it does not begin like one"));
        }
        let count = count.try_into().map_err(io::Error::other)?;
        Ok(u32::from_be_bytes(count))
    }

    /// Reads `count` entries and everything after them.
    pub(super) fn entries(&mut self, count: u32) -> io::Result<Scanned> {
        let mut scanned = Scanned::default();
        let mut inflater = Inflater::default();
        for _ in 0..count {
            if self.token.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            self.crc.reset();
            let offset = self.offset;
            let (content, size) = format::header(self, offset)?;
            let id = if let Content::Whole(kind) = content {
                Some(inflater.id(self, kind, size)?)
            } else {
                inflater.skip(self, size)?;
                None
            };
            let crc = self.crc.sum();
            scanned.entries.push(Entry {
                offset,
                crc,
                content,
            });
            scanned.ids.push(id);
            if id.is_some() {
                self.counters.objects.fetch_add(1, Ordering::Relaxed);
            }
        }
        scanned.end = self.offset;
        let sum: [u8; ID] = self.sum.clone().finalize().into();
        self.read_exact(&mut scanned.checksum)?;
        if scanned.checksum != sum {
            return Err(damaged("its checksum is wrong"));
        }
        if !self.fill_buf()?.is_empty() {
            return Err(damaged("more follows after its end"));
        }
        Ok(scanned)
    }
}

impl BufRead for Incoming<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() {
            let Some(chunk) = self.chunks.blocking_recv() else {
                break;
            };
            if self.token.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            self.file.write_all(&chunk)?;
            self.counters
                .bytes
                .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            self.chunk = chunk;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        let used = &self.chunk[..amount];
        self.sum.update(used);
        self.crc.update(used);
        self.offset += amount as u64;
        self.chunk.advance(amount);
    }
}

impl Read for Incoming<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

/// What is used again for each object.
struct Inflater {
    state: Decompress,
    object: Vec<u8>,
    piece: Vec<u8>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self {
            state: Decompress::new(true),
            object: Vec::new(),
            piece: vec![0; 64 << 10],
        }
    }
}

impl Inflater {
    fn id(&mut self, from: &mut Incoming<'_>, kind: ObjectType, size: u64) -> io::Result<Oid> {
        format::check_size(kind, size)?;
        if size <= WHOLE {
            format::inflate(&mut self.state, from, size, &mut self.object)?;
            return id(kind, &self.object);
        }
        let token = from.token;
        let mut hash = sha1_checked::Sha1::new();
        sha1_checked::Digest::update(&mut hash, format!("{} {size}\0", kind.str()));
        format::inflate_through(&mut self.state, from, size, &mut self.piece, |piece| {
            if token.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            sha1_checked::Digest::update(&mut hash, piece);
            Ok(())
        })?;
        let hash = hash.try_finalize();
        if hash.has_collision() {
            return Err(damaged("an object was made to collide with another"));
        }
        Oid::from_bytes(hash.hash()).map_err(io::Error::other)
    }

    fn skip(&mut self, from: &mut Incoming<'_>, size: u64) -> io::Result<()> {
        let token = from.token;
        format::inflate_through(&mut self.state, from, size, &mut self.piece, |_| {
            if token.is_cancelled() {
                return Err(io::Error::other("cancelled"));
            }
            Ok(())
        })
    }
}

/// The id of an object. libgit2 notices an object made to collide with another and fails.
pub(super) fn id(kind: ObjectType, object: &[u8]) -> io::Result<Oid> {
    Oid::hash_object(kind, object)
        .map_err(|_| damaged("an object was made to collide with another"))
}
