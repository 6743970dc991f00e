//! Files of git that end with the SHA-1 of what precedes it: gitformat-pack(5), gitformat-index(5).

use std::fs::File;
use std::io::{self, BufWriter, Write};

use sha1::{Digest as _, Sha1};

/// Writes such a file.
pub(super) struct Summing {
    to: BufWriter<File>,
    sum: Sha1,
}

impl Summing {
    pub(super) fn new(file: File) -> Self {
        Self {
            to: BufWriter::with_capacity(64 << 10, file),
            sum: Sha1::new(),
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }

    /// Appends the sum.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self { mut to, sum } = self;
        to.write_all(&sum.finalize())?;
        to.flush()
    }
}
