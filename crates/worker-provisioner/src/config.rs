//! What a provisioner is told once: plain data, with one explicit reading of the environment.

mod choices;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use build_sandbox::{Isolation, IsolationChoice};
use catalog_client::{Token, WorkerType};
use network_policy::{HostRule, Proxies};
use source_fetch::Credentials;

use crate::error::ProvisionError;
use crate::history_policy::HistoryPolicy;
use crate::places;
use crate::receipt::Verification;
pub use choices::{
    BackendPolicy, CheckPolicy, DependencyPolicy, EvaluationPolicy, ExpiredSignatures,
    FlavorPreference, ProgramNamePolicy, SignaturePolicy, TransportPolicy,
};

/// The catalog asked when none is configured.
pub const DEFAULT_CATALOG_URL: &str = "http://localhost:8787";

/// Everything a [`WorkerProvisioner`](crate::WorkerProvisioner) needs to know.
///
/// [`Config::new`] reads no environment; [`Config::from_env`] is the one function that does.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Config {
    /// Base URLs of the catalog and its mirrors, tried in order.
    pub catalog_urls: Vec<String>,
    /// The bearer token of a licensed catalog; it is sent to the catalog's own origin only.
    pub catalog_token: Option<Token>,
    /// Root certificates to trust in the catalog's name beside the built-in ones, as PEM bundles.
    pub catalog_root_certificates: Vec<Vec<u8>>,
    /// PEM files of authorities that TLS trusts beside those of the host, or beside those that
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name in their place: for the catalog, downloads and git
    /// alike. Where the host has none, Mozilla's count as this program was built with them.
    pub ca_files: Vec<PathBuf>,
    /// The proxies that all of those go through; `None` is as the environment says when the
    /// provisioner is made ([`Proxies::from_env`]). This machine itself is asked without one.
    pub proxies: Option<Proxies>,
    /// What the hosts of sources ask for; see [`Credentials`] for whom each goes to. None of it
    /// reaches a build, an event, a receipt or an error.
    pub credentials: Credentials,
    /// A netrc file, whose logins count for the hosts of [`Config::source_hosts`].
    pub netrc_file: Option<PathBuf>,
    /// How much is asked of one host at once, by the catalog's client, downloads and git together; at
    /// least one. 4.
    pub connections_per_host: usize,
    /// The longest time for which whoever sends a source may be silent, and over which
    /// [`Config::lowest_speed`] is judged; git servers, which may have to prepare what they send, are
    /// judged over ten times that. A minute.
    pub longest_silence: Duration,
    /// The fewest bytes a minute that whoever sends a source must keep sending, so that nobody holds
    /// a provision for ever; zero for no such rule. 64 KiB.
    pub lowest_speed: u64,
    /// Which git sources come with their whole history.
    pub history: HistoryPolicy,
    /// Use what is cached and make no request at all.
    pub offline: bool,
    /// The longest time for which a kept answer of the catalog is used without asking again,
    /// whatever time the catalog gave it. A day.
    pub catalog_longest_fresh: Duration,
    /// The longest time since the catalog was last heard of something for which a kept copy of that
    /// is used while the catalog cannot be reached, or with `offline`. Seven days.
    pub catalog_longest_stale: Duration,
    /// The backend to provide; detected when absent.
    pub backend: Option<WorkerType>,
    /// Which of a worker's recipes to use.
    pub flavor: FlavorPreference,
    /// Where binaries are installed; when absent `/usr/local/bin` if it is writable, else
    /// `~/.local/bin`.
    pub bin_dir: Option<PathBuf>,
    /// Downloaded sources and catalog answers; empty where none is known, which is refused.
    pub cache_dir: PathBuf,
    /// What is installed; empty where none is known, which is refused. Like [`Config::cache_dir`]
    /// and [`Config::bin_dir`] it must be the user's or root's, with everything above it, and not be
    /// writable by others.
    pub data_dir: PathBuf,
    /// Build folders are made below it: `/tmp`, or what `TMPDIR` says in [`Config::from_env`].
    pub temp_dir: PathBuf,
    /// The home of the person the provisioner works for, where there is one.
    pub home: Option<PathBuf>,
    /// Where programs are looked for, by the recipe's functions and by backend detection.
    pub search_path: Vec<PathBuf>,
    /// Folders a build may read although the sandbox hides what is around them, such as a Rust
    /// toolchain below a home.
    pub tool_dirs: Vec<PathBuf>,
    /// Extra variables the recipe sees, such as `RBEE_FEATURES`.
    pub recipe_env: BTreeMap<String, String>,
    /// How strongly builds are isolated: by default as strongly as the host allows.
    pub isolation: IsolationChoice,
    /// Whether `prepare()` and `build()` may use the network.
    pub build_network: bool,
    /// What to do when `check()` fails.
    pub check: CheckPolicy,
    /// What to do about a recipe some of whose values only a shell can tell.
    pub evaluation: EvaluationPolicy,
    /// What to do when the host lacks what a recipe depends on.
    pub dependencies: DependencyPolicy,
    /// What to do when what a recipe gives is for another backend than the one asked for.
    pub backend_check: BackendPolicy,
    /// How many jobs `make` and `cargo` run at once; the number of processors when absent.
    pub jobs: Option<u32>,
    /// How many workers are built at once; others wait for a slot.
    pub parallel_builds: usize,
    /// The least verification every source of a worker must have for it to be installed; a source
    /// of `SKIP`, or of a branch or tag, has none.
    pub minimum_verification: Verification,
    /// The weakest isolation a worker may be built in; on a host that allows less nothing of a recipe
    /// runs, and what was built in less before is built again.
    pub minimum_isolation: Isolation,
    /// How a worker's entry and recipe must have come to be used.
    pub catalog_transport: TransportPolicy,
    /// Hosts that recipes may fetch from whatever their address is, this machine's own and those of
    /// its network included; the person's git configuration applies to them alone. The catalog's
    /// own origin is always allowed.
    pub source_hosts: Vec<HostRule>,
    /// Whether recipes may fetch over `http` and `git` what no sha2 or blake2 digest and no full
    /// commit id pins.
    pub insecure_sources: bool,
    /// Whether recipes may fetch over ssh, with the person's own keys and agent.
    pub ssh_sources: bool,
    /// `OpenPGP` certificates, armoured or binary, that signatures are verified with; a recipe that
    /// asks for that needs them.
    pub keyring: Option<PathBuf>,
    /// Fingerprints of the keys whose signatures count as [`Verification::Signature`], in
    /// hexadecimal of either case; when empty all keys of [`Config::keyring`] do. A recipe names
    /// which key of the keyring signs it: this is the operator's word on which keys may.
    pub accepted_signers: Vec<String>,
    /// Whether a good signature counts that has expired, or whose key has.
    pub expired_signatures: ExpiredSignatures,
    /// What the program must be called.
    pub program_name: ProgramNamePolicy,
    /// Whether an older version may replace a newer one: by epoch, pkgver and pkgrel as vercmp(8)
    /// orders them, after `pkgver()`. Going back with
    /// [`rollback`](crate::WorkerProvisioner::rollback) is always allowed.
    pub allow_downgrade: bool,
    /// What to do with the signatures a recipe brings.
    pub signatures: SignaturePolicy,
    /// Whether a new binary must run (`--version`, else `--help`) before it replaces an old one.
    pub trial: bool,
    /// How long a cancelled build may take to end by itself before it is killed.
    pub grace: Duration,
    /// The longest time one recipe function may take.
    pub phase_timeout: Duration,
    /// The most memory, in bytes, that all processes of a build may have together; that of the host
    /// when absent.
    pub memory_limit: Option<u64>,
    /// The most bytes that a build's directories may take on disk together, and any one source of
    /// it; 256 GiB by default.
    pub disk_limit: u64,
    /// The most processes of a build at once; 8192 by default.
    pub process_limit: u64,
}

