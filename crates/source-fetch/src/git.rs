//! Git repositories as sources: a bare mirror per address in the cache, and checkouts that stand on their own.
//!
//! Objects, history, configuration and conversions are libgit2's. The conversation with a server is ours, over the
//! HTTP client that everything else uses, over the person's `ssh`, or over a plain connection: libgit2 takes a
//! foreign transport only through an unsafe registration, and what it brings along has its own TLS, cannot be
//! interrupted, and cannot fetch shallowly from a local repository. So is the indexing of a pack: libgit2 maps all of
//! it into memory, bounded only by unsafe settings of the whole process, and resolves deltas on a single thread.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use network_policy::{Refusal, SourcePolicy};
use tokio_util::sync::CancellationToken;

mod address;
mod answer;
mod archive;
mod asks;
mod attributed;
mod attributes;
mod blobs;
mod checkout;
mod collect;
mod convert;
mod error;
mod fetch;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod local;
mod mirror;
mod options;
mod pack;
mod pkt_line;
mod reference;
mod session;
mod signature;
mod summing;
mod threads;
mod transport;
mod tree;

pub use archive::{Archived, Exports};
pub use collect::{CollectedMirrors, collect_mirrors};
pub use error::{ConversionError, GitProblem, ProtocolError};
pub use history::{History, required_history};
pub use options::{GitCredentials, GitLimits, GitOptions, UrlRewrites};
pub use signature::SignedObject;

use crate::source::GitReference;
use address::{Address, without_secrets};
use fetch::Fetch;
use mirror::{Lock, Mirror, Resolved};
use pack::Counters;

/// What to fetch.
#[derive(Debug, Clone)]
pub struct GitRequest {
    /// The address without `git+`, as git-clone(1) takes it.
    pub url: String,
    /// Which revision.
    pub reference: GitReference,
    /// How much of its history.
    pub history: History,
    /// Whether the revision must carry a signature, which [`GitRevision::signed`] then holds.
    pub signed: bool,
}

/// How far a fetch has come; no figure ever falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GitProgress {
    /// Bytes of the pack that have arrived. A git server does not say how many there will be.
    pub received_bytes: u64,
    /// Objects that have arrived and are checked.
    pub objects: u64,
    /// Objects in all, once the server has said so.
    pub total_objects: Option<u64>,
}

/// What is told while a fetch is under way.
#[derive(Debug)]
#[non_exhaustive]
pub enum GitStep<'a> {
    /// More has arrived.
    Progress(GitProgress),
    /// An attempt failed and another follows.
    Retrying {
        /// Number of the attempt that failed, from one.
        attempt: u32,
        /// Pause before the next attempt.
        delay: Duration,
        /// Why the attempt failed.
        problem: &'a GitProblem,
    },
}

/// A revision that is in the cache, ready to be checked out.
#[derive(Debug, Clone)]
pub struct GitRevision {
    request: GitRequest,
    mirror: PathBuf,
    shown: String,
    limits: GitLimits,
    resolved: Resolved,
    received_bytes: u64,
    signed: Option<SignedObject>,
}

/// A finished checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GitCheckout {
    /// The working copy.
    pub path: PathBuf,
    /// The commit in it, 40 hexadecimal digits.
    pub commit: String,
    /// Files, links and directories in it.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

impl GitRevision {
    /// The commit, 40 hexadecimal digits.
    pub fn commit(&self) -> String {
        self.resolved.commit.to_string()
    }

    /// Bytes of packs that were transferred; zero when the cache had everything.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The signature and what it signs, when [`GitRequest::signed`] was set. Nothing has verified it yet.
    pub fn signed(&self) -> Option<&SignedObject> {
        self.signed.as_ref()
    }

