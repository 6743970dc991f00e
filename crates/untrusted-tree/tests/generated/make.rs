//! Makes trees from bytes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fchmod, linkat, mkdirat, mknodat, openat, symlinkat,
};
use untrusted_tree::Kind;

/// More levels than a walk keeps open.
const MAX_DEPTH: usize = 48;
const MAX_NODES: usize = 150;

/// Names that somebody may have trouble with.
const NAMES: [&[u8]; 16] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"-rf",
    b"a\nb",
    b"\x1b[2J",
    b"\xff\xfe",
    b" ",
    b"*",
    b"\\",
    b"...",
    "\u{202e}x".as_bytes(),
    b"%s",
    b"~",
    b"\x01",
];
const FILE_MODES: [u32; 8] = [0o644, 0o755, 0o600, 0o4755, 0o2755, 0o444, 0o1666, 0o6777];
const DIRECTORY_MODES: [u32; 8] = [0o755, 0o700, 0o777, 0o1777, 0o2755, 0o555, 0o111, 0o000];

/// What was made at a path.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Directory,
    File {
        mode: u32,
        length: u64,
        pieces: Vec<(u64, Vec<u8>)>,
    },
    Link(OsString),
    Other,
}

impl Node {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Directory => Kind::Directory,
            Self::File { .. } => Kind::File,
            Self::Link(_) => Kind::Link,
            Self::Other => Kind::Other,
        }
    }

    /// Bytes that are written.
    pub(super) fn data(&self) -> u64 {
        match self {
            Self::File { pieces, .. } => pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
            _ => 0,
        }
    }
}

/// A tree that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) nodes: BTreeMap<PathBuf, Node>,
    /// Whether somebody other than root can read all of it.
    pub(super) is_readable: bool,
    open: Vec<OwnedFd>,
    here: Vec<OsString>,
    /// Modes to set when all is made, so that it can be made.
    modes: Vec<(OwnedFd, u32)>,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn any(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    fn name(&mut self) -> OsString {
        let byte = self.any();
        match byte {
            0..=239 => OsStr::from_bytes(NAMES[usize::from(byte) % NAMES.len()]).to_owned(),
            _ => OsString::from(char::from(b'a' + byte % 16).to_string().repeat(255)),
        }
    }
}

/// Makes the trees at `roots` as `bytes` say; links and second names may lead to `outside`.
pub(super) fn make(bytes: &[u8], roots: [&Path; 2], outside: &Path) -> [Made; 2] {
    let mut trees = roots.map(Made::begin);
    let mut bytes = Bytes(bytes);
    let mut which = 0;
    while let Some(what) = bytes.next() {
        let tree = &mut trees[which];
        if tree.nodes.len() >= MAX_NODES {
            break;
        }
        match what % 12 {
            0 | 1 => tree.directory(&bytes.name(), DIRECTORY_MODES[usize::from(bytes.any() % 8)]),
            2 => tree.up(),
            3 => {
                let name = bytes.name();
                let content = vec![bytes.any(); usize::from(bytes.any()) * 40];
                let length = content.len() as u64;
                tree.file(&name, bytes.any(), length, vec![(0, content)]);
            }
            4 => {
                let name = bytes.name();
                let end = 1_u64 << (4 + bytes.any() % 36);
                let pieces = (0..bytes.any() % 4).map(|index| {
                    let offset = end / 4 * u64::from(index);
                    (offset, vec![bytes.any() | 1; 1])
                });
                let pieces = pieces.collect();
                tree.file(&name, bytes.any(), end, pieces);
            }
            5 | 6 => {
                let name = bytes.name();
                let target = match bytes.any() % 8 {
                    0 => outside.as_os_str().to_owned(),
                    1 => outside.join("secret").into_os_string(),
                    2 => OsString::from(".."),
                    3 => OsString::from("../.."),
                    4 => name.clone(),
                    5 => OsString::from("../second/a"),
                    6 => OsString::from("nowhere/at/all"),
                    _ => bytes.name(),
                };
                tree.link(&name, target);
            }
            7 => tree.special(&bytes.name(), FileType::Fifo),
            8 => tree.special(&bytes.name(), FileType::Socket),
            9 => tree.second_name(&bytes.name(), &outside.join("secret")),
            10 => which = 1 - which,
            _ => {
                let name = bytes.name();
                for _ in 0..bytes.any() {
                    tree.directory(&name, 0o755);
                }
            }
        }
    }
    for tree in &mut trees {
        for (fd, mode) in tree.modes.drain(..) {
            fchmod(fd, Mode::from_raw_mode(mode)).unwrap();
        }
        tree.open.clear();
    }
    trees
}

