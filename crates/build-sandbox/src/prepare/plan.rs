//! The plan of one run, and of a trial.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::unistd::Uid;

use super::roots::Offer;
use super::view::view;
use super::{Directories, Identity, Request, System, io_error, path_text, text};
use crate::config::Config;
use crate::environment;
use crate::error::SandboxError;
use crate::isolation::Isolation;
use crate::limits::Limits;
#[cfg(target_os = "linux")]
use crate::seccomp::{self, Choice, Sockets};
use crate::spec::{Access, BuildSpec, Network, Rights, invalid};
use crate::sys::plan::{
    CORE, FSIZE, Instruction, LandlockPlan, LandlockRule, NOFILE, NPROC, Plan, Right, Watch,
};
use crate::users::{self, Lease};

/// `CHOWN`, `DAC_OVERRIDE`, `FOWNER` and `FSETID`, in a namespace that owns nothing but the build's
/// files.
const PACKAGING_CAPABILITIES: u64 = 0b1_1011;
/// Makes the plan of one run.
pub(crate) fn plan(
    spec: &BuildSpec,
    tier: Isolation,
    landlock_abi: u32,
    directories: &Directories,
    identity: &Identity,
    request: Request,
    offer: Option<Offer<'_>>,
) -> Result<Plan, SandboxError> {
    let environment = environment::recipe_environment(spec)?
        .into_iter()
        .map(|(name, value)| text([name.as_bytes(), b"=", &value].concat()))
        .collect::<Result<Vec<_>, _>>()?;
    let arguments = request
        .arguments
        .iter()
        .map(|argument| text(argument.as_slice()))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(program) = arguments.first().cloned() else {
        return Err(invalid("command", "is empty", ""));
    };
    let writable = writable(spec, directories, request.rights);
    let private_network = request.network == Network::None;
    let namespaces = (tier == Isolation::Namespaces)
        .then(|| view(spec, directories, &writable, identity, &request, offer))
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
                rules: rules(spec, directories, &writable, inside, &request.system)?,
            })
        })
        .transpose()?;
    let filter = filter(tier, private_network, request.root);
    let (strip, keep) = match (inside, request.root) {
        (true, true) => (true, PACKAGING_CAPABILITIES),
        (true, false) => (true, 0),
        (false, _) => (false, 0),
    };
    let limits = &spec.limits;
    let open_files = limits.open_files.min(hard_limit(NOFILE));
    Ok(Plan {
        program,
        arguments,
        environment,
        directory: path_text(&request.directory)?,
        probe: false,
        namespaces,
        landlock,
        filter,
        limits: resources(limits, inside),
        identity: identity.dropped().map(|id| (id, id)),
        private: directories.private.clone(),
        lease: match identity {
            Identity::Dropped(lease) => Some(Arc::clone(lease)),
            Identity::Caller => None,
        },
        strip,
        keep,
        watch: Watch {
            memory: limits.memory.unwrap_or_else(physical_memory),
            processes: limits.processes,
            open_files,
        },
        recipe: request.recipe,
        group: request.group,
        result: request.result,
    })
}

/// What one run may write.
pub(super) struct Writable {
    pub(super) paths: Vec<PathBuf>,
    /// Whether writable mounts are.
    pub(super) mounts: bool,
}

fn writable(spec: &BuildSpec, directories: &Directories, rights: Rights) -> Writable {
    let mut paths = match rights {
        Rights::Nothing => Vec::new(),
        Rights::Private => {
            let private = directories.private.iter();
            private.map(|private| private.path().to_owned()).collect()
        }
        Rights::Package | Rights::Build => directories.own.to_vec(),
    };
    if rights == Rights::Build && spec.startdir_access == Access::Writable {
        paths.push(directories.startdir.clone());
    }
    Writable {
        paths,
        mounts: matches!(rights, Rights::Package | Rights::Build),
    }
}

