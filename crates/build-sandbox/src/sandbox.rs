use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::declared::Declarations;
use crate::error::{SandboxError, Tail};
use crate::isolation::{Capabilities, Isolation, IsolationChoice, Kill};
use crate::limits::{Enforcement, LimitKind, Limits};
use crate::log::LogFile;
use crate::phase::Phase;
use crate::prepare::{self, Directories, Identity, Request, io_error};
use crate::progress::{Event, Reporter};
use crate::run::{self, Cause, Ended, Job};
use crate::script;
use crate::spec::{BuildSpec, CheckPolicy, Network, check_name, check_pkgver, invalid};
use crate::{probe, watch};

const RECIPE_MAX: u64 = 1 << 20;
const EVALUATE_LIMIT: Duration = Duration::from_secs(20);

/// What is the same for all builds of a program.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bash that runs recipes. Default `/bin/bash`.
    pub shell: PathBuf,
    /// Directories that [`Isolation::Namespaces`] covers with an empty one; missing ones are
    /// skipped. Default: `/home`, `/root`, `/run`, `/tmp`, `/var/tmp` and the home directory of
    /// the caller's user. Build directories and mounts below them stay visible.
    pub hidden: Vec<PathBuf>,
    /// The user and group that builds run as if the caller is root. Default 65534, `nobody`.
    pub build_user: (u32, u32),
    /// Stronger tiers than this are treated as unavailable. Default [`Isolation::Namespaces`].
    pub ceiling: Isolation,
}

impl Default for Config {
    fn default() -> Self {
        let mut hidden: Vec<PathBuf> = ["/home", "/root", "/run", "/tmp", "/var/tmp"]
            .map(PathBuf::from)
            .to_vec();
        if let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::Uid::effective())
            && user.dir.parent().is_some()
        {
            hidden.push(user.dir);
        }
        Self {
            shell: "/bin/bash".into(),
            hidden,
            build_user: (65534, 65534),
            ceiling: Isolation::Namespaces,
        }
    }
}

/// Whose files a packaging phase made, as it saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// The phase saw itself and its files as owned by root, as under fakeroot.
    Root,
    /// The phase saw the files as owned by the build's user.
    Plain,
}

/// Which privileges the build had on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// Those of the caller, who is an ordinary user.
    Caller,
    /// The caller is root; the build ran as this unprivileged user id.
    Dropped(u32),
    /// The caller is root, and the build user does not exist in its user namespace or cannot reach
    /// the build directories, so the build ran as root without any capability.
    Stripped,
}

/// How a run was kept apart and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// The tier in force.
    pub isolation: Isolation,
    /// How sure it is that nothing is left.
    pub kill: Kill,
    /// What held each limit.
    pub limits: Vec<(LimitKind, Enforcement)>,
    /// Whose files the run made.
    pub ownership: Ownership,
    /// The privileges of the run.
    pub credentials: Credentials,
    /// Wall time from start until nothing was left.
    pub duration: Duration,
    /// Bytes of output on both streams.
    pub output_bytes: u64,
    /// Largest sampled memory in bytes; 0 for a run shorter than a sample.
    pub peak_memory: u64,
}

/// What became of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseStatus {
    /// Its function ran and succeeded.
    Ran,
    /// The recipe has no such function, or the check policy skips it.
    Skipped,
    /// `check()` failed with this status, which the policy allows.
    CheckFailed(i32),
}

/// The result of a phase that did not fail.
#[derive(Clone, Debug)]
pub struct PhaseOutcome {
    /// The phase.
    pub phase: Phase,
    /// What became of it.
    pub status: PhaseStatus,
    /// What `pkgver()` printed, checked; only for [`Phase::Pkgver`].
    pub pkgver: Option<String>,
    /// How it was run; `None` if the policy skipped it without running anything.
    pub report: Option<RunReport>,
}

/// The result of a command that did not fail.
#[derive(Clone, Debug)]
pub struct CommandOutcome {
    /// The first 64 KiB of its standard output, decoded lossily.
    pub stdout: String,
    /// How it was run.
    pub report: RunReport,
}

/// Runs recipes and commands apart from the host.
///
/// Cloning is not needed: all methods take `&self`, and builds may run side by side.
#[derive(Debug)]
pub struct Sandbox {
    config: Config,
    capabilities: OnceCell<Capabilities>,
}

