//! Formats by their first bytes.

use std::io::{self, BufRead, Read};

use liblzma::stream::{CONCATENATED, Stream};

use super::compress::Compress;
use super::members::{Bzip2, Gzip, Members};

/// Most memory an xz or lzip stream may ask for, in bytes.
pub(super) const LZMA_MEMORY: u64 = 256 << 20;

/// What holds the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// A stream, packed or not, that may be a tar archive.
    Plain(Packing),
    Zip,
    SevenZip,
    Ar,
    /// makepkg would unpack it and we cannot.
    Unsupported(&'static str),
}

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Bzip2,
    Xz,
    Lzip,
    Zstd,
    Lz4,
    /// The format before xz, without a magic number.
    Lzma,
    /// compress(1).
    Compress,
}

pub(super) fn detect(head: &[u8]) -> Container {
    let is = |magic: &[u8]| head.starts_with(magic);
    if is(b"\x1f\x8b\x08") {
        Container::Plain(Packing::Gzip)
    } else if is(b"BZh") {
        Container::Plain(Packing::Bzip2)
    } else if is(b"\xfd7zXZ\0") {
        Container::Plain(Packing::Xz)
    } else if is(b"LZIP") {
        Container::Plain(Packing::Lzip)
    } else if is(b"\x28\xb5\x2f\xfd") || is_skippable_zstd(head) {
        Container::Plain(Packing::Zstd)
    } else if is(b"\x04\x22\x4d\x18") || is(b"\x02\x21\x4c\x18") {
        Container::Plain(Packing::Lz4)
    } else if is(b"PK\x03\x04") || is(b"PK\x05\x06") {
        Container::Zip
    } else if is(b"7z\xbc\xaf\x27\x1c") {
        Container::SevenZip
    } else if is(b"!<arch>\n") {
        Container::Ar
    } else if is(b"\xed\xab\xee\xdb") {
        Container::Unsupported("rpm")
    } else if is(b"Rar!\x1a\x07") {
        Container::Unsupported("rar")
    } else if is(b"MSCF\0\0\0\0") {
        Container::Unsupported("cab")
    } else if is(b"xar!\0\x1c") {
        Container::Unsupported("xar")
    } else if is(b"LRZI") {
        Container::Unsupported("lrzip")
    } else if is(b"\x1f\x9d") {
        Container::Plain(Packing::Compress)
    } else if is_lzma(head) {
        Container::Plain(Packing::Lzma)
    } else {
        Container::Plain(Packing::None)
    }
}

/// A frame that zstd is to skip, as pzstd writes one first, and then no frame of lz4, which has the same.
fn is_skippable_zstd(head: &[u8]) -> bool {
    let mut rest = head;
    while let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, behind @ ..] = rest {
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match behind.get(length..) {
            Some(next) if next.starts_with(b"\x28\xb5\x2f\xfd") => return true,
            Some(next) => rest = next,
            // The next frame is further away than is looked at.
            None => return true,
        }
    }
    false
}

/// The header of the format before xz: lzma(1), "lzma-file-format.txt". It has no magic number, so each field must be what
/// its writers write, as libarchive has it too.
fn is_lzma(head: &[u8]) -> bool {
    let [properties, d0, d1, d2, d3, size @ ..] = head else {
        return false;
    };
    let dictionary = u32::from_le_bytes([*d0, *d1, *d2, *d3]);
    // A power of two, or one and a half of it.
    let is_usual = dictionary.is_power_of_two()
        || (dictionary.is_multiple_of(3) && (dictionary / 3).is_power_of_two());
    let Some((size, [first, ..])) = size.split_first_chunk::<8>() else {
        return false;
    };
    let size = u64::from_le_bytes(*size);
    *properties < 9 * 5 * 5
        && is_usual
        && (1 << 12..=1 << 30).contains(&dictionary)
        && (size == u64::MAX || size < 1 << 40)
        && *first == 0
}

/// Tells whether makepkg would unpack a single file of this name; makepkg, source/file.sh.
pub(super) fn has_extension(packing: Packing, name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match packing {
        Packing::Gzip => matches!(extension, "gz" | "z" | "Z"),
        Packing::Bzip2 => matches!(extension, "bz2" | "bz"),
        Packing::Xz => extension == "xz",
        Packing::Zstd => extension == "zst",
        Packing::None | Packing::Lzip | Packing::Lz4 | Packing::Lzma | Packing::Compress => false,
    }
}

pub(super) fn decoder<'a>(
    packing: Packing,
    input: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::None => Box::new(input),
        Packing::Gzip => Box::new(Members::<Gzip, _>::new(input)),
        Packing::Bzip2 => Box::new(Members::<Bzip2, _>::new(input)),
        Packing::Xz => {
            let stream = Stream::new_stream_decoder(LZMA_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Lzip => {
            let stream = Stream::new_lzip_decoder(LZMA_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Lzma => {
            let stream = Stream::new_lzma_decoder(LZMA_MEMORY)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Compress => Box::new(Compress::new(input)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Packing::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
    })
}
