//! Finds the worker's binary in a package tree and checks what it is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use object::read::{Object as _, ReadCache};
use object::{BinaryFormat, ObjectKind};

use crate::error::{BinaryProblem, ProvisionError};

/// Where a package puts programs, in the order of preference.
const PROGRAM_FOLDERS: [&str; 3] = ["usr/local/bin", "usr/bin", "bin"];

/// The names the binary may have, best first, without repeats or anything but a plain file name.
pub(crate) fn candidate_names<'a>(
    binary_name: Option<&'a str>,
    pkgname: &'a str,
    provides: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    // An entry of `provides` may carry a version: `name=1.0`.
    let provided = provides.into_iter().map(|entry| entry.split(['=', '<', '>']).next().unwrap_or(entry));
    for name in binary_name.into_iter().chain([pkgname]).chain(provided) {
        if is_file_name(name) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// Finds the one program of the package: by name first, else the only executable there is.
pub(crate) fn find(pkgdir: &Path, names: &[&str]) -> Result<PathBuf, ProvisionError> {
    for name in names {
        for folder in PROGRAM_FOLDERS {
            let path = pkgdir.join(folder).join(name);
            if path.symlink_metadata().is_ok() {
                return Ok(path);
            }
        }
    }
    let mut executables = BTreeSet::new();
    for folder in PROGRAM_FOLDERS {
        let Ok(entries) = fs::read_dir(pkgdir.join(folder)) else { continue };
        for entry in entries.flatten() {
            let is_program = entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
            if is_program {
                executables.insert(entry.path());
            }
        }
    }
    let mut executables: Vec<PathBuf> = executables.into_iter().collect();
    match executables.len() {
        1 => Ok(executables.remove(0)),
        _ => Err(ProvisionError::BinaryNotFound {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            candidates: executables
                .iter()
                .map(|path| path.strip_prefix(pkgdir).unwrap_or(path).to_owned())
                .collect(),
        }),
    }
}

/// Checks that `path` is a program for this machine that lies inside `pkgdir`, and opens it.
///
/// What is checked is the opened file, so it cannot be exchanged between check and use.
pub(crate) fn open_checked(pkgdir: &Path, path: &Path) -> Result<File, ProvisionError> {
    let refuse = |problem| ProvisionError::UnusableBinary {
        path: path.strip_prefix(pkgdir).unwrap_or(path).to_owned(),
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
        file.rewind().map_err(failed)?;
    }
    Ok(file)
}

fn check_header(file: &File) -> Result<(), BinaryProblem> {
    let reader = ReadCache::new(file);
    let parsed = object::File::parse(&reader).map_err(|_| BinaryProblem::UnknownFormat)?;
    let native = if cfg!(target_os = "macos") { BinaryFormat::MachO } else { BinaryFormat::Elf };
    if parsed.format() != native {
        return Err(BinaryProblem::OtherPlatform { found: format!("{:?}", parsed.format()) });
    }
    if !matches!(parsed.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
        return Err(BinaryProblem::NotAProgram);
    }
    let found = format!("{:?}", parsed.architecture()).to_lowercase();
    if found != std::env::consts::ARCH {
        return Err(BinaryProblem::OtherArchitecture { found, expected: std::env::consts::ARCH });
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

    #[test]
    fn names_come_in_order_and_paths_are_no_names() {
        let names = candidate_names(Some("../evil"), "w-git", ["w=1.0", "w-git", ""]);
        assert_eq!(names, ["w-git", "w"]);
    }

    #[test]
    fn the_named_binary_wins_over_others() {
        let tree = package(&[("usr/bin/other", SCRIPT, 0o755), ("usr/local/bin/w", SCRIPT, 0o755)]);
        assert_eq!(find(tree.path(), &["x", "w"]).unwrap(), tree.path().join("usr/local/bin/w"));
    }

    #[test]
    fn a_single_executable_is_found_and_two_are_ambiguous() {
        let tree = package(&[("usr/bin/only", SCRIPT, 0o755), ("usr/bin/data", b"x", 0o644)]);
        assert_eq!(find(tree.path(), &["w"]).unwrap(), tree.path().join("usr/bin/only"));
        let tree = package(&[("usr/bin/a", SCRIPT, 0o755), ("bin/b", SCRIPT, 0o755)]);
        let Err(ProvisionError::BinaryNotFound { candidates, .. }) = find(tree.path(), &["w"]) else {
            panic!("two programs are ambiguous");
        };
        assert_eq!(candidates, [PathBuf::from("bin/b"), PathBuf::from("usr/bin/a")]);
    }

    #[test]
    fn unusable_binaries_are_refused_for_what_they_are() {
        let mut elf = fs::read(std::env::current_exe().unwrap()).unwrap();
        let cases: [(&[u8], u32, BinaryProblem); 4] = [
            (SCRIPT, 0o644, BinaryProblem::NotExecutable),
            (SCRIPT, 0o4755, BinaryProblem::SetUserId),
            (b"hello", 0o755, BinaryProblem::UnknownFormat),
            (b"", 0o755, BinaryProblem::UnknownFormat),
        ];
        for (bytes, mode, expected) in cases {
            let tree = package(&[("bin/w", bytes, mode)]);
            let error = open_checked(tree.path(), &tree.path().join("bin/w")).unwrap_err();
            assert!(
                matches!(&error, ProvisionError::UnusableBinary { problem, .. } if *problem == expected),
                "{error}"
            );
        }
        if cfg!(target_os = "linux") {
            let tree = package(&[("bin/w", &elf, 0o755)]);
            open_checked(tree.path(), &tree.path().join("bin/w")).unwrap();
            // `e_machine`: 8 is MIPS, which this test never runs on.
            elf[18] = 8;
            elf[19] = 0;
            let tree = package(&[("bin/w", &elf, 0o755)]);
            let error = open_checked(tree.path(), &tree.path().join("bin/w")).unwrap_err();
            assert!(error.to_string().contains("mips"), "{error}");
        }
    }

    #[test]
    fn a_link_out_of_the_package_is_refused() {
        let tree = package(&[("bin/keep", SCRIPT, 0o755)]);
        std::os::unix::fs::symlink("/bin/sh", tree.path().join("bin/w")).unwrap();
        let path = find(tree.path(), &["w"]).unwrap();
        let error = open_checked(tree.path(), &path).unwrap_err();
        assert!(matches!(
            error,
            ProvisionError::UnusableBinary { problem: BinaryProblem::OutsidePackage, .. }
        ));
    }
}