impl Sandbox {
    /// A sandbox with this configuration. What the host offers is tried at first use.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            capabilities: OnceCell::new(),
        }
    }

    /// Tries each tier, once; later calls return the same answer.
    pub async fn probe(&self) -> &Capabilities {
        self.capabilities
            .get_or_init(|| async {
                let config = self.config.clone();
                spawn_blocking(move || probe::capabilities(&config))
                    .await
                    .unwrap_or_else(|_| Capabilities {
                        tiers: Vec::new(),
                        landlock_abi: 0,
                    })
            })
            .await
    }

    /// Runs one phase of a recipe as makepkg does.
    ///
    /// Returns when the function has ended and no process of it is left. When `token` is
    /// cancelled the build gets SIGTERM, after [`BuildSpec::grace`] SIGKILL, and the call returns
    /// [`SandboxError::Cancelled`] once nothing is left. Dropping the future, or the end of this
    /// process by whatever cause, kills the build at once.
    ///
    /// # Errors
    /// See [`SandboxError`]; a failing function is [`SandboxError::Failed`].
    pub async fn run(
        &self,
        spec: &BuildSpec,
        phase: Phase,
        token: &CancellationToken,
        reporter: &dyn Reporter,
    ) -> Result<PhaseOutcome, SandboxError> {
        spec.validate()?;
        if let Phase::Package(name) = &phase {
            check_name("pkgname", name)?;
        }
        let skipped = |phase| PhaseOutcome {
            phase,
            status: PhaseStatus::Skipped,
            pkgver: None,
            report: None,
        };
        if phase == Phase::Check && spec.check == CheckPolicy::Skip {
            return Ok(skipped(phase));
        }
        let (recipe, replaced) = recipe_text(spec).await?;
        let script = script::phase(spec, &phase, replaced);
        let call = Call {
            what: phase.to_string(),
            arguments: self.shell(script),
            network: spec.network.of(&phase),
            writable: true,
            root: matches!(phase, Phase::Package(_)),
            result: true,
            recipe,
            capture: false,
            wall: spec.limits.wall,
        };
        let (ended, report) = self.execute(spec, call, token, reporter).await?;
        let what = phase.to_string();
        let marks = ended.result.split(|b| *b == 0).next().unwrap_or_default();
        if marks == script::MARK_ABSENT {
            return match phase {
                Phase::Package(name) => Err(SandboxError::MissingFunction {
                    function: format!("package_{name}()` or `package"),
                }),
                other => Ok(PhaseOutcome {
                    report: Some(report),
                    ..skipped(other)
                }),
            };
        }
        let called = marks == script::MARK_CALLED;
        if let Err(error) = judge(&what, &ended, &spec.limits) {
            return match error {
                SandboxError::Failed { status, tail, .. } if !called => {
                    Err(SandboxError::Recipe { status, tail })
                }
                SandboxError::Failed { status, .. }
                    if phase == Phase::Check && spec.check == CheckPolicy::Warn =>
                {
                    let text = format!(
                        "`check` failed with status {status}, which the check policy allows"
                    );
                    reporter.report(Event::Warning { text: text.into() });
                    let status = PhaseStatus::CheckFailed(status);
                    Ok(PhaseOutcome {
                        phase,
                        status,
                        pkgver: None,
                        report: Some(report),
                    })
                }
                other => Err(other),
            };
        }
        if !called {
            // bash ended well before the function was called: the recipe called `exit`.
            return Err(SandboxError::Recipe {
                status: 0,
                tail: Tail(ended.tail),
            });
        }
        let pkgver = (phase == Phase::Pkgver)
            .then(|| printed_version(&ended.result))
            .transpose()?;
        Ok(PhaseOutcome {
            phase,
            status: PhaseStatus::Ran,
            pkgver,
            report: Some(report),
        })
    }

    /// Sources a recipe and returns what it declared, for recipes whose variables only a shell can
    /// compute.
    ///
    /// There is no network, nothing of the host can be written, and it takes at most 20 s or
    /// [`Limits::wall`] if that is shorter. Cancellation is as for [`run`](Self::run).
    ///
    /// # Errors
    /// [`SandboxError::Recipe`] if the recipe cannot be sourced, otherwise as for
    /// [`run`](Self::run).
    pub async fn evaluate(
        &self,
        spec: &BuildSpec,
        token: &CancellationToken,
        reporter: &dyn Reporter,
    ) -> Result<Declarations, SandboxError> {
        spec.validate()?;
        let (recipe, replaced) = recipe_text(spec).await?;
        let call = Call {
            what: "evaluate".to_owned(),
            arguments: self.shell(script::evaluate(spec, replaced)),
            network: Network::None,
            writable: false,
            root: false,
            result: true,
            recipe,
            capture: false,
            wall: spec.limits.wall.min(EVALUATE_LIMIT),
        };
        let (ended, _) = self.execute(spec, call, token, reporter).await?;
        let limits = Limits {
            wall: spec.limits.wall.min(EVALUATE_LIMIT),
            ..spec.limits.clone()
        };
        judge("evaluate", &ended, &limits).map_err(|error| match error {
            SandboxError::Failed { status, tail, .. } => SandboxError::Recipe { status, tail },
            other => other,
        })?;
        if ended.result.is_empty() {
            return Err(SandboxError::Recipe {
                status: 0,
                tail: Tail(ended.tail),
            });
        }
        Declarations::parse(&ended.result)
    }

    /// Runs a program with the mounts, limits and environment of a build, in `srcdir`.
    ///
    /// `command` is the program, with an absolute path, and its arguments. The build directories
    /// are writable. Cancellation is as for [`run`](Self::run).
    ///
    /// # Errors
    /// [`SandboxError::Failed`] if it ends with another status than 0, otherwise as for
    /// [`run`](Self::run).
    pub async fn run_command(
        &self,
        spec: &BuildSpec,
        command: &[String],
        network: Network,
        token: &CancellationToken,
        reporter: &dyn Reporter,
    ) -> Result<CommandOutcome, SandboxError> {
        spec.validate()?;
        let what = match command.first() {
            Some(program) if Path::new(program).is_absolute() => program.clone(),
            other => {
                let shown = other.map_or("", String::as_str);
                return Err(invalid(
                    "command",
                    "must start with an absolute path",
                    shown,
                ));
            }
        };
        let call = Call {
            what: what.clone(),
            arguments: command
                .iter()
                .map(|part| part.clone().into_bytes())
                .collect(),
            network,
            writable: true,
            root: false,
            result: false,
            recipe: None,
            capture: true,
            wall: spec.limits.wall,
        };
        let (ended, report) = self.execute(spec, call, token, reporter).await?;
        judge(&what, &ended, &spec.limits)?;
        Ok(CommandOutcome {
            stdout: String::from_utf8_lossy(&ended.captured).into_owned(),
            report,
        })
    }

    fn shell(&self, script: Vec<u8>) -> Vec<Vec<u8>> {
        let shell = self.config.shell.as_os_str().as_encoded_bytes().to_vec();
        vec![
            shell,
            b"--noprofile".to_vec(),
            b"--norc".to_vec(),
            b"-c".to_vec(),
            script,
            b"makepkg".to_vec(),
        ]
    }

    async fn tier(
        &self,
        spec: &BuildSpec,
        reporter: &dyn Reporter,
    ) -> Result<(Isolation, u32), SandboxError> {
        let capabilities = self.probe().await;
        let why = |required: Isolation| {
            let reasons: Vec<String> = capabilities
                .tiers
                .iter()
                .filter(|(tier, status)| *tier >= required && !status.works())
                .map(|(tier, status)| format!("`{tier}` is unavailable: {}", probe::reason(status)))
                .collect();
            reasons.join("; ")
        };
        let refuse = |required| {
            Err(SandboxError::IsolationUnavailable {
                required,
                reason: why(required),
            })
        };
        let tier = match spec.isolation {
            IsolationChoice::Exactly(tier) if tier < spec.minimum => {
                return Err(invalid("isolation", "is below the minimum", tier));
            }
            IsolationChoice::Exactly(tier) if capabilities.status(tier).works() => tier,
            IsolationChoice::Exactly(tier) => return refuse(tier),
            IsolationChoice::Auto => {
                let tier = capabilities.strongest();
                if tier < spec.minimum {
                    return refuse(spec.minimum);
                }
                if tier < Isolation::Namespaces {
                    let text = format!(
                        "isolation falls back to `{tier}`: {}",
                        why(Isolation::Landlock)
                    );
                    reporter.report(Event::Warning { text: text.into() });
                }
                tier
            }
        };
        Ok((tier, capabilities.landlock_abi))
    }

    async fn execute(
        &self,
        spec: &BuildSpec,
        call: Call,
        token: &CancellationToken,
        reporter: &dyn Reporter,
    ) -> Result<(Ended, RunReport), SandboxError> {
        if token.is_cancelled() {
            return Err(SandboxError::Cancelled { phase: call.what });
        }
        let (tier, abi) = self.tier(spec, reporter).await?;
        let (owned, config) = (spec.clone(), self.config.clone());
        let Call {
            what,
            arguments,
            network,
            writable,
            root,
            result,
            recipe,
            capture,
            wall,
        } = call;
        let prepared = spawn_blocking(move || {
            let directories = prepare::directories(&owned, writable)?;
            let identity = prepare::identity(&owned, &config, tier, &directories)?;
            let directory = if writable {
                directories.own[0].clone()
            } else {
                directories.startdir.clone()
            };
            let request = Request {
                arguments,
                directory,
                network,
                writable,
                root,
                result,
                recipe,
            };
            let plan = prepare::plan(&owned, &config, tier, abi, &directories, identity, request)?;
            Ok::<_, SandboxError>((plan, directories, identity))
        });
        let (plan, directories, identity) = prepared.await.unwrap_or_else(|join| {
            let source = std::io::Error::other(join);
            Err(SandboxError::Start {
                step: "run a blocking task",
                source,
            })
        })?;
        if identity == Identity::Stripped {
            let text = "the build user does not exist here or cannot reach the build directories, so the build runs as root without capabilities";
            reporter.report(Event::Warning { text: text.into() });
        }
        let roots = roots(&directories);
        let limits = Limits {
            wall,
            ..spec.limits.clone()
        };
        let log = match &spec.log_file {
            Some(path) => Some(LogFile::open(path, spec.log_file_cap).await?),
            None => None,
        };
        reporter.report(Event::Started {
            what: what.as_str().into(),
            isolation: tier,
        });
        let job = Job {
            limits: &limits,
            grace: spec.grace,
            log,
            roots: roots.clone(),
            capture,
        };
        let mut ended = run::run(plan, job, token, reporter).await?;
        if let Some(error) = ended.log_error.take() {
            let text = format!(
                "{error}: {}",
                std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default()
            );
            reporter.report(Event::Warning { text: text.into() });
        }
        if let Some((step, source)) = ended.setup_failed.take() {
            return Err(SandboxError::Setup {
                isolation: tier,
                step,
                source,
            });
        }
        if ended.stuck {
            let waited = ended.duration;
            return Err(SandboxError::Unkillable {
                phase: what,
                waited,
            });
        }
        if !ended.finished {
            return Err(SandboxError::SupervisorLost { phase: what });
        }
        if failed(&ended) && ended.cause.is_none() && writable {
            // A process that hits the limit gets a signal or an error that only it sees.
            let cap = limits.file_size;
            let usage = spawn_blocking(move || watch::measure(&roots))
                .await
                .unwrap_or_default();
            if usage.largest >= cap {
                return Err(SandboxError::FileSize {
                    phase: what,
                    allowed: cap,
                    tail: Tail(ended.tail),
                });
            }
        }
        let guarded =
            tier > Isolation::Group || abi >= 6 || matches!(identity, Identity::Dropped(..));
        let report = RunReport {
            isolation: tier,
            kill: if ended.proven && guarded {
                Kill::Proven
            } else {
                Kill::BestEffort
            },
            limits: enforcement(),
            ownership: if root && tier == Isolation::Namespaces {
                Ownership::Root
            } else {
                Ownership::Plain
            },
            credentials: match identity {
                Identity::Caller => Credentials::Caller,
                Identity::Dropped(uid, _) => Credentials::Dropped(uid),
                Identity::Stripped => Credentials::Stripped,
            },
            duration: ended.duration,
            output_bytes: ended.bytes,
            peak_memory: ended.peak_memory,
        };
        Ok((ended, report))
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate choice of the caller"
)]
struct Call {
    what: String,
    arguments: Vec<Vec<u8>>,
    network: Network,
    writable: bool,
    root: bool,
    result: bool,
    recipe: Option<std::os::fd::OwnedFd>,
    capture: bool,
    wall: Duration,
}

