//! Finds the worker's binary in a package tree and checks what it is.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use object::elf::FileHeader64;
use object::read::Object as _;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{BinaryFormat, Endianness, FileKind, ObjectKind};
use untrusted_tree::{Kind, Limits, Tree, TreeError, Visit};

use crate::error::{BinaryProblem, ProvisionError};

/// Where a package puts programs, in the order of preference.
const PROGRAM_FOLDERS: [&str; 6] = [
    "usr/local/bin",
    "usr/bin",
    "bin",
    "usr/local/sbin",
    "usr/sbin",
    "sbin",
];

/// Where packages put what is not found by the search path: programs are in a directory of their own
/// there, or in its `bin`.
const OWN_FOLDERS: [&str; 4] = ["opt", "usr/lib", "usr/local/lib", "usr/libexec"];

/// How many programs are named where there are several.
const MAX_CANDIDATES: usize = 1000;

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

/// Finds the one program of a package tree, by name first, else the only executable there is;
/// returns its path relative to `root`.
///
/// Directories that are links are followed as long as they stay in the tree.
pub(crate) fn find(root: &Path, names: &[&str]) -> Result<PathBuf, ProvisionError> {
    let tree = Tree::open(root).map_err(|source| ProvisionError::tree("read", root, source))?;
    let mut real = Vec::new();
    let mut open = |paths: Vec<PathBuf>| {
        let mut directories = Vec::new();
        for path in paths {
            if let Ok(resolved) = tree.resolve(&path)
                && !real.contains(&resolved)
                && let Ok(directory) = tree.open_below(&resolved)
            {
                real.push(resolved);
                directories.push((path, directory));
            }
        }
        directories
    };
    let usual = open(PROGRAM_FOLDERS.map(PathBuf::from).to_vec());
    let own = open(own_folders(&tree));
    for directories in [&usual, &own] {
        for name in names {
            for (path, directory) in directories {
                if directory.contains(name) && is_executable(&tree, &path.join(name)) {
                    return Ok(path.join(name));
                }
            }
        }
    }
    let mut candidates = Vec::new();
    for directories in [&usual, &own] {
        for (path, directory) in directories {
            executables(directory, path, &mut candidates)
                .map_err(|source| ProvisionError::tree("read", &root.join(path), source))?;
        }
        if !candidates.is_empty() {
            break;
        }
    }
    if let [only] = &mut *candidates {
        return Ok(std::mem::take(only));
    }
    candidates.sort();
    Err(ProvisionError::BinaryNotFound {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        candidates,
    })
}

/// The directories of their own that packages have, and the `bin` of each.
fn own_folders(tree: &Tree) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for above in OWN_FOLDERS {
        let resolved = tree.resolve(above);
        let Some(entries) = resolved
            .ok()
            .and_then(|below| std::fs::read_dir(tree.path().join(below)).ok())
        else {
            continue;
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names.into_iter().take(MAX_CANDIDATES) {
            let folder = Path::new(above).join(name);
            folders.push(folder.join("bin"));
            folders.push(folder);
        }
    }
    folders
}

/// Whether a name is one that could be started, or a link, which is judged when it is opened.
fn is_executable(tree: &Tree, path: &Path) -> bool {
    // Its own name decides among the usual directories, where a mistake is told for what it is.
    let is_usual = path.parent().is_some_and(|parent| {
        PROGRAM_FOLDERS
            .iter()
            .any(|usual| parent == Path::new(usual))
    });
    is_usual
        || tree
            .path()
            .join(path)
            .symlink_metadata()
            .is_ok_and(|found| found.is_symlink() || found.is_file() && found.mode() & 0o111 != 0)
}

fn executables(directory: &Tree, path: &Path, found: &mut Vec<PathBuf>) -> Result<(), TreeError> {
    let carry_on = || false;
    let mut walk = directory.walk(&Limits::default(), &carry_on)?;
    while let Some(visit) = walk.next()? {
        if let Visit::Entry(entry) = visit
            && entry.kind == Kind::File
            && walk.mode(&entry)? & 0o111 != 0
            && found.len() < MAX_CANDIDATES
        {
            found.push(path.join(entry.name()));
        }
    }
    Ok(())
}

/// Opens the program at `path` of a package tree. Links are followed inside the tree only.
///
/// # Errors
/// [`ProvisionError::UnusableBinary`], [`ProvisionError::Io`].
pub(crate) fn open(root: &Path, path: &Path) -> Result<File, ProvisionError> {
    let opened = Tree::open(root).and_then(|tree| {
        let resolved = tree.resolve(path)?;
        tree.open_file(resolved)
    });
    let refuse = |problem| ProvisionError::UnusableBinary {
        path: path.to_owned(),
        problem,
    };
    opened.map_err(|source| match source {
        TreeError::LeadsOutside { .. } => refuse(BinaryProblem::OutsidePackage),
        TreeError::NotAFile { .. } | TreeError::NotADirectory { .. } => {
            refuse(BinaryProblem::NotAFile)
        }
        source => ProvisionError::tree("read", &root.join(path), source),
    })
}

