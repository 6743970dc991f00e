//! Members of a zip that are compressed with LZMA or xz, by liblzma within its limit of memory.

use std::io::{self, BufReader, Cursor, Read};

use flate2::Crc;
use liblzma::stream::Stream;

use crate::extract::format::LZMA_MEMORY;

/// The two methods, 14 and 95 of APPNOTE.TXT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Lzma,
    Xz,
}

/// Decodes what is stored of a member.
pub(super) fn decoder<'a>(
    method: Method,
    mut stored: impl Read + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    if method == Method::Xz {
        let stream = Stream::new_stream_decoder(LZMA_MEMORY, 0)?;
        let input = BufReader::new(stored);
        return Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(
            input, stream,
        )));
    }
    // The version of the LZMA SDK, the length of the properties, and those.
    let mut head = [0; 9];
    stored.read_exact(&mut head)?;
    if head[2..4] != [5, 0] {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its LZMA properties are malformed",
        ));
    }
    // The same as a file of the old format whose size is not known; what ends it is its size, or a mark.
    let mut file = head[4..].to_vec();
    file.extend([0xff; 8]);
    let stream = Stream::new_lzma_decoder(LZMA_MEMORY)?;
    let input = BufReader::new(Cursor::new(file).chain(stored));
    Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(
        input, stream,
    )))
}

/// Content that must have a size and a checksum.
pub(super) struct Checked<R> {
    inner: R,
    left: u64,
    crc: Crc,
    expected: u32,
}

impl<R: Read> Checked<R> {
    pub(super) fn new(inner: R, size: u64, expected: u32) -> Self {
        Self {
            inner,
            left: size,
            crc: Crc::new(),
            expected,
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if self.crc.sum() != self.expected {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "its checksum is wrong",
                ));
            }
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.crc.update(&buffer[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}
