//! Brings one revision into its mirror: what to ask for, in which order, and what to write down.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use network_policy::Retries;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::error::{GitProblem, ProtocolError};
use super::history::History;
use super::mirror::{self, Lock, Mirror, Resolved};
use super::options::GitOptions;
use super::pack::{Counters, Quarantine};
use super::reference::InWords;
use super::session::{self, RemoteRefs, Session, ShallowUpdate, is_valid_name};
use super::{GitProgress, GitRequest, GitRevision, GitStep, blocking, local, signature};
use crate::source::GitReference;

mod record;

use record::{Need, need, record};

/// Chunks between the connection and the indexer; each is at most 64 KiB.
const CHANNEL: usize = 32;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// One way to come by the wanted revision.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Attempt {
    /// The tip of the wanted branch or tag, or of `HEAD`.
    Tip,
    /// A commit by its id, without its history if `shallow`.
    Commit { id: git2::Oid, shallow: bool },
    /// Every reference below these prefixes, with history.
    Everything(&'static [&'static str]),
}

const BRANCHES_AND_TAGS: Attempt = Attempt::Everything(&["refs/heads/", "refs/tags/"]);
/// What makepkg's `git clone --mirror` brings, on which the length of an abbreviated id depends; and the last resort for a
/// commit id, which may be on a reference outside of branches and tags.
const ALL_REFERENCES: Attempt = Attempt::Everything(&["refs/"]);

impl Attempt {
    fn in_order(reference: &GitReference, history: History) -> Vec<Self> {
        match (reference, reference.object_id(), history) {
            (_, Some(id), History::Shallow) => {
                vec![
                    Self::Commit { id, shallow: true },
                    BRANCHES_AND_TAGS,
                    ALL_REFERENCES,
                ]
            }
            (_, Some(id), History::Full) => {
                vec![ALL_REFERENCES, Self::Commit { id, shallow: false }]
            }
            (GitReference::Commit(_), None, _) | (_, _, History::Full) => vec![ALL_REFERENCES],
            (_, _, History::Shallow) => vec![Self::Tip],
        }
    }

    fn prefixes(&self, reference: &GitReference) -> Vec<String> {
        match self {
            Self::Tip => reference.full_name().into_iter().collect(),
            Self::Commit { .. } => Vec::new(),
            Self::Everything(prefixes) => {
                prefixes.iter().map(|&prefix| prefix.to_owned()).collect()
            }
        }
    }
}

pub(super) struct Fetch<'a> {
    pub(super) request: &'a GitRequest,
    pub(super) options: &'a GitOptions,
    pub(super) address: Address,
    pub(super) path: PathBuf,
    pub(super) shown: String,
    pub(super) lock: Arc<Lock>,
    pub(super) stop: CancellationToken,
    pub(super) report: &'a (dyn Fn(GitStep<'_>) + Send + Sync),
    /// The highest figures so far, as none may fall when an attempt starts again.
    pub(super) told: Mutex<GitProgress>,
    pub(super) counters: Arc<Counters>,
}

