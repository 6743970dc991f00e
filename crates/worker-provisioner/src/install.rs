//! Puts a binary in place: whole or not at all, and never over a link.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::ProvisionError;
use crate::places;
use crate::relocation::Relocation;
use crate::store::{sha256_of, sha256_of_open};
use crate::temporary;

/// The prefix of the temporary file that becomes the binary by rename.
const TEMPORARY_PREFIX: &str = ".worker-provisioner-";

/// Where binaries go and how that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BinDir {
    pub(crate) path: PathBuf,
    /// A line for people, such as a folder that is not on the `PATH`.
    pub(crate) hint: Option<String>,
}

/// Picks the first folder a binary can really be put into, trying it out.
///
/// The order: the configured one alone when there is one, else `/usr/local/bin`, else
/// `<home>/.local/bin`, which is created.
pub(crate) fn preflight(
    configured: Option<&Path>,
    home: Option<&Path>,
    search_path: &[PathBuf],
) -> Result<BinDir, ProvisionError> {
    first_usable(configured, Path::new("/usr/local/bin"), home, search_path)
}

fn first_usable(
    configured: Option<&Path>,
    system: &Path,
    home: Option<&Path>,
    search_path: &[PathBuf],
) -> Result<BinDir, ProvisionError> {
    if let Some(path) = configured {
        places::create(path)?;
        try_out(path).map_err(|source| ProvisionError::io("write to", path, source))?;
        return Ok(found(path, search_path));
    }
    if places::judge(system).is_ok() && try_out(system).is_ok() {
        return Ok(found(system, search_path));
    }
    let Some(home) = home else {
        return Err(ProvisionError::NoBinDir);
    };
    let local = home.join(".local/bin");
    places::create(&local)?;
    try_out(&local).map_err(|source| ProvisionError::io("write to", &local, source))?;
    Ok(found(&local, search_path))
}

fn found(path: &Path, search_path: &[PathBuf]) -> BinDir {
    let hint = (!search_path.iter().any(|folder| folder == path)).then(|| {
        format!(
            "`{0}` is not on the PATH; add it with `export PATH=\"{0}:$PATH\"`",
            path.display()
        )
    });
    BinDir {
        path: path.to_owned(),
        hint,
    }
}

/// Permission bits do not tell of read-only mounts, ACLs or quotas; a file does.
fn try_out(folder: &Path) -> io::Result<()> {
    temporary::create(folder, TEMPORARY_PREFIX)?.close()
}

/// What is put in place.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// The program itself, open so that it stays what was checked.
    Program(&'a File),
    /// A script that starts the program in its package tree, whose other files it needs.
    Launcher(Launcher<'a>),
}

/// How a program is started where it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launcher<'a> {
    /// The root of the package tree.
    pub(crate) tree: &'a Path,
    /// The program, relative to it.
    pub(crate) program: &'a Path,
    pub(crate) relocation: &'a Relocation,
}

impl Launcher<'_> {
    /// The script. The shell becomes the program, which gets all signals and whose status counts.
    pub(crate) fn script(&self) -> Vec<u8> {
        let quoted = |path: &Path| build_sandbox::quote(path.as_os_str().as_encoded_bytes());
        let mut text = b"#!/bin/sh\n".to_vec();
        for (variable, directories) in self.relocation.variables() {
            if directories.is_empty() {
                continue;
            }
            let mut list = OsString::new();
            for (number, path) in directories.iter().enumerate() {
                if number > 0 {
                    list.push(":");
                }
                list.push(self.tree.join(path));
            }
            let line = format!("{variable}=");
            text.extend(line.as_bytes());
            text.extend(quoted(Path::new(&list)));
            let line = format!("${{{variable}:+:\"${variable}\"}}\nexport {variable}\n");
            text.extend(line.as_bytes());
        }
        text.extend(b"exec ");
        text.extend(quoted(&self.tree.join(self.program)));
        text.extend(b" \"$@\"\n");
        text
    }
}

