//! What a program says of the accelerator it is built for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use catalog_client::WorkerType;
use memchr::memmem;
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::ElfFile;
use object::read::{Object as _, ObjectSection as _, ReadCache};
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

/// The most that is read of headers, and of contents, of one tree; nobody has larger ones.
const MAX_HEADERS: u64 = 64 << 20;
const MAX_CONTENT: u64 = 16 << 30;

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

/// Looks at `program` and everything else in the package trees.
///
/// # Errors
/// [`ProvisionError::Cancelled`], [`ProvisionError::Io`].
pub(crate) fn look(
    trees: &[PathBuf],
    program: &Path,
    cancel: &CancellationToken,
) -> Result<Accelerators, ProvisionError> {
    let mut found = Accelerators::default();
    let mut headers = MAX_HEADERS;
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
        let one = parse(&file, magic, &mut headers).map_err(failed)?;
        let texts = texts(&file, &mut content, cancel)?;
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

/// What the headers say. Headers that cannot be read say nothing.
fn parse(file: &File, magic: [u8; 4], left: &mut u64) -> io::Result<Parsed> {
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
    let capped = Capped { file, left };
    let reader = ReadCache::new(capped);
    let Ok(elf) = ElfFile::<FileHeader64<Endianness>, _>::parse(&reader) else {
        return Ok(parsed);
    };
    let mut end = 0;
    let mut sections = 0;
    for section in elf.sections() {
        sections += 1;
        if let Some((offset, size)) = section.file_range() {
            end = end.max(offset.saturating_add(size));
        }
        let Ok(name) = section.name() else { continue };
        for marks in &MARKS {
            if marks.sections.contains(&name) {
                parsed.add(marks.backend, name);
            }
        }
    }
    // A packer leaves no sections, and what a self-extracting program unpacks stands behind them.
    parsed.is_packed = sections == 0 || length.saturating_sub(end) > OVERLAY;
    let table = elf.elf_dynamic_table();
    for entry in table
        .iter()
        .flat_map(|table| table.iter().map(move |entry| (table, entry)))
    {
        let (table, entry) = entry;
        if entry.tag != DT_NEEDED {
            continue;
        }
        let Ok(name) = table.string(entry) else {
            continue;
        };
        let name = String::from_utf8_lossy(name).into_owned();
        for marks in &MARKS {
            if marks
                .libraries
                .iter()
                .any(|library| name.starts_with(library))
            {
                parsed.add(marks.backend, &name);
            }
        }
        parsed.needed.push(name);
    }
    Ok(parsed)
}

impl Parsed {
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

/// A file of which so much may be read and no more.
struct Capped<'a> {
    file: &'a File,
    left: &'a mut u64,
}

impl Read for Capped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.left < buffer.len() as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        *self.left -= buffer.len() as u64;
        (&mut &*self.file).read(buffer)
    }
}

impl Seek for Capped<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        (&mut &*self.file).seek(position)
    }
}
