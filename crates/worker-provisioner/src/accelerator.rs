//! What a program says of the accelerator it is built for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use catalog_client::WorkerType;
use memchr::memmem;
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, SHT_DYNAMIC, SectionHeader64};
use object::read::elf::{FileHeader as _, SectionHeader as _};
use object::read::{ReadCache, ReadRef};
use tokio_util::sync::CancellationToken;

use crate::error::ProvisionError;

/// What belongs to one backend in a program.
struct Marks {
    backend: WorkerType,
    /// Beginnings of libraries that the loader needs before the program starts.
    libraries: &'static [&'static str],
    /// Sections that hold code for the device.
    sections: &'static [&'static str],
    /// Texts of programs that look for their libraries or functions themselves.
    texts: &'static [&'static str],
}

const MARKS: [Marks; 3] = [
    Marks {
        backend: WorkerType::Cuda,
        libraries: &[
            "libcuda.so",
            "libcudart",
            "libcublas",
            "libcudnn",
            "libcufft",
            "libcurand",
            "libcusolver",
            "libcusparse",
            "libnccl",
            "libnvJitLink",
            "libnvrtc",
        ],
        sections: &[".nv_fatbin", ".nvFatBinSegment"],
        texts: &[
            "libcuda.so",
            "libcudart",
            "libcublas",
            "libnvrtc",
            "cuLaunchKernel",
        ],
    },
    Marks {
        backend: WorkerType::Rocm,
        libraries: &[
            "libamdhip64",
            "libhipblas",
            "libhipfft",
            "libhiprtc",
            "libhsa-runtime64",
            "libMIOpen",
            "librccl",
            "librocblas",
            "librocsolver",
        ],
        sections: &[".hip_fatbin", ".hipFatBinSegment"],
        texts: &[
            "libamdhip64",
            "libhipblas",
            "libhsa-runtime64",
            "hipLaunchKernel",
        ],
    },
    Marks {
        backend: WorkerType::Metal,
        libraries: &["/System/Library/Frameworks/Metal"],
        sections: &[],
        texts: &["Metal.framework", "MTLCreateSystemDefaultDevice"],
    },
];

/// The most that is read of the headers of one program, and of the contents of all in a tree.
const MAX_HEADERS: u64 = 16 << 20;
const MAX_CONTENT: u64 = 4 << 30;

/// The most sections that one program has, and bytes of its dynamic section.
const MAX_SECTIONS: usize = 100_000;
const MAX_DYNAMIC: u64 = 1 << 20;

/// The most libraries that one program needs, and the longest name that one can have.
const MAX_NEEDED: usize = 1_000;
const MAX_NAME: usize = 255;

/// More files, or levels, than this are not looked at.
const MAX_FILES: usize = 200_000;

/// Bytes behind the end of a program are data that it unpacks itself.
const OVERLAY: u64 = 64 << 10;

/// The backends that a tree shows signs of, each with the signs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Accelerators {
    /// What the program cannot start without, or holds as code.
    pub(crate) built_for: BTreeMap<WorkerType, BTreeSet<String>>,
    /// What the program, or anything else in the tree, may load.
    pub(crate) may_use: BTreeMap<WorkerType, BTreeSet<String>>,
    /// Whether the program is one that can be judged: neither a script nor packed.
    pub(crate) is_readable: bool,
}

/// One program or library.
#[derive(Debug, Default)]
struct Parsed {
    needed: Vec<String>,
    marks: BTreeMap<WorkerType, BTreeSet<String>>,
    is_packed: bool,
}

