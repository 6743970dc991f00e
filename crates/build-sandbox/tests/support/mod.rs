//! What the tests share: a build directory, a recorder of events and the tiers of this host.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use build_sandbox::{
    BuildSpec, Config, Event, Isolation, IsolationChoice, Reporter, Sandbox, SandboxError,
};

/// Set in every process of a build, so that survivors can be counted without asking the sandbox.
pub const MARKER: &str = "BUILD_SANDBOX_TEST_MARKER";

pub struct Build {
    pub directory: tempfile::TempDir,
    pub spec: BuildSpec,
    pub marker: String,
}

/// A build of a recipe with this text, for one tier, killed without grace.
pub fn build(tier: Isolation, recipe: &str) -> Build {
    build_in(&std::env::temp_dir(), tier, recipe)
}

pub fn build_in(parent: &Path, tier: Isolation, recipe: &str) -> Build {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let directory = tempfile::Builder::new()
        .prefix("build-sandbox-")
        .tempdir_in(parent)
        .unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let startdir = directory.path().join("start");
    fs::create_dir(&startdir).unwrap();
    fs::write(startdir.join("PKGBUILD"), recipe).unwrap();
    let mut spec = BuildSpec::new(&startdir, "demo");
    spec.isolation = IsolationChoice::Exactly(tier);
    spec.grace = Duration::ZERO;
    let marker = format!(
        "{}-{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    spec.environment.insert(MARKER.to_owned(), marker.clone());
    Build {
        directory,
        spec,
        marker,
    }
}

impl Build {
    pub fn path(&self, name: &str) -> PathBuf {
        self.spec.srcdir.join(name)
    }

    pub fn survivors(&self) -> Vec<u32> {
        survivors(&self.marker)
    }
}

/// Processes, zombies left out, that carry the marker in their environment.
pub fn survivors(marker: &str) -> Vec<u32> {
    let needle = format!("{MARKER}={marker}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|b| *b == 0)
            .any(|variable| variable == needle.as_bytes())
        {
            found.push(pid);
        }
    }
    found
}

/// Waits until a condition holds; fails loudly if it never does.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 30 s for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::new(Config::default())
}

/// The tiers that work here; names the others on stderr.
pub async fn tiers(sandbox: &Sandbox) -> Vec<Isolation> {
    let capabilities = sandbox.probe().await;
    for (tier, status) in &capabilities.tiers {
        if !status.works() {
            eprintln!("skipped: tier `{tier}` does not work here: {status:?}");
        }
    }
    capabilities
        .tiers
        .iter()
        .filter(|(_, status)| status.works())
        .map(|(tier, _)| *tier)
        .collect()
}

pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        eprintln!("skipped: `{program}` is not installed");
    }
    found
}

#[derive(Default)]
pub struct Recorder {
    pub lines: Mutex<Vec<String>>,
    pub warnings: Mutex<Vec<String>>,
}

impl Reporter for Recorder {
    fn report(&self, event: Event<'_>) {
        match event {
            Event::Output { text, .. } => self.lines.lock().unwrap().push(text.into_owned()),
            Event::Warning { text } => self.warnings.lock().unwrap().push(text.into_owned()),
            _ => {}
        }
    }
}

impl Recorder {
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

pub fn chain(error: &SandboxError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
