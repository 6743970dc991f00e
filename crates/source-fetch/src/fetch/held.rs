//! Sources that wait for somebody's judgement before they are unpacked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use untrusted_tree::{Limits, Tree, TreeError};

use super::{Gathered, Order, gather, until_cancelled, wait_for};
use crate::blocking;
use crate::error::FetchError;
use crate::extract::{self, Job, Outcome};
use crate::plan;
use crate::policy::{Directories, ExtractLimits, Fetched, Policy, SourceRequest};
use crate::progress::{Event, Reporter, SourceId};
use crate::staging::Staged;

/// Sources that are fetched, whose digests and signatures are good, and of which nothing is
/// unpacked: what makepkg has when it calls `verify()` (PKGBUILD(5) of pacman 6.1).
///
/// Dropping it removes everything; [`unpack`](Self::unpack) makes it `srcdir`.
#[derive(Debug)]
pub struct Held {
    gathered: Gathered,
    /// For each source whether it stays packed.
    no_extract: Vec<bool>,
    limits: ExtractLimits,
    gone: CancellationToken,
}

/// Fetches and verifies `sources` as [`fetch_all`](crate::fetch_all) does and unpacks nothing.
///
/// [`Event::Finished`] is reported by [`Held::unpack`].
///
/// # Errors
/// As [`fetch_all`](crate::fetch_all).
pub async fn fetch_and_hold(
    sources: &[SourceRequest],
    dirs: &Directories,
    policy: &Policy,
    token: &CancellationToken,
    reporter: &dyn Reporter,
) -> Result<Held, FetchError> {
    if token.is_cancelled() {
        return Err(FetchError::Cancelled);
    }
    plan::check(sources, policy)?;
    let stop = token.child_token();
    let stop_on_drop = stop.clone().drop_guard();
    let gone = CancellationToken::new();
    let order = Order {
        sources,
        dirs,
        policy,
        hold: true,
    };
    let result = until_cancelled(token, gather(&order, &stop, reporter, &gone)).await;
    drop(stop_on_drop);
    match result {
        Ok(gathered) => Ok(Held {
            gathered,
            no_extract: sources.iter().map(|source| source.no_extract).collect(),
            limits: policy.extract.clone(),
            gone,
        }),
        Err(error) => {
            wait_for(&gone, token).await;
            Err(error)
        }
    }
}

impl Held {
    /// What is known of each source, in the order of the recipe.
    pub fn fetched(&self) -> impl Iterator<Item = &Fetched> {
        self.gathered.done.iter().map(|one| &one.fetched)
    }

    /// Copies every source, packed, into `directory`, which must exist: files under their names, and
    /// git sources as checkouts with their repository, where makepkg has a bare one.
    ///
    /// They are copies: what happens to them does not change what [`unpack`](Self::unpack) takes.
    ///
    /// # Errors
    /// [`FetchError::Io`], also when something of a source's name is there already;
    /// [`FetchError::Cancelled`].
    pub async fn copy_to(
        &self,
        directory: &Path,
        token: &CancellationToken,
    ) -> Result<(), FetchError> {
        let stop = token.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let staging = Arc::clone(&self.gathered.staging);
        let pairs: Vec<(PathBuf, PathBuf)> = self
            .gathered
            .done
            .iter()
            .map(|one| (one.staged.path.clone(), directory.join(&one.staged.name)))
            .collect();
        blocking::run(token, move || {
            let _staging = staging;
            pairs
                .iter()
                .try_for_each(|(from, to)| copy_one(from, to, &stop))
        })
        .await
    }

    /// Unpacks what is to be unpacked and makes everything `srcdir`.
    ///
    /// # Errors
    /// Those of unpacking; see [`FetchError`].
    pub async fn unpack(
        self,
        token: &CancellationToken,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Fetched>, FetchError> {
        let stop = token.child_token();
        let stop_on_drop = stop.clone().drop_guard();
        let gone = self.gone.clone();
        let result = until_cancelled(token, self.unpack_each(&stop, reporter)).await;
        drop(stop_on_drop);
        wait_for(&gone, token).await;
        result
    }

    async fn unpack_each(
        mut self,
        token: &CancellationToken,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Fetched>, FetchError> {
        for one in &mut self.gathered.done {
            let source = SourceId {
                index: one.index,
                name: one.fetched.source.shown_name().into(),
            };
            let stays = self.no_extract.get(one.index).copied().unwrap_or(true);
            if !stays && one.staged.path.is_file() {
                let job = Job {
                    name: one.staged.name.clone(),
                    root: self.gathered.staging.unpacked(one.index),
                    limits: self.limits.clone(),
                    token: token.clone(),
                };
                let (staging, path) = (Arc::clone(&self.gathered.staging), one.staged.path.clone());
                let unpacked = blocking::run(token, move || {
                    let _staging = staging;
                    let file = File::open(&path).map_err(FetchError::io("open", &path))?;
                    match extract::from_file(&job, file) {
                        Ok(Outcome::Extracted(extraction)) => Ok(Some((job.root, extraction))),
                        Ok(Outcome::Kept) => Ok(None),
                        Err(stop) => Err(stop.into_error(&job.name)),
                    }
                })
                .await?;
                if let Some((_, extraction)) = &unpacked {
                    one.fetched.extracted = Some(extraction.entries);
                    reporter.report(Event::Extracted {
                        source: source.clone(),
                        entries: extraction.entries,
                        bytes: extraction.bytes,
                    });
                }
                one.staged = Staged {
                    name: one.staged.name.clone(),
                    path: one.staged.path.clone(),
                    unpacked,
                };
            }
            reporter.report(Event::Finished { source });
        }
        self.gathered.publish(token).await
    }
}

fn copy_one(from: &Path, to: &Path, token: &CancellationToken) -> Result<(), FetchError> {
    let cancelled = || token.is_cancelled();
    let failed = |error| match error {
        TreeError::Cancelled => FetchError::Cancelled,
        error => FetchError::io("write", to)(error.into()),
    };
    let meta = fs::symlink_metadata(from).map_err(FetchError::io("read", from))?;
    if !meta.is_dir() {
        let mode = 0o666 & !extract::UMASK;
        return untrusted_tree::copy_file(from, to, mode, &cancelled)
            .map(drop)
            .map_err(failed);
    }
    fs::create_dir(to).map_err(FetchError::io("create", to))?;
    let source = Tree::open(from).map_err(failed)?;
    let target = Tree::open(to).map_err(failed)?;
    untrusted_tree::copy(&[&source], &target, &Limits::default(), &cancelled)
        .map(drop)
        .map_err(failed)
}
