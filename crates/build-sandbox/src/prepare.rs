//! From a spec to a plan: every path checked, every rule decided, before anything is forked.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::environment;
use crate::error::SandboxError;
use crate::isolation::Isolation;
use crate::sandbox::Config;
#[cfg(target_os = "linux")]
use crate::seccomp::{self, Sockets};
use crate::spec::{Access, BuildSpec, Network, invalid};
use crate::sys::plan::{
    Bind, CORE, FSIZE, Hidden, LandlockPlan, LandlockRule, NOFILE, NPROC, NamespacePlan, Plan,
    Watch,
};

/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER` and `FSETID`, in a namespace that owns nothing but the build's files.
const PACKAGING_CAPABILITIES: u64 = 0b1_1011;
/// Descriptors that one process may have if the host sets no higher limit.
const READABLE_BELOW_ROOT: &[&str] = &[
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "gnu", "sys",
];

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
    use std::os::unix::fs::{MetadataExt, lchown};
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.uid() == 0 && (metadata.is_dir() || metadata.nlink() == 1) {
            lchown(&path, Some(uid), Some(gid))?;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// Makes the plan of one run.
pub(crate) fn plan(
    spec: &BuildSpec,
    config: &Config,
    tier: Isolation,
    landlock_abi: u32,
    directories: &Directories,
    identity: Identity,
    request: Request,
) -> Result<Plan, SandboxError> {
    let environment = environment::build(spec)?
        .into_iter()
        .map(|(name, value)| text([name.as_bytes(), b"=", &value].concat()))
        .collect::<Result<Vec<_>, _>>()?;
    let arguments = request
        .arguments
        .into_iter()
        .map(text)
        .collect::<Result<Vec<_>, _>>()?;
    let Some(program) = arguments.first().cloned() else {
        return Err(invalid("command", "is empty", ""));
    };
    let writable = writable_paths(spec, directories, request.writable);
    let private_network = request.network == Network::None;
    let namespaces = (tier == Isolation::Namespaces)
        .then(|| {
            view(
                spec,
                config,
                directories,
                &writable,
                identity,
                private_network,
                request.root,
            )
        })
        .transpose()?;
    if namespaces.is_none()
        && let Some(mount) = spec
            .mounts
            .iter()
            .find(|mount| mount.source != mount.target)
    {
        return Err(invalid(
            "mount",
            "is shown at another path, which needs the isolation `namespaces`",
            mount.target.display(),
        ));
    }
    let inside = tier == Isolation::Namespaces;
    let landlock = (landlock_abi > 0)
        .then(|| -> Result<LandlockPlan, SandboxError> {
            Ok(LandlockPlan {
                abi: landlock_abi,
                files: tier >= Isolation::Landlock,
                refuse_tcp: tier == Isolation::Landlock && private_network,
                rules: rules(spec, directories, &writable, inside, private_network)?,
            })
        })
        .transpose()?;
    #[cfg(not(target_os = "linux"))]
    let filters = Vec::new();
    #[cfg(target_os = "linux")]
    let filters = match tier {
        Isolation::Group if request.root => seccomp::plain_ownership(),
        Isolation::Group => Vec::new(),
        Isolation::Landlock if private_network => seccomp::compile(Sockets::None, request.root),
        _ => seccomp::compile(Sockets::Usual, request.root),
    };
    let (strip, keep) = match (inside, request.root) {
        (true, true) => (true, PACKAGING_CAPABILITIES),
        (true, false) => (true, 0),
        (false, _) => (identity == Identity::Stripped, 0),
    };
    let limits = &spec.limits;
    let open_files = limits.open_files.min(hard_limit(NOFILE));
    let mut resources = vec![
        (FSIZE, limits.file_size.min(hard_limit(FSIZE))),
        (NOFILE, open_files),
        (CORE, 0),
    ];
    if inside {
        // Counted for the user inside this namespace only, so it is the build's own; threads count
        // too. It holds a fork bomb until the supervisor has counted it.
        resources.push((
            NPROC,
            limits
                .processes
                .saturating_mul(2)
                .max(64)
                .min(hard_limit(NPROC)),
        ));
    }
    Ok(Plan {
        program,
        arguments,
        environment,
        directory: path_text(&request.directory)?,
        probe: false,
        namespaces,
        landlock,
        filters,
        limits: resources,
        identity: match identity {
            Identity::Dropped(uid, gid) => Some((uid, gid)),
            _ => None,
        },
        strip,
        keep,
        watch: Watch {
            memory: limits.memory.unwrap_or_else(physical_memory),
            processes: limits.processes,
            open_files,
        },
        recipe: request.recipe,
        result: request.result,
    })
}

fn writable_paths(spec: &BuildSpec, directories: &Directories, writable: bool) -> Vec<PathBuf> {
    if !writable {
        return Vec::new();
    }
    let mut paths = directories.own.to_vec();
    if spec.startdir_access == Access::Writable {
        paths.push(directories.startdir.clone());
    }
    paths
}

/// The plan of the private file system view.
fn view(
    spec: &BuildSpec,
    config: &Config,
    directories: &Directories,
    writable: &[PathBuf],
    identity: Identity,
    private_network: bool,
    root: bool,
) -> Result<NamespacePlan, SandboxError> {
    let (outer_uid, outer_gid, inner_uid, inner_gid) = if let Identity::Dropped(uid, gid) = identity
    {
        (uid, gid, 1000, 1000)
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

    let mut binds: Vec<(PathBuf, PathBuf, bool, bool)> = Vec::new();
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
        writable.contains(&directories.startdir),
        false,
    );
    for path in &directories.own {
        if path.exists() {
            show(path, path, writable.contains(path), false);
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
            mount.access == Access::Writable && !writable.is_empty(),
            false,
        );
    }
    if !private_network && let Ok(resolver) = fs::canonicalize("/etc/resolv.conf") {
        // Often a link into a hidden directory.
        if outer.iter().any(|path| resolver.starts_with(path)) {
            show(&resolver, &resolver, false, true);
        }
    }
    // The spec's own spelling must lead to the same place when it goes through a link.
    for (spelled, real) in [
        (&spec.startdir, &directories.startdir),
        (&spec.srcdir, &directories.own[0]),
        (&spec.pkgdir, &directories.own[1]),
        (&spec.homedir, &directories.own[2]),
    ] {
        if spelled != real && outer.iter().any(|path| spelled.starts_with(path)) && real.exists() {
            show(real, spelled, writable.contains(real), false);
        }
    }
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
        drop_groups: matches!(identity, Identity::Dropped(..)),
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

/// Landlock rules. Inside namespaces everything that is left may be read; alone, a list of system
/// directories and the build's own.
fn rules(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &[PathBuf],
    inside: bool,
    private_network: bool,
) -> Result<Vec<LandlockRule>, SandboxError> {
    let mut paths: Vec<(PathBuf, bool)> = Vec::new();
    if inside {
        paths.push(("/".into(), false));
        paths.extend(["/tmp", "/var/tmp", "/dev", "/proc"].map(|path| (path.into(), true)));
    } else {
        let below_root = READABLE_BELOW_ROOT
            .iter()
            .map(|name| Path::new("/").join(name));
        paths.extend(below_root.map(|path| (path, false)));
        paths.extend(
            ["/proc", "/var/lib", "/dev/random", "/dev/urandom"].map(|path| (path.into(), false)),
        );
        paths.extend(
            ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"].map(|path| (path.into(), true)),
        );
        if !private_network && let Ok(resolver) = fs::canonicalize("/etc/resolv.conf") {
            paths.push((resolver, false));
        }
        paths.push((
            fs::canonicalize(&spec.recipe).unwrap_or_else(|_| spec.recipe.clone()),
            false,
        ));
    }
    paths.push((directories.startdir.clone(), false));
    paths.extend(directories.own.iter().map(|path| (path.clone(), false)));
    for mount in &spec.mounts {
        paths.push((
            mount.target.clone(),
            mount.access == Access::Writable && !writable.is_empty(),
        ));
    }
    paths.extend(writable.iter().map(|path| (path.clone(), true)));
    paths
        .into_iter()
        .map(|(path, write)| {
            Ok(LandlockRule {
                path: path_text(&path)?,
                write,
            })
        })
        .collect()
}

/// A plan that sets a tier up completely and then ends instead of running anything.
pub(crate) fn probe(
    config: &Config,
    tier: Isolation,
    landlock_abi: u32,
) -> Result<Plan, SandboxError> {
    let spec = BuildSpec {
        startdir: "/usr".into(),
        recipe: "/usr".into(),
        startdir_access: Access::ReadOnly,
        ..BuildSpec::new("/usr", "probe")
    };
    let directories = Directories {
        startdir: "/usr".into(),
        own: ["/usr/.src", "/usr/.pkg", "/usr/.home"].map(PathBuf::from),
    };
    let identity = if !Uid::effective().is_root() {
        Identity::Caller
    } else if can_drop(config) {
        Identity::Dropped(config.build_user.0, config.build_user.1)
    } else {
        Identity::Stripped
    };
    let request = Request {
        arguments: vec![b"/".to_vec()],
        directory: "/".into(),
        network: Network::None,
        writable: false,
        root: false,
        result: false,
        recipe: None,
    };
    let mut plan = plan(
        &spec,
        config,
        tier,
        landlock_abi,
        &directories,
        identity,
        request,
    )?;
    plan.probe = true;
    Ok(plan)
}

fn hard_limit(resource: i32) -> u64 {
    use nix::sys::resource::{Resource, getrlimit};
    let resource = match resource {
        FSIZE => Resource::RLIMIT_FSIZE,
        #[cfg(target_os = "linux")]
        NPROC => Resource::RLIMIT_NPROC,
        _ => Resource::RLIMIT_NOFILE,
    };
    getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard)
}

fn physical_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
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
