//! A control group (cgroup v2) for each build, below one that was delegated to the caller.
//!
//! Source: the kernel's `Documentation/admin-guide/cgroup-v2.rst`, "Delegation" and "Core Interface
//! Files". The host makes the group and opens its files before the fork; the kernel judges a write
//! by who opened the file, so the build's process can still move itself after it has become
//! somebody else.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::SandboxError;
use crate::limits::{LimitKind, Limits};
use crate::prepare::io_error;
use crate::run::Cause;

const PREFIX: &str = "build-sandbox-";

/// Groups of builds that run in this program.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The group of one build; removed when dropped, by when it must be empty.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    path: PathBuf,
    held: Vec<LimitKind>,
}

/// Open files of a group for the child.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct GroupFiles {
    /// `cgroup.procs`: a process that writes `0` moves itself.
    pub(crate) join: OwnedFd,
    /// `cgroup.kill`, which Linux has since 5.14: a `1` kills all members at once.
    pub(crate) kill: Option<OwnedFd>,
}

impl ControlGroup {
    /// Makes a group below `parent` with the limits that its controllers can hold.
    pub(crate) fn create(parent: &Path, limits: &Limits) -> Result<Self, SandboxError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        sweep(parent);
        for controller in ["+memory", "+pids"] {
            // Refused if it is not available, or if processes live in `parent` itself.
            let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        live(|paths| paths.insert(path.clone()));
        if let Err(error) = fs::create_dir(&path) {
            live(|paths| paths.remove(&path));
            return Err(io_error("make the control group", &path)(error));
        }
        let mut group = Self {
            path,
            held: Vec::new(),
        };
        let set = |file: &str, value: String| fs::write(group.path.join(file), value).is_ok();
        let mut held = Vec::new();
        if let Some(memory) = limits.memory
            && set("memory.max", memory.to_string())
        {
            // Otherwise swap would take what the limit refuses, and a build that lost one process
            // would go on and fail later with an error that explains nothing.
            set("memory.swap.max", "0".to_owned());
            set("memory.oom.group", "1".to_owned());
            held.push(LimitKind::Memory);
        }
        if set("pids.max", limits.processes.to_string()) {
            held.push(LimitKind::Processes);
        }
        group.held = held;
        Ok(group)
    }

    /// Which limits the group holds.
    pub(crate) fn held(&self) -> &[LimitKind] {
        &self.held
    }

    /// Opens what the child needs.
    pub(crate) fn files(&self) -> Result<GroupFiles, SandboxError> {
        let open = |name: &str| -> io::Result<OwnedFd> {
            let file = File::options().write(true).open(self.path.join(name))?;
            Ok(file.into())
        };
        Ok(GroupFiles {
            join: open("cgroup.procs").map_err(io_error("open the control group", &self.path))?,
            kill: open("cgroup.kill").ok(),
        })
    }

    /// The limit that the kernel held against the build, if any.
    pub(crate) fn breach(&self) -> Option<Cause> {
        if self.count("memory.events", "oom_kill") > 0 {
            let used = self.number("memory.peak").or(self.number("memory.max"));
            return Some(Cause::Memory {
                used: used.unwrap_or(0),
            });
        }
        (self.count("pids.events", "max") > 0).then(|| Cause::Processes {
            used: self.number("pids.max").unwrap_or(0),
        })
    }

    fn number(&self, file: &str) -> Option<u64> {
        let text = fs::read_to_string(self.path.join(file)).ok()?;
        text.trim().parse().ok()
    }

    fn count(&self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == key)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Members that are still ending, after a run that was dropped, keep it; the next build
        // sweeps it.
        let _ = fs::remove_dir(&self.path);
        live(|paths| paths.remove(&self.path));
    }
}

fn live<T>(change: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    change(&mut LIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Removes groups that ended programs, and runs of this one that were dropped, have left.
fn sweep(parent: &Path) {
    let own = std::process::id().to_string();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(owner) = owner else { continue };
        let left = if owner == own {
            live(|paths| !paths.contains(&entry.path()))
        } else {
            !Path::new("/proc").join(owner).exists()
        };
        if left {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