fn resources(limits: &Limits, inside: bool) -> Vec<(i32, u64)> {
    let mut resources = vec![
        (FSIZE, limits.file_size.min(hard_limit(FSIZE))),
        (NOFILE, limits.open_files.min(hard_limit(NOFILE))),
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
    resources
}

#[cfg(not(target_os = "linux"))]
fn filter(_: Isolation, _: bool, _: bool) -> Arc<Vec<Instruction>> {
    Arc::default()
}

#[cfg(target_os = "linux")]
fn filter(tier: Isolation, private_network: bool, root: bool) -> Arc<Vec<Instruction>> {
    // The weakest tier has to run where the kernel lacks seccomp; a warning says so.
    if tier == Isolation::Group && !crate::sys::seccomp_works() {
        return Arc::default();
    }
    seccomp::program(Choice {
        sockets: match tier {
            Isolation::Landlock | Isolation::Group if private_network => Sockets::None,
            Isolation::Landlock => Sockets::NoUnix,
            Isolation::Namespaces | Isolation::Group => Sockets::Usual,
        },
        shared_host: tier != Isolation::Namespaces,
        // Where root-owned files are seen, `chown` to root is no change.
        plain_ownership: root,
        refuse_attributes: tier == Isolation::Landlock,
    })
}

/// Landlock rules. Inside namespaces everything that is left may be read; alone, a list of system
/// directories and the build's own.
fn rules(
    spec: &BuildSpec,
    directories: &Directories,
    writable: &Writable,
    inside: bool,
    system: &System,
) -> Result<Vec<LandlockRule>, SandboxError> {
    let read = |path: &Path| (path.to_owned(), Right::Read);
    let mut paths: Vec<(PathBuf, Right)> = Vec::new();
    if inside {
        paths.push(read(Path::new("/")));
        paths.extend(["/tmp", "/dev", "/proc"].map(|path| (path.into(), Right::Write)));
    } else {
        paths.extend(system.allowed().iter().map(|(path, names)| {
            let right = if *names { Right::List } else { Right::Read };
            (path.clone(), right)
        }));
        for path in ["/proc", "/dev/random", "/dev/urandom"] {
            paths.push(read(Path::new(path)));
        }
        for path in ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"] {
            paths.push((path.into(), Right::Write));
        }
        paths.extend(system.resolver.as_deref().map(read));
        let recipe = fs::canonicalize(&spec.recipe);
        paths.push(read(recipe.as_deref().unwrap_or(&spec.recipe)));
    }
    let mut all = Vec::new();
    all.push((&directories.startdir, Right::Read));
    all.extend(directories.own.iter().map(|path| (path, Right::Read)));
    for mount in &spec.mounts {
        let right = if mount.access == Access::Writable && writable.mounts {
            Right::Write
        } else {
            Right::Read
        };
        all.push((&mount.target, right));
    }
    // Where all of the root may be read, what is below it needs no word.
    let all = all
        .into_iter()
        .filter(|(_, right)| !inside || *right != Right::Read);
    paths.extend(all.map(|(path, right)| (path.clone(), right)));
    let writable = writable.paths.iter();
    paths.extend(writable.map(|path| (path.clone(), Right::Write)));
    paths
        .into_iter()
        .map(|(path, right)| {
            Ok(LandlockRule {
                path: path_text(&path)?,
                right,
            })
        })
        .collect()
}

/// A plan that sets a tier up completely and then ends instead of running anything.
pub(crate) fn probe(
    config: &Config,
    tier: Isolation,
    landlock_abi: u32,
    offer: Option<Offer<'_>>,
) -> Result<Plan, SandboxError> {
    // Of a prepared root the system directories are taken.
    let shown = if offer.is_some() { "/tmp" } else { "/usr" };
    let startdir = fs::canonicalize(shown).map_err(io_error("find directory", Path::new(shown)))?;
    let spec = BuildSpec {
        recipe: startdir.clone(),
        startdir_access: Access::ReadOnly,
        ..BuildSpec::new(&startdir, "probe")
    };
    let directories = Directories {
        own: [".src", ".pkg", ".home"].map(|name| startdir.join(name)),
        startdir,
        private: None,
    };
    let identity = match users::any(config) {
        Some(id) if Uid::effective().is_root() => Identity::Dropped(Arc::new(Lease::unlocked(id))),
        _ => Identity::Caller,
    };
    if Uid::effective().is_root() && matches!(identity, Identity::Caller) {
        super::alone(config, tier)?;
    }
    let request = Request {
        arguments: vec![b"/".to_vec()],
        directory: "/".into(),
        network: Network::None,
        empty: None,
        rights: Rights::Nothing,
        root: false,
        result: false,
        recipe: None,
        group: None,
        system: Arc::new(System::read(config, &[])),
    };
    let mut plan = plan(
        &spec,
        tier,
        landlock_abi,
        &directories,
        &identity,
        request,
        offer,
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

pub(super) fn physical_memory() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.map_or(0, |kib| kib * 1024)
    })
}