    /// Puts the revision at `destination`, which must not exist or be empty, in one step.
    ///
    /// The checkout is complete in itself: `.git` holds copies of the objects it needs, so neither the cache nor the server
    /// has to be reachable afterwards, and writing to it cannot damage the cache. `origin` is the address of the
    /// request without secrets. As makepkg does, a chosen revision is put on a branch `makepkg`, and the default
    /// one on the branch of its name. Submodules are empty directories. Nothing from the repository is executed
    /// and no setting of the person's configuration changes the files.
    ///
    /// # Errors
    /// See [`GitProblem`]; nothing is left at `destination` then. [`GitProblem::Cancelled`] at once when `token` is
    /// cancelled, with the unfinished directory removed a moment later. A damaged mirror is noted, so that
    /// fetching again mends it.
    pub async fn check_out(
        &self,
        destination: &Path,
        token: &CancellationToken,
    ) -> Result<GitCheckout, GitProblem> {
        let stop = token.child_token();
        // Tells the blocking part to stop when this future is dropped.
        let _stop = stop.clone().drop_guard();
        let work = async {
            let lock = mirror::lock(&self.mirror).await?;
            let (this, path, stop) = (self.clone(), destination.to_owned(), stop.clone());
            let prepared = blocking(move || this.prepare(&path, &stop, &lock)).await?;
            let (files, bytes) = (prepared.files, prepared.bytes);
            // Here and not in the blocking part: once cancelled, nothing may appear any more.
            prepared.publish()?;
            Ok(GitCheckout {
                path: destination.to_owned(),
                commit: self.commit(),
                files,
                bytes,
            })
        };
        tokio::select! {
            biased;
            () = token.cancelled() => Err(GitProblem::Cancelled),
            result = work => result,
        }
    }

    /// The first file of the revision that builds it and asks git for more than the commit it is in: its history, its tags,
    /// or an abbreviated id. Judged are the files of the common build systems and scripts, by their names, that mention git
    /// and such a question; a program that asks in another way is not found.
    ///
    /// # Errors
    /// See [`GitProblem`]: those of reading the revision.
    pub async fn asks_for_history(
        &self,
        token: &CancellationToken,
    ) -> Result<Option<PathBuf>, GitProblem> {
        let found = self.read(token, asks::first).await?;
        Ok(found.map(|path| PathBuf::from(OsString::from_vec(path))))
    }

    /// Writes the revision to `to` as `git archive --format tar` would for makepkg: of the commit, without a prefix, and
    /// with nothing of the person's configuration. Returns the writer too.
    ///
    /// Everything is read and written in pieces; `to` is dropped where it is when `token` is cancelled.
    ///
    /// # Errors
    /// See [`GitProblem`]: those of [`check_out`](Self::check_out), but for what concerns a destination.
    pub async fn archive<W: std::io::Write + Send + 'static>(
        &self,
        exports: Exports,
        to: W,
        token: &CancellationToken,
    ) -> Result<(Archived, W), GitProblem> {
        let mut to = to;
        self.read(token, move |plan| {
            archive::write(plan, exports, &mut to).map(|end| (end, to))
        })
        .await
    }

    /// Reads the revision in a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        token: &CancellationToken,
        work: impl FnOnce(&archive::Plan<'_>) -> Result<T, GitProblem> + Send + 'static,
    ) -> Result<T, GitProblem> {
        let stop = token.child_token();
        let _stop = stop.clone().drop_guard();
        let reading = async {
            let lock = mirror::lock(&self.mirror).await?;
            let (this, stop) = (self.clone(), stop.clone());
            blocking(move || {
                let _lock = lock;
                let mirror = Mirror::open(&this.mirror, &this.shown)?;
                this.note_damage(work(&archive::Plan {
                    mirror: &mirror,
                    url: &this.shown,
                    commit: this.resolved.commit,
                    limits: &this.limits,
                    token: &stop,
                }))
            })
            .await
        };
        tokio::select! {
            biased;
            () = token.cancelled() => Err(GitProblem::Cancelled),
            result = reading => result,
        }
    }

    fn prepare(
        &self,
        destination: &Path,
        token: &CancellationToken,
        _lock: &Lock,
    ) -> Result<checkout::Prepared, GitProblem> {
        let mirror = Mirror::open(&self.mirror, &self.shown)?;
        let prepared = checkout::prepare(
            &checkout::Plan {
                mirror: &mirror,
                url: &self.shown,
                reference: &self.request.reference,
                history: self.request.history,
                resolved: self.resolved,
                limits: &self.limits,
                token,
            },
            destination,
        );
        self.note_damage(prepared)
    }

    /// Notes that a mirror cannot be read, so that fetching again mends it.
    fn note_damage<T>(&self, result: Result<T, GitProblem>) -> Result<T, GitProblem> {
        if let Err(GitProblem::Git { source, .. }) = &result {
            tracing::warn!(%source, mirror = %self.mirror.display(), "a mirror is damaged");
            mirror::mark_damaged(&self.mirror)?;
        }
        result
    }
}

