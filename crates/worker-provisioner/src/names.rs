//! The names of an installed program: one of its own for each backend, and a plain one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use catalog_client::WorkerType;

use crate::config::ProgramNamePolicy;
use crate::error::ProvisionError;
use crate::receipt::Receipt;
use crate::store::{Holder, Store, sha256_of};

/// The beginning of the name of a link that is about to become a plain name.
const TEMPORARY_PREFIX: &str = ".worker-provisioner-plain-";

/// What a program is called in a directory of programs.
///
/// Catalogs give all backends of a worker one name. Each is installed as `<name>-<backend>`, which
/// is what catalogs of the first generation call it, and the name itself is a link to the backend
/// that was installed last. A name that says the backend already has no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The name of this backend's program.
    pub(crate) own: String,
    /// The name that one of the worker's backends has.
    pub(crate) plain: Option<String>,
}

/// The longest name of a program, in bytes; a backend is added to it.
pub(crate) const MAX_NAME: usize = 64;

/// Whether a program may be called `name`: by nothing that a shell takes for a switch, that is
/// hidden, or that looks like another name.
pub(crate) fn is_program_name(name: &str) -> bool {
    let first = name.bytes().next();
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_NAME
        && first.is_some_and(is_plain)
        && name
            .bytes()
            .all(|byte| is_plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Judges what a catalog or a recipe calls the program of the worker `id`.
///
/// # Errors
/// [`ProvisionError::InvalidProgramName`], [`ProvisionError::NotNamedAfterWorker`].
pub(crate) fn judge_name(
    policy: ProgramNamePolicy,
    id: &str,
    name: &str,
) -> Result<(), ProvisionError> {
    let (owner, called) = (id.to_owned(), name.to_owned());
    if !is_program_name(name) {
        return Err(ProvisionError::InvalidProgramName {
            id: owner,
            name: called,
        });
    }
    // Ids of the first generation end in the backend, and so may names.
    let stem = |name: &str| {
        let mut backends = WorkerType::ALL.iter();
        let stem = backends.find_map(|backend| name.strip_suffix(&format!("-{backend}")));
        stem.unwrap_or(name).to_owned()
    };
    if policy == ProgramNamePolicy::Worker && stem(name) != stem(id) {
        return Err(ProvisionError::NotNamedAfterWorker {
            id: owner,
            name: called,
        });
    }
    Ok(())
}

/// Where a system keeps its programs, whatever the search path of this process is.
const SYSTEM_PROGRAMS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

impl Names {
    /// The names of a program that its catalog calls `name`.
    pub(crate) fn of(name: &str, backend: WorkerType) -> Self {
        let own = own_name(name, backend);
        if own == name {
            return Self { own, plain: None };
        }
        let plain = Some(name.to_owned());
        Self { own, plain }
    }

    /// The names of an installed program.
    pub(crate) fn recorded(receipt: &Receipt) -> Option<Self> {
        let recorded = receipt.binary_name.as_deref();
        let path = crate::Artifact::path(receipt.artifact.as_ref()?);
        // Versions without the name on record are installed under the catalog's.
        let name = recorded.or_else(|| path.file_name()?.to_str())?;
        Some(Self::of(name, receipt.backend))
    }
}

fn own_name(name: &str, backend: WorkerType) -> String {
    let ending = format!("-{backend}");
    if name.ends_with(&ending) {
        return name.to_owned();
    }
    name.to_owned() + &ending
}

/// Where a program is to be installed, and for whom.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) store: &'a Store,
    pub(crate) worker_id: &'a str,
    pub(crate) backend: WorkerType,
    pub(crate) bin_dir: &'a Path,
    pub(crate) names: &'a Names,
    /// Replace what this program has not installed.
    pub(crate) force: bool,
}

/// What is to become of a plain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// It is made to lead to this backend.
    Set,
    /// Another backend of the worker is installed under it, by a version that knew no other names.
    Leave,
}

