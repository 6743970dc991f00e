//! Finds the worker's binary in a package tree and checks what it is.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use memchr::memmem;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::read::{Object as _, ReadCache};
use object::{BinaryFormat, Endianness, FileKind, ObjectKind};

use crate::error::{BinaryProblem, ProvisionError};

/// Where a package puts programs, in the order of preference.
const PROGRAM_FOLDERS: [&str; 3] = ["usr/local/bin", "usr/bin", "bin"];

/// A program in a package tree.
#[derive(Debug)]
pub(crate) struct Found {
    /// The package tree.
    pkgdir: PathBuf,
    /// The program in it.
    path: PathBuf,
}

impl Found {
    /// The program's path relative to the root of its package tree.
    pub(crate) fn relative_path(&self) -> PathBuf {
        relative(&self.pkgdir, &self.path)
    }
}

/// The names the binary may have, best first, without repeats or anything but a plain file name.
pub(crate) fn candidate_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut candidates: Vec<&str> = Vec::new();
    for name in names {
        // An entry of `provides` may carry a version: `name=1.0`.
        let name = name.split(['=', '<', '>']).next().unwrap_or(name);
        if is_file_name(name) && !candidates.contains(&name) {
            candidates.push(name);
        }
    }
    candidates
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Finds the one program of the packages: by name first, else the only executable there is.
pub(crate) fn find(pkgdirs: &[PathBuf], names: &[&str]) -> Result<Found, ProvisionError> {
    for name in names {
        for pkgdir in pkgdirs {
            for folder in PROGRAM_FOLDERS {
                let path = pkgdir.join(folder).join(name);
                if path.symlink_metadata().is_ok() {
                    return Ok(Found {
                        pkgdir: pkgdir.clone(),
                        path,
                    });
                }
            }
        }
    }
    let mut executables: Vec<Found> = pkgdirs
        .iter()
        .flat_map(|pkgdir| executables(pkgdir))
        .collect();
    if executables.len() == 1 {
        return Ok(executables.remove(0));
    }
    let mut candidates: Vec<PathBuf> = executables
        .iter()
        .map(|found| relative(&found.pkgdir, &found.path))
        .collect();
    candidates.sort();
    Err(ProvisionError::BinaryNotFound {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        candidates,
    })
}

fn executables(pkgdir: &Path) -> Vec<Found> {
    let folders = PROGRAM_FOLDERS
        .iter()
        .filter_map(|folder| fs::read_dir(pkgdir.join(folder)).ok());
    folders
        .flatten()
        .flatten()
        .filter(|entry| {
            entry.metadata().is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        })
        .map(|entry| Found {
            pkgdir: pkgdir.to_owned(),
            path: entry.path(),
        })
        .collect()
}

fn relative(pkgdir: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(pkgdir).unwrap_or(path).to_owned()
}

/// Checks that a program is for this machine and lies inside its package tree.
pub(crate) fn check(found: &Found) -> Result<(), ProvisionError> {
    let Found { pkgdir, path, .. } = found;
    let refuse = |problem| ProvisionError::UnusableBinary {
        path: relative(pkgdir, path),
        problem,
    };
    let failed = |source| ProvisionError::io("read", path, source);
    let inside = path.canonicalize().map_err(failed)?;
    if !inside.starts_with(pkgdir.canonicalize().map_err(failed)?) {
        return Err(refuse(BinaryProblem::OutsidePackage));
    }
    let mut file = File::open(&inside).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refuse(BinaryProblem::NotAFile));
    }
    if metadata.mode() & 0o6000 != 0 {
        return Err(refuse(BinaryProblem::SetUserId));
    }
    if metadata.mode() & 0o111 == 0 {
        return Err(refuse(BinaryProblem::NotExecutable));
    }
    let mut magic = [0; 2];
    let is_script = match file.read_exact(&mut magic) {
        Ok(()) => magic == *b"#!",
        Err(_) => return Err(refuse(BinaryProblem::UnknownFormat)),
    };
    file.rewind().map_err(failed)?;
    if !is_script {
        check_header(&file).map_err(refuse)?;
    }
    Ok(())
}