impl Content<'_> {
    /// Writes it to the empty file `target`, which is at `path`.
    fn write_to(&self, target: &mut File, path: &Path) -> io::Result<()> {
        match self {
            Self::Program(program) => {
                untrusted_tree::copy_contents(program, target, path, &|| false)?;
                Ok(())
            }
            Self::Launcher(launcher) => target.write_all(&launcher.script()),
        }
    }
}

/// A file on its way into a folder of binaries.
#[derive(Debug)]
pub(crate) struct Prepared {
    temporary: NamedTempFile,
    target: PathBuf,
    /// The size in bytes.
    pub(crate) size: u64,
    /// The sha256 in lower-case hexadecimal.
    pub(crate) sha256: String,
}

/// Writes `content` beside `<bin_dir>/<name>`, whole and durable, without replacing anything yet.
///
/// A file that is there already must be regular, and one that `is_ours` knows by its sha256 unless
/// `force` is set.
pub(crate) fn prepare(
    content: &Content<'_>,
    bin_dir: &Path,
    name: &str,
    force: bool,
    is_ours: impl FnOnce(&str) -> bool,
) -> Result<Prepared, ProvisionError> {
    let target = bin_dir.join(name);
    let failed = |source| ProvisionError::io("install", &target, source);
    match target.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => {
            return Err(ProvisionError::TargetNotAFile { path: target });
        }
        Ok(_) if !force && !is_ours(&sha256_of(&target).map_err(failed)?) => {
            return Err(ProvisionError::ForeignFile { path: target });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed(source)),
    }
    let mut temporary = temporary::create(bin_dir, TEMPORARY_PREFIX).map_err(failed)?;
    let path = temporary.path().to_owned();
    content
        .write_to(temporary.as_file_mut(), &path)
        .map_err(failed)?;
    temporary
        .as_file()
        .set_permissions(Permissions::from_mode(0o755))
        .map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    let size = temporary.as_file().metadata().map_err(failed)?.len();
    let sha256 = sha256_of_open(temporary.as_file()).map_err(failed)?;
    Ok(Prepared {
        temporary,
        target,
        size,
        sha256,
    })
}

impl Prepared {
    /// Where the file will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the file in place in one step.
    ///
    /// A running old binary goes on undisturbed, since its file is replaced and not written to. A
    /// crash leaves the old binary or the new one.
    pub(crate) fn commit(self) -> Result<(), ProvisionError> {
        let Self {
            temporary, target, ..
        } = self;
        let failed = |source| ProvisionError::io("install", &target, source);
        temporary
            .persist(&target)
            .map_err(|error| failed(error.error))?;
        // The rename itself must survive a power cut too.
        let folder = target.parent().unwrap_or(&target);
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }
}

