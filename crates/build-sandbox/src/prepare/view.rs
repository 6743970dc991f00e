//! What a build sees of the file system.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::plan::Writable;
use super::plan::physical_memory;
use super::{Directories, Identity, Request, System, directory, io_error, path_text, text};
use crate::error::SandboxError;
use crate::spec::{Access, BuildSpec, Network, invalid};
use crate::sys::plan::{Bind, NamespacePlan};

/// The plan of the private file system view.
pub(super) fn view(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &Writable,
    identity: &Identity,
    request: &Request,
) -> Result<NamespacePlan, SandboxError> {
    let (outer_uid, outer_gid, inner_uid, inner_gid) = if let Some(id) = identity.dropped() {
        (id, id, 1000, 1000)
    } else {
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        (uid, gid, uid, gid)
    };
    let mut shown = binds(spec, directories, writable, &request.system)?;
    shown.sort_by_key(|shown| shown.target.components().count());
    if shown.len() > crate::sys::MOUNTS_MAX {
        return Err(invalid("mounts", "are more than 100", spec.mounts.len()));
    }
    let mut made: Vec<PathBuf> = EMPTY.iter().map(PathBuf::from).collect();
    let mut mounts = Vec::new();
    for bind in &shown {
        let is_directory = bind.source.is_dir();
        let deepest = if is_directory {
            Some(bind.target.as_path())
        } else {
            bind.target.parent()
        };
        made.extend(deepest.map(Path::to_owned));
        mounts.push(Bind {
            source: path_text(&bind.source)?,
            target: path_text(&bind.target)?,
            writable: bind.writable,
            device: is_device(&bind.source),
            is_directory,
            optional: bind.optional,
        });
    }
    let files = request.system.files.iter().map(|(path, _)| path);
    let links = request.system.links.iter().map(|(_, path)| path);
    made.extend(
        files
            .chain(links)
            .filter_map(|path| path.parent())
            .map(Path::to_owned),
    );
    // Not below what is mounted afterwards: there a mount point has to exist already.
    let covers: Vec<&Path> = shown.iter().map(|bind| bind.target.as_path()).collect();
    let mut directories: Vec<PathBuf> = made
        .iter()
        .flat_map(|path| path.ancestors())
        .filter(|path| {
            path.parent()
                .is_some_and(|parent| !parent.starts_with("/proc"))
        })
        .filter(|path| {
            !covers
                .iter()
                .any(|cover| *path != *cover && path.starts_with(cover))
        })
        .map(Path::to_owned)
        .collect();
    directories.sort();
    directories.dedup();
    Ok(NamespacePlan {
        private_network: request.network == Network::None,
        uid: (if request.root { 0 } else { inner_uid }, outer_uid),
        gid: (if request.root { 0 } else { inner_gid }, outer_gid),
        drop_groups: matches!(identity, Identity::Dropped(_)),
        temporary: text(format!("mode=1777,size={}", temporary_size(spec)))?,
        directories: directories
            .iter()
            .map(|path| path_text(path))
            .collect::<Result<_, _>>()?,
        links: request
            .system
            .links
            .iter()
            .map(|(target, path)| Ok((path_text(target)?, path_text(path)?)))
            .collect::<Result<_, SandboxError>>()?,
        files: request
            .system
            .files
            .iter()
            .map(|(path, text)| Ok((path_text(path)?, text.clone())))
            .collect::<Result<_, SandboxError>>()?,
        mounts,
        masks: request
            .system
            .masked
            .iter()
            .filter(|path| path.is_dir())
            .map(|path| path_text(path))
            .collect::<Result<_, _>>()?,
    })
}

/// Directories that are there and empty.
const EMPTY: &[&str] = &[
    "/dev", "/etc", "/home", "/mnt", "/opt", "/proc", "/root", "/run", "/sys", "/tmp", "/var",
];

/// Bytes that `/tmp` and `/dev/shm` may hold, each.
fn temporary_size(spec: &BuildSpec) -> u64 {
    spec.limits
        .memory
        .unwrap_or_else(physical_memory)
        .max(1 << 20)
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path)
        .is_ok_and(|m| m.file_type().is_char_device() || m.file_type().is_block_device())
}

/// A path of the host, and where and how it is seen.
struct Shown {
    source: PathBuf,
    target: PathBuf,
    writable: bool,
    /// Whether it may be missing.
    optional: bool,
}

/// All that is shown.
fn binds(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &Writable,
    system: &System,
) -> Result<Vec<Shown>, SandboxError> {
    let mut binds: Vec<Shown> = Vec::new();
    let mut show = |source: &Path, target: &Path, writable: bool, optional: bool| {
        binds.push(Shown {
            source: source.to_owned(),
            target: target.to_owned(),
            writable,
            optional,
        });
    };
    for (source, target) in &system.shown {
        show(source, target, false, true);
    }
    let null = Path::new("/dev/null");
    for path in system.masked.iter().filter(|path| !path.is_dir()) {
        show(null, path, false, true);
    }
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let path = Path::new("/dev").join(device);
        show(&path, &path, true, true);
    }
    show(
        &directories.startdir,
        &directories.startdir,
        writable.paths.contains(&directories.startdir),
        false,
    );
    for path in directories.all() {
        if path.exists() {
            show(
                path,
                path,
                writable.paths.iter().any(|other| other == path),
                false,
            );
        }
    }
    let recipe =
        fs::canonicalize(&spec.recipe).map_err(io_error("find the recipe", &spec.recipe))?;
    if !recipe.starts_with(&directories.startdir) {
        show(&recipe, &recipe, false, false);
    }
    for mount in &spec.mounts {
        let source =
            fs::canonicalize(&mount.source).map_err(io_error("find mount", &mount.source))?;
        // Below a directory of the build the mount point has to exist on disk.
        if let Some(own) = directories
            .own
            .iter()
            .find(|own| mount.target.starts_with(own))
        {
            let point = if source.is_dir() {
                Some(mount.target.as_path())
            } else {
                mount.target.parent()
            };
            if let Some(point) = point {
                directory(own, own, point, true)?;
            }
        }
        show(
            &source,
            &mount.target,
            mount.access == Access::Writable && writable.mounts,
            false,
        );
    }
    if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
        && resolver != Path::new("/etc/resolv.conf")
    {
        // Often a link into `/run`.
        show(&resolver, &resolver, false, true);
    }
    let home = directories.private.as_ref();
    let home = home.map_or(directories.own[2].as_path(), |private| private.path());
    // The spec's own spelling must lead to the same place when it goes through a link.
    for (spelled, real) in [
        (&spec.startdir, directories.startdir.as_path()),
        (&spec.srcdir, &directories.own[0]),
        (&spec.pkgdir, &directories.own[1]),
        (&spec.homedir, home),
    ] {
        if spelled != real && real.exists() {
            show(
                real,
                spelled,
                writable.paths.iter().any(|path| path == real),
                false,
            );
        }
    }
    Ok(binds)
}
