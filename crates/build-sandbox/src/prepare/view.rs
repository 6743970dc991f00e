//! What a build sees of the file system.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::plan::Writable;
use super::{Directories, Identity, directory, io_error, path_text, text};
use crate::config::Config;
use crate::error::SandboxError;
use crate::spec::{Access, BuildSpec, invalid};
use crate::sys::plan::{Bind, Hidden, NamespacePlan};

/// The plan of the private file system view.
pub(super) fn view(
    spec: &BuildSpec,
    config: &Config,
    directories: &Directories,
    writable: &Writable,
    identity: &Identity,
    private_network: bool,
    root: bool,
) -> Result<NamespacePlan, SandboxError> {
    let (outer_uid, outer_gid, inner_uid, inner_gid) = if let Some(id) = identity.dropped() {
        (id, id, 1000, 1000)
    } else {
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        (uid, gid, uid, gid)
    };
    let mut covered: Vec<PathBuf> = config
        .hidden
        .iter()
        .filter_map(|path| fs::canonicalize(path).ok())
        .filter(|path| path.is_dir() && path.parent().is_some())
        .collect();
    covered.sort();
    covered.dedup();
    let temporary: Vec<PathBuf> = ["/tmp", "/var/tmp"]
        .iter()
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    // One inside another is gone with it.
    let outer: Vec<PathBuf> =
        crate::watch::outermost(&covered.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let mut hidden = vec![Hidden {
        path: text("/dev")?,
        options: text("mode=755")?,
        writable: true,
    }];
    for path in &outer {
        let writable = temporary.contains(path);
        let options = if writable { "mode=1777" } else { "mode=755" };
        hidden.push(Hidden {
            path: path_text(path)?,
            options: text(options)?,
            writable,
        });
    }

    let mut binds = binds(spec, directories, writable, &outer, private_network)?;
    binds.sort_by_key(|(_, target, _, _)| target.components().count());
    if binds.len() > crate::sys::MOUNTS_MAX {
        return Err(invalid("mounts", "are more than 100", binds.len()));
    }
    let mut made: Vec<PathBuf> = Vec::new();
    let mut mounts = Vec::new();
    for (source, target, write, optional) in &binds {
        let is_directory = source.is_dir();
        let deepest = if is_directory {
            Some(target.as_path())
        } else {
            target.parent()
        };
        made.extend(
            deepest
                .into_iter()
                .flat_map(Path::ancestors)
                .map(Path::to_owned),
        );
        mounts.push(Bind {
            source: path_text(source)?,
            target: path_text(target)?,
            writable: *write,
            device: is_device(source),
            is_directory,
            optional: *optional,
        });
    }
    made.sort();
    made.dedup();
    made.retain(|path| path.parent().is_some() && !path.starts_with("/dev"));
    Ok(NamespacePlan {
        private_network,
        uid: (if root { 0 } else { inner_uid }, outer_uid),
        gid: (if root { 0 } else { inner_gid }, outer_gid),
        drop_groups: matches!(identity, Identity::Dropped(_)),
        hidden,
        directories: made
            .iter()
            .map(|path| path_text(path))
            .collect::<Result<_, _>>()?,
        mounts,
    })
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path)
        .is_ok_and(|m| m.file_type().is_char_device() || m.file_type().is_block_device())
}

/// Source, target, whether it may be written, and whether it may be missing.
type Shown = (PathBuf, PathBuf, bool, bool);

/// What is shown besides the root file system.
fn binds(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &Writable,
    outer: &[PathBuf],
    private_network: bool,
) -> Result<Vec<Shown>, SandboxError> {
    let mut binds: Vec<Shown> = Vec::new();
    let mut show = |source: &Path, target: &Path, write: bool, optional: bool| {
        binds.push((source.to_owned(), target.to_owned(), write, optional));
    };
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
    if !private_network && let Ok(resolver) = fs::canonicalize("/etc/resolv.conf") {
        // Often a link into a hidden directory.
        if outer.iter().any(|path| resolver.starts_with(path)) {
            show(&resolver, &resolver, false, true);
        }
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
        if spelled != real && outer.iter().any(|path| spelled.starts_with(path)) && real.exists() {
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