/// Brings a revision into the cache at `cache`.
///
/// With [`History::Shallow`] only the wanted commit is fetched where the server can do that; what a commit id or
/// an unwilling server needs beyond that is fetched too. With [`History::Full`] every branch and tag comes with its
/// history. Later calls fetch only what is new. A commit given by its whole id that is in the cache already needs no connection,
/// unless the full history is wanted.
///
/// When the connection breaks or the server is busy, it is tried again as `options.retry` says. What had arrived
/// of a pack is lost then, as git cannot resume one.
///
/// A pack is indexed while it arrives, on up to four threads. Memory grows with the number of its objects, by 100 to
/// 150 bytes each, not with its size; but a delta, its base and what they make must fit into memory, and none of
/// them may be larger than 512 MiB. One thread at a time has such that are larger than 16 MiB. A directory may take 64 MiB, a
/// commit or tag 16 MiB.
///
/// Processes that want the same mirror wait for each other; a dead one does not keep the lock.
///
/// # Errors
/// See [`GitProblem`]. [`GitProblem::Cancelled`] at once when `token` is cancelled; then, and when the future is
/// dropped, connections are closed, `ssh` is killed, and the mirror holds what it held before.
pub async fn fetch(
    request: &GitRequest,
    cache: &Path,
    options: &GitOptions,
    token: &CancellationToken,
    report: &(dyn Fn(GitStep<'_>) + Send + Sync),
) -> Result<GitRevision, GitProblem> {
    let stop = token.child_token();
    let _stop = stop.clone().drop_guard();
    let shown = without_secrets(&request.url);
    let work = async {
        let policy = options.clients.policy();
        let mut address = Address::parse(&request.url)?;
        if address.has_own_settings(policy) {
            address = Address::parse(&options.rewrites.apply(&request.url))?;
        }
        address
            .check(policy, request.reference.object_id().is_some())
            .map_err(|refusal| GitProblem::Refused {
                url: shown.clone(),
                refusal,
            })?;
        let path = mirror::location(cache, &request.url)?;
        let fetch = Fetch {
            request,
            options,
            address,
            lock: Arc::new(mirror::lock(&path).await?),
            path,
            shown: shown.clone(),
            stop: stop.clone(),
            report,
            told: Mutex::default(),
            counters: Arc::new(Counters::default()),
        };
        fetch.run_or_renew().await
    };
    let total = async {
        match options.limits.total {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = token.cancelled() => Err(GitProblem::Cancelled),
        result = work => result,
        () = total => Err(GitProblem::Limit {
            url: shown.clone(),
            unit: "seconds",
            limit: options.limits.total.unwrap_or_default().as_secs(),
        }),
    }
}

/// Runs `work` on a thread that may block. A panic goes on in the caller.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitProblem> + Send + 'static,
) -> Result<T, GitProblem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(GitProblem::Cancelled),
    }
}

/// Judges where a repository is by what is written. What cannot be read is left to the fetch.
pub(crate) fn check_place(
    url: &str,
    reference: &GitReference,
    policy: &SourcePolicy,
) -> Result<(), Refusal> {
    match Address::parse(url) {
        Ok(address) => address.check(policy, reference.object_id().is_some()),
        Err(_) => Ok(()),
    }
}
