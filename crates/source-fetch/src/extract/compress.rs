//! The format of compress(1), `.Z`: LZW with codes of 9 to 16 bits.

use std::io::{self, BufRead, Read};

/// Codes of so many bits at most.
const MOST_BITS: u32 = 16;
/// The code that empties the table.
const RESET: u32 = 256;

/// Reads such a stream. Its table takes 256 KiB, whatever the stream says.
pub(super) struct Compress<R> {
    input: R,
    begun: bool,
    ended: bool,
    has_reset: bool,
    most_bits: u32,
    bits: u32,
    /// With more entries than this the next code has one bit more.
    end: usize,
    /// What each code ends in, and the code for what precedes that.
    table: Vec<(u16, u8)>,
    previous: Option<u32>,
    first: u8,
    /// What is decoded and not read yet, the last byte first.
    ready: Vec<u8>,
    held: u32,
    held_bits: u32,
    /// Bytes read since the number of bits changed; codes come in groups of eight.
    read: u32,
}

impl<R: BufRead> Compress<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            begun: false,
            ended: false,
            has_reset: false,
            most_bits: 0,
            bits: 9,
            end: 511,
            table: Vec::new(),
            previous: None,
            first: 0,
            ready: Vec::new(),
            held: 0,
            held_bits: 0,
            read: 0,
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let Some(byte) = self.input.fill_buf()?.first().copied() else {
            return Ok(None);
        };
        self.input.consume(1);
        Ok(Some(byte))
    }

    fn begin(&mut self) -> io::Result<()> {
        self.begun = true;
        let mut head = [0; 3];
        self.input.read_exact(&mut head)?;
        let flags = head[2];
        self.most_bits = u32::from(flags & 0x1f);
        self.has_reset = flags & 0x80 != 0;
        if head[..2] != [0x1f, 0x9d]
            || flags & 0x60 != 0
            || !(9..=MOST_BITS).contains(&self.most_bits)
        {
            return Err(malformed());
        }
        self.empty();
        Ok(())
    }

    fn empty(&mut self) {
        self.table.clear();
        self.table.extend((0..=u8::MAX).map(|byte| (0, byte)));
        if self.has_reset {
            self.table.push((0, 0));
        }
        (self.bits, self.end) = (9, 511);
        self.previous = None;
    }

    /// The next code; nothing at the end of the stream.
    fn code(&mut self) -> io::Result<Option<u32>> {
        while self.held_bits < self.bits {
            let Some(byte) = self.byte()? else {
                return Ok(None);
            };
            self.held |= u32::from(byte) << self.held_bits;
            self.held_bits += 8;
            self.read += 1;
        }
        let code = self.held & ((1 << self.bits) - 1);
        self.held >>= self.bits;
        self.held_bits -= self.bits;
        Ok(Some(code))
    }

    /// Goes on to the end of a group of eight codes, which is filled up when the number of bits changes.
    fn align(&mut self) -> io::Result<()> {
        while !self.read.is_multiple_of(self.bits) {
            if self.byte()?.is_none() {
                break;
            }
            self.read += 1;
        }
        (self.held, self.held_bits, self.read) = (0, 0, 0);
        Ok(())
    }

    /// Decodes one code.
    fn step(&mut self) -> io::Result<()> {
        let Some(code) = self.code()? else {
            self.ended = true;
            return Ok(());
        };
        if code == RESET && self.has_reset {
            self.align()?;
            self.empty();
            return Ok(());
        }
        let next = u32::try_from(self.table.len()).map_err(|_| malformed())?;
        let mut at = code;
        if code >= next {
            // A code that the table gets with this very step: what came before, and its first byte again.
            let previous = self
                .previous
                .filter(|_| code == next)
                .ok_or_else(malformed)?;
            self.ready.push(self.first);
            at = previous;
        }
        while at >= 256 {
            let (before, byte) = self.entry(at)?;
            self.ready.push(byte);
            at = u32::from(before);
        }
        self.first = u8::try_from(at).map_err(|_| malformed())?;
        self.ready.push(self.first);
        if let Some(previous) = self.previous
            && next < 1 << self.most_bits
        {
            let previous = u16::try_from(previous).map_err(|_| malformed())?;
            self.table.push((previous, self.first));
        }
        if self.table.len() > self.end {
            self.align()?;
            self.bits += 1;
            let is_last = usize::from(self.bits == self.most_bits);
            self.end = (1 << self.bits) - 1 + is_last;
        }
        self.previous = Some(code);
        Ok(())
    }

    fn entry(&self, code: u32) -> io::Result<(u16, u8)> {
        let at = usize::try_from(code).map_err(|_| malformed())?;
        self.table.get(at).copied().ok_or_else(malformed)
    }
}

impl<R: BufRead> Read for Compress<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.begin()?;
        }
        let mut count = 0;
        while count < buffer.len() {
            if let Some(byte) = self.ready.pop() {
                buffer[count] = byte;
                count += 1;
            } else if self.ended {
                break;
            } else {
                self.step()?;
            }
        }
        Ok(count)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no stream of compress(1)")
}