/// Looks at `program` and everything else in the package trees, for a worker that is asked for with
/// `backend`.
///
/// What other files than the program may load is only looked for until there is a sign of `backend`:
/// libraries for an accelerator are large.
///
/// # Errors
/// [`ProvisionError::Cancelled`], [`ProvisionError::Io`].
pub(crate) fn look(
    trees: &[PathBuf],
    program: &Path,
    backend: WorkerType,
    cancel: &CancellationToken,
) -> Result<Accelerators, ProvisionError> {
    let mut found = Accelerators::default();
    let mut content = MAX_CONTENT;
    let mut parsed: BTreeMap<String, Parsed> = BTreeMap::new();
    let own = program.canonicalize();
    let own = own.map_err(|source| ProvisionError::io("read", program, source))?;
    let mut start = None;
    for path in files(trees, cancel)? {
        let failed = |source| ProvisionError::io("read", &path, source);
        let Some(file) = open(&path).map_err(failed)? else {
            continue;
        };
        let mut magic = [0; 4];
        let is_program =
            file.read_exact_at(&mut magic, 0).is_ok() && (magic == *b"\x7fELF" || is_mach(magic));
        if !is_program {
            continue;
        }
        let one = parse(&file, magic).map_err(failed)?;
        let is_looked_for = backend != WorkerType::Cpu && !found.may_use.contains_key(&backend);
        let texts = if path == own || is_looked_for {
            texts(&file, &mut content, cancel)?
        } else {
            BTreeMap::new()
        };
        for (backend, signs) in one.marks.iter().chain(&texts) {
            let all = found.may_use.entry(*backend).or_default();
            all.extend(signs.iter().cloned());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path == own {
            found.is_readable = !one.is_packed;
            start = Some(name.clone().into_owned());
        }
        parsed.insert(name.into_owned(), one);
    }
    // The libraries of the tree that the loader brings in count as the program's.
    let mut pending: VecDeque<String> = start.into_iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = pending.pop_front() {
        let Some(one) = parsed.get(&name) else {
            continue;
        };
        if !seen.insert(name) {
            continue;
        }
        for (backend, signs) in &one.marks {
            let all = found.built_for.entry(*backend).or_default();
            all.extend(signs.iter().cloned());
        }
        pending.extend(one.needed.iter().cloned());
    }
    Ok(found)
}

/// The regular files below `trees`, real paths, without following links.
fn files(trees: &[PathBuf], cancel: &CancellationToken) -> Result<Vec<PathBuf>, ProvisionError> {
    let mut files = Vec::new();
    let mut pending: Vec<PathBuf> = trees
        .iter()
        .filter_map(|tree| tree.canonicalize().ok())
        .collect();
    while let Some(directory) = pending.pop() {
        if cancel.is_cancelled() {
            return Err(ProvisionError::Cancelled);
        }
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
            if files.len() + pending.len() > MAX_FILES {
                return Ok(files);
            }
        }
    }
    Ok(files)
}

/// A regular file, opened so that neither a link nor a pipe in its place is waited for.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        file => file?,
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

fn is_mach(magic: [u8; 4]) -> bool {
    [0xfeed_face, 0xfeed_facf, 0xcafe_babe].contains(&u32::from_be_bytes(magic))
        || [0xfeed_face, 0xfeed_facf].contains(&u32::from_le_bytes(magic))
}

/// What the headers say. Where they cannot be read the program counts as packed.
fn parse(file: &File, magic: [u8; 4]) -> io::Result<Parsed> {
    let mut parsed = Parsed::default();
    if is_mach(magic) {
        // Load commands stand at the beginning.
        let mut head = Vec::new();
        (&mut &*file).take(256 << 10).read_to_end(&mut head)?;
        for marks in &MARKS {
            for library in marks.libraries {
                if memmem::find(&head, library.as_bytes()).is_some() {
                    parsed.add(marks.backend, library);
                }
            }
        }
        return Ok(parsed);
    }
    let length = file.metadata()?.len();
    let reader = ReadCache::new(Capped::new(file, MAX_HEADERS));
    if parsed.read_elf(&reader, length).is_none() {
        parsed.is_packed = true;
    }
    Ok(parsed)
}