impl Place<'_> {
    /// The program's path.
    pub(crate) fn target(&self) -> PathBuf {
        self.bin_dir.join(&self.names.own)
    }

    /// Whether the names are free, or this worker's.
    ///
    /// # Errors
    /// [`ProvisionError::OtherWorkersProgram`], [`ProvisionError::ForeignFile`],
    /// [`ProvisionError::TargetNotAFile`], [`ProvisionError::Io`].
    pub(crate) fn judge(&self) -> Result<Plain, ProvisionError> {
        let target = self.target();
        if target.symlink_metadata().is_ok() {
            match self.holder(&target, None)? {
                Some(holder) if !holder.is_own => return Err(holder.refuse(target)),
                _ => self.refuse_foreign(&target)?,
            }
        }
        match &self.names.plain {
            Some(plain) => self.judge_plain(self.bin_dir.join(plain)),
            None => Ok(Plain::Leave),
        }
    }

    /// Refuses names that another program has in another directory of the search path: people and
    /// recipes would start the worker for it. Programs of this worker count as the worker's.
    ///
    /// # Errors
    /// [`ProvisionError::ShadowsProgram`], [`ProvisionError::Io`].
    pub(crate) fn judge_shadows(&self, search_path: &[PathBuf]) -> Result<(), ProvisionError> {
        if self.force {
            return Ok(());
        }
        let system = SYSTEM_PROGRAMS.map(PathBuf::from);
        let elsewhere = search_path
            .iter()
            .chain(&system)
            .filter(|folder| *folder != self.bin_dir);
        for folder in elsewhere {
            for name in self.names.plain.iter().chain([&self.names.own]) {
                let path = folder.join(name);
                let is_program = path
                    .metadata()
                    .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0);
                if is_program && !self.is_the_workers(&path)? {
                    return Err(ProvisionError::ShadowsProgram {
                        id: self.worker_id.to_owned(),
                        name: name.clone(),
                        path,
                    });
                }
            }
        }
        Ok(())
    }

    fn is_the_workers(&self, path: &Path) -> Result<bool, ProvisionError> {
        // A path that leads into the directory itself is no other program.
        let real = |path: &Path| fs::canonicalize(path).ok();
        let real_path = real(path);
        let target = self.target();
        if real_path.is_some() && real_path == real(&target) {
            return Ok(true);
        }
        let program =
            fs::read_link(path).map_or_else(|_| path.to_owned(), |link| path.with_file_name(link));
        Ok(self
            .holder(&program, None)?
            .is_some_and(|holder| holder.is_same_worker || holder.is_own))
    }

    /// Whether the installed program of `receipt` has the names that it would get today, and nobody
    /// else's file has the plain one.
    pub(crate) fn is_settled(&self, receipt: &Receipt) -> bool {
        let path = receipt.artifact.as_ref().map(crate::Artifact::path);
        path == Some(&self.target()) && self.plain_problem().is_none()
    }

    /// What is wrong with the plain name, of an installed program that has one.
    pub(crate) fn plain_problem(&self) -> Option<&'static str> {
        let plain = self.bin_dir.join(self.names.plain.as_ref()?);
        match fs::read_link(&plain) {
            // It may be another backend's.
            Ok(link) if self.is_plain_link(&link) && plain.exists() => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("is missing"),
            _ => match self.judge_plain(plain) {
                Ok(Plain::Leave) => None,
                _ => Some("was changed"),
            },
        }
    }

    fn judge_plain(&self, path: PathBuf) -> Result<Plain, ProvisionError> {
        let link = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Plain::Set),
            Err(source) => return Err(ProvisionError::io("read", &path, source)),
            Ok(metadata) if !metadata.is_file() && !metadata.is_symlink() => {
                return Err(ProvisionError::TargetNotAFile { path });
            }
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(&path);
                Some(target.map_err(|source| ProvisionError::io("read", &path, source))?)
            }
            Ok(_) => None,
        };
        let holder = if let Some(link) = &link {
            self.holder(&self.bin_dir.join(link), None)?
        } else {
            // Versions that knew no other names have overwritten one backend with another, and both
            // are on record here: it is the one whose file it is.
            let found = sha256_of(&path);
            let found = found.map_err(|source| ProvisionError::io("read", &path, source))?;
            self.holder(&path, Some(&found))?
        };
        match holder {
            Some(holder) if holder.is_own => Ok(Plain::Set),
            Some(holder) if !holder.is_same_worker => Err(holder.refuse(path)),
            Some(_) if link.is_some() => Ok(Plain::Set),
            Some(_) => Ok(Plain::Leave),
            // One that a program of this store has left.
            None if link.as_deref().is_some_and(|link| self.is_plain_link(link)) => Ok(Plain::Set),
            None => self.refuse_foreign(&path).map(|()| Plain::Set),
        }
    }

    /// Whether a link's target is what this program makes plain names lead to.
    fn is_plain_link(&self, link: &Path) -> bool {
        let plain = self.names.plain.as_deref().unwrap_or_default();
        let mut backends = WorkerType::ALL.iter();
        backends.any(|backend| link == Path::new(&own_name(plain, *backend)))
    }

    fn refuse_foreign(&self, path: &Path) -> Result<(), ProvisionError> {
        let failed = |source| ProvisionError::io("read", path, source);
        let path = path.to_owned();
        if !path.symlink_metadata().map_err(failed)?.is_file() {
            return Err(ProvisionError::TargetNotAFile { path });
        }
        if self.force || self.is_ours(&sha256_of(&path).map_err(failed)?) {
            return Ok(());
        }
        Err(ProvisionError::ForeignFile { path })
    }

    /// Whether this worker has installed a file of that sha256.
    pub(crate) fn is_ours(&self, sha256: &str) -> bool {
        self.store
            .has_installed(self.worker_id, self.backend, sha256)
    }

    fn holder(&self, path: &Path, sha256: Option<&str>) -> Result<Option<Holder>, ProvisionError> {
        let Self {
            store,
            worker_id,
            backend,
            ..
        } = self;
        store.holder(worker_id, *backend, path, sha256)
    }

    /// Makes the plain name lead to the program, which is in place.
    pub(crate) fn point(&self, plain: Plain) -> Result<(), ProvisionError> {
        let Some(name) = self.names.plain.as_deref().filter(|_| plain == Plain::Set) else {
            return Ok(());
        };
        let _lock = self.store.lock_names()?;
        point(self.bin_dir, name, &self.names.own)
            .map_err(|source| ProvisionError::io("link", &self.bin_dir.join(name), source))
    }
}