impl Fetch<'_> {
    /// Runs, and where the mirror is damaged brings another, which takes the place of the old one when it is complete.
    pub(super) async fn run_or_renew(&self) -> Result<GitRevision, GitProblem> {
        let path = self.path.clone();
        let is_damaged = self
            .locked(move || {
                mirror::put_back(&path)?;
                Ok(mirror::is_damaged(&path))
            })
            .await?;
        let offline = self.options.offline;
        if offline || !is_damaged {
            match self.run_patiently().await {
                Err(GitProblem::Git { source, .. })
                    if !offline && source.code() != git2::ErrorCode::Owner =>
                {
                    tracing::warn!(%source, mirror = %self.path.display(), "fetching a damaged mirror anew");
                }
                result => return result,
            }
        }
        let path = self.path.clone();
        self.locked(move || mirror::set_aside(&path)).await?;
        let result = self.run_patiently().await;
        let (path, is_new) = (self.path.clone(), result.is_ok());
        self.locked(move || {
            if is_new {
                mirror::forget_aside(&path)
            } else {
                mirror::put_back(&path)
            }
        })
        .await?;
        result
    }

    /// Works in a thread that may block, holding the lock.
    async fn locked<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, GitProblem> + Send + 'static,
    ) -> Result<T, GitProblem> {
        let lock = self.lock.clone();
        blocking(move || {
            let _lock = lock;
            work()
        })
        .await
    }

    /// Runs until it succeeds, fails for good, or has failed too often.
    pub(super) async fn run_patiently(&self) -> Result<GitRevision, GitProblem> {
        let mut retries = Retries::new(&self.options.retry);
        let mut attempt = 1;
        loop {
            let problem = match self.run_once().await {
                Err(problem) => problem,
                result => return result,
            };
            let Ok(delay) = retries.next(problem.outlook(), problem.wait()) else {
                return Err(problem);
            };
            (self.report)(GitStep::Retrying {
                attempt,
                delay,
                problem: &problem,
            });
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    async fn run_once(&self) -> Result<GitRevision, GitProblem> {
        let (reference, history) = (self.request.reference.clone(), self.request.history);
        let offline = self.options.offline;
        let known = self
            .with_mirror(move |mirror| {
                mirror.sweep()?;
                let usable = match history {
                    History::Shallow => offline || reference.object_id().is_some(),
                    History::Full => offline && mirror.is_full(),
                };
                Ok(usable.then(|| mirror.resolve(&reference).ok()).flatten())
            })
            .await?;
        if let Some(resolved) = known {
            return self.finish(resolved).await;
        }
        if offline {
            return Err(GitProblem::Offline {
                url: self.shown.clone(),
                reference: InWords(&self.request.reference).to_string(),
            });
        }
        if let Address::Local(source) = &self.address {
            let (source, shown, stop) = (source.clone(), self.shown.clone(), self.stop.clone());
            let full = self.request.history == History::Full;
            self.with_mirror(move |mirror| {
                local::borrow(mirror, &source, &shown, &stop)?;
                if full { mirror.set_full() } else { Ok(()) }
            })
            .await?;
            let resolved = self.resolve().await?;
            return self.finish(resolved).await;
        }
        let attempts = Attempt::in_order(&self.request.reference, history);
        let mut problem = None;
        for attempt in &attempts {
            match self.attempt(attempt).await {
                Ok(()) => match self.resolve().await {
                    Ok(resolved) => return self.finish(resolved).await,
                    Err(missing @ GitProblem::Missing { .. }) => problem = Some(missing),
                    Err(error) => return Err(error),
                },
                // A server that does not give out single commits says so in words.
                Err(refused @ (GitProblem::Remote { .. } | GitProblem::Missing { .. })) => {
                    problem.get_or_insert(refused);
                }
                Err(error) => return Err(error),
            }
        }
        Err(problem.unwrap_or_else(|| self.missing()))
    }

    fn missing(&self) -> GitProblem {
        GitProblem::Missing {
            url: self.shown.clone(),
            reference: InWords(&self.request.reference).to_string(),
        }
    }

    async fn resolve(&self) -> Result<Resolved, GitProblem> {
        let reference = self.request.reference.clone();
        self.with_mirror(move |mirror| mirror.resolve(&reference))
            .await
    }

    async fn finish(&self, resolved: Resolved) -> Result<GitRevision, GitProblem> {
        let signed = if self.request.signed {
            let is_tag = matches!(self.request.reference, GitReference::Tag(_));
            let object = if is_tag {
                resolved.object
            } else {
                resolved.commit
            };
            let found = self
                .with_mirror(move |mirror| signature::extract(mirror, object, is_tag))
                .await?;
            Some(found)
        } else {
            None
        };
        Ok(GitRevision {
            request: self.request.clone(),
            mirror: self.path.clone(),
            shown: self.shown.clone(),
            limits: self.options.limits.clone(),
            resolved,
            received_bytes: self.counters.bytes.load(Ordering::Relaxed),
            signed,
        })
    }

    async fn attempt(&self, attempt: &Attempt) -> Result<(), GitProblem> {
        let is_pinned = self.request.reference.object_id().is_some();
        let opening = Session::open(&self.address, is_pinned, &self.shown, self.options);
        let mut session = opening.await?;
        if let Attempt::Commit { .. } = attempt
            && !session.can_want_any_commit()
        {
            session.close().await;
            return Err(self.missing());
        }
        let refs = match attempt {
            Attempt::Commit { .. } => RemoteRefs::default(),
            _ => {
                session
                    .references(&attempt.prefixes(&self.request.reference))
                    .await?
            }
        };
        let refs = Arc::new(self.select(attempt, refs)?);
        let can_be_shallow = session.can_be_shallow();
        let need = {
            let (refs, attempt) = (refs.clone(), attempt.clone());
            self.with_mirror(move |mirror| need(mirror, &refs, &attempt, can_be_shallow))
                .await?
        };
        let update = if need.wanted.wants.is_empty() {
            session.close().await;
            ShallowUpdate::default()
        } else {
            self.transfer(session, &need).await?
        };
        let (attempt, tips, shown) = (attempt.clone(), need.tips, self.shown.clone());
        self.with_mirror(move |mirror| {
            if tips.iter().any(|id| !mirror.has(*id)) {
                return Err(GitProblem::Protocol {
                    url: shown,
                    source: ProtocolError::Pack("it lacks what was asked for".to_owned()),
                });
            }
            mirror.update_shallow_after(&update)?;
            record(mirror, &refs, &attempt)
        })
        .await
    }

    /// Leaves the references that the attempt is about, and fails if the wanted one is not there.
    fn select(&self, attempt: &Attempt, mut refs: RemoteRefs) -> Result<RemoteRefs, GitProblem> {
        let name = self.request.reference.full_name();
        let has = |name: &String| refs.refs.iter().any(|one| one.name == name.as_bytes());
        if name.as_ref().is_some_and(|name| !has(name)) {
            return Err(self.missing());
        }
        if *attempt != Attempt::Tip {
            return Ok(refs);
        }
        let Some(name) = name else {
            let Some(id) = refs.head else {
                return Err(GitProblem::Empty {
                    url: self.shown.clone(),
                });
            };
            refs.refs = refs
                .head_target
                .iter()
                .filter(|name| name.starts_with("refs/heads/") && is_valid_name(name.as_bytes()))
                .map(|name| session::RemoteRef {
                    name: name.clone().into_bytes(),
                    id,
                })
                .collect();
            return Ok(refs);
        };
        refs.refs.retain(|one| one.name == name.as_bytes());
        Ok(refs)
    }

    /// Receives a pack into the mirror.
    async fn transfer(
        &self,
        mut session: Session,
        need: &Need,
    ) -> Result<ShallowUpdate, GitProblem> {
        let (sender, receiver) = mpsc::channel(CHANNEL);
        let before = self.counters.bytes.load(Ordering::Relaxed);
        let counters = Arc::new(Counters::default());
        let indexer = {
            let (path, shown, stop) = (self.path.clone(), self.shown.clone(), self.stop.clone());
            let (counters, max, lock) = (
                counters.clone(),
                self.options.limits.objects,
                self.lock.clone(),
            );
            blocking(move || {
                let _lock = lock;
                Quarantine::receive(&path, &shown, receiver, &counters, max, &stop)
            })
        };
        let receive = async {
            let update = session.fetch(&need.wanted, &sender).await?;
            counters.complete.store(true, Ordering::Release);
            drop(sender);
            session.close().await;
            Ok::<_, GitProblem>(update)
        };
        let both = async {
            // The sender goes with `receive` when that fails, which ends the indexer.
            let (update, quarantine) = tokio::join!(receive, indexer);
            match (update, quarantine) {
                (Ok(update), Ok(quarantine)) => Ok((update, quarantine)),
                // An indexer that stopped for want of data has nothing to say.
                (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            }
        };
        tokio::pin!(both);
        let mut tick = tokio::time::interval(TICK);
        let tell = || {
            let total = counters.total_objects.load(Ordering::Relaxed);
            self.tell(GitProgress {
                received_bytes: before + counters.bytes.load(Ordering::Relaxed),
                objects: counters.objects.load(Ordering::Relaxed),
                total_objects: (total > 0).then_some(total),
            });
        };
        let received = loop {
            tokio::select! {
                result = &mut both => break result,
                _ = tick.tick() => tell(),
            }
        };
        tell();
        self.counters.bytes.store(
            before + counters.bytes.load(Ordering::Relaxed),
            Ordering::Relaxed,
        );
        let (update, quarantine) = received?;
        self.with_mirror(move |mirror| {
            mirror.update_shallow_before(&update)?;
            quarantine.install(mirror.path())?;
            Ok(update)
        })
        .await
    }

    fn tell(&self, now: GitProgress) {
        let Ok(mut told) = self.told.lock() else {
            return;
        };
        let now = GitProgress {
            received_bytes: now.received_bytes.max(told.received_bytes),
            objects: now.objects.max(told.objects),
            total_objects: now.total_objects.max(told.total_objects),
        };
        if now != *told {
            *told = now;
            drop(told);
            (self.report)(GitStep::Progress(now));
        }
    }

    /// Works on the mirror in a thread that may block, holding the lock.
    async fn with_mirror<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Mirror) -> Result<T, GitProblem> + Send + 'static,
    ) -> Result<T, GitProblem> {
        let (path, shown, stop) = (self.path.clone(), self.shown.clone(), self.stop.clone());
        self.locked(move || {
            if stop.is_cancelled() {
                return Err(GitProblem::Cancelled);
            }
            work(&Mirror::open_or_create(&path, &shown)?)
        })
        .await
    }
}
