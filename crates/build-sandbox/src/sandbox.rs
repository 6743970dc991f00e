use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::declared::Declarations;
use crate::error::{SandboxError, Tail};
use crate::isolation::{Capabilities, Isolation, IsolationChoice, Kill};
use crate::judge::{enforcement, failed, judge, printed_version};
use crate::limits::Limits;
use crate::log::LogFile;
use crate::outcome::{
    CommandOutcome, Credentials, Ownership, PhaseOutcome, PhaseStatus, RunReport,
};
use crate::phase::Phase;
use crate::prepare::{self, Directories, Identity, Request};
use crate::progress::{Event, Reporter};
use crate::recipe::recipe_text;
use crate::run::{self, Ended, Job};
use crate::spec::{BuildSpec, CheckPolicy, Network, check_name, invalid};
use crate::{probe, script, sys, watch};

const EVALUATE_LIMIT: Duration = Duration::from_secs(20);

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
                        seccomp: false,
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
        if tier == Isolation::Group && !capabilities.seccomp {
            let text = "no system call is refused in `group`, since the kernel offers no seccomp";
            reporter.report(Event::Warning { text: text.into() });
        }
        Ok((tier, capabilities.landlock_abi))
    }

    #[expect(clippy::too_many_lines, reason = "one run, read from top to bottom")]
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
        let log = match &spec.log_file {
            Some(path) => Some(LogFile::open(path, spec.log_file_cap).await?),
            None => None,
        };
        let started = Instant::now();
        // One trip for everything that may block: walking directories, and the fork, which copies
        // the page tables of the host program.
        let spawned = spawn_blocking(move || {
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
            let running =
                sys::spawn(&plan).map_err(|(step, source)| SandboxError::Start { step, source })?;
            Ok::<_, SandboxError>((running, directories, identity))
        });
        let (running, directories, identity) = spawned.await.unwrap_or_else(|join| {
            let source = std::io::Error::other(join);
            Err(SandboxError::Start {
                step: "run a blocking task",
                source,
            })
        })?;
        reporter.report(Event::Started {
            what: what.as_str().into(),
            isolation: tier,
        });
        if identity == Identity::Stripped {
            let text = "the build user does not exist here or cannot reach the build directories, so the build runs as root without capabilities";
            reporter.report(Event::Warning { text: text.into() });
        }
        let roots = roots(&directories);
        let limits = Limits {
            wall,
            ..spec.limits.clone()
        };
        let job = Job {
            limits: &limits,
            grace: spec.grace,
            log,
            roots: roots.clone(),
            capture,
        };
        let mut ended = run::run(running, started, job, token, reporter).await?;
        settle(&mut ended, &what, tier, reporter)?;
        if failed(&ended) && ended.cause.is_none() && writable {
            // A process that hits the limit gets a signal or an error that only it sees.
            let cap = limits.file_size;
            let usage = spawn_blocking(move || watch::measure(&roots))
                .await
                .unwrap_or_default();
            if usage.largest >= cap {
                let tail = Tail(ended.tail);
                return Err(SandboxError::FileSize {
                    phase: what,
                    allowed: cap,
                    tail,
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

/// Sorts out ends for which the sandbox or the host is to blame.
fn settle(
    ended: &mut Ended,
    what: &str,
    tier: Isolation,
    reporter: &dyn Reporter,
) -> Result<(), SandboxError> {
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
            phase: what.to_owned(),
            waited,
        });
    }
    if !ended.finished {
        return Err(SandboxError::SupervisorLost {
            phase: what.to_owned(),
        });
    }
    Ok(())
}
