//! Archives byte by byte, so that they can be what no tool would write.

use std::io::Write as _;

/// One tar header with right checksum, and its content.
#[derive(Debug, Clone)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn add(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Self {
        self.0
            .extend(header(kind, name, link, content.len() as u64, 0o644));
        self.content(content)
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(b'0', name, "", content)
    }

    pub fn directory(self, name: &str) -> Self {
        self.add(b'5', name, "", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.add(b'2', name, target, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.add(b'1', name, target, b"")
    }

    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let bare = key.len() + value.len() + 3;
            let mut length = bare + 1;
            while length != bare + length.to_string().len() {
                length = bare + length.to_string().len();
            }
            text.extend(format!("{length} {key}={value}\n").into_bytes());
        }
        self.add(b'x', "pax", "", &text)
    }

    /// A header that claims `size` bytes and is followed by `content` as it is.
    pub fn lying(mut self, kind: u8, name: &str, size: u64, content: &[u8]) -> Self {
        self.0.extend(header(kind, name, "", size, 0o644));
        self.content(content)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn with_mode(mut self, name: &str, mode: u32, content: &[u8]) -> Self {
        self.0
            .extend(header(b'0', name, "", content.len() as u64, mode));
        self.content(content)
    }

    fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// Without the end mark.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

pub fn header(kind: u8, name: &str, link: &str, size: u64, mode: u32) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    block[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
    block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(b"14000000000\0");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

/// Writes the checksum of a header that was changed by hand.
pub fn seal(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A member of a zip archive that is stored as it is.
#[derive(Debug, Clone)]
pub struct ZipMember<'a> {
    pub name: &'a str,
    pub mode: u32,
    pub flags: u16,
    pub content: &'a [u8],
    pub crc: Option<u32>,
    /// Where it was made: 0 is DOS and Windows, 3 Unix.
    pub system: u8,
    /// How `content` is packed, and what it is then.
    pub packed: Option<(u16, &'a [u8])>,
}

impl<'a> ZipMember<'a> {
    pub fn new(name: &'a str, mode: u32, content: &'a [u8]) -> Self {
        Self {
            name,
            mode,
            flags: 0,
            content,
            crc: None,
            system: 3,
            packed: None,
        }
    }
}

pub fn zip(members: &[ZipMember<'_>]) -> Vec<u8> {
    let crc32 = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let (mut bytes, mut central) = (Vec::new(), Vec::new());
    for member in members {
        let offset = u32::try_from(bytes.len()).unwrap();
        let size = u32::try_from(member.content.len()).unwrap();
        let (method, stored) = member.packed.unwrap_or((0, member.content));
        let stored_size = u32::try_from(stored.len()).unwrap();
        let mut common = Vec::new();
        common.extend(20_u16.to_le_bytes());
        common.extend(member.flags.to_le_bytes());
        common.extend(method.to_le_bytes());
        common.extend([0, 0, 0x21, 0x50]);
        common.extend(
            member
                .crc
                .unwrap_or_else(|| crc32.checksum(member.content))
                .to_le_bytes(),
        );
        common.extend(stored_size.to_le_bytes());
        common.extend(size.to_le_bytes());
        common.extend(u16::try_from(member.name.len()).unwrap().to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(member.name.as_bytes());
        bytes.extend(stored);
        central.extend(b"PK\x01\x02");
        central.extend([20, member.system]);
        central.extend(&common);
        central.extend([0; 6]);
        central.extend((member.mode << 16).to_le_bytes());
        central.extend(offset.to_le_bytes());
        central.extend(member.name.as_bytes());
    }
    let (start, count) = (
        u32::try_from(bytes.len()).unwrap(),
        u16::try_from(members.len()).unwrap(),
    );
    let length = u32::try_from(central.len()).unwrap();
    bytes.extend(central);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    bytes
}

pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n",
                0,
                0,
                0,
                100_644,
                content.len()
            )
            .into_bytes(),
        );
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// The format before xz.
pub fn lzma(bytes: &[u8]) -> Vec<u8> {
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As compress(1) might: each byte is a code of its own, and the table is emptied before codes grow.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    const RESET: u16 = 256;
    let mut packed = vec![0x1f, 0x9d, 0x90];
    for chunk in bytes.chunks(199) {
        let mut codes: Vec<u16> = chunk.iter().map(|byte| u16::from(*byte)).collect();
        codes.push(RESET);
        // Eight codes go together.
        codes.resize(codes.len().next_multiple_of(8), 0);
        let (mut held, mut bits) = (0_u32, 0);
        for code in codes {
            held |= u32::from(code) << bits;
            bits += 9;
            while bits >= 8 {
                packed.push(held.to_le_bytes()[0]);
                held >>= 8;
                bits -= 8;
            }
        }
    }
    packed
}

/// cpio in the form `newc`.
pub fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |name: &str, content: &[u8]| {
        let fields = [
            1,
            0o100_644,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        bytes.extend(b"070701");
        for field in fields {
            bytes.extend(format!("{field:08x}").into_bytes());
        }
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    };
    for (name, content) in files {
        add(name, content);
    }
    add("TRAILER!!!", b"");
    bytes
}