impl Made {
    fn begin(root: &Path) -> Self {
        fs::create_dir(root).unwrap();
        Self {
            nodes: BTreeMap::new(),
            is_readable: true,
            open: vec![File::open(root).unwrap().into()],
            here: Vec::new(),
            modes: Vec::new(),
        }
    }

    fn fd(&self) -> &OwnedFd {
        self.open.last().unwrap()
    }

    /// Where a new entry of that name goes; nothing if there is one.
    fn free(&self, name: &OsStr) -> Option<PathBuf> {
        let mut path: PathBuf = self.here.iter().collect();
        path.push(name);
        (!self.nodes.contains_key(&path) && self.nodes.len() < MAX_NODES).then_some(path)
    }

    fn directory(&mut self, name: &OsStr, mode: u32) {
        if self.open.len() > MAX_DEPTH {
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Some(path) = self.free(name) {
            mkdirat(self.fd(), name, Mode::RWXU).unwrap();
            self.nodes.insert(path, Node::Directory);
            let fd = openat(self.fd(), name, flags, Mode::empty()).unwrap();
            self.is_readable &= mode & 0o500 == 0o500;
            self.modes.push((fd, mode));
        }
        // A directory that was there is gone into again.
        if let Ok(fd) = openat(self.fd(), name, flags, Mode::empty()) {
            self.open.push(fd);
            self.here.push(name.to_owned());
        }
    }

    fn up(&mut self) {
        if self.here.pop().is_some() {
            self.open.pop();
        }
    }

    fn file(&mut self, name: &OsStr, mode: u8, length: u64, pieces: Vec<(u64, Vec<u8>)>) {
        let Some(path) = self.free(name) else { return };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(openat(self.fd(), name, flags, Mode::RWXU).unwrap());
        file.set_len(length).unwrap();
        for (offset, bytes) in &pieces {
            file.write_all_at(bytes, *offset).unwrap();
        }
        let length = file.metadata().unwrap().len();
        let mode = FILE_MODES[usize::from(mode % 8)];
        fchmod(&file, Mode::from_raw_mode(mode)).unwrap();
        let node = Node::File {
            mode,
            length,
            pieces,
        };
        self.nodes.insert(path, node);
    }

    fn link(&mut self, name: &OsStr, target: OsString) {
        let Some(path) = self.free(name) else { return };
        symlinkat(&target, self.fd(), name).unwrap();
        self.nodes.insert(path, Node::Link(target));
    }

    fn special(&mut self, name: &OsStr, kind: FileType) {
        let Some(path) = self.free(name) else { return };
        mknodat(self.fd(), name, kind, Mode::RWXU, 0).unwrap();
        self.nodes.insert(path, Node::Other);
    }

    /// One more name of a file that lies outside.
    fn second_name(&mut self, name: &OsStr, outside: &Path) {
        let Some(path) = self.free(name) else { return };
        linkat(CWD, outside, self.fd(), name, AtFlags::empty()).unwrap();
        let text = fs::read(outside).unwrap();
        let node = Node::File {
            mode: 0o644,
            length: text.len() as u64,
            pieces: vec![(0, text)],
        };
        self.nodes.insert(path, node);
    }
}
