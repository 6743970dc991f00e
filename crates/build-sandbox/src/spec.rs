use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::SandboxError;
use crate::isolation::{Isolation, IsolationChoice};
use crate::limits::Limits;
use crate::phase::Phase;

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading and executing only.
    ReadOnly,
    /// Reading, executing and writing.
    Writable,
}

/// A file or directory of the host that a build sees besides the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is on the host. A mount whose source does not exist is an error.
    pub source: PathBuf,
    /// Where the build sees it. Only [`Isolation::Namespaces`] can show it elsewhere than at
    /// `source`; the other tiers refuse a target that differs.
    pub target: PathBuf,
    /// Whether the build may write there.
    pub access: Access,
}

impl Mount {
    /// Shows a path of the host at the same place, for reading.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        let source = path.into();
        Self {
            target: source.clone(),
            source,
            access: Access::ReadOnly,
        }
    }

    /// Shows a path of the host at the same place, for writing.
    ///
    /// For a caller that runs as root the tree is handed to the build user first.
    pub fn writable(path: impl Into<PathBuf>) -> Self {
        Self {
            access: Access::Writable,
            ..Self::read_only(path)
        }
    }

    /// Moves the place where the build sees it.
    #[must_use]
    pub fn at(mut self, target: impl Into<PathBuf>) -> Self {
        self.target = target.into();
        self
    }
}

/// What a command may write besides its `/tmp`; see [`Sandbox::run_command`].
///
/// [`Sandbox::run_command`]: crate::Sandbox::run_command
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writable {
    /// What `build()` may write: the directories of the build and writable mounts.
    Build,
    /// Nothing of the build: `HOME`, `TMPDIR` and the working directory are a fresh, empty
    /// directory below `homedir`, which is removed when the command has ended.
    Private,
}

/// What a run may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    Nothing,
    Private,
    /// All directories of the build but startdir, which holds the recipe and other packages.
    Package,
    Build,
}

/// Whether a process may reach the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// Nothing but a private loopback interface where the tier can give one.
    None,
    /// The network of the host, its loopback services included.
    Host,
}

/// The network of each phase. `verify`, `check` and `package` never get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkPolicy {
    /// For `prepare` and `pkgver`. Default [`Network::Host`]: cargo, npm and go download there.
    pub prepare: Network,
    /// For `build`. Default [`Network::Host`].
    pub build: Network,
}

impl NetworkPolicy {
    /// No network in any phase.
    pub const NONE: Self = Self {
        prepare: Network::None,
        build: Network::None,
    };

    pub(crate) fn of(self, phase: &Phase) -> Network {
        match phase {
            Phase::Prepare | Phase::Pkgver => self.prepare,
            Phase::Build => self.build,
            Phase::Verify | Phase::Check | Phase::Package(_) => Network::None,
        }
    }
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            prepare: Network::Host,
            build: Network::Host,
        }
    }
}

/// What a failing `check()` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CheckPolicy {
    /// It fails the build.
    #[default]
    Run,
    /// `check()` is not run.
    Skip,
    /// It is reported as a warning and in the outcome.
    Warn,
}

/// The compiler flags that makepkg exports. An empty `RUSTFLAGS` is not set.
///
/// Source: makepkg.conf(5), "OPTIONS".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFlags {
    /// `CPPFLAGS`.
    pub cppflags: String,
    /// `CFLAGS`.
    pub cflags: String,
    /// `CXXFLAGS`.
    pub cxxflags: String,
    /// `LDFLAGS`.
    pub ldflags: String,
    /// `RUSTFLAGS`.
    pub rustflags: String,
}

