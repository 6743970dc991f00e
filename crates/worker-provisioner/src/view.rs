//! What a recipe sees of the host: as if it had the chosen backend and no other.
//!
//! Recipes choose what they fetch, build and package by asking the host: `command -v nvidia-smi`,
//! `rocminfo`, `lspci`, `/proc/driver/nvidia`. The answers follow from the backend that was chosen
//! and from nothing else, the same in reading, in sourcing and in every function, so that a worker
//! asked for on a machine without its device, or on one with two kinds, is the one asked for.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use build_sandbox::Mount;
use catalog_client::WorkerType;

/// What tells of one backend.
struct Signs {
    backend: WorkerType,
    /// Programs whose mere presence, or whose success, means the backend.
    probes: &'static [&'static str],
    /// Other programs that come with it; they are hidden with it and never stood in for. One that
    /// ends in `*` means every name with that beginning.
    tools: &'static [&'static str],
    /// Folders and files of the driver and of the tool kit.
    places: &'static [&'static str],
    /// Device nodes.
    devices: &'static [&'static str],
    /// A file below `/proc/driver`.
    driver: Option<&'static str>,
    /// What a list of devices, and a list of kernel modules, has about it.
    device: &'static str,
    module: &'static str,
}

const SIGNS: [Signs; 3] = [
    Signs {
        backend: WorkerType::Cuda,
        probes: &["nvidia-smi"],
        tools: &[
            "nvidia-*",
            "nvcc",
            "nvcc_*",
            "nvprof",
            "nvtop",
            "nsys",
            "ncu",
            "cuda-*",
            "cuobjdump",
            "ptxas",
        ],
        places: &["/usr/local/cuda", "/opt/cuda", "/sys/module/nvidia"],
        devices: &["/dev/nvidia0", "/dev/nvidiactl"],
        driver: Some("nvidia/version"),
        device: "01:00.0 3D controller: NVIDIA Corporation Device",
        module: "nvidia",
    },
    Signs {
        backend: WorkerType::Rocm,
        probes: &["rocminfo", "rocm-smi", "amd-smi"],
        tools: &[
            "rocm*",
            "hipcc",
            "hipcc.*",
            "hipconfig",
            "hipconfig.*",
            "hipify-*",
        ],
        places: &["/opt/rocm", "/sys/class/kfd", "/sys/module/amdgpu"],
        devices: &["/dev/kfd"],
        driver: None,
        device: "03:00.0 VGA compatible controller: Advanced Micro Devices, Inc. [AMD/ATI] Device",
        module: "amdgpu",
    },
    Signs {
        backend: WorkerType::Metal,
        probes: &["system_profiler"],
        tools: &["metal", "metallib"],
        places: &[],
        devices: &[],
        driver: None,
        device: "Metal Support: Metal",
        module: "",
    },
];

/// Programs that list the host's devices or modules, whoever made them. All are stood in for.
const LISTERS: [&str; 4] = ["hwinfo", "lshw", "lsmod", "lspci"];

/// Where a recipe may look for a probe without the `PATH`.
const TOOL_KITS: [&str; 3] = ["/usr/local/cuda/bin", "/opt/cuda/bin", "/opt/rocm/bin"];

fn own(backend: WorkerType) -> Option<&'static Signs> {
    SIGNS.iter().find(|signs| signs.backend == backend)
}

fn others(backend: WorkerType) -> impl Iterator<Item = &'static Signs> {
    SIGNS.iter().filter(move |signs| signs.backend != backend)
}

/// Whether `program` comes with a backend other than `backend`.
fn is_hidden(program: &str, backend: WorkerType) -> bool {
    let comes_with = |signs: &Signs| {
        signs.probes.contains(&program)
            || signs.tools.iter().any(|tool| match tool.strip_suffix('*') {
                Some(beginning) => program.starts_with(beginning),
                None => program == *tool,
            })
    };
    others(backend).any(comes_with)
}

/// The programs a recipe finds on a host that has `host`.
pub(crate) fn commands(host: &BTreeSet<String>, backend: WorkerType) -> BTreeSet<String> {
    let shown = host
        .iter()
        .filter(|name| !is_hidden(name, backend))
        .cloned();
    shown.chain(stand_ins(backend).map(str::to_owned)).collect()
}

/// The programs that are stood in for.
fn stand_ins(backend: WorkerType) -> impl Iterator<Item = &'static str> {
    let probes = own(backend).map_or(&[][..], |signs| signs.probes);
    probes.iter().copied().chain(LISTERS)
}

/// A folder that holds what stands in for the host, for the lifetime of the folder it is in.
#[derive(Debug, Clone)]
pub(crate) struct HostView {
    /// The `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// What covers the host's own, where a build has a file system view of its own.
    pub(crate) covers: Vec<Mount>,
}

