//! From a spec to a plan: every path checked, every rule decided, before anything is forked.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Uid;

use crate::config::Config;
use crate::control_group::GroupFiles;
use crate::environment;
use crate::error::SandboxError;
use crate::isolation::Isolation;
use crate::private::Private;
use crate::spec::{Access, BuildSpec, Network, Rights, invalid};
use crate::users::{self, Lease, Users};

mod plan;
mod roots;
mod system;
mod view;

pub(crate) use plan::{plan, probe};
pub(crate) use roots::{Offer, Roots};
pub(crate) use system::{System, Systems};

/// What is to run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) directory: PathBuf,
    pub(crate) network: Network,
    /// An empty network that the build had before.
    pub(crate) empty: Option<Arc<OwnedFd>>,
    pub(crate) rights: Rights,
    /// Whether the process should see itself as root.
    pub(crate) root: bool,
    pub(crate) result: bool,
    pub(crate) recipe: Option<Arc<OwnedFd>>,
    pub(crate) group: Option<Arc<GroupFiles>>,
    pub(crate) system: Arc<System>,
}

/// How the build's user differs from the caller's.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Caller,
    /// The caller is root, the build is this user and group.
    Dropped(Arc<Lease>),
}

impl Identity {
    /// The user and group to become.
    pub(crate) fn dropped(&self) -> Option<u32> {
        match self {
            Self::Caller => None,
            Self::Dropped(lease) => Some(lease.id()),
        }
    }
}

/// The directories of a build, checked and canonical.
#[derive(Debug)]
pub(crate) struct Directories {
    pub(crate) startdir: PathBuf,
    /// srcdir, pkgdir and homedir.
    pub(crate) own: [PathBuf; 3],
    /// Takes the place of homedir in this run.
    pub(crate) private: Option<Arc<Private>>,
}

impl Directories {
    /// Those of the build, and the one of this run.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Path> {
        let private = self.private.iter().map(|private| private.path());
        self.own.iter().map(PathBuf::as_path).chain(private)
    }
}

pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> SandboxError + 'a {
    move |source| SandboxError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Creates what is missing and refuses what an earlier phase may have replaced by a link.
///
/// No process of the build is alive when this runs, so nothing changes between check and use.
pub(crate) fn directories(spec: &BuildSpec, rights: Rights) -> Result<Directories, SandboxError> {
    let create = rights != Rights::Nothing;
    let startdir =
        fs::canonicalize(&spec.startdir).map_err(io_error("find startdir", &spec.startdir))?;
    let mut own = [&spec.srcdir, &spec.pkgdir, &spec.homedir].map(Clone::clone);
    for path in &mut own {
        *path = directory(&spec.startdir, &startdir, path, create)?;
        if startdir.starts_with(&*path) {
            return Err(invalid(
                "srcdir, pkgdir or homedir",
                "contains startdir",
                path.display(),
            ));
        }
    }
    let private = (rights == Rights::Private)
        .then(|| Private::create(&own[2]).map(Arc::new))
        .transpose()?;
    if create {
        let home = private.as_ref().map_or(&*own[2], |private| private.path());
        for below in environment::directories() {
            directory(home, home, &home.join(below), true)?;
        }
    }
    Ok(Directories {
        startdir,
        own,
        private,
    })
}

/// Resolves `path`. Below `base`, which builds can write, no component may be a link.
fn directory(
    base: &Path,
    base_real: &Path,
    path: &Path,
    create: bool,
) -> Result<PathBuf, SandboxError> {
    let missing = |path: &Path| {
        !create && fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
    };
    let Ok(below) = path.strip_prefix(base) else {
        if missing(path) {
            return Ok(path.to_owned());
        }
        if create {
            fs::create_dir_all(path).map_err(io_error("create directory", path))?;
        }
        // Its parent is the caller's, the directory itself was handed to builds.
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(SandboxError::NotADirectory {
                path: path.to_owned(),
            });
        };
        let real = fs::canonicalize(parent)
            .map_err(io_error("find directory", parent))?
            .join(name);
        return check_directory(real);
    };
    let mut real = base_real.to_owned();
    for part in below.components() {
        real.push(part);
        if missing(&real) {
            return Ok(base_real.join(below));
        }
        real = match check_directory(real) {
            Err(SandboxError::Io { path, source, .. })
                if create && source.kind() == io::ErrorKind::NotFound =>
            {
                match fs::create_dir(&path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(io_error("create directory", &path)(error));
                    }
                    _ => check_directory(path)?,
                }
            }
            checked => checked?,
        };
    }
    Ok(real)
}