/// Everything that the phases of one build share, as plain data.
#[derive(Clone, Debug)]
pub struct BuildSpec {
    /// The recipe file that bash sources. At most 1 MiB.
    pub recipe: PathBuf,
    /// `startdir`: the directory of the recipe. Must exist.
    pub startdir: PathBuf,
    /// Whether the build may write to `startdir`, as under makepkg. Default true.
    pub startdir_access: Access,
    /// Whether the parent of `startdir` is there for it alone and stays the caller's: where builds
    /// have a user of their own, only that user may pass it (mode 0710), so that nobody else gets
    /// at the build's files whatever mode a build gives them. Without effect for a caller that is
    /// not root. Default false.
    pub startdir_is_enclosed: bool,
    /// `srcdir`: the extracted sources, where each function but `verify()` starts. Created if missing.
    pub srcdir: PathBuf,
    /// `pkgdir`: the root of the package tree. Created if missing.
    pub pkgdir: PathBuf,
    /// Private files of this build that its phases share: `HOME`, `TMPDIR`, `CARGO_HOME` and friends
    /// point below it. Created if missing.
    pub homedir: PathBuf,
    /// `pkgbase`.
    pub pkgbase: String,
    /// `pkgname`, all of them for a split package. Only used to tell one package from many.
    pub pkgname: Vec<String>,
    /// `pkgver`. If it is not what the recipe says, the recipe is sourced with its `pkgver=` line
    /// replaced, as makepkg does after `pkgver()`, so that derived variables follow.
    pub pkgver: Option<String>,
    /// `pkgrel`, replaced in the same way.
    pub pkgrel: Option<String>,
    /// `epoch`, replaced in the same way.
    pub epoch: Option<String>,
    /// `CARCH`, for example `x86_64`.
    pub carch: String,
    /// `CHOST`, for example `x86_64-pc-linux-gnu`.
    pub chost: String,
    /// Compiler flags.
    pub flags: BuildFlags,
    /// `MAKEFLAGS`, for example `-j8`.
    pub makeflags: String,
    /// `SOURCE_DATE_EPOCH` in seconds since 1970; `None` leaves it unset. Default: the time at which
    /// the spec was made, as makepkg takes that of its start.
    pub source_date_epoch: Option<u64>,
    /// More environment variables. Names must be shell identifiers and must not be one of those
    /// that the sandbox sets or that change how programs are loaded.
    pub environment: BTreeMap<String, String>,
    /// `PATH`, in order. Default `/usr/local/sbin`, `/usr/local/bin`, `/usr/bin`, `/usr/sbin`,
    /// `/bin`, `/sbin`.
    pub path: Vec<PathBuf>,
    /// Files and directories of the host that the build sees besides the root file system.
    pub mounts: Vec<Mount>,
    /// Which phases have a network.
    pub network: NetworkPolicy,
    /// What the build may use.
    pub limits: Limits,
    /// What a failing `check()` means.
    pub check: CheckPolicy,
    /// Where the whole output goes, stdout and stderr as they came. Appended to.
    pub log_file: Option<PathBuf>,
    /// Bytes after which the log file stops growing and notes how many were dropped. Default
    /// 256 MiB.
    pub log_file_cap: u64,
    /// The weakest isolation that is acceptable; below it the run is refused. Default
    /// [`Isolation::Group`].
    pub minimum: Isolation,
    /// The isolation asked for.
    pub isolation: IsolationChoice,
    /// Time between SIGTERM and SIGKILL when a build is cancelled or breaks a limit; zero sends
    /// SIGKILL at once. Default 2 s.
    pub grace: Duration,
}

impl BuildSpec {
    /// A build of the recipe in `startdir`, with makepkg's directory names below it:
    /// `src`, `pkg/<pkgname>` and, for private files, `home`.
    pub fn new(startdir: impl Into<PathBuf>, pkgname: impl Into<String>) -> Self {
        let startdir = startdir.into();
        let pkgname = pkgname.into();
        Self {
            recipe: startdir.join("PKGBUILD"),
            srcdir: startdir.join("src"),
            pkgdir: startdir.join("pkg").join(&pkgname),
            homedir: startdir.join("home"),
            startdir,
            startdir_access: Access::Writable,
            startdir_is_enclosed: false,
            pkgbase: pkgname.clone(),
            pkgname: vec![pkgname],
            pkgver: None,
            pkgrel: None,
            epoch: None,
            carch: std::env::consts::ARCH.to_owned(),
            chost: format!("{}-pc-linux-gnu", std::env::consts::ARCH),
            flags: BuildFlags::default(),
            makeflags: String::new(),
            source_date_epoch: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .map(|since| since.as_secs()),
            environment: BTreeMap::new(),
            path: [
                "/usr/local/sbin",
                "/usr/local/bin",
                "/usr/bin",
                "/usr/sbin",
                "/bin",
                "/sbin",
            ]
            .map(PathBuf::from)
            .to_vec(),
            mounts: Vec::new(),
            network: NetworkPolicy::default(),
            limits: Limits::default(),
            check: CheckPolicy::default(),
            log_file: None,
            log_file_cap: 256 << 20,
            minimum: Isolation::Group,
            isolation: IsolationChoice::Auto,
            grace: Duration::from_secs(2),
        }
    }

