//! Archives byte by byte, so that they can be what no tool would write.

/// A tar archive, member after member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A member of this type flag, whose header is in the format of POSIX.1-1988 ("ustar").
    pub(crate) fn add(mut self, kind: u8, name: &[u8], link: &str, content: &[u8]) -> Self {
        // What does not fit into the header goes before it, as GNU tar writes it.
        for (long, text) in [(b'K', link.as_bytes()), (b'L', name)] {
            if text.len() > 100 {
                self = self.add(long, b"././@LongLink", "", text);
            }
        }
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        self.header(kind, name, link, (content.len() as u64, mode), content)
    }

    /// A file of this mode.
    pub(crate) fn moded(self, name: &str, mode: u32, content: &[u8]) -> Self {
        let size = content.len() as u64;
        self.header(b'0', name.as_bytes(), "", (size, mode), content)
    }

    /// A file whose header claims `size` bytes.
    pub(crate) fn claiming(self, name: &str, size: u64, content: &[u8]) -> Self {
        self.header(b'0', name.as_bytes(), "", (size, 0o644), content)
    }

    fn header(
        mut self,
        kind: u8,
        name: &[u8],
        link: &str,
        (size, mode): (u64, u32),
        content: &[u8],
    ) -> Self {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, &name[..name.len().min(100)]);
        put(100, format!("{mode:07o}\0{0:07o}\0{0:07o}\0", 0).as_bytes());
        put(124, format!("{size:011o}\0{:011o}\0        ", 0).as_bytes());
        put(156, &[kind]);
        put(157, &link.as_bytes()[..link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(b'0', name.as_bytes(), "", content)
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.add(b'5', name.as_bytes(), "", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.add(b'2', name.as_bytes(), target, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.add(b'1', name.as_bytes(), target, b"")
    }

    /// A record of the next member's extended header (POSIX.1-2001, pax).
    pub(crate) fn pax(self, key: &str, value: &str) -> Self {
        let bare = key.len() + value.len() + 3;
        let digits = (bare + 2).to_string().len();
        let record = format!("{} {key}={value}\n", bare + digits);
        self.add(b'x', b"pax", "", record.as_bytes())
    }

    /// The next member's name as GNU tar writes a long one.
    pub(crate) fn long_name(self, name: &str) -> Self {
        self.add(b'L', b"././@LongLink", "", name.as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// A zip archive of stored members: name, Unix mode, content.
pub(crate) fn zip(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut list) = (Vec::new(), Vec::new());
    for (name, mode, content) in members {
        let offset = u32::try_from(bytes.len()).unwrap();
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        let length = u16::try_from(name.len()).unwrap().to_le_bytes();
        // Version, flags, method, time, date: APPNOTE.TXT, 4.3.7 and 4.3.12.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32(content).to_le_bytes());
        common.extend([size, size].concat());
        common.extend(length);
        common.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.as_bytes());
        bytes.extend(*content);
        list.extend(b"PK\x01\x02\x14\x03");
        list.extend(&common);
        list.extend([0; 6]);
        list.extend((mode << 16).to_le_bytes());
        list.extend(offset.to_le_bytes());
        list.extend(name.as_bytes());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let (start, size) = (bytes.len(), list.len());
    bytes.extend(list);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    for number in [size, start] {
        bytes.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    bytes.extend([0, 0]);
    bytes
}

/// An ar archive, as a `.deb` is one.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let head = format!(
            "{name:<16}0           0     0     100644  {:<10}`\n",
            content.len()
        );
        bytes.extend(head.as_bytes());
        bytes.extend(*content);
        if bytes.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ 0xEDB8_8320 & (crc & 1).wrapping_neg()
        })
    })
}
