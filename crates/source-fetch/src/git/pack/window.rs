//! A file that is read from any offset.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

/// Bytes read at once; most entries of a pack are shorter.
const READ: usize = 8 << 10;

/// Reads a file from any offset, through no mapping: a mapped pack would count as memory of this process.
pub(super) struct Window<F> {
    file: F,
    buffer: Vec<u8>,
    /// What of the buffer is unread.
    unread: std::ops::Range<usize>,
    /// Where in the file the buffer ends.
    end: u64,
}

impl<F> Window<F> {
    pub(super) fn new(file: F) -> Self {
        Self {
            file,
            buffer: vec![0; READ],
            unread: 0..0,
            end: 0,
        }
    }

    pub(super) fn seek(&mut self, offset: u64) {
        let start = self.end - self.unread.end as u64;
        let inside = offset
            .checked_sub(start)
            .and_then(|inside| usize::try_from(inside).ok())
            .filter(|inside| *inside < self.unread.end);
        if let Some(inside) = inside {
            self.unread.start = inside;
        } else {
            self.unread = 0..0;
            self.end = offset;
        }
    }
}

impl<F: Borrow<File>> BufRead for Window<F> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.unread.is_empty() {
            let file = self.file.borrow();
            let read = file.read_at(&mut self.buffer, self.end)?;
            self.unread = 0..read;
            self.end += read as u64;
        }
        Ok(&self.buffer[self.unread.clone()])
    }

    fn consume(&mut self, amount: usize) {
        self.unread.start += amount;
    }
}

impl<F: Borrow<File>> Read for Window<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}