fn roots(directories: &Directories) -> Vec<PathBuf> {
    watch::outermost(
        &directories
            .own
            .iter()
            .map(PathBuf::as_path)
            .collect::<Vec<_>>(),
    )
}

fn enforcement() -> Vec<(LimitKind, Enforcement)> {
    vec![
        (LimitKind::Wall, Enforcement::Counted),
        (LimitKind::Silent, Enforcement::Counted),
        (LimitKind::Memory, Enforcement::Watched),
        (LimitKind::Processes, Enforcement::Watched),
        (LimitKind::FileSize, Enforcement::Kernel),
        (LimitKind::OpenFiles, Enforcement::Kernel),
        (LimitKind::Disk, Enforcement::Watched),
        (LimitKind::Log, Enforcement::Counted),
    ]
}

fn failed(ended: &Ended) -> bool {
    ended.status.is_some_and(|status| status != 0)
}

/// Turns the end of a run into its error, if it is one.
fn judge(what: &str, ended: &Ended, limits: &Limits) -> Result<(), SandboxError> {
    let phase = what.to_owned();
    let tail = Tail(ended.tail.clone());
    if let Some(cause) = ended.cause {
        return Err(match cause {
            Cause::Cancelled => SandboxError::Cancelled { phase },
            Cause::Wall => SandboxError::TimedOut {
                phase,
                limit: LimitKind::Wall,
                allowed: limits.wall,
                tail,
            },
            Cause::Silent => SandboxError::TimedOut {
                phase,
                limit: LimitKind::Silent,
                allowed: limits.silent,
                tail,
            },
            Cause::LogSize => SandboxError::LogSize {
                phase,
                allowed: limits.log,
                tail,
            },
            Cause::Disk { used } => SandboxError::Disk {
                phase,
                allowed: limits.disk,
                used,
                tail,
            },
            Cause::Memory { used } => SandboxError::Memory {
                phase,
                allowed: limits.memory.unwrap_or(0),
                used,
                tail,
            },
            Cause::Processes { used } => SandboxError::Processes {
                phase,
                allowed: limits.processes,
                used,
                tail,
            },
            Cause::OpenFiles => SandboxError::OpenFiles {
                phase,
                allowed: limits.open_files,
                tail,
            },
        });
    }
    let Some(status) = ended.status else {
        return Err(SandboxError::SupervisorLost { phase });
    };
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        if signal == libc::SIGXFSZ {
            return Err(SandboxError::FileSize {
                phase,
                allowed: limits.file_size,
                tail,
            });
        }
        return Err(SandboxError::Signalled {
            phase,
            signal,
            tail,
        });
    }
    match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        code if code == 128 + libc::SIGXFSZ => Err(SandboxError::FileSize {
            phase,
            allowed: limits.file_size,
            tail,
        }),
        // The kernel tells only the process itself, so what it printed is the evidence.
        _ if tail.text().contains("Too many open files") => Err(SandboxError::OpenFiles {
            phase,
            allowed: limits.open_files,
            tail,
        }),
        status => Err(SandboxError::Failed {
            phase,
            status,
            tail,
        }),
    }
}

