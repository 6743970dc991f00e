//! Formats by their first bytes.

use std::io::{self, BufRead, Read};

use liblzma::stream::{CONCATENATED, Stream};

/// Most memory an xz or lzip stream may ask for, in bytes.
const LZMA_MEMORY: u64 = 256 << 20;

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
    } else if is(b"\x28\xb5\x2f\xfd") {
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
    } else if is(b"070701") || is(b"070702") || is(b"070707") {
        Container::Unsupported("cpio")
    } else if is(b"Rar!\x1a\x07") {
        Container::Unsupported("rar")
    } else if is(b"MSCF\0\0\0\0") {
        Container::Unsupported("cab")
    } else if is(b"xar!\0\x1c") {
        Container::Unsupported("xar")
    } else if is(b"LRZI") {
        Container::Unsupported("lrzip")
    } else if is(b"\x1f\x9d") {
        Container::Unsupported("compress")
    } else {
        Container::Plain(Packing::None)
    }
}

/// Tells whether makepkg would unpack a single file of this name; makepkg, source/file.sh.
pub(super) fn has_extension(packing: Packing, name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match packing {
        Packing::Gzip => matches!(extension, "gz" | "z" | "Z"),
        Packing::Bzip2 => matches!(extension, "bz2" | "bz"),
        Packing::Xz => extension == "xz",
        Packing::Zstd => extension == "zst",
        Packing::None | Packing::Lzip | Packing::Lz4 => false,
    }
}

pub(super) fn decoder<'a>(
    packing: Packing,
    input: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::None => Box::new(input),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Packing::Xz => {
            let stream = Stream::new_stream_decoder(LZMA_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Lzip => {
            let stream = Stream::new_lzip_decoder(LZMA_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        Packing::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
    })
}

/// Tells whether a decoder stopped at something after its last stream.
pub(super) fn is_trailing_garbage(packing: Packing, error: &io::Error) -> bool {
    let text = error.to_string();
    match packing {
        Packing::Gzip => text.contains("invalid gzip header"),
        Packing::Bzip2 => text.contains("header"),
        _ => false,
    }
}