    /// Checks every text that reaches the shell or the environment.
    pub(crate) fn validate(&self) -> Result<(), SandboxError> {
        for (field, path) in [
            ("recipe", &self.recipe),
            ("startdir", &self.startdir),
            ("srcdir", &self.srcdir),
            ("pkgdir", &self.pkgdir),
            ("homedir", &self.homedir),
        ] {
            check_path(field, path)?;
        }
        for mount in &self.mounts {
            check_path("mount", &mount.source)?;
            check_path("mount", &mount.target)?;
        }
        for path in &self.path {
            check_path("PATH", path)?;
            if path.as_os_str().as_encoded_bytes().contains(&b':') {
                return Err(invalid("PATH", "contains a colon", path.display()));
            }
        }
        check_name("pkgbase", &self.pkgbase)?;
        for name in &self.pkgname {
            check_name("pkgname", name)?;
        }
        if let Some(version) = &self.pkgver {
            check_pkgver(version).map_err(|problem| invalid("pkgver", problem, version))?;
        }
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if let Some(pkgrel) = self.pkgrel.as_ref().filter(|text| !digits(text)) {
            return Err(invalid("pkgrel", "must be a number", pkgrel));
        }
        if let Some(epoch) = self
            .epoch
            .as_ref()
            .filter(|text| !text.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(invalid("epoch", "must be a whole number", epoch));
        }
        for (field, text) in [("CARCH", &self.carch), ("CHOST", &self.chost)] {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            if text.is_empty() || !text.bytes().all(fine) {
                return Err(invalid(
                    field,
                    "must be letters, digits, `_`, `-` or `.`",
                    text,
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn invalid(
    field: &'static str,
    problem: &'static str,
    value: impl std::fmt::Display,
) -> SandboxError {
    SandboxError::InvalidSpec {
        field,
        problem,
        value: value.to_string().chars().take(200).collect(),
    }
}

fn check_path(field: &'static str, path: &Path) -> Result<(), SandboxError> {
    if !path.is_absolute() {
        return Err(invalid(field, "must be an absolute path", path.display()));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(invalid(field, "must not contain `..`", path.display()));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(invalid(field, "contains a NUL byte", path.display()));
    }
    Ok(())
}

/// Source: PKGBUILD(5), "pkgname": alphanumerics and `@ . _ + -`, not starting with `-` or `.`.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), SandboxError> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"@._+-".contains(&b);
    if name.is_empty() || !name.bytes().all(fine) || name.starts_with(['-', '.']) {
        return Err(invalid(
            field,
            "must be letters, digits or `@._+-`, and must not start with `-` or `.`",
            name,
        ));
    }
    Ok(())
}

/// Source: makepkg's `check_pkgver`.
pub(crate) fn check_pkgver(version: &str) -> Result<(), &'static str> {
    if version.is_empty() {
        Err("must not be empty")
    } else if !version.bytes().all(|b| b.is_ascii_graphic()) {
        Err("must be printable ASCII without blanks")
    } else if version.bytes().any(|b| b":/-".contains(&b)) {
        Err("must not contain colons, slashes or hyphens")
    } else if version.len() > 255 {
        Err("must not be longer than 255 bytes")
    } else {
        Ok(())
    }
}
