//! Which backend this host can run, and why.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use catalog_client::WorkerType;

/// Answers what a host has; replaced in tests and by hives that know better.
pub trait HostProbe: fmt::Debug + Send + Sync {
    /// The names of all programs on the search path.
    fn commands(&self) -> BTreeSet<String>;
    /// Whether a shared library of this name can be found by the loader.
    fn has_library(&self, name: &str) -> bool;
    /// Whether this is an Apple machine with a Metal device.
    fn has_metal(&self) -> bool;
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
}

/// A backend and the reason it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendChoice {
    /// The backend.
    pub backend: WorkerType,
    /// Why, for people.
    pub reason: String,
}

/// The requested backend, else the best one the host shows signs of.
pub(crate) fn choose(
    requested: Option<WorkerType>,
    probe: &dyn HostProbe,
    commands: &BTreeSet<String>,
) -> BackendChoice {
    let (backend, reason) = if let Some(backend) = requested {
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
            let choice = choose(requested, &Fixed { library, metal }, &commands);
            assert_eq!(choice.backend, expected, "{choice:?}");
        }
    }
}
