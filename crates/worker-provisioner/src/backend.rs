//! Which backend this host can run, and why.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use catalog_client::{WorkerEntry, WorkerId, WorkerType};

use crate::dependencies::in_answer;

/// Answers what a host has; replaced in tests and by hives that know better.
pub trait HostProbe: fmt::Debug + Send + Sync {
    /// The names of all programs on the search path.
    fn commands(&self) -> BTreeSet<String>;
    /// Whether a shared library of this name can be found by the loader.
    fn has_library(&self, name: &str) -> bool;
    /// Whether this is an Apple machine with a Metal device.
    fn has_metal(&self) -> bool;
    /// What `uname` says of the kernel; where that is unknown, a recipe that asks is dynamic.
    fn kernel(&self) -> Option<Kernel> {
        None
    }
    /// Whether there is a file of this absolute path.
    fn has_file(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
    /// The version that a program on the search path gives for itself, such as `3.25.1`; `None`
    /// when that cannot be found out soon. It may block for two seconds. [`SystemProbe`] starts
    /// programs of the system alone, those that root owns below `/usr` and not `/usr/local`.
    fn version(&self, program: &str) -> Option<String> {
        let _ = program;
        None
    }
    /// The text of the host's os-release(5).
    fn os_release(&self) -> Option<String> {
        None
    }
    /// What the host's package manager has installed, with what that provides; `None` where its
    /// packages have other names than those of recipes, so anywhere but with pacman.
    fn installed_packages(&self) -> Option<BTreeSet<String>> {
        None
    }
}

/// What `uname` says of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
}

/// Looks at the real host.
#[derive(Debug, Clone)]
pub struct SystemProbe {
    search_path: Vec<PathBuf>,
}

impl SystemProbe {
    /// Looks for programs in the folders of `search_path`.
    pub fn new(search_path: Vec<PathBuf>) -> Self {
        Self { search_path }
    }
}

/// Where loaders look first on the distributions that have GPU drivers.
const LIBRARY_FOLDERS: [&str; 8] = [
    "/usr/lib",
    "/usr/lib64",
    "/lib64",
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
];

impl HostProbe for SystemProbe {
    fn commands(&self) -> BTreeSet<String> {
        self.search_path
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    fn has_library(&self, name: &str) -> bool {
        LIBRARY_FOLDERS
            .iter()
            .any(|folder| PathBuf::from(folder).join(name).exists())
    }

    fn has_metal(&self) -> bool {
        cfg!(all(target_os = "macos", target_arch = "aarch64"))
    }

    fn kernel(&self) -> Option<Kernel> {
        let name = nix::sys::utsname::uname().ok()?;
        Some(Kernel {
            release: name.release().to_str()?.to_owned(),
            version: name.version().to_str()?.to_owned(),
        })
    }

    fn has_file(&self, path: &Path) -> bool {
        path.exists()
    }

    fn version(&self, program: &str) -> Option<String> {
        let folders = self.search_path.iter();
        let path = folders
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())?;
        answer(&system_program(&path)?).and_then(|answer| in_answer(&answer))
    }

    fn os_release(&self) -> Option<String> {
        // os-release(5): the second is for when the first is missing.
        ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| bounded(Path::new(path)))
    }

    fn installed_packages(&self) -> Option<BTreeSet<String>> {
        let packages = Path::new("/var/lib/pacman/local").read_dir().ok()?;
        let descriptions = packages
            .flatten()
            .filter_map(|entry| bounded(&entry.path().join("desc")));
        let names: BTreeSet<_> = descriptions.flat_map(|text| provided(&text)).collect();
        (!names.is_empty()).then_some(names)
    }
}

/// The names in pacman's record of a package.
fn provided(description: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut wanted = false;
    for line in description.lines() {
        if line.starts_with('%') {
            wanted = matches!(line, "%NAME%" | "%PROVIDES%");
        } else if wanted && !line.is_empty() {
            names.push(line.split('=').next().unwrap_or(line).to_owned());
        }
    }
    names
}

/// A longer file is none of those read here.
const MAX_FILE: u64 = 256 << 10;

fn bounded(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Where a system keeps what its package manager has installed.
const SYSTEM_PROGRAMS: [&str; 5] = ["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/", "/usr/lib/"];

/// The program itself, when it is one of the system: what others have put on the search path, this
/// program among them, is not started outside the sandbox only to learn its version.
fn system_program(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let is_system = SYSTEM_PROGRAMS
        .iter()
        .any(|folder| path.to_str().is_some_and(|path| path.starts_with(folder)));
    let is_roots = |part: &Path| {
        part.metadata()
            .is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o022 == 0)
    };
    (is_system && path.ancestors().all(is_roots)).then_some(path)
}

/// How long a program may take to tell its version, and how often it is looked after.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// What a program answers to `--version`, with an empty environment but for the system's folders.
fn answer(program: &Path) -> Option<String> {
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + PATIENCE;
    // A short answer fits into the pipe; a program that writes more never ends and is killed.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            _ => {
                child.kill().ok()?;
                child.wait().ok()?;
                return None;
            }
        }
    };
    let mut bytes = [0; 4096];
    let read = child.stdout.take()?.read(&mut bytes).ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// Sets of programs, thousands of names each, kept once for all provisions that see the same: the