/// What the system starts to run a program: that of its `#!` line (execve(2), "Interpreter
/// scripts"), or its dynamic loader (elf(5), `PT_INTERP`).
pub(crate) fn interpreter(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    let file = File::open(program).ok()?;
    file.take(4 << 10).read_to_end(&mut head).ok()?;
    let name = if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii_start();
        line.split(u8::is_ascii_whitespace).next()?
    } else {
        let elf = FileHeader64::<Endianness>::parse(&*head).ok()?;
        let endian = elf.endian().ok()?;
        let mut segments = elf.program_headers(endian, &*head).ok()?.iter();
        segments.find_map(|segment| segment.interpreter(endian, &*head).ok()?)?
    };
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Whether a program of a package tree works only beside the other files of the tree.
///
/// A program that looks for libraries relative to itself (ld.so(8), "$ORIGIN"; dyld(1),
/// "@`loader_path`") does, and so may a script with files of its own beside it.
pub(crate) fn needs_its_tree(tree: &Path, program: &Path) -> bool {
    let Ok(mut file) = File::open(program) else {
        return false;
    };
    let mut magic = [0; 2];
    if (&file).read_exact(&mut magic).is_ok() && magic == *b"#!" {
        return has_other_files(tree, program);
    }
    if let Some(strings) = dynamic_strings(&file) {
        return memmem::find(&strings, b"$ORIGIN").is_some();
    }
    let mut head = Vec::new();
    // Load commands of Mach-O stand at the beginning.
    let read = file
        .rewind()
        .and_then(|()| (&file).take(256 << 10).read_to_end(&mut head));
    read.is_ok()
        && matches!(
            FileKind::parse(&*head),
            Ok(FileKind::MachO64 | FileKind::MachO32)
        )
        && memmem::find(&head, b"@loader_path").is_some()
}

/// The section `.dynstr` of an ELF program; a larger one, or a table of more sections, is none that
/// a program has, and is not read.
fn dynamic_strings(file: &File) -> Option<Vec<u8>> {
    const MAX_SECTIONS: u32 = 100_000;
    const MAX_STRINGS: u64 = 64 << 20;
    let reader = ReadCache::new(file);
    let elf = FileHeader64::<Endianness>::parse(&reader).ok()?;
    let endian = elf.endian().ok()?;
    if elf.shnum(endian, &reader).ok()? > MAX_SECTIONS {
        return None;
    }
    let sections = elf.sections(endian, &reader).ok()?;
    let (_, section) = sections.section_by_name(endian, b".dynstr")?;
    let (offset, size) = section.file_range(endian)?;
    let mut strings = vec![0; usize::try_from(size.min(MAX_STRINGS)).ok()?];
    file.read_exact_at(&mut strings, offset).ok()?;
    Some(strings)
}

/// Whether a tree has files beyond the program that are not there for people to read.
fn has_other_files(tree: &Path, program: &Path) -> bool {
    let for_people =
        ["usr/share/licenses", "usr/share/doc", "usr/share/man"].map(|path| tree.join(path));
    let mut pending = vec![tree.to_owned()];
    while let Some(folder) = pending.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                if !for_people.contains(&path) {
                    pending.push(path);
                }
            } else if path != program {
                return true;
            }
        }
    }
    false
}

