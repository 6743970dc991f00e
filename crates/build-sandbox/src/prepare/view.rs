//! What a build sees of the file system.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::plan::Writable;
use super::plan::physical_memory;
use super::roots::Offer;
use super::{Directories, Identity, Request, System, directory, io_error, path_text, text};
use crate::error::SandboxError;
use crate::spec::{Access, BuildSpec, Network, invalid};
use crate::sys::plan::{Bind, NamespacePlan, Tree};

/// The plan of the private file system view.
pub(super) fn view(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &Writable,
    identity: &Identity,
    request: &Request,
    offer: Option<Offer<'_>>,
) -> Result<NamespacePlan, SandboxError> {
    let caller = (Uid::effective().as_raw(), Gid::effective().as_raw());
    let dropped = identity.dropped().map(|id| ((id, id), (1000, 1000)));
    let (outside, inside) = dropped.unwrap_or((caller, caller));
    let inside = if request.root { (0, 0) } else { inside };
    let map = |inside: u32, outside: u32| text(format!("{inside} {outside} 1\n"));
    let own = own(spec, directories, writable)?;
    let (tree, prepared) = match offer.and_then(|offer| offer.get(&request.system, &own)) {
        Some(prepared) => (rest(&own)?, Some(prepared)),
        None => (whole(&request.system, own)?, None),
    };
    Ok(NamespacePlan {
        private_network: request.network == Network::None,
        network: request.empty.clone().filter(|_| prepared.is_some()),
        inside,
        maps: [map(inside.0, outside.0)?, map(inside.1, outside.1)?],
        drop_groups: matches!(identity, Identity::Dropped(_)),
        temporary: text(format!("mode=1777,size={}", temporary_size(spec)))?,
        tree,
        prepared,
    })
}

/// All that a root has, in one.
fn whole(system: &System, own: Vec<Shown>) -> Result<Tree, SandboxError> {
    let mut shown = shared(system);
    shown.extend(own);
    tree(shown, EMPTY.iter().map(PathBuf::from).collect(), system)
}

/// What a root lacks that has what is [`shared`] and the empty directories below `/`.
fn rest(own: &[Shown]) -> Result<Tree, SandboxError> {
    tree(own.to_vec(), Vec::new(), &System::default())
}

/// What makes a root with all of this.
pub(super) fn tree(
    mut shown: Vec<Shown>,
    mut made: Vec<PathBuf>,
    system: &System,
) -> Result<Tree, SandboxError> {
    shown.sort_by_key(|shown| shown.target.components().count());
    if shown.len() > crate::sys::MOUNTS_MAX {
        return Err(invalid("mounts", "are more than 100", shown.len()));
    }
    let mut mounts = Vec::new();
    for bind in &shown {
        let metadata = fs::metadata(&bind.source);
        let is_directory = metadata.as_ref().is_ok_and(fs::Metadata::is_dir);
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
            device: metadata.is_ok_and(|metadata| is_device(&metadata)),
            is_directory,
            optional: bind.optional,
        });
    }
    let files = system.files.iter().map(|(path, _)| path);
    let links = system.links.iter().map(|(_, path)| path);
    made.extend(
        files
            .chain(links)
            .filter_map(|path| path.parent())
            .map(Path::to_owned),
    );
    // Not below what is mounted afterwards: there a mount point has to exist already.
    let covers: HashSet<&Path> = shown.iter().map(|bind| bind.target.as_path()).collect();
    let mut directories: Vec<&Path> = made
        .iter()
        .flat_map(|path| path.ancestors())
        .filter(|path| {
            path.parent()
                .is_some_and(|parent| !parent.starts_with("/proc"))
        })
        .filter(|path| !path.ancestors().skip(1).any(|above| covers.contains(above)))
        .collect();
    directories.sort();
    directories.dedup();
    Ok(Tree {
        directories: directories
            .into_iter()
            .map(path_text)
            .collect::<Result<_, _>>()?,
        links: system
            .links
            .iter()
            .map(|(target, path)| Ok((path_text(target)?, path_text(path)?)))
            .collect::<Result<_, SandboxError>>()?,
        files: system
            .files
            .iter()
            .map(|(path, text)| Ok((path_text(path)?, text.clone())))
            .collect::<Result<_, SandboxError>>()?,
        mounts,
        masks: system
            .masked
            .iter()
            .filter(|path| path.is_dir())
            .map(|path| path_text(path))
            .collect::<Result<_, _>>()?,
    })
}

/// Directories that are there and empty.
pub(super) const EMPTY: &[&str] = &[
    "/dev", "/etc", "/home", "/mnt", "/opt", "/proc", "/root", "/run", "/sys", "/tmp", "/var",
];

/// Bytes that `/tmp` and `/dev/shm` may hold, each.
fn temporary_size(spec: &BuildSpec) -> u64 {
    spec.limits
        .memory
        .unwrap_or_else(physical_memory)
        .max(1 << 20)
}

fn is_device(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    kind.is_char_device() || kind.is_block_device()
}

/// A path of the host, and where and how it is seen.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) writable: bool,
    /// Whether it may be missing.
    pub(super) optional: bool,
}

/// What all builds are shown.
pub(super) fn shared(system: &System) -> Vec<Shown> {
    let mut binds = Vec::new();
    let mut show = |source: &Path, target: &Path, writable: bool| {
        binds.push(Shown {
            source: source.to_owned(),
            target: target.to_owned(),
            writable,
            optional: true,
        });
    };
    for (source, target) in &system.shown {
        show(source, target, false);
    }
    let null = Path::new("/dev/null");
    for path in system.masked.iter().filter(|path| !path.is_dir()) {
        show(null, path, false);
    }
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let path = Path::new("/dev").join(device);
        show(&path, &path, true);
    }
    if let Some(resolver) = &system.resolver
        && resolver != Path::new("/etc/resolv.conf")
    {
        show(resolver, resolver, false);
    }
    binds
}

/// What one run is shown besides.
fn own(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &Writable,
) -> Result<Vec<Shown>, SandboxError> {
    let mut binds: Vec<Shown> = Vec::new();
    let mut show = |source: &Path, target: &Path, writable: bool| {
        binds.push(Shown {
            source: source.to_owned(),
            target: target.to_owned(),
            writable,
            optional: false,
        });
    };
    show(
        &directories.startdir,
        &directories.startdir,
        writable.paths.contains(&directories.startdir),
    );
    for path in directories.all() {
        if path.exists() {
            show(path, path, writable.paths.iter().any(|other| other == path));
        }
    }
    let recipe =
        fs::canonicalize(&spec.recipe).map_err(io_error("find the recipe", &spec.recipe))?;
    if !recipe.starts_with(&directories.startdir) {
        show(&recipe, &recipe, false);
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
        );
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
            );
        }
    }
    Ok(binds)
}