fn check_directory(path: PathBuf) -> Result<PathBuf, SandboxError> {
    let metadata = fs::symlink_metadata(&path).map_err(io_error("find directory", &path))?;
    if metadata.is_dir() {
        Ok(path)
    } else {
        Err(SandboxError::NotADirectory { path })
    }
}

/// Decides who the build runs as, and for a caller that is root hands the directories over. What
/// the build's user cannot reach and the build may lack is taken out of `spec`; the answer has a
/// warning for each.
pub(crate) fn identity(
    spec: &mut BuildSpec,
    config: &Config,
    users: &Users,
    tier: Isolation,
    directories: &Directories,
    cancelled: &dyn Fn() -> bool,
) -> Result<(Identity, Vec<String>), SandboxError> {
    if !Uid::effective().is_root() {
        return Ok((Identity::Caller, Vec::new()));
    }
    let lease = match users.held(&directories.startdir) {
        Some(lease) => lease,
        None if users::any(config).is_none() => {
            let alone = alone(config, tier);
            return alone.map(|()| (Identity::Caller, Vec::new()));
        }
        None => users.lease(config, &directories.startdir)?,
    };
    if spec.startdir_is_enclosed
        && let Some(parent) = directories.startdir.parent()
    {
        lease
            .let_pass(parent)
            .map_err(io_error("open to the build's user", parent))?;
    }
    let mut trees: Vec<PathBuf> = directories.own.to_vec();
    if spec.startdir_access == Access::Writable {
        trees.push(directories.startdir.clone());
    }
    let writable = spec
        .mounts
        .iter()
        .filter(|mount| mount.access == Access::Writable);
    trees.extend(writable.map(|mount| mount.source.clone()));
    let mut warnings = Vec::new();
    if tier != Isolation::Namespaces {
        let blocked = |path: &Path| blocked(path, &trees, lease.id());
        for path in trees.iter().chain([&directories.startdir]) {
            if let Some(parent) = blocked(path) {
                return Err(SandboxError::Unreachable {
                    path: path.clone(),
                    parent,
                });
            }
        }
        let mut left_out: Vec<PathBuf> = Vec::new();
        let mut keep = |path: &Path| {
            let Some(parent) = blocked(&path.join("x")) else {
                return true;
            };
            // A tool directory is named twice, as a mount and in the search path.
            if !left_out.iter().any(|known| path.starts_with(known)) {
                warnings.push(format!(
                    "`{}` is left out, as the build's user may not enter `{}`; install the tools where every user may, or use the isolation `namespaces`",
                    path.display(),
                    parent.display()
                ));
                left_out.push(path.to_owned());
            }
            false
        };
        spec.mounts
            .retain(|mount| mount.access == Access::Writable || keep(&mount.source));
        spec.path.retain(|path| keep(path));
    }
    // `evaluate` makes no directories, so some may be missing.
    for tree in trees.iter().filter(|tree| tree.exists()) {
        lease.hand_over(tree, cancelled)?;
    }
    Ok((Identity::Dropped(lease), warnings))
}

/// What holds for root of a user namespace that has no other user: it must not be the host's root,
/// and only `namespaces` keeps it from what root of the container owns.
fn alone(config: &Config, tier: Isolation) -> Result<(), SandboxError> {
    let reason = if config.build_users.is_some() {
        "none of the ids of the range is mapped in this user namespace"
    } else if !users::root_is_another_outside() {
        "root is alone in its user namespace, and is root outside of it too"
    } else if tier != Isolation::Namespaces {
        "root is alone in its user namespace, which only the isolation `namespaces` can bear"
    } else {
        return Ok(());
    };
    Err(SandboxError::NoBuildUser {
        reason: reason.to_owned(),
    })
}

/// The first directory on the way to `path` that the user and group `id` may not pass, once it owns
/// `trees`. What is missing is in nobody's way.
fn blocked(path: &Path, trees: &[PathBuf], id: u32) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    path.ancestors()
        .skip(1)
        .filter(|parent| !trees.iter().any(|tree| parent.starts_with(tree)))
        .find(|parent| {
            fs::metadata(parent).is_ok_and(|metadata| {
                let bit = match () {
                    () if metadata.uid() == id => 0o100,
                    () if metadata.gid() == id => 0o010,
                    () => 0o001,
                };
                metadata.is_dir() && metadata.mode() & bit == 0
            })
        })
        .map(Path::to_owned)
}

fn path_text(path: &Path) -> Result<CString, SandboxError> {
    text(path.as_os_str().as_encoded_bytes())
}

fn text(bytes: impl Into<Vec<u8>>) -> Result<CString, SandboxError> {
    CString::new(bytes).map_err(|error| {
        invalid(
            "argument",
            "contains a NUL byte",
            String::from_utf8_lossy(&error.into_vec()),
        )
    })
}