fn check_header(file: &File) -> Result<(), BinaryProblem> {
    let unknown = |_| BinaryProblem::UnknownFormat;
    let mut head = Vec::new();
    let read = file.take(4 << 10).read_to_end(&mut head);
    read.map_err(|_| BinaryProblem::UnknownFormat)?;
    let kind = FileKind::parse(&*head).map_err(unknown)?;
    // Where the tables are and how many there are. What they say of themselves is not believed: a
    // parser reads whole what a program of a few bytes may claim to be larger than memory.
    let tables: &[Range<usize>] = match kind {
        FileKind::Elf64 => &[32..48, 56..58, 60..64],
        FileKind::Elf32 => &[28..36, 44..46, 48..52],
        FileKind::MachO64 | FileKind::MachO32 => &[16..20, 20..24],
        other => {
            let found = format!("{other:?}");
            return Err(BinaryProblem::OtherPlatform { found });
        }
    };
    for table in tables {
        let table = head.get_mut(table.clone());
        table.ok_or(BinaryProblem::UnknownFormat)?.fill(0);
    }
    let parsed = object::File::parse(&*head).map_err(unknown)?;
    let native = if cfg!(target_os = "macos") {
        BinaryFormat::MachO
    } else {
        BinaryFormat::Elf
    };
    if parsed.format() != native {
        return Err(BinaryProblem::OtherPlatform {
            found: format!("{:?}", parsed.format()),
        });
    }
    if !matches!(parsed.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
        return Err(BinaryProblem::NotAProgram);
    }
    let found = format!("{:?}", parsed.architecture()).to_lowercase();
    if found != std::env::consts::ARCH {
        return Err(BinaryProblem::OtherArchitecture {
            found,
            expected: std::env::consts::ARCH,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn package(files: &[(&str, &[u8], u32)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes, mode) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        folder
    }

    const SCRIPT: &[u8] = b"#!/bin/sh\n";

    fn find_in(tree: &tempfile::TempDir, names: &[&str]) -> Result<Found, ProvisionError> {
        find(&[tree.path().to_owned()], names)
    }

    #[test]
    fn names_come_in_order_and_paths_are_no_names() {
        let names = candidate_names(["../evil", "w-git", "w=1.0", "w-git", ""]);
        assert_eq!(names, ["w-git", "w"]);
    }

    #[test]
    fn the_named_binary_wins_over_others() {
        let tree = package(&[
            ("usr/bin/other", SCRIPT, 0o755),
            ("usr/local/bin/w", SCRIPT, 0o755),
        ]);
        assert_eq!(
            find_in(&tree, &["x", "w"]).unwrap().path,
            tree.path().join("usr/local/bin/w")
        );
    }

    #[test]
    fn a_single_executable_is_found_and_two_are_ambiguous() {
        let tree = package(&[
            ("usr/bin/only", SCRIPT, 0o755),
            ("usr/bin/data", b"x", 0o644),
        ]);
        assert_eq!(
            find_in(&tree, &["w"]).unwrap().relative_path(),
            Path::new("usr/bin/only")
        );
        let tree = package(&[("usr/bin/a", SCRIPT, 0o755), ("bin/b", SCRIPT, 0o755)]);
        let Err(ProvisionError::BinaryNotFound { candidates, .. }) = find_in(&tree, &["w"]) else {
            panic!("two programs are ambiguous");
        };
        assert_eq!(
            candidates,
            [PathBuf::from("bin/b"), PathBuf::from("usr/bin/a")]
        );
    }

    #[test]
    fn unusable_binaries_are_refused_for_what_they_are() {
        let cases: [(&[u8], u32, BinaryProblem); 4] = [
            (SCRIPT, 0o644, BinaryProblem::NotExecutable),
            (SCRIPT, 0o4755, BinaryProblem::SetUserId),
            (b"hello", 0o755, BinaryProblem::UnknownFormat),
            (b"", 0o755, BinaryProblem::UnknownFormat),
        ];
        for (bytes, mode, expected) in cases {
            let tree = package(&[("bin/w", bytes, mode)]);
            let error = check(&find_in(&tree, &["w"]).unwrap()).unwrap_err();
            assert!(
                matches!(&error, ProvisionError::UnusableBinary { problem, .. } if *problem == expected),
                "{error}"
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_for_another_processor_is_refused() {
        let mut elf = fs::read(std::env::current_exe().unwrap()).unwrap();
        let tree = package(&[("bin/w", &elf, 0o755)]);
        check(&find_in(&tree, &["w"]).unwrap()).unwrap();
        // `e_machine`: 8 is MIPS, which this test never runs on.
        elf[18..20].copy_from_slice(&[8, 0]);
        let tree = package(&[("bin/w", &elf, 0o755)]);
        let error = check(&find_in(&tree, &["w"]).unwrap()).unwrap_err();
        assert!(error.chain().contains("mips"), "{}", error.chain());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn tables_larger_than_memory_are_not_read() {
        let mut elf = fs::read(std::env::current_exe().unwrap()).unwrap();
        elf.truncate(128);
        elf[64..].fill(0);
        // elf(5): `e_shoff`, and as many sections as the first one says, in its `sh_size`.
        elf[40..48].copy_from_slice(&64_u64.to_ne_bytes());
        elf[60..62].fill(0);
        elf[64 + 32..64 + 40].copy_from_slice(&(1_u64 << 31).to_ne_bytes());
        let tree = package(&[("bin/w", &elf, 0o755)]);
        let path = tree.path().join("bin/w");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        check_header(&File::open(&path).unwrap()).unwrap();
        assert!(!needs_its_tree(tree.path(), &path));
        assert_eq!(dynamic_strings(&File::open(&path).unwrap()), None);
    }

    #[test]
    fn a_link_out_of_the_package_is_refused() {
        let tree = package(&[("bin/keep", SCRIPT, 0o755)]);
        std::os::unix::fs::symlink("/bin/sh", tree.path().join("bin/w")).unwrap();
        let error = check(&find_in(&tree, &["w"]).unwrap()).unwrap_err();
        assert!(matches!(
            error,
            ProvisionError::UnusableBinary {
                problem: BinaryProblem::OutsidePackage,
                ..
            }
        ));
    }
}
