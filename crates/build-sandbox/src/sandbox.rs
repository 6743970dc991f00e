use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::declared::Declarations;
use crate::error::{SandboxError, Tail};
use crate::execute::Call;
use crate::isolation::Capabilities;
use crate::judge::{judge, printed_version};
use crate::limits::Limits;
use crate::networks::Networks;
use crate::outcome::{CommandOutcome, PhaseOutcome, PhaseStatus};
use crate::phase::Phase;
use crate::prepare::{Roots, Systems};
use crate::progress::{Event, Reporter};
use crate::recipe::recipe_text;
use crate::spec::{BuildSpec, CheckPolicy, Network, Rights, Writable, check_name, invalid};
use crate::users::Users;
use crate::{probe, script};

const EVALUATE_LIMIT: Duration = Duration::from_secs(20);

/// Runs recipes and commands apart from the host.
///
/// Cloning is not needed: all methods take `&self`, and builds may run side by side.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) config: Config,
    pub(crate) users: Arc<Users>,
    pub(crate) systems: Arc<Systems>,
    pub(crate) roots: Arc<Roots>,
    pub(crate) networks: Arc<Networks>,
    capabilities: OnceCell<Capabilities>,
}

impl Sandbox {
    /// A sandbox with this configuration. What the host offers is tried at first use.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            users: Arc::default(),
            systems: Arc::default(),
            roots: Arc::default(),
            networks: Arc::default(),
            capabilities: OnceCell::new(),
        }
    }

    /// Tries each tier, once; later calls return the same answer.
    pub async fn probe(&self) -> &Capabilities {
        self.capabilities
            .get_or_init(|| async {
                let (config, roots) = (self.config.clone(), Arc::clone(&self.roots));
                spawn_blocking(move || probe::capabilities(&config, &roots))
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
            rights: match phase {
                Phase::Package(_) => Rights::Package,
                _ => Rights::Build,
            },
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
            rights: Rights::Nothing,
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

    /// Runs a program with the mounts, limits and environment of a build.
    ///
    /// `command` is the program, with an absolute path, and its arguments. It runs in `srcdir`, or
    /// with [`Writable::Private`] in its own `HOME`; in `group` nothing holds it to that. Cancellation
    /// is as for [`run`](Self::run).
    ///
    /// # Errors
    /// [`SandboxError::Failed`] if it ends with another status than 0, otherwise as for
    /// [`run`](Self::run).
    pub async fn run_command(
        &self,
        spec: &BuildSpec,
        command: &[String],
        network: Network,
        writable: Writable,
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
            rights: match writable {
                Writable::Build => Rights::Build,
                Writable::Private => Rights::Private,
            },
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
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::isolation::{Isolation, IsolationChoice};
    use crate::progress::Silent;

    #[tokio::test]
    async fn a_run_that_cannot_have_a_copy_of_the_prepared_root_makes_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), readable).unwrap();
        let mut spec = BuildSpec::new(directory.path(), "demo");
        std::fs::write(&spec.recipe, "").unwrap();
        spec.isolation = IsolationChoice::Exactly(Isolation::Namespaces);
        let sandbox = Sandbox::new(Config::default());
        if !sandbox.probe().await.status(Isolation::Namespaces).works() {
            eprintln!("skipped: no namespaces here");
            return;
        }
        let echo = ["/bin/echo", "ran"].map(str::to_owned);
        let token = CancellationToken::new();
        let mut first = None;
        for spoilt in [false, false, true] {
            if spoilt && !sandbox.roots.spoil() {
                eprintln!("skipped: no root can be prepared here");
                return;
            }
            let (network, writable) = (Network::None, Writable::Build);
            let run = sandbox.run_command(&spec, &echo, network, writable, &token, &Silent);
            assert_eq!(run.await.unwrap().stdout, "ran\n", "spoilt: {spoilt}");
            let root = sandbox.roots.at_hand();
            if let (Some(first), Some(root)) = (&first, &root) {
                let same = std::sync::Arc::ptr_eq(first, root);
                assert_ne!(same, spoilt, "it is made once");
            }
            first = first.or(root);
        }
    }
}