/// Makes the view of `backend` in the new folder `root`, for the `PATH` `search_path`.
///
/// A folder of the `PATH` that holds a hidden program is replaced by one of links to all others, so
/// that it works in every tier; what covers absolute paths works in a view of the file system alone.
pub(crate) fn create(
    root: &Path,
    search_path: &[PathBuf],
    backend: WorkerType,
) -> io::Result<HostView> {
    fs::create_dir(root)?;
    let programs = root.join("programs");
    fs::create_dir(&programs)?;
    for name in stand_ins(backend) {
        let path = programs.join(name);
        fs::write(&path, stand_in(name, backend))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    let mut path = vec![programs];
    for (index, folder) in search_path.iter().enumerate() {
        let hides = names(folder).any(|name| is_hidden(&name, backend));
        path.push(if hides {
            mirror(folder, &root.join(format!("path-{index}")), backend)?
        } else {
            folder.clone()
        });
    }
    Ok(HostView {
        path,
        covers: covers(root, search_path, backend)?,
    })
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn mirror(folder: &Path, to: &Path, backend: WorkerType) -> io::Result<PathBuf> {
    fs::create_dir(to)?;
    for name in names(folder).filter(|name| !is_hidden(name, backend)) {
        symlink(folder.join(&name), to.join(&name))?;
    }
    Ok(to.to_owned())
}

/// A program that says what was chosen, and succeeds, as recipes take success for a yes.
///
/// A question of detail, so anything with arguments, has no answer on standard output: what a recipe
/// would make of an invented one is worse than nothing.
fn stand_in(name: &str, backend: WorkerType) -> String {
    let signs = own(backend);
    let (answer, detail) = match name {
        "lsmod" => {
            let module = signs.map_or("", |signs| signs.module);
            let rows = if module.is_empty() {
                String::new()
            } else {
                format!("{module} 0 0")
            };
            (rows.clone(), rows)
        }
        "hwinfo" | "lshw" | "lspci" | "system_profiler" => {
            let device = signs.map_or("", |signs| signs.device).to_owned();
            (device.clone(), device)
        }
        _ => (
            format!("{name}: the backend `{backend}` was chosen"),
            String::new(),
        ),
    };
    let show = |text: &str| {
        if text.is_empty() {
            ":".to_owned()
        } else {
            format!("printf '%s\\n' '{text}'")
        }
    };
    format!(
        "#!/bin/sh\n\
         # Stands in for the host's own: the backend was chosen before the recipe is read.\n\
         if [ $# -gt 0 ]; then\n  {}\n  \
         echo '{name}: stands in for the device of the chosen backend `{backend}`' >&2\n\
         else\n  {}\nfi\n",
        show(&detail),
        show(&answer)
    )
}

/// Mounts that show the driver of `backend` and cover those of the others.
fn covers(root: &Path, search_path: &[PathBuf], backend: WorkerType) -> io::Result<Vec<Mount>> {
    let (driver, empty) = (root.join("driver"), root.join("empty"));
    let nothing = root.join("nothing");
    fs::create_dir(&driver)?;
    fs::create_dir(&empty)?;
    // Not executable, so no shell takes it for a program.
    fs::write(&nothing, "")?;
    let mut covers = Vec::new();
    let mut cover = |source: &Path, target: &Path| {
        covers.push(Mount::read_only(source).at(target));
    };
    let signs = own(backend);
    if let Some(file) = signs.and_then(|signs| signs.driver) {
        let path = driver.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&driver))?;
        fs::write(&path, format!("the backend `{backend}` was chosen\n"))?;
    }
    let drivers = Path::new("/proc/driver");
    if drivers.is_dir() {
        cover(&driver, drivers);
    }
    for device in signs.map_or(&[][..], |signs| signs.devices) {
        cover(&nothing, Path::new(device));
    }
    let mut covered = BTreeSet::new();
    for place in others(backend).flat_map(|signs| signs.places) {
        if let Ok(place) = Path::new(place).canonicalize()
            && place.is_dir()
            && covered.insert(place.clone())
        {
            cover(&empty, &place);
        }
    }
    let kits = TOOL_KITS.iter().map(Path::new);
    let folders = search_path.iter().map(PathBuf::as_path).chain(kits);
    for folder in folders {
        for probe in others(backend).flat_map(|signs| signs.probes) {
            let is_probe = |path: &PathBuf| path.file_name() == Some(probe.as_ref());
            if let Ok(path) = folder.join(probe).canonicalize()
                && is_probe(&path)
                && path.is_file()
                && !covered.iter().any(|other| path.starts_with(other))
                && covered.insert(path.clone())
            {
                cover(&nothing, &path);
            }
        }
    }
    Ok(covers)
}