impl Parsed {
    /// Reads sections and needed libraries; symbols, of which there are many, are left alone. Nothing
    /// when there is more of something than a program has, or it cannot be read.
    fn read_elf<'data>(&mut self, data: impl ReadRef<'data>, length: u64) -> Option<()> {
        let elf = FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = elf.endian().ok()?;
        // A table is read whole, so that its size is looked at before.
        if elf.shnum(endian, data).ok()? as usize > MAX_SECTIONS {
            return None;
        }
        let sections = elf.sections(endian, data).ok()?;
        let mut end = 0;
        for section in sections.iter() {
            if let Some((offset, size)) = section.file_range(endian) {
                end = end.max(offset.saturating_add(size));
            }
            let Ok(name) = sections.section_name(endian, section) else {
                continue;
            };
            for marks in &MARKS {
                for section in marks.sections {
                    if name == section.as_bytes() {
                        self.add(marks.backend, section);
                    }
                }
            }
        }
        // A packer leaves no sections, and what a self-extracting program unpacks is behind them.
        self.is_packed = sections.is_empty() || length.saturating_sub(end) > OVERLAY;
        let is_large = |section: &SectionHeader64<Endianness>| {
            section.sh_type(endian) == SHT_DYNAMIC && section.sh_size(endian) > MAX_DYNAMIC
        };
        if sections.iter().any(is_large) {
            return None;
        }
        let table = sections.dynamic_table(endian, data).ok()?;
        let needed = table.iter().filter(|entry| entry.tag == DT_NEEDED);
        for entry in needed.take(MAX_NEEDED) {
            let name = table.string(entry).ok()?;
            let name = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME)]).into_owned();
            for marks in &MARKS {
                if marks.libraries.iter().any(|one| name.starts_with(one)) {
                    self.add(marks.backend, &name);
                }
            }
            self.needed.push(name);
        }
        Some(())
    }

    fn add(&mut self, backend: WorkerType, sign: &str) {
        self.marks
            .entry(backend)
            .or_default()
            .insert(sign.to_owned());
    }
}

/// The texts of each backend that stand anywhere in a file.
fn texts(
    file: &File,
    left: &mut u64,
    cancel: &CancellationToken,
) -> Result<BTreeMap<WorkerType, BTreeSet<String>>, ProvisionError> {
    const OVERLAP: usize = 64;
    let mut wanted: Vec<(WorkerType, &str, memmem::Finder<'_>)> = Vec::new();
    for marks in &MARKS {
        for text in marks.texts {
            wanted.push((marks.backend, text, memmem::Finder::new(text)));
        }
    }
    let mut found: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let mut buffer = vec![0; (1 << 20) + OVERLAP];
    let mut kept = 0;
    let mut offset = 0;
    while *left > 0 && !wanted.is_empty() {
        if cancel.is_cancelled() {
            return Err(ProvisionError::Cancelled);
        }
        let data = next_data(file, offset);
        if data > offset {
            (offset, kept) = (data, 0);
        }
        let Ok(read @ 1..) = file.read_at(&mut buffer[kept..], offset) else {
            break;
        };
        offset += read as u64;
        *left = left.saturating_sub(read as u64);
        let window = &buffer[..kept + read];
        wanted.retain(|(backend, text, finder)| {
            let is_there = finder.find(window).is_some();
            if is_there {
                found
                    .entry(*backend)
                    .or_default()
                    .insert((*text).to_owned());
            }
            !is_there
        });
        let end = window.len();
        kept = end.min(OVERLAP);
        buffer.copy_within(end - kept..end, 0);
    }
    Ok(found)
}

/// Where the next bytes are that are no hole: holes hold no text, and may be as large as a file system
/// allows.
#[cfg(target_os = "linux")]
pub(crate) fn next_data(file: &File, offset: u64) -> u64 {
    use nix::unistd::{Whence, lseek};
    let Ok(from) = i64::try_from(offset) else {
        return offset;
    };
    match lseek(file, from, Whence::SeekData) {
        Ok(data) => u64::try_from(data).unwrap_or(offset),
        // Nothing but a hole follows.
        Err(nix::errno::Errno::ENXIO) => u64::MAX,
        Err(_) => offset,
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn next_data(_: &File, offset: u64) -> u64 {
    offset
}

/// A file of which so much may be read and no more.
#[derive(Debug)]
pub(crate) struct Capped<'a> {
    file: &'a File,
    left: u64,
}

impl<'a> Capped<'a> {
    pub(crate) fn new(file: &'a File, left: u64) -> Self {
        Self { file, left }
    }
}

impl Read for Capped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left < buffer.len() as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.left -= buffer.len() as u64;
        (&mut &*self.file).read(buffer)
    }
}

