//! What is allowed and where things go, as switches.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use worker_provisioner::{
    BackendPolicy, CheckPolicy, Config, DependencyPolicy, EvaluationPolicy, ExpiredSignatures,
    FlavorPreference, Isolation, IsolationChoice, ProgramNamePolicy, SignaturePolicy,
    TransportPolicy, Verification, WorkerType,
};

use crate::sources::{NetworkSwitches, SourceSwitches};

/// The switches of commands that build and install.
#[derive(Debug, Clone, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Switches {
    /// The catalog's base URL [default: `$WORKER_CATALOG_URL`, else `http://localhost:8787`].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// The backend to provide [default: what the host shows signs of].
    #[arg(long)]
    backend: Option<BackendArg>,
    /// Which recipe to use [default: binary where the catalog offers it, else source].
    #[arg(long)]
    from: Option<FlavorArg>,
    /// Where the binary goes [default: `$WORKER_BIN_DIR`, else /usr/local/bin if writable, else
    /// ~/.local/bin].
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Downloaded sources and catalog answers [default: the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// What is installed [default: the user's data folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A variable the recipe sees, such as `RBEE_FEATURES=cpu`; may be repeated.
    #[arg(long, value_name = "K=V", value_parser = variable)]
    set_env: Vec<(String, String)>,
    /// Public keys to verify signatures with, as `gpg --export` writes them [default:
    /// `$WORKER_KEYRING`].
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// A fingerprint whose signatures count; may be repeated [default: every key of the keyring].
    #[arg(long = "signer", value_name = "FINGERPRINT")]
    signers: Vec<String>,
    /// Let a good signature count that has expired, or whose key has.
    #[arg(long)]
    allow_expired_signatures: bool,
    /// Verify no signature, as makepkg does when told so.
    #[arg(long)]
    skippgpcheck: bool,
    /// Trust nobody: what the catalog and the recipe say counts only over TLS, with `checksum` or
    /// better for every source, read without running anything, built in tier namespaces without
    /// network, called like the worker, and not older than what is installed. The switches for
    /// each of these loosen it.
    #[arg(long)]
    unattended: bool,
    /// What to do about a recipe some of whose values only a shell can tell [default: isolated].
    #[arg(long)]
    evaluation: Option<EvaluationArg>,
    /// What the program must be called [default: any].
    #[arg(long, value_name = "RULE")]
    program_name: Option<ProgramNameArg>,
    /// Whether `prepare()` and `build()` may use the network [default: true].
    #[arg(long, value_name = "BOOL", conflicts_with = "no_build_network")]
    build_network: Option<bool>,
    /// What to do when the host lacks what the recipe depends on.
    #[arg(long, default_value = "require")]
    dependencies: DependenciesArg,
    /// What to do when the recipe's sources or program are for another backend than the one
    /// asked for.
    #[arg(long, default_value = "require")]
    backend_check: BackendCheckArg,
    /// How strongly the build is isolated.
    #[arg(long, default_value = "auto")]
    isolation: IsolationArg,
    /// The weakest isolation to build in; where the host allows less, nothing runs [default:
    /// group].
    #[arg(long, value_name = "TIER")]
    min_isolation: Option<TierArg>,
    /// The most memory of a build, such as `8G` [default: that of the host].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_limit: Option<u64>,
    /// The most that a build may take on disk [default: 256G].
    #[arg(long, value_name = "SIZE", value_parser = size)]
    disk_limit: Option<u64>,
    /// The most processes of a build at once [default: 8192].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    process_limit: Option<u64>,
    /// The least verification of every source, below which nothing is installed: `weak` is CRC, MD5
    /// or SHA-1, `checksum` is SHA-2, BLAKE2 or a full commit id, `signature` is by a key of the
    /// keyring [default: nothing].
    #[arg(long, value_name = "LEVEL")]
    min_verification: Option<VerificationArg>,
    /// Use nothing that the catalog or a source's host does not send over TLS.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    require_tls: Option<bool>,
    /// Give `prepare()` and `build()` no network.
    #[arg(long)]
    no_build_network: bool,
    #[command(flatten)]
    network: NetworkSwitches,
    #[command(flatten)]
    sources: SourceSwitches,
    /// Replace a newer version by an older one.
    #[arg(long)]
    allow_downgrade: bool,
    /// Ask nobody: use what is kept.
    #[arg(long)]
    offline: bool,
    /// Do not run the recipe's `check()`.
    #[arg(long)]
    nocheck: bool,
    /// Install a program without having run it.
    #[arg(long)]
    no_trial: bool,
    /// How many jobs `make` and `cargo` run at once [default: the number of processors].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// The longest that one function of a recipe may take, such as `90m` or `2h` [default: 6h].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    phase_timeout: Option<Duration>,
    /// A directory of tools that builds may read, such as a toolchain below a home; may be repeated.
    #[arg(long = "tool-dir", value_name = "DIR")]
    tool_dirs: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BackendArg {
    Cpu,
    Cuda,
    Metal,
    Rocm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FlavorArg {
    Source,
    Binary,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EvaluationArg {
    /// Refuse it.
    Static,
    /// Source it in the sandbox, in tier landlock or better.
    Isolated,
    /// Source it in whatever tier the host allows.
    AnyTier,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProgramNameArg {
    /// Any name that no other program has.
    Any,
    /// The worker's id, with its backend or without.
    Worker,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DependenciesArg {
    /// Fail before anything is downloaded.
    Require,
    /// Warn and go on.
    Warn,
    /// Look for nothing.
    Ignore,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackendCheckArg {
    Require,
    Warn,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IsolationArg {
    Auto,
    Namespaces,
    Landlock,
    Group,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TierArg {
    Namespaces,
    Landlock,
    Group,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VerificationArg {
    Nothing,
    Weak,
    Checksum,
    Signature,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form NAME=VALUE")),
    }
}

/// Reads seconds, or with a suffix minutes (`m`), hours (`h`) or days (`d`).
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.chars().last() {
        Some(unit) if unit.is_ascii_alphabetic() => (&text[..text.len() - 1], unit),
        _ => (text, 's'),
    };
    let seconds = match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let whole = seconds
        .zip(number.parse::<u64>().ok())
        .and_then(|(seconds, number)| number.checked_mul(seconds));
    whole
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`{text}` is no time such as `90m` or `2h`"))
}

/// Reads bytes, or with a suffix KiB (`K`), MiB (`M`), GiB (`G`) or TiB (`T`).
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.chars().last() {
        Some(unit) if unit.is_ascii_alphabetic() => (&text[..text.len() - 1], unit),
        _ => (text, ' '),
    };
    let shift = match unit.to_ascii_uppercase() {
        ' ' => Some(0),
        'K' => Some(10),
        'M' => Some(20),
        'G' => Some(30),
        'T' => Some(40),
        _ => None,
    };
    let bytes = shift
        .zip(number.parse::<u64>().ok())
        .and_then(|(shift, number)| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| format!("`{text}` is no size such as `512M` or `8G`"))
}

impl From<BackendArg> for WorkerType {
    fn from(backend: BackendArg) -> Self {
        match backend {
            BackendArg::Cpu => Self::Cpu,
            BackendArg::Cuda => Self::Cuda,
            BackendArg::Metal => Self::Metal,
            BackendArg::Rocm => Self::Rocm,
        }
    }
}

impl Switches {
    #[allow(clippy::too_many_lines, reason = "one switch after the other")]
    /// The configuration of the environment, as the switches change it.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::from_env();
        if self.unattended {
            config = config.unattended();
        }
        if let Some(url) = &self.catalog {
            config.catalog_urls = vec![url.clone()];
        }
        config.backend = self.backend.map(WorkerType::from);
        config.flavor = match self.from {
            None => FlavorPreference::Any,
            Some(FlavorArg::Binary) => FlavorPreference::Binary,
            Some(FlavorArg::Source) => FlavorPreference::Source,
        };
        if let Some(evaluation) = self.evaluation {
            config.evaluation = match evaluation {
                EvaluationArg::Static => EvaluationPolicy::Static,
                EvaluationArg::Isolated => EvaluationPolicy::Isolated,
                EvaluationArg::AnyTier => EvaluationPolicy::AnyTier,
            };
        }
        config.dependencies = match self.dependencies {
            DependenciesArg::Require => DependencyPolicy::Require,
            DependenciesArg::Warn => DependencyPolicy::Warn,
            DependenciesArg::Ignore => DependencyPolicy::Ignore,
        };
        config.backend_check = match self.backend_check {
            BackendCheckArg::Require => BackendPolicy::Require,
            BackendCheckArg::Warn => BackendPolicy::Warn,
        };
        config.isolation = match self.isolation {
            IsolationArg::Auto => IsolationChoice::Auto,
            IsolationArg::Namespaces => IsolationChoice::Exactly(Isolation::Namespaces),
            IsolationArg::Landlock => IsolationChoice::Exactly(Isolation::Landlock),
            IsolationArg::Group => IsolationChoice::Exactly(Isolation::Group),
        };
        if let Some(tier) = self.min_isolation {
            config.minimum_isolation = match tier {
                TierArg::Namespaces => Isolation::Namespaces,
                TierArg::Landlock => Isolation::Landlock,
                TierArg::Group => Isolation::Group,
            };
        }
        if let Some(level) = self.min_verification {
            config.minimum_verification = match level {
                VerificationArg::Nothing => Verification::Nothing,
                VerificationArg::Weak => Verification::Weak,
                VerificationArg::Checksum => Verification::Checksum,
                VerificationArg::Signature => Verification::Signature,
            };
        }
        match self.require_tls {
            Some(true) => config.catalog_transport = TransportPolicy::Tls,
            Some(false) => config.catalog_transport = TransportPolicy::Any,
            None => {}
        }
        match self.program_name {
            Some(ProgramNameArg::Any) => config.program_name = ProgramNamePolicy::Any,
            Some(ProgramNameArg::Worker) => config.program_name = ProgramNamePolicy::Worker,
            None => {}
        }
        if self.no_build_network {
            config.build_network = false;
        }
        if let Some(network) = self.build_network {
            config.build_network = network;
        }
        if self.bin_dir.is_some() {
            config.bin_dir.clone_from(&self.bin_dir);
        }
        if let Some(folder) = &self.cache_dir {
            config.cache_dir.clone_from(folder);
        }
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
        if self.keyring.is_some() {
            config.keyring.clone_from(&self.keyring);
        }
        config.accepted_signers.clone_from(&self.signers);
        if self.allow_expired_signatures {
            config.expired_signatures = ExpiredSignatures::Accept;
        }
        self.limit(&mut config);
        config.allow_downgrade = self.allow_downgrade;
        config.offline = self.offline;
        config.jobs = self.jobs.or(config.jobs);
        if self.nocheck {
            config.check = CheckPolicy::Skip;
        }
        if self.no_trial {
            config.trial = false;
        }
        if let Some(limit) = self.phase_timeout {
            config.phase_timeout = limit;
        }
        config.tool_dirs.extend(self.tool_dirs.iter().cloned());
        if self.skippgpcheck {
            config.signatures = SignaturePolicy::Skip;
        }
        config.ca_files.clone_from(&self.network.ca_files);
        if let Some(count) = self.network.connections_per_host {
            config.connections_per_host = count;
        }
        let hosts = self.sources.allow_source_host.iter().cloned();
        config.source_hosts.extend(hosts);
        config.credentials = self.sources.tokens(config.credentials);
        if self.sources.netrc_file.is_some() {
            config.netrc_file.clone_from(&self.sources.netrc_file);
        }
        config.insecure_sources = self.sources.allow_insecure_sources;
        config.ssh_sources = self.sources.allow_ssh_sources;
        config.history = self.sources.history();
        config.recipe_env.extend(self.set_env.iter().cloned());
        config
    }

    fn limit(&self, config: &mut Config) {
        config.memory_limit = self.memory_limit;
        if let Some(limit) = self.disk_limit {
            config.disk_limit = limit;
        }
        if let Some(limit) = self.process_limit {
            config.process_limit = limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for text in ["", "0", "h", "-1h", "1w", "1.5h", "99999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_powers_of_two() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("8G"), Ok(8 << 30));
        assert_eq!(size("3m"), Ok(3 << 20));
        for text in ["", "0", "G", "-1G", "1X", "é", "99999999T", "1.5G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