/// host's own, and what recipes see for each backend.
#[derive(Debug, Default)]
pub(crate) struct KnownCommands {
    sets: Mutex<Vec<Weak<BTreeSet<String>>>>,
}

impl KnownCommands {
    /// What somebody still has of the same names, else `seen` itself.
    pub(crate) fn share(&self, seen: BTreeSet<String>) -> Arc<BTreeSet<String>> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|set| set.strong_count() > 0);
        if let Some(known) = sets
            .iter()
            .filter_map(Weak::upgrade)
            .find(|set| **set == seen)
        {
            return known;
        }
        let seen = Arc::new(seen);
        sets.push(Arc::downgrade(&seen));
        seen
    }
}

/// A backend and the reason it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendChoice {
    /// The backend.
    pub backend: WorkerType,
    /// Why, for people.
    pub reason: String,
}

/// The backend that an id of the first generation names: those entries have one backend, and their
/// ids end in it. In the second an ending is part of the name.
pub(crate) fn named_by(id: &WorkerId, entry: &WorkerEntry) -> Option<WorkerType> {
    let (_, backend) = id.split_backend()?;
    let is_only = entry
        .variants
        .iter()
        .all(|variant| variant.backend.known() == Some(backend));
    is_only.then_some(backend)
}

/// The backend that the worker's id names, else the requested one, else the best one the host
/// shows signs of.
pub(crate) fn choose(
    named: Option<WorkerType>,
    requested: Option<WorkerType>,
    probe: &dyn HostProbe,
    commands: &BTreeSet<String>,
) -> BackendChoice {
    let (backend, reason) = if let Some(backend) = named {
        (backend, "the worker's id names it".to_owned())
    } else if let Some(backend) = requested {
        (backend, "requested".to_owned())
    } else if commands.contains("nvidia-smi") {
        (
            WorkerType::Cuda,
            "`nvidia-smi` is on the search path".to_owned(),
        )
    } else if probe.has_library("libcuda.so.1") {
        (WorkerType::Cuda, "`libcuda.so.1` is installed".to_owned())
    } else if commands.contains("rocminfo") {
        (
            WorkerType::Rocm,
            "`rocminfo` is on the search path".to_owned(),
        )
    } else if probe.has_metal() {
        (WorkerType::Metal, "this is Apple silicon".to_owned())
    } else {
        (WorkerType::Cpu, "no GPU runtime was found".to_owned())
    };
    BackendChoice { backend, reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug)]
    struct Fixed {
        library: &'static str,
        metal: bool,
    }

    impl HostProbe for Fixed {
        fn commands(&self) -> BTreeSet<String> {
            BTreeSet::new()
        }
        fn has_library(&self, name: &str) -> bool {
            name == self.library
        }
        fn has_metal(&self) -> bool {
            self.metal
        }
    }

    #[test]
    fn only_programs_of_the_system_are_started_for_their_version() {
        let folder = tempfile::tempdir().unwrap();
        let (program, trace) = (folder.path().join("cmake"), folder.path().join("trace"));
        let script = format!(
            "#!/bin/sh\n: > '{}'\necho cmake version 9.9.9\n",
            trace.display()
        );
        std::fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let probe = SystemProbe::new(vec![folder.path().to_owned(), PathBuf::from("/usr/bin")]);
        assert_eq!(probe.version("cmake"), None);
        assert!(!trace.exists(), "it was started");
        assert!(system_program(Path::new("/bin/sh")).is_some());
        assert!(system_program(&program).is_none());
    }

    #[test]
    fn the_same_commands_are_kept_once() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let known = KnownCommands::default();
        let first = known.share(names(&["cmake", "git"]));
        assert!(Arc::ptr_eq(&first, &known.share(names(&["cmake", "git"]))));
        let more = known.share(names(&["cmake", "git", "ninja"]));
        assert_eq!((first.len(), more.len()), (2, 3));
        assert!(Arc::ptr_eq(
            &more,
            &known.share(names(&["cmake", "git", "ninja"]))
        ));
    }

    #[test]
    fn the_best_sign_wins_and_a_request_beats_all() {
        let cases = [
            (None, "nvidia-smi", "", false, WorkerType::Cuda),
            (None, "rocminfo", "libcuda.so.1", false, WorkerType::Cuda),
            (None, "rocminfo", "", true, WorkerType::Rocm),
            (None, "", "", true, WorkerType::Metal),
            (None, "", "", false, WorkerType::Cpu),
            (
                Some(WorkerType::Cpu),
                "nvidia-smi",
                "",
                false,
                WorkerType::Cpu,
            ),
        ];
        for (requested, command, library, metal, expected) in cases {
            let commands = BTreeSet::from([command.to_owned()]);
            let choice = choose(None, requested, &Fixed { library, metal }, &commands);
            assert_eq!(choice.backend, expected, "{choice:?}");
        }
    }
}