impl Config {
    /// A configuration with every folder below `root` and the default catalog.
    ///
    /// Programs are looked for in the system's own folders alone. Nothing is read or created.
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self {
            catalog_urls: vec![DEFAULT_CATALOG_URL.to_owned()],
            catalog_token: None,
            catalog_root_certificates: Vec::new(),
            ca_files: Vec::new(),
            proxies: None,
            credentials: Credentials::default(),
            netrc_file: None,
            connections_per_host: 4,
            longest_silence: Duration::from_mins(1),
            lowest_speed: 64 << 10,
            history: HistoryPolicy::default(),
            offline: false,
            catalog_longest_fresh: Duration::from_hours(24),
            catalog_longest_stale: Duration::from_hours(7 * 24),
            backend: None,
            flavor: FlavorPreference::Any,
            bin_dir: Some(root.join("bin")),
            cache_dir: root.join("cache"),
            data_dir: root.join("data"),
            temp_dir: PathBuf::from("/tmp"),
            home: None,
            search_path: system_search_path(),
            tool_dirs: Vec::new(),
            recipe_env: BTreeMap::new(),
            isolation: IsolationChoice::Auto,
            build_network: true,
            check: CheckPolicy::Run,
            evaluation: EvaluationPolicy::default(),
            dependencies: DependencyPolicy::default(),
            backend_check: BackendPolicy::default(),
            jobs: None,
            parallel_builds: 1,
            minimum_verification: Verification::Nothing,
            minimum_isolation: Isolation::Group,
            catalog_transport: TransportPolicy::default(),
            source_hosts: Vec::new(),
            insecure_sources: false,
            ssh_sources: false,
            keyring: None,
            accepted_signers: Vec::new(),
            expired_signatures: ExpiredSignatures::default(),
            program_name: ProgramNamePolicy::default(),
            allow_downgrade: false,
            signatures: SignaturePolicy::Verify,
            trial: true,
            grace: Duration::from_millis(500),
            phase_timeout: Duration::from_hours(6),
            memory_limit: None,
            disk_limit: 256 << 30,
            process_limit: 8192,
        }
    }

    /// The configuration a person expects from their environment.
    ///
    /// Read are `WORKER_CATALOG_URL`, `WORKER_CATALOG_TOKEN`, `WORKER_BIN_DIR`, `WORKER_KEYRING`,
    /// `WORKER_NETRC`, `WORKER_SOURCE_HOSTS` (`HOST[:PORT]`, with commas between them),
    /// `HOME` (then `USERPROFILE`), `XDG_CACHE_HOME`, `XDG_DATA_HOME`, `TMPDIR`, `PATH`,
    /// `CARGO_HOME`, `RUSTUP_HOME` and `RBEE_FEATURES`. Empty values count as unset.
    ///
    /// Where there is no home, as in a system service, `STATE_DIRECTORY` and `CACHE_DIRECTORY`
    /// (systemd.exec(5)) say what is kept where, and for root `/var/lib/rbee` and
    /// `/var/cache/rbee`. Otherwise [`Config::data_dir`] and [`Config::cache_dir`] stay empty, and
    /// [`WorkerProvisioner::new`](crate::WorkerProvisioner::new) refuses unless they are set.
    /// Nothing is ever kept below a directory for temporary files that was not named.
    pub fn from_env() -> Self {
        let home = folder("HOME").or_else(|| folder("USERPROFILE"));
        let below_home = |variable: &str, below: &str| {
            folder(variable).or_else(|| home.as_ref().map(|home| home.join(below)))
        };
        let is_root = nix::unistd::geteuid().is_root();
        let of_service = |variable: &str, of_root: &str| {
            service_folder(variable).or_else(|| is_root.then(|| PathBuf::from(of_root)))
        };
        let cache = below_home("XDG_CACHE_HOME", ".cache")
            .map(|cache| cache.join("rbee/provisioner"))
            .or_else(|| of_service("CACHE_DIRECTORY", "/var/cache/rbee"));
        let data = below_home("XDG_DATA_HOME", ".local/share")
            .map(|data| data.join("rbee"))
            .or_else(|| of_service("STATE_DIRECTORY", "/var/lib/rbee"));
        let mut config = Self::new("");
        config.cache_dir = cache.unwrap_or_default();
        config.data_dir = data.unwrap_or_default();
        config.temp_dir = env::temp_dir();
        config.bin_dir = folder("WORKER_BIN_DIR");
        if let Some(url) = text("WORKER_CATALOG_URL") {
            config.catalog_urls = vec![url];
        }
        config.catalog_token = text("WORKER_CATALOG_TOKEN").map(Token::new);
        config.keyring = folder("WORKER_KEYRING");
        config.netrc_file = folder("WORKER_NETRC");
        if let Some(hosts) = text("WORKER_SOURCE_HOSTS") {
            config.source_hosts = source_hosts(&hosts);
        }
        config.search_path = match env::var_os("PATH") {
            Some(path) if !path.is_empty() => env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect(),
            _ => system_search_path(),
        };
        let rustup = below_home("RUSTUP_HOME", ".rustup").filter(|folder| folder.is_dir());
        let cargo = below_home("CARGO_HOME", ".cargo").map(|cargo| cargo.join("bin"));
        config.tool_dirs = cargo.into_iter().chain(rustup.clone()).collect();
        config.tool_dirs.retain(|folder| folder.is_dir());
        // A `cargo` that rustup manages finds its toolchains by it; the build has a home of its own.
        if let Some(rustup) = rustup.as_deref().and_then(Path::to_str) {
            config
                .recipe_env
                .insert("RUSTUP_HOME".to_owned(), rustup.to_owned());
        }
        if let Some(features) = text("RBEE_FEATURES") {
            config
                .recipe_env
                .insert("RBEE_FEATURES".to_owned(), features);
        }
        config.home = home;
        config
    }

    /// The configuration for a program that installs with nobody watching: whatever a catalog or a
    /// recipe says, it is refused unless
    ///
    /// - the catalog was read over TLS ([`Config::catalog_transport`]),
    /// - no source is of this machine or its network, unencrypted or over ssh: what the operator had
    ///   allowed recipes to ask is forgotten ([`Config::source_hosts`],
    ///   [`Config::insecure_sources`], [`Config::ssh_sources`]),
    /// - every source is of [`Verification::Checksum`] or better, by a signature only while that is
    ///   current ([`Config::minimum_verification`], [`Config::expired_signatures`]), and those that
    ///   are signed are verified ([`Config::signatures`]),
    /// - builds run in [`Isolation::Namespaces`] ([`Config::isolation`],
    ///   [`Config::minimum_isolation`]), without network ([`Config::build_network`]),
    /// - the recipe can be read without running anything of it ([`Config::evaluation`]),
    /// - the program is called like the worker ([`Config::program_name`]) and runs
    ///   ([`Config::trial`]), and is for the backend asked for ([`Config::backend_check`]),
    /// - the version is not older than the installed one ([`Config::allow_downgrade`]).
    ///
    /// Each is a field of its own, which can be loosened afterwards; a minimum that is higher
    /// already stays.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        self.catalog_transport = TransportPolicy::Tls;
        self.source_hosts.clear();
        self.insecure_sources = false;
        self.ssh_sources = false;
        self.minimum_verification = self.minimum_verification.max(Verification::Checksum);
        self.expired_signatures = ExpiredSignatures::Refuse;
        self.signatures = SignaturePolicy::Verify;
        self.isolation = IsolationChoice::Auto;
        self.minimum_isolation = Isolation::Namespaces;
        self.build_network = false;
        self.evaluation = EvaluationPolicy::Static;
        self.program_name = ProgramNamePolicy::Worker;
        self.trial = true;
        self.backend_check = BackendPolicy::Require;
        self.allow_downgrade = false;
        self
    }

    /// The configuration with absolute directories, whatever the working directory becomes.
    ///
    /// # Errors
    /// [`ProvisionError::NoDirectory`] where it is not known what to keep where,
    /// [`ProvisionError::UnsafeDirectory`] where somebody else could change what is kept.
    pub(crate) fn settled(mut self) -> Result<Self, ProvisionError> {
        for (directory, what, set) in [
            (
                &mut self.data_dir,
                "installed workers",
                "`HOME`, `XDG_DATA_HOME` or `STATE_DIRECTORY`, or give `--data-dir`",
            ),
            (
                &mut self.cache_dir,
                "downloads",
                "`HOME`, `XDG_CACHE_HOME` or `CACHE_DIRECTORY`, or give `--cache-dir`",
            ),
        ] {
            if directory.as_os_str().is_empty() {
                return Err(ProvisionError::NoDirectory { what, set });
            }
            *directory = places::absolute(directory);
        }
        self.bin_dir = self.bin_dir.map(|path| places::absolute(&path));
        self.keyring = self.keyring.map(|path| places::absolute(&path));
        self.netrc_file = self.netrc_file.map(|path| places::absolute(&path));
        for file in &mut self.ca_files {
            *file = places::absolute(file);
        }
        self.temp_dir = places::absolute(&self.temp_dir);
        self.judge_directories()?;
        Ok(self)
    }

    /// Refuses directories in which somebody else could change what is kept or installed.
    pub(crate) fn judge_directories(&self) -> Result<(), ProvisionError> {
        let directories = [&self.data_dir, &self.cache_dir].into_iter();
        for directory in directories.chain(&self.bin_dir) {
            places::judge(directory)?;
        }
        // Everybody may write to a sticky one, but not to what is made in it.
        places::judge(&self.temp_dir.join("worker-provisioner"))
    }

    /// Whether signatures by the key of that fingerprint count.
    pub(crate) fn accepts_signer(&self, fingerprint: &str) -> bool {
        let same = |accepted: &String| {
            let accepted = accepted.replace(' ', "");
            accepted.eq_ignore_ascii_case(fingerprint)
        };
        self.accepted_signers.is_empty() || self.accepted_signers.iter().any(same)
    }
}

fn system_search_path() -> Vec<PathBuf> {
    [
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
    ]
    .map(PathBuf::from)
    .to_vec()
}

/// The hosts of a list with commas; what is none is left out, so that it is refused when it is asked
/// for.
fn source_hosts(list: &str) -> Vec<HostRule> {
    let hosts = list.split(',').map(str::trim);
    hosts
        .filter(|host| !host.is_empty())
        .filter_map(|host| {
            host.parse()
                .inspect_err(
                    |error| tracing::warn!(%error, "`WORKER_SOURCE_HOSTS` is not understood"),
                )
                .ok()
        })
        .collect()
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// systemd gives several directories separated by colons; the first is meant.
fn service_folder(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name)?;
    env::split_paths(&value)
        .next()
        .filter(|path| path.is_absolute())
}

fn folder(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