fn printed_version(result: &[u8]) -> Result<String, SandboxError> {
    let printed = &result[(script::MARK_CALLED.len() + 1).min(result.len())..];
    let text = String::from_utf8_lossy(printed);
    // As `$(...)` in makepkg: newlines at the end do not count.
    let version = text.trim_end_matches('\n');
    check_pkgver(version).map_err(|problem| SandboxError::InvalidPkgver {
        output: version.chars().take(200).collect(),
        problem,
    })?;
    Ok(version.to_owned())
}

/// Reads the recipe; if its version lines have to change, returns a descriptor of the new text.
async fn recipe_text(
    spec: &BuildSpec,
) -> Result<(Option<std::os::fd::OwnedFd>, bool), SandboxError> {
    let spec = spec.clone();
    let read = spawn_blocking(move || {
        let path = &spec.recipe;
        let metadata = std::fs::metadata(path).map_err(io_error("read recipe", path))?;
        if !metadata.is_file() || metadata.len() > RECIPE_MAX {
            return Err(invalid(
                "recipe",
                "is no regular file or larger than 1 MiB",
                path.display(),
            ));
        }
        let text = std::fs::read(path).map_err(io_error("read recipe", path))?;
        let Some(new) = script::replace_version(&spec, &text) else {
            return Ok((None, false));
        };
        let fd = crate::sys::memory_file(&new).map_err(io_error("copy recipe", path))?;
        Ok((Some(fd), true))
    });
    read.await.unwrap_or_else(|join| {
        let source = std::io::Error::other(join);
        Err(SandboxError::Start {
            step: "run a blocking task",
            source,
        })
    })
}
