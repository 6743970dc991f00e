//! What the loader is told by a program or library: elf(5), "Dynamic tags".

use std::fs::File;

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader64, SHT_DYNAMIC};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};

use crate::accelerator::Capped;

/// The most that is read of the headers of one file, and entries of a list.
const MAX_HEADERS: u64 = 16 << 20;
const MAX_SECTIONS: u32 = 100_000;
const MAX_DYNAMIC: u64 = 1 << 20;
const MAX_ENTRIES: usize = 1_000;
const MAX_TEXT: usize = 4 << 10;

/// What a file needs, and where it looks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dynamic {
    /// Names of libraries.
    pub(super) needed: Vec<String>,
    /// The directories of RUNPATH, or RPATH where there is none.
    pub(super) search: Vec<String>,
    /// The loader.
    pub(super) interpreter: Option<String>,
}

impl Dynamic {
    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let texts = self.needed.iter().chain(&self.search);
        let texts = texts.chain(&self.interpreter);
        texts.map(|text| text.len() + size_of::<String>()).sum()
    }
}

/// What the loader is told; nothing for what is no ELF file, or cannot be read.
pub(super) fn dynamic(file: &File) -> Option<Dynamic> {
    let mut magic = [0; 4];
    if std::os::unix::fs::FileExt::read_exact_at(file, &mut magic, 0).is_err()
        || magic != *b"\x7fELF"
    {
        return None;
    }
    read(file)
}

fn read(file: &File) -> Option<Dynamic> {
    let reader = ReadCache::new(Capped::new(file, MAX_HEADERS));
    let data = &reader;
    let elf = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = elf.endian().ok()?;
    if elf.shnum(endian, data).ok()? > MAX_SECTIONS {
        return None;
    }
    let mut found = Dynamic::default();
    let segments = elf.program_headers(endian, data).ok()?;
    found.interpreter = segments
        .iter()
        .find_map(|segment| segment.interpreter(endian, data).ok()?)
        .map(text);
    let sections = elf.sections(endian, data).ok()?;
    let is_large = |section: &object::elf::SectionHeader64<Endianness>| {
        section.sh_type(endian) == SHT_DYNAMIC && section.sh_size(endian) > MAX_DYNAMIC
    };
    if sections.iter().any(is_large) {
        return None;
    }
    let table = sections.dynamic_table(endian, data).ok()?;
    let mut rpath = Vec::new();
    for entry in table.iter().take(MAX_ENTRIES) {
        if ![DT_NEEDED, DT_RUNPATH, DT_RPATH].contains(&entry.tag) {
            continue;
        }
        let value = text(table.string(entry).ok()?);
        let directories = || value.split(':').map(str::to_owned);
        match entry.tag {
            DT_NEEDED => found.needed.push(value),
            DT_RUNPATH => found.search.extend(directories()),
            _ => rpath.extend(directories()),
        }
    }
    if found.search.is_empty() {
        found.search = rpath;
    }
    Some(found)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]).into_owned()
}