/// Makes `<bin_dir>/<plain>` a link to `own`, in one step. The caller holds the lock of the names.
pub(crate) fn point(bin_dir: &Path, plain: &str, own: &str) -> io::Result<()> {
    let path = bin_dir.join(plain);
    if fs::read_link(&path).is_ok_and(|link| link == Path::new(own)) {
        return Ok(());
    }
    // A rename replaces what is there in one step, and whoever runs it meanwhile is not disturbed.
    let temporary = bin_dir.join(format!("{TEMPORARY_PREFIX}{plain}"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(own, &temporary)?;
    fs::rename(&temporary, &path)?;
    fs::File::open(bin_dir)?.sync_all()
}

/// The plain name that leads to the installed program of `receipt`, if it has it.
pub(crate) fn plain_path(receipt: &Receipt) -> Option<PathBuf> {
    let path = crate::Artifact::path(receipt.artifact.as_ref()?);
    let own = path.file_name()?.to_str()?;
    // Whether or not this version's catalog calls it so: an earlier one may have.
    let plain = own.strip_suffix(&format!("-{}", receipt.backend))?;
    let plain = path.with_file_name(plain);
    let link = fs::read_link(&plain).ok()?;
    (link == Path::new(own)).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_by_a_plain_name() {
        for name in ["w", "9w", "llm-worker-rbee", "w.bin", "w_2"] {
            assert!(is_program_name(name), "{name}");
        }
        let long = "w".repeat(MAX_NAME + 1);
        for name in [
            "",
            "-rf",
            ".bashrc",
            "..",
            "_w",
            "Sudo",
            "a/b",
            "a b",
            "a\u{202e}b",
            "\u{441}at",
            "a\n",
            &long,
        ] {
            assert!(!is_program_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_name_says_its_backend_once() {
        let names = |name| Names::of(name, WorkerType::Cuda);
        assert_eq!(names("w").own, "w-cuda");
        assert_eq!(names("w").plain.as_deref(), Some("w"));
        assert_eq!(names("w-cuda").own, "w-cuda");
        assert_eq!(names("w-cuda").plain, None);
        assert_eq!(names("w-cpu").own, "w-cpu-cuda");
    }
}
