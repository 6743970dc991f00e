//! What a worker is wanted for, and which variant fits.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::entry::{Variant, WorkerEntry};
use crate::error::{CatalogError, printable};
use crate::platform::{Architecture, Named, Platform, Wire, WorkerType};

/// The machine a worker is wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its operating system.
    pub platform: Platform,
    /// Its architecture.
    pub architecture: Architecture,
    /// The backends it may use, the preferred one first: one when it was requested, more when
    /// they were detected.
    pub backends: Vec<WorkerType>,
}

impl Host {
    /// The machine this program was built for, with one requested backend; `None` when no catalog
    /// serves such a machine.
    pub fn with_backend(backend: WorkerType) -> Option<Self> {
        Some(Self {
            platform: Platform::current()?,
            architecture: Architecture::current()?,
            backends: vec![backend],
        })
    }

    /// The machine this program was built for, with every backend whose driver is loaded; `None`
    /// when no catalog serves such a machine.
    ///
    /// CUDA: `/proc/driver/nvidia/version` or `/dev/nvidiactl`, which NVIDIA's kernel module makes.
    /// `ROCm`: `/dev/kfd`, which the amdgpu module makes. Metal: macOS on 64-bit ARM. The processor
    /// comes last and always. Reads a few file names, nothing else.
    pub fn detect() -> Option<Self> {
        let platform = Platform::current()?;
        let architecture = Architecture::current()?;
        Some(Self::probe(platform, architecture, Path::new("/")))
    }

    fn probe(platform: Platform, architecture: Architecture, root: &Path) -> Self {
        let has = |path: &str| root.join(path).exists();
        let mut backends = Vec::new();
        match platform {
            Platform::Linux => {
                if has("proc/driver/nvidia/version") || has("dev/nvidiactl") {
                    backends.push(WorkerType::Cuda);
                }
                if has("dev/kfd") {
                    backends.push(WorkerType::Rocm);
                }
            }
            Platform::Macos if architecture == Architecture::Aarch64 => {
                backends.push(WorkerType::Metal);
            }
            Platform::Macos | Platform::Windows => {}
        }
        backends.push(WorkerType::Cpu);
        Self {
            platform,
            architecture,
            backends,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} on {} with {}",
            self.platform,
            self.architecture,
            if self.backends.is_empty() {
                "no backend"
            } else {
                "backend "
            }
        )?;
        for (n, backend) in self.backends.iter().enumerate() {
            write!(f, "{}`{backend}`", if n == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

/// A variant in a refusal: what it is and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Offer {
    /// Its backend.
    pub backend: String,
    /// Its operating systems; empty for any.
    pub platforms: Vec<String>,
    /// Its architectures; empty for any.
    pub architectures: Vec<String>,
}

impl Offer {
    pub(crate) fn of(variant: &Variant) -> Self {
        Self {
            backend: printable(variant.backend.as_str(), NAME_CHARS),
            platforms: names(&variant.platforms),
            architectures: names(&variant.architectures),
        }
    }
}

/// A name in an error; real ones have a handful of characters.
const NAME_CHARS: usize = 40;

fn names<T: Wire>(names: &[Named<T>]) -> Vec<String> {
    let shown = names.iter().take(20);
    shown.map(|n| printable(n.as_str(), NAME_CHARS)).collect()
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String], any: &str| {
            if names.is_empty() {
                any.to_owned()
            } else {
                names.join(", ")
            }
        };
        write!(
            f,
            "`{}` for {} on {}",
            self.backend,
            list(&self.platforms, "any system"),
            list(&self.architectures, "any architecture"),
        )
    }
}

/// The variant of a worker that fits a host: the first of the host's backends, in its order, that
/// a variant offers for the host's operating system and architecture.
///
/// # Errors
/// [`CatalogError::NoVariant`], which lists what would have fitted.
pub fn select<'a>(entry: &'a WorkerEntry, host: &Host) -> Result<&'a Variant, CatalogError> {
    let runs = |variant: &&Variant| variant.runs_on(host.platform, host.architecture);
    for backend in &host.backends {
        let mut offered = entry.variants.iter().filter(runs);
        if let Some(variant) = offered.find(|v| v.backend.known() == Some(*backend)) {
            return Ok(variant);
        }
    }
    let mut fitting: Vec<String> = Vec::new();
    for variant in entry.variants.iter().filter(runs) {
        let name = printable(variant.backend.as_str(), NAME_CHARS);
        if !fitting.contains(&name) && fitting.len() < 20 {
            fitting.push(name);
        }
    }
    Err(CatalogError::NoVariant {
        id: entry.id.to_string(),
        host: host.clone(),
        fitting,
        offered: entry.variants.iter().map(Offer::of).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use WorkerType::{Cpu, Cuda, Metal, Rocm};

    #[test]
    fn detection_reads_what_the_drivers_make() {
        let root = tempfile::tempdir().unwrap();
        let probe = |platform, arch| Host::probe(platform, arch, root.path()).backends;
        assert_eq!(probe(Platform::Linux, Architecture::X86_64), [Cpu]);
        assert_eq!(probe(Platform::Macos, Architecture::Aarch64), [Metal, Cpu]);
        assert_eq!(probe(Platform::Macos, Architecture::X86_64), [Cpu]);
        std::fs::create_dir_all(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/kfd"), "").unwrap();
        assert_eq!(probe(Platform::Linux, Architecture::X86_64), [Rocm, Cpu]);
        std::fs::create_dir_all(root.path().join("proc/driver/nvidia")).unwrap();
        std::fs::write(root.path().join("proc/driver/nvidia/version"), "").unwrap();
        assert_eq!(
            probe(Platform::Linux, Architecture::X86_64),
            [Cuda, Rocm, Cpu]
        );
        assert_eq!(probe(Platform::Windows, Architecture::X86_64), [Cpu]);
    }
}