/// Removes the temporary files of dead installations from a folder of binaries.
pub(crate) fn sweep(bin_dir: &Path) {
    temporary::sweep(bin_dir, TEMPORARY_PREFIX);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn program(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn install(text: &str, folder: &Path, force: bool) -> Result<PathBuf, ProvisionError> {
        let file = program(text);
        let ours = |digest: &str| digest == sha256_of(program("one").path()).unwrap();
        let prepared = prepare(&Content::Program(file.as_file()), folder, "w", force, ours)?;
        let target = prepared.target().to_owned();
        prepared.commit()?;
        Ok(target)
    }

    #[test]
    fn installing_replaces_by_rename_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = install("one", folder.path(), false).unwrap();
        let mut old = File::open(&path).unwrap();
        install("two", folder.path(), false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(io::read_to_string(&mut old).unwrap(), "one");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o755
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_foreign_file_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("w"), "somebody's").unwrap();
        let error = install("one", folder.path(), false).unwrap_err();
        assert!(matches!(error, ProvisionError::ForeignFile { .. }));
        assert_eq!(
            fs::read_to_string(folder.path().join("w")).unwrap(),
            "somebody's"
        );
        install("one", folder.path(), true).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("w")).unwrap(), "one");
    }

    #[test]
    fn a_launcher_starts_the_program_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("it's a tree");
        fs::create_dir(&tree).unwrap();
        let inner = tree.join("w");
        fs::write(&inner, "#!/bin/sh\necho \"$0\" \"$2\"\n").unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let relocation = Relocation::default();
        let launcher = Launcher {
            tree: &tree,
            program: Path::new("w"),
            relocation: &relocation,
        };
        prepare(&Content::Launcher(launcher), &bin, "w", false, |_| false)
            .unwrap()
            .commit()
            .unwrap();
        let output = std::process::Command::new(bin.join("w"))
            .args(["a", "b c"])
            .output()
            .unwrap();
        let expected = format!("{} b c\n", inner.display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }

    #[test]
    fn a_link_in_the_way_is_refused_and_its_target_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        fs::write(&kept, "kept").unwrap();
        std::os::unix::fs::symlink(&kept, folder.path().join("w")).unwrap();
        let error = install("one", folder.path(), true).unwrap_err();
        assert!(matches!(error, ProvisionError::TargetNotAFile { .. }));
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    }

    #[test]
    fn the_first_folder_that_can_be_written_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (system, home) = (at("system"), at("home"));
        let choose = |configured: Option<&Path>, system: &Path, home: Option<&Path>| {
            first_usable(configured, system, home, &[]).map(|chosen| chosen.path)
        };
        // Not made when it is missing, and never written to when even root cannot.
        for unusable in [system.as_path(), Path::new("/proc")] {
            let chosen = choose(None, unusable, Some(&home)).unwrap();
            assert_eq!(chosen, home.join(".local/bin"));
            assert!(chosen.is_dir() && !system.exists());
            let error = choose(None, unusable, None).unwrap_err();
            assert!(matches!(error, ProvisionError::NoBinDir), "{error}");
        }
        fs::create_dir(&system).unwrap();
        assert_eq!(choose(None, &system, Some(&home)).unwrap(), system);
        let own = at("own");
        assert_eq!(choose(Some(&own), &system, Some(&home)).unwrap(), own);
        // Whoever names a folder wants that one.
        let error = choose(Some(Path::new("/proc")), &system, Some(&home)).unwrap_err();
        assert!(matches!(error, ProvisionError::Io { .. }), "{error}");
        assert_eq!(fs::read_dir(&system).unwrap().count(), 0);
    }

    #[test]
    fn the_configured_folder_is_created_and_its_absence_from_the_path_told() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("a/b");
        let chosen = preflight(Some(&bin), None, &[]).unwrap();
        assert_eq!(chosen.path, bin);
        assert!(chosen.hint.unwrap().contains("export PATH"));
        assert_eq!(
            preflight(Some(&bin), None, std::slice::from_ref(&bin))
                .unwrap()
                .hint,
            None
        );
    }

    #[test]
    fn the_open_program_is_installed_with_its_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (source, bin) = (folder.path().join("w"), folder.path().join("bin"));
        fs::create_dir(&bin).unwrap();
        fs::write(&source, "#!/bin/sh\n").unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .open(&source)
            .unwrap();
        file.set_len(8 << 20).unwrap();
        // Whatever its name leads to by now.
        fs::remove_file(&source).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &source).unwrap();
        let prepared = prepare(&Content::Program(&file), &bin, "w", false, |_| false).unwrap();
        assert_eq!(prepared.size, 8 << 20);
        prepared.commit().unwrap();
        let installed = fs::metadata(bin.join("w")).unwrap();
        assert_eq!(installed.len(), 8 << 20);
        let blocks = std::os::unix::fs::MetadataExt::blocks(&installed);
        assert!(blocks < 2048, "{blocks} blocks");
    }
}
