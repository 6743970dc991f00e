//! Puts a binary in place: whole or not at all, and never over a link.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::ProvisionError;

/// The prefix of the temporary file that becomes the binary by rename.
pub(crate) const TEMPORARY_PREFIX: &str = ".worker-provisioner-";

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
    if let Some(path) = configured {
        fs::create_dir_all(path).map_err(|source| ProvisionError::io("create", path, source))?;
        try_out(path).map_err(|source| ProvisionError::io("write to", path, source))?;
        return Ok(found(path, search_path));
    }
    let system = Path::new("/usr/local/bin");
    if try_out(system).is_ok() {
        return Ok(found(system, search_path));
    }
    let Some(home) = home else { return Err(ProvisionError::NoBinDir) };
    let local = home.join(".local/bin");
    fs::create_dir_all(&local).map_err(|source| ProvisionError::io("create", &local, source))?;
    try_out(&local).map_err(|source| ProvisionError::io("write to", &local, source))?;
    Ok(found(&local, search_path))
}

fn found(path: &Path, search_path: &[PathBuf]) -> BinDir {
    let hint = (!search_path.iter().any(|folder| folder == path)).then(|| {
        format!("`{0}` is not on the PATH; add it with `export PATH=\"{0}:$PATH\"`", path.display())
    });
    BinDir { path: path.to_owned(), hint }
}

/// Permission bits do not tell of read-only mounts, ACLs or quotas; a file does.
fn try_out(folder: &Path) -> io::Result<()> {
    tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(folder)?.close()
}

/// Installs the opened `binary` as `<bin_dir>/<name>` and returns its path and size in bytes.
///
/// A running old binary goes on undisturbed, since its file is replaced and not written to. A
/// crash leaves the old binary or the new one.
pub(crate) fn install(
    mut binary: File,
    bin_dir: &Path,
    name: &str,
) -> Result<(PathBuf, u64), ProvisionError> {
    let target = bin_dir.join(name);
    let failed = |source| ProvisionError::io("install", &target, source);
    match target.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => {
            return Err(ProvisionError::TargetNotAFile { path: target });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed(source)),
    }
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .tempfile_in(bin_dir)
        .map_err(failed)?;
    let size = io::copy(&mut binary, temporary.as_file_mut()).map_err(failed)?;
    temporary.as_file().set_permissions(Permissions::from_mode(0o755)).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(&target).map_err(|error| failed(error.error))?;
    // The rename itself must survive a power cut too.
    File::open(bin_dir).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok((target, size))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn installing_replaces_by_rename_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, size) = install(source("one"), folder.path(), "w").unwrap();
        assert_eq!(size, 3);
        let mut old = File::open(&path).unwrap();
        install(source("two"), folder.path(), "w").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(io::read_to_string(&mut old).unwrap(), "one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_way_is_refused_and_its_target_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        fs::write(&kept, "kept").unwrap();
        std::os::unix::fs::symlink(&kept, folder.path().join("w")).unwrap();
        let error = install(source("new"), folder.path(), "w").unwrap_err();
        assert!(matches!(error, ProvisionError::TargetNotAFile { .. }));
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
    }

    #[test]
    fn the_configured_folder_is_created_and_its_absence_from_the_path_told() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("a/b");
        let chosen = preflight(Some(&bin), None, &[]).unwrap();
        assert_eq!(chosen.path, bin);
        assert!(chosen.hint.unwrap().contains("export PATH"));
        assert_eq!(preflight(Some(&bin), None, std::slice::from_ref(&bin)).unwrap().hint, None);
    }
}