/// Checks that a program is for this machine; `path` is for messages.
pub(crate) fn check(file: &File, path: &Path) -> Result<(), ProvisionError> {
    let refuse = |problem| ProvisionError::UnusableBinary {
        path: path.to_owned(),
        problem,
    };
    let metadata = file
        .metadata()
        .map_err(|source| ProvisionError::io("read", path, source))?;
    if metadata.mode() & 0o6000 != 0 {
        return Err(refuse(BinaryProblem::SetUserId));
    }
    if metadata.mode() & 0o111 == 0 {
        return Err(refuse(BinaryProblem::NotExecutable));
    }
    let mut magic = [0; 2];
    if file.read_exact_at(&mut magic, 0).is_err() {
        return Err(refuse(BinaryProblem::UnknownFormat));
    }
    if magic != *b"#!" {
        check_header(file).map_err(refuse)?;
    }
    Ok(())
}

/// What the system starts to run a program: that of its `#!` line (execve(2), "Interpreter
/// scripts"), or its dynamic loader (elf(5), `PT_INTERP`).
pub(crate) fn interpreter(program: &Path) -> Option<String> {
    let mut head = Vec::new();
    // It has been tried meanwhile, and may have become anything.
    let file = untrusted_tree::open_file(program).ok()?;
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

/// Whether a package tree has files beyond the program that are not there for people to read. The
/// program may look for them beside itself.
pub(crate) fn needs_its_tree(root: &Path, program: &Path) -> bool {
    find_other_file(root, program).unwrap_or(true)
}

fn find_other_file(root: &Path, program: &Path) -> Result<bool, TreeError> {
    let for_people = ["usr/share/licenses", "usr/share/doc", "usr/share/man"].map(Path::new);
    let carry_on = || false;
    let tree = Tree::open(root)?;
    let mut walk = tree.walk(&Limits::default(), &carry_on)?;
    while let Some(visit) = walk.next()? {
        let Visit::Entry(entry) = visit else { continue };
        let path = walk.relative_path(&entry);
        if entry.kind != Kind::Directory {
            if path != program {
                return Ok(true);
            }
        } else if !for_people.contains(&&*path) {
            walk.descend(&entry)?;
        }
    }
    Ok(false)
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
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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

    fn find_in(tree: &tempfile::TempDir, names: &[&str]) -> Result<PathBuf, ProvisionError> {
        find(tree.path(), names)
    }

    fn check_in(tree: &tempfile::TempDir) -> Result<(), ProvisionError> {
        let path = find_in(tree, &["w"])?;
        check(&open(tree.path(), &path)?, &path)
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
            find_in(&tree, &["x", "w"]).unwrap(),
            Path::new("usr/local/bin/w")
        );
    }

    #[test]
    fn a_single_executable_is_found_and_two_are_ambiguous() {
        let tree = package(&[
            ("usr/bin/only", SCRIPT, 0o755),
            ("usr/bin/data", b"x", 0o644),
        ]);
        assert_eq!(find_in(&tree, &["w"]).unwrap(), Path::new("usr/bin/only"));
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
            let error = check_in(&tree).unwrap_err();
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
        check_in(&tree).unwrap();
        // `e_machine`: 8 is MIPS, which this test never runs on.
        elf[18..20].copy_from_slice(&[8, 0]);
        let tree = package(&[("bin/w", &elf, 0o755)]);
        let error = check_in(&tree).unwrap_err();
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
    }

    #[test]
    fn a_link_out_of_the_package_is_refused() {
        let tree = package(&[("bin/keep", SCRIPT, 0o755)]);
        symlink("/bin/sh", tree.path().join("bin/w")).unwrap();
        let error = check_in(&tree).unwrap_err();
        assert!(matches!(
            error,
            ProvisionError::UnusableBinary {
                problem: BinaryProblem::OutsidePackage,
                ..
            }
        ));
    }

    #[test]
    fn links_are_followed_inside_and_nowhere_else() {
        let tree = package(&[("usr/lib/w/real", SCRIPT, 0o755)]);
        fs::create_dir(tree.path().join("usr/bin")).unwrap();
        symlink("../lib/w/real", tree.path().join("usr/bin/w")).unwrap();
        symlink("usr/bin", tree.path().join("bin")).unwrap();
        assert_eq!(find_in(&tree, &["w"]).unwrap(), Path::new("usr/bin/w"));
        check_in(&tree).unwrap();

        // Whatever is outside is neither found nor named.
        let host = package(&[("w", SCRIPT, 0o755), ("host", SCRIPT, 0o755)]);
        for target in [host.path().to_owned(), PathBuf::from("../../..")] {
            let tree = tempfile::tempdir().unwrap();
            symlink(&target, tree.path().join("bin")).unwrap();
            let Err(ProvisionError::BinaryNotFound { candidates, .. }) = find_in(&tree, &["w"])
            else {
                panic!("nothing is in the tree");
            };
            assert_eq!(candidates, Vec::<PathBuf>::new());
        }
    }

    #[test]
    fn pipes_and_devices_are_neither_opened_nor_waited_for() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("bin")).unwrap();
        let path = tree.path().join("bin/w");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = check_in(&tree).unwrap_err();
        assert!(
            matches!(
                &error,
                ProvisionError::UnusableBinary {
                    problem: BinaryProblem::NotAFile,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(interpreter(&path), None);
    }

    #[test]
    fn files_for_people_are_no_other_files() {
        let tree = package(&[
            ("usr/bin/w", SCRIPT, 0o755),
            ("usr/share/doc/w/README", b"x", 0o644),
        ]);
        let path = Path::new("usr/bin/w");
        let needs = || needs_its_tree(tree.path(), path);
        assert!(!needs());
        fs::create_dir_all(tree.path().join("usr/lib")).unwrap();
        symlink("nowhere", tree.path().join("usr/lib/w")).unwrap();
        assert!(needs());
    }
}