impl Seek for Capped<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&mut &*self.file).seek(position)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The header of a program of this machine's kind, with its section table at `sections`.
    fn header(sections: u64, count: u16) -> Vec<u8> {
        let mut elf = fs::read(std::env::current_exe().unwrap()).unwrap();
        elf.truncate(64);
        // elf(5): `e_shoff`, `e_shnum`, `e_shstrndx`.
        elf[40..48].copy_from_slice(&sections.to_ne_bytes());
        elf[60..62].copy_from_slice(&count.to_ne_bytes());
        elf[62..64].copy_from_slice(&1_u16.to_ne_bytes());
        elf
    }

    fn looked(files: &[(&str, &[u8], u64)], backend: WorkerType) -> Accelerators {
        let tree = tempfile::tempdir().unwrap();
        for (name, bytes, length) in files {
            let path = tree.path().join(name);
            fs::write(&path, bytes).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(*length.max(&(bytes.len() as u64))).unwrap();
        }
        let cancel = CancellationToken::new();
        let program = tree.path().join("w");
        look(&[tree.path().to_owned()], &program, backend, &cancel).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn hostile_programs_say_nothing_and_cost_nothing() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        // A table of 4,294,967,296 sections, whose number is in the first one: elf(5), `e_shnum`.
        let mut endless = header(64, 0);
        endless.extend([0; 64]);
        endless[64 + 32..64 + 40].copy_from_slice(&(1_u64 << 32).to_ne_bytes());
        let far = header(1 << 39, 9);
        // As much as a host may have: it must not be asked for.
        let mut large = header(64, 0);
        large.extend([0; 64]);
        large[64 + 32..64 + 40].copy_from_slice(&(1_u64 << 27).to_ne_bytes());
        let cases: [(&[u8], u64); 6] = [
            (&endless, 1 << 40),
            (&large, 1 << 40),
            (&far, 1 << 40),
            (&own[..1_000], 0),
            (b"\x7fELF", 0),
            (b"\x7fELF", 1 << 40),
        ];
        for (bytes, length) in cases {
            let found = looked(&[("w", bytes, length)], WorkerType::Cuda);
            assert!(
                !found.is_readable && found.built_for.is_empty(),
                "{found:?}"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_follows_a_program_is_what_it_unpacks() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let readable = looked(&[("w", &own, 0)], WorkerType::Cpu).is_readable;
        let packed = [own.as_slice(), &vec![7; 1 << 20]].concat();
        let opaque = !looked(&[("w", &packed, 0)], WorkerType::Cpu).is_readable;
        assert!(readable && opaque);
        assert!(!looked(&[("w", b"#!/bin/sh\n", 0)], WorkerType::Cpu).is_readable);
    }

    #[test]
    fn a_library_of_the_tree_speaks_for_the_worker() {
        let library = [b"\x7fELF".as_slice(), b" libamdhip64.so.6 "].concat();
        let files: [(&str, &[u8], u64); 2] = [("w", b"#!/bin/sh\n", 0), ("libw.so", &library, 0)];
        let found = looked(&files, WorkerType::Rocm);
        assert!(found.may_use.contains_key(&WorkerType::Rocm), "{found:?}");
    }
}
