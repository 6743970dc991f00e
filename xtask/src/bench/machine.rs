//! What the figures were taken on, in general terms, and the peers' versions.

use std::process::Command;

use serde::Serialize;

/// The machine and the programs compared with.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Processors that this process may use.
    pub(crate) processors: usize,
    /// Memory in GiB.
    pub(crate) memory_gib: u64,
    /// The operating system's kernel.
    pub(crate) kernel: String,
    /// How many programs wanted to run, on average of the last minute, before the first run.
    pub(crate) load: Option<f64>,
    /// First lines of `--version`, or that a program is missing.
    pub(crate) versions: Vec<(&'static str, Option<String>)>,
}

/// The programs compared with and what shows their version.
const PROGRAMS: [(&str, &[&str]); 9] = [
    ("makepkg", &["--version"]),
    ("git", &["--version"]),
    ("curl", &["--version"]),
    ("sha256sum", &["--version"]),
    ("tar", &["--version"]),
    ("zstd", &["--version"]),
    ("bash", &["--version"]),
    ("bwrap", &["--version"]),
    ("bsdtar", &["--version"]),
];

impl Machine {
    /// Asks.
    pub(crate) fn look() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let memory = read("/proc/meminfo")
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let numbers = release.trim().split(['-', '+']).next().unwrap_or_default();
        Self {
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            memory_gib: memory.div_ceil(1 << 20),
            kernel: format!("{} {numbers}", std::env::consts::OS),
            load: read("/proc/loadavg")
                .split_whitespace()
                .next()
                .and_then(|load| load.parse().ok()),
            versions: PROGRAMS
                .map(|(program, arguments)| (program, version(program, arguments)))
                .to_vec(),
        }
    }

    /// Whether a program is there.
    pub(crate) fn has(&self, program: &str) -> bool {
        self.versions
            .iter()
            .any(|(name, version)| *name == program && version.is_some())
    }

    /// Two lines for people.
    pub(crate) fn describe(&self) -> String {
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(program, version)| {
                let version = version.as_deref().unwrap_or("not installed");
                format!("{program} {version}")
            })
            .collect();
        let load = self
            .load
            .map_or_else(String::new, |load| format!(", load {load} at the start"));
        format!(
            "{} {}, {} processors, {} GiB{load}\npeers: {}",
            std::env::consts::ARCH,
            self.kernel,
            self.processors,
            self.memory_gib,
            versions.join(", ")
        )
    }
}

fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?;
    let number = line.split_whitespace().find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let word = word.strip_prefix('v').unwrap_or(word);
        (word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit())).then_some(word)
    });
    Some(number.unwrap_or(line).to_owned())
}
