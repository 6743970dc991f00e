//! From a spec to a plan: every path checked, every rule decided, before anything is forked.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::config::Config;
use crate::control_group::GroupFiles;
use crate::environment;
use crate::error::SandboxError;
use crate::isolation::Isolation;
use crate::spec::{Access, BuildSpec, Network, invalid};

mod plan;
mod view;

pub(crate) use plan::{plan, probe};

/// What is to run, and how.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) directory: PathBuf,
    pub(crate) network: Network,
    /// Whether the build directories may be written.
    pub(crate) writable: bool,
    /// Whether the process should see itself as root.
    pub(crate) root: bool,
    pub(crate) result: bool,
    pub(crate) recipe: Option<OwnedFd>,
    pub(crate) group: Option<GroupFiles>,
}

/// How the build's user differs from the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Caller,
    /// The caller is root, the build is this user and group.
    Dropped(u32, u32),
    /// The caller is root, but the build directories are reachable for root only or there is no
    /// other user.
    Stripped,
}

/// The directories of a build, checked and canonical.
#[derive(Debug)]
pub(crate) struct Directories {
    pub(crate) startdir: PathBuf,
    /// srcdir, pkgdir and homedir.
    pub(crate) own: [PathBuf; 3],
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
pub(crate) fn directories(spec: &BuildSpec, create: bool) -> Result<Directories, SandboxError> {
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
    if create {
        for below in environment::directories() {
            directory(&own[2], &own[2], &own[2].join(below), true)?;
        }
    }
    Ok(Directories { startdir, own })
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
        if create {
            match fs::create_dir(&real) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(io_error("create directory", &real)(error));
                }
                _ => {}
            }
        }
        real = check_directory(real)?;
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

/// Decides who the build runs as, and for a caller that is root hands the directories over.
pub(crate) fn identity(
    spec: &BuildSpec,
    config: &Config,
    tier: Isolation,
    directories: &Directories,
) -> Result<Identity, SandboxError> {
    if !Uid::effective().is_root() {
        return Ok(Identity::Caller);
    }
    let (uid, gid) = config.build_user;
    if !can_drop(config) {
        return Ok(Identity::Stripped);
    }
    if tier != Isolation::Namespaces {
        let all = directories
            .own
            .iter()
            .chain([&directories.startdir])
            .chain(&spec.path);
        let mounts = spec.mounts.iter().map(|mount| &mount.source);
        if !all.chain(mounts).all(|path| reachable(path)) {
            return Ok(Identity::Stripped);
        }
    }
    let mut trees: Vec<&Path> = directories.own.iter().map(PathBuf::as_path).collect();
    if spec.startdir_access == Access::Writable {
        trees.push(&directories.startdir);
    }
    let writable = spec
        .mounts
        .iter()
        .filter(|mount| mount.access == Access::Writable);
    trees.extend(writable.map(|mount| mount.source.as_path()));
    // `evaluate` makes no directories, so some may be missing.
    for tree in trees.into_iter().filter(|tree| tree.exists()) {
        hand_over(tree, uid, gid).map_err(io_error("hand over to the build user", tree))?;
    }
    Ok(Identity::Dropped(uid, gid))
}

/// Whether the build user exists in the caller's user namespace: root of a container may be alone
/// in it.
fn can_drop(config: &Config) -> bool {
    let mapped = |map: &str, id: u32| {
        fs::read_to_string(map)
            .unwrap_or_default()
            .lines()
            .any(|line| {
                let mut fields = line
                    .split_whitespace()
                    .filter_map(|field| field.parse::<u64>().ok());
                let (first, _, count) = (fields.next(), fields.next(), fields.next());
                first.zip(count).is_some_and(|(first, count)| {
                    (first..first.saturating_add(count)).contains(&u64::from(id))
                })
            })
    };
    !cfg!(target_os = "linux")
        || mapped("/proc/self/uid_map", config.build_user.0)
            && mapped("/proc/self/gid_map", config.build_user.1)
}

/// Whether any user may pass through the parents of a path. A missing one does not matter.
fn reachable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors().skip(1).all(|parent| {
        fs::metadata(parent).map_or(true, |metadata| metadata.permissions().mode() & 1 != 0)
    })
}

/// Gives what root owns below `root` to the build user. Links are not followed, and a file with
/// several names stays, since another name may lie outside, as in a local git clone.
fn hand_over(root: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        match hand_over_one(&path, uid, gid, &mut pending) {
            // A caller may still be removing its own temporary files here, as a fetch does.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != root => {}
            result => result?,
        }
    }
    Ok(())
}

fn hand_over_one(path: &Path, uid: u32, gid: u32, pending: &mut Vec<PathBuf>) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, lchown};
    let metadata = fs::symlink_metadata(path)?;
    if metadata.uid() == 0 && (metadata.is_dir() || metadata.nlink() == 1) {
        lchown(path, Some(uid), Some(gid))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            pending.push(entry?.path());
        }
    }
    Ok(())
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
