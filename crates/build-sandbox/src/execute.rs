//! One run: the tier chosen, the plan made, the build started, driven and settled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::control_group::ControlGroup;
use crate::error::{SandboxError, Tail};
use crate::isolation::{Isolation, IsolationChoice, Kill};
use crate::judge::{enforcement, failed};
use crate::limits::Limits;
use crate::log::LogFile;
use crate::outcome::{Credentials, Ownership, RunReport};
use crate::prepare::{self, Directories, Identity, Offer, Request};
use crate::progress::{Event, Reporter};
use crate::run::{self, Ended, Job};
use crate::sandbox::Sandbox;
use crate::spec::{BuildSpec, Network, Rights, invalid};
use crate::{sys, watch};

/// What is to be run, by whichever method of [`Sandbox`].
pub(crate) struct Call {
    pub(crate) what: String,
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) network: Network,
    pub(crate) rights: Rights,
    pub(crate) root: bool,
    pub(crate) result: bool,
    pub(crate) recipe: Option<std::os::fd::OwnedFd>,
    pub(crate) capture: bool,
    pub(crate) wall: Duration,
}

impl Sandbox {
    async fn tier(
        &self,
        spec: &BuildSpec,
        reporter: &dyn Reporter,
    ) -> Result<(Isolation, u32), SandboxError> {
        let capabilities = self.probe().await;
        let refuse = |required| {
            Err(SandboxError::IsolationUnavailable {
                required,
                reason: capabilities.missing(required),
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
                        capabilities.missing(Isolation::Landlock)
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
    pub(crate) async fn execute(
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
        let (mut owned, config) = (spec.clone(), self.config.clone());
        let (users, systems) = (Arc::clone(&self.users), Arc::clone(&self.systems));
        let (prepared, networks) = (Arc::clone(&self.roots), Arc::clone(&self.networks));
        let cancelled = token.clone();
        let Call {
            what,
            arguments,
            network,
            rights,
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
            let directories = prepare::directories(&owned, rights)?;
            if let Some(private) = &directories.private {
                private.path().clone_into(&mut owned.homedir);
            }
            let (identity, warnings) =
                prepare::identity(&mut owned, &config, &users, tier, &directories, &|| {
                    cancelled.is_cancelled()
                })?;
            let directory = match (rights, &directories.private) {
                (Rights::Nothing, _) => directories.startdir.clone(),
                (_, Some(private)) => private.path().to_owned(),
                (_, None) => directories.own[0].clone(),
            };
            let group = match &config.control_group {
                Some(parent) => Some(ControlGroup::create(parent, &owned.limits)?),
                None => None,
            };
            let request = Request {
                arguments,
                directory,
                network,
                empty: (tier == Isolation::Namespaces && network == Network::None)
                    .then(|| networks.take(&directories.startdir))
                    .flatten(),
                rights,
                root,
                result,
                recipe: recipe.map(Arc::new),
                group: group
                    .as_ref()
                    .map(|group| group.files().map(Arc::new))
                    .transpose()?,
                system: systems.get(&config, &owned.path),
            };
            let offer = Offer {
                roots: &prepared,
                config: &config,
                cancelled: &|| cancelled.is_cancelled(),
            };
            let start = |request, offer| {
                let plan =
                    prepare::plan(&owned, tier, abi, &directories, &identity, request, offer)?;
                sys::spawn(&plan).map_err(|(step, source)| SandboxError::Start { step, source })
            };
            let running = match start(request.clone(), Some(offer)) {
                // Nothing has begun. What stands in the way is told by a run that needs no copy.
                Err(SandboxError::Start { step, source }) if step == sys::COPY => {
                    tracing::debug!(%source, "this run makes a root of its own");
                    start(request, None)?
                }
                started => started?,
            };
            Ok::<_, SandboxError>((running, directories, identity, warnings, group))
        });
        let prepared = spawned.await.unwrap_or_else(|join| {
            let source = std::io::Error::other(join);
            Err(SandboxError::Start {
                step: "run a blocking task",
                source,
            })
        });
        let prepared = prepared.map_err(|error| match error {
            SandboxError::HandOver {
                source: untrusted_tree::TreeError::Cancelled,
            } => SandboxError::Cancelled {
                phase: what.clone(),
            },
            other => other,
        })?;
        let (mut running, directories, identity, warnings, group) = prepared;
        let network = running.network.take();
        reporter.report(Event::Started {
            what: what.as_str().into(),
            isolation: tier,
        });
        for text in warnings {
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
        if let Some(private) = directories.private {
            // Hostile trees take their time to remove.
            let _ = spawn_blocking(move || drop(private)).await;
        }
        settle(&mut ended, &what, tier, reporter)?;
        if let Some(network) = network.filter(|_| ended.proven) {
            self.networks.keep(&directories.startdir, network);
        }
        if failed(&ended) && ended.cause.is_none() {
            ended.cause = group.as_ref().and_then(ControlGroup::breach);
        }
        if failed(&ended) && ended.cause.is_none() && rights != Rights::Nothing {
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
            tier > Isolation::Group || abi >= 6 || matches!(identity, Identity::Dropped(_));
        let report = RunReport {
            isolation: tier,
            kill: if ended.proven && guarded {
                Kill::Proven
            } else {
                Kill::BestEffort
            },
            limits: enforcement(group.as_ref().map_or(&[], ControlGroup::held)),
            ownership: if root && tier == Isolation::Namespaces {
                Ownership::Root
            } else {
                Ownership::Plain
            },
            credentials: match identity {
                Identity::Caller => Credentials::Caller,
                Identity::Dropped(lease) => Credentials::Dropped(lease.id()),
            },
            duration: ended.duration,
            output_bytes: ended.bytes,
            peak_memory: ended.peak_memory,
        };
        Ok((ended, report))
    }
}

/// The directories whose size is limited.
fn roots(directories: &Directories) -> Vec<PathBuf> {
    let own = directories.own.iter().map(PathBuf::as_path);
    watch::outermost(&own.chain([&*directories.startdir]).collect::<Vec<_>>())
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
        if step == sys::EXECUTE {
            return Err(SandboxError::Execute {
                phase: what.to_owned(),
                source,
            });
        }
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
