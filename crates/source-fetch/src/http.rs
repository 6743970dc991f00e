//! Downloads into the cache: streamed, hashed on the way, resumed and retried.

mod cookies;
mod part;
mod request;

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use network_policy::{Enough, HttpClients, Retries};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::blocking;
use crate::cache::{self, Entry, EntryLock, Meta};
use crate::checksum::{Algorithm, Checksum, Digests, Expected, Hashers, copy_hashed};
use crate::error::{FetchError, TransferProblem};
use crate::extract::Alongside;
use crate::pace::Pace;
use crate::policy::Policy;
use crate::space;
pub(crate) use cookies::Cookies;
use part::Part;
use request::{Answer, Ask, Failure};

/// Less than this is no progress: a peer could keep us busy for ever with a byte at a time.
const PROGRESS: u64 = 64 * 1024;
/// How often bytes are told.
const TICK: Duration = Duration::from_millis(50);

/// One file to download.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Download<'a> {
    pub(crate) clients: &'a HttpClients,
    /// A strong digest says what must come.
    pub(crate) is_pinned: bool,
    pub(crate) policy: &'a Policy,
    pub(crate) url: &'a Url,
    /// The source in words, without secrets.
    pub(crate) label: &'a str,
    pub(crate) checksums: &'a [Checksum],
    pub(crate) cache: &'a Path,
    pub(crate) token: &'a CancellationToken,
    /// What servers want back within this download.
    pub(crate) cookies: &'a Cookies,
    /// Unpacks the file while it arrives.
    pub(crate) alongside: Option<&'a Alongside>,
}

/// What happens during a download.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    Bytes {
        received: u64,
        total: Option<u64>,
    },
    Retrying {
        attempt: u32,
        delay: Duration,
        problem: &'a TransferProblem,
    },
    /// There is a secret for this host, and the connection is not encrypted.
    Withheld {
        host: &'a str,
    },
}

/// A file in the cache that is what the recipe declares.
#[derive(Debug)]
pub(crate) struct Cached {
    /// Open, so that `gc` cannot take it away.
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) meta: Meta,
    pub(crate) bytes: u64,
    pub(crate) from_cache: bool,
}

impl Download<'_> {
    /// Brings the file into the cache, verified.
    ///
    /// # Errors
    /// See [`FetchError`]; an unverified file never gets its final name.
    pub(crate) async fn run(
        &self,
        report: &(dyn Fn(Step<'_>) + Send + Sync),
    ) -> Result<Cached, FetchError> {
        let work = self.get(report);
        let Some(limit) = self.policy.http.total_timeout else {
            return work.await;
        };
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(self.failed(1, TransferProblem::Total { limit })))
    }

    async fn get(&self, report: &(dyn Fn(Step<'_>) + Send + Sync)) -> Result<Cached, FetchError> {
        let entry = Entry::new(self.cache, self.checksums, self.url.as_str());
        if self.policy.offline && !entry.path().exists() {
            return Err(self.offline());
        }
        let lock = Arc::new(entry.lock(self.token).await?);
        let known = self.look_up(&entry, &lock).await?;
        match known {
            // What declares a digest cannot have changed; the rest is asked for again.
            Some(cached) if entry.is_content_addressed() || self.policy.offline => Ok(cached),
            None if self.policy.offline => Err(self.offline()),
            known => self.transfer(&entry, &lock, known, report).await,
        }
    }

    /// Returns the cached file when it is whole; throws it away when it is damaged.
    async fn look_up(
        &self,
        entry: &Entry,
        lock: &Arc<EntryLock>,
    ) -> Result<Option<Cached>, FetchError> {
        let (entry, lock, token) = (entry.clone(), Arc::clone(lock), self.token.clone());
        let (label, checksums) = (self.label.to_owned(), self.checksums.to_vec());
        blocking::run(self.token, move || {
            let _lock = lock;
            let Ok(mut file) = File::open(entry.path()) else {
                return Ok(None);
            };
            // Whoever has another name of the file could change it after it was verified.
            let names = file.metadata().map(|metadata| metadata.nlink());
            if names.map_err(FetchError::io("look at", entry.path()))? != 1 {
                tracing::warn!(path = %entry.path().display(), "shared cache entry, fetching again");
                entry.evict()?;
                return Ok(None);
            }
            let meta = cache::read_meta(&entry.meta()).unwrap_or_default();
            let mut hashers = Hashers::new(algorithms(&checksums));
            let read = copy_hashed(&mut file, &mut hashers, &mut std::io::sink(), |_| {
                cancelled(&token)
            });
            if token.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!(path = %entry.path().display(), %error, "unreadable cache entry");
                    entry.evict()?;
                    return Ok(None);
                }
            };
            let digests = hashers.finish();
            if !entry.is_intact(&digests, &meta) {
                tracing::warn!(path = %entry.path().display(), "damaged cache entry, fetching again");
                entry.evict()?;
                return Ok(None);
            }
            compare(&label, &checksums, &digests)?;
            entry.touch();
            Ok(Some(Cached {
                file,
                path: entry.path().to_owned(),
                meta,
                bytes,
                from_cache: true,
            }))
        })
        .await
    }

    async fn transfer(
        &self,
        entry: &Entry,
        lock: &Arc<EntryLock>,
        known: Option<Cached>,
        report: &(dyn Fn(Step<'_>) + Send + Sync),
    ) -> Result<Cached, FetchError> {
        let mut part = self.open_part(entry, lock).await?;
        let mut may_start_again = true;
        let told = request::Told::new(report, part.length());
        loop {
            let Some((meta, mut whole)) = self.receive(&mut part, known.as_ref(), &told).await?
            else {
                return known.ok_or_else(|| self.failed(1, TransferProblem::WrongRange));
            };
            let (digests, bytes) = whole.digests();
            let Err(mismatch) = compare(self.label, self.checksums, &digests) else {
                return self.commit(entry, lock, whole, meta, &digests, bytes).await;
            };
            let pieced = whole.is_pieced();
            whole.discard()?;
            if let Some(alongside) = self.alongside {
                alongside.restart().await?;
            }
            // The file may have changed between two ranges, so it gets one more chance in one piece.
            if !(pieced && std::mem::take(&mut may_start_again)) {
                return Err(mismatch);
            }
            part = self.open_part(entry, lock).await?;
        }
    }

    async fn open_part(&self, entry: &Entry, lock: &Arc<EntryLock>) -> Result<Part, FetchError> {
        let (entry, lock, token) = (entry.clone(), Arc::clone(lock), self.token.clone());
        let url_digest = cache::url_digest(self.url.as_str());
        let algorithms = algorithms(self.checksums);
        blocking::run(self.token, move || {
            Part::open(entry, lock, url_digest, &algorithms, &token)
        })
        .await
    }

    /// Receives the whole file, in as many attempts as policy allows; nothing when `known` is
    /// still what the server has.
    async fn receive(
        &self,
        part: &mut Part,
        known: Option<&Cached>,
        told: &request::Told<'_>,
    ) -> Result<Option<(Meta, Part)>, FetchError> {
        let mut retries = Retries::new(&self.policy.http.retry);
        let (mut attempt, mut highest) = (0_u32, part.length());
        loop {
            attempt += 1;
            let failure = match self.attempt(part, known, told).await {
                Ok(Some(meta)) => {
                    let whole = part.take();
                    return Ok(Some((meta, whole)));
                }
                Ok(None) => return Ok(None),
                Err(failure) => failure,
            };
            let (problem, asked) = match failure {
                Failure::Fatal(error) => return Err(error),
                Failure::Transfer(problem, asked) => (problem, asked),
            };
            // What came too slowly is no progress, however long it took to be enough.
            let slow = matches!(problem, TransferProblem::TooSlow { .. });
            if part.length() >= highest.saturating_add(PROGRESS) && !slow {
                highest = part.length();
                retries.progressed();
            }
            let delay = match (retries.next(problem.outlook(), asked), &problem) {
                (Ok(delay), _) => delay,
                (Err(Enough::Asked(wait)), TransferProblem::Busy { status }) => {
                    let status = *status;
                    return Err(self.failed(attempt, TransferProblem::RetryAfter { status, wait }));
                }
                (Err(_), _) => return Err(self.failed(attempt, problem)),
            };
            told.report(Step::Retrying {
                attempt,
                delay,
                problem: &problem,
            });
            tokio::time::sleep(delay).await;
        }
    }

    async fn attempt(
        &self,
        part: &mut Part,
        known: Option<&Cached>,
        told: &request::Told<'_>,
    ) -> Result<Option<Meta>, Failure> {
        let ask = match known {
            Some(cached) if part.length() == 0 => Ask::IfChanged(&cached.meta),
            _ => part.ask(),
        };
        let answer = self.ask(&ask, told).await?;
        let (response, _turn, meta, offset) = match answer {
            Answer::Unchanged => return Ok(None),
            Answer::Complete(meta) => return Ok(Some(meta)),
            Answer::StartAgain => {
                self.restart(part, None).await.map_err(Failure::Fatal)?;
                return Err(Failure::Transfer(TransferProblem::WrongRange, None));
            }
            Answer::Body {
                response,
                turn,
                meta,
                offset,
            } => (response, turn, meta, offset),
        };
        let limit = self.policy.http.max_bytes;
        if meta.total.is_some_and(|total| total > limit) {
            return Err(Failure::Fatal(self.too_large()));
        }
        if offset == 0 {
            self.restart(part, Some(&meta))
                .await
                .map_err(Failure::Fatal)?;
        }
        if let Some(total) = meta.total {
            let (path, needed) = (part.path(), total - offset.min(total));
            blocking::run(self.token, move || space::require(&path, needed))
                .await
                .map_err(Failure::Fatal)?;
        }
        self.body(response, part, &meta, told).await?;
        Ok(Some(meta))
    }

    /// Forgets the bytes that have come, and what was made of them.
    async fn restart(&self, part: &mut Part, meta: Option<&Meta>) -> Result<(), FetchError> {
        // First, because it reads the part.
        if let Some(alongside) = self.alongside {
            alongside.restart().await?;
        }
        part.restart(meta)
    }

    async fn body(
        &self,
        mut response: reqwest::Response,
        part: &mut Part,
        meta: &Meta,
        told: &request::Told<'_>,
    ) -> Result<(), Failure> {
        let http = &self.policy.http;
        let arrived = self
            .alongside
            .and_then(|alongside| alongside.follow(&part.path(), part.length()));
        let mut writer = part.writer(arrived).map_err(Failure::Fatal)?;
        let mut received = part.length();
        told.bytes(received, meta.total);
        let mut pace = Pace::new(http.lowest_speed);
        let outcome = loop {
            let asked = Instant::now();
            let next = response.chunk();
            tokio::pin!(next);
            let soon = TICK.min(http.idle_timeout);
            let waited = match tokio::time::timeout(soon, &mut next).await {
                Err(_) => {
                    // A peer that pauses must not hide what came just before.
                    told.finish(received, meta.total);
                    tokio::time::timeout(http.idle_timeout.saturating_sub(soon), next).await
                }
                in_time => in_time,
            };
            let chunk = match waited {
                Err(_) => {
                    let limit = http.idle_timeout;
                    break Err(Failure::Transfer(TransferProblem::Idle { limit }, None));
                }
                Ok(Err(error)) => {
                    let problem = TransferProblem::Connection(error.without_url());
                    break Err(Failure::Transfer(problem, None));
                }
                Ok(Ok(None)) => break Ok(()),
                Ok(Ok(Some(chunk))) => chunk,
            };
            received += chunk.len() as u64;
            if received > http.max_bytes {
                break Err(Failure::Fatal(self.too_large()));
            }
            if meta.total.is_some_and(|total| received > total) {
                break Err(Failure::Transfer(TransferProblem::WrongRange, None));
            }
            let waited = asked.elapsed();
            let bytes = chunk.len();
            if !writer.write(chunk).await {
                break Ok(());
            }
            if let Err(lowest) = pace.arrived(bytes, waited) {
                break Err(Failure::Transfer(TransferProblem::TooSlow { lowest }, None));
            }
            told.bytes(received, meta.total);
        };
        // Before anything else: only the writer knows whether the disk took it all.
        part.rejoin(writer).await.map_err(Failure::Fatal)?;
        if matches!(outcome, Err(Failure::Fatal(_))) {
            self.restart(part, None).await.map_err(Failure::Fatal)?;
        }
        outcome?;
        if let Some(expected) = meta.total
            && part.length() < expected
        {
            return Err(Failure::Transfer(
                TransferProblem::Truncated {
                    received: part.length(),
                    expected,
                },
                None,
            ));
        }
        told.finish(part.length(), meta.total);
        Ok(())
    }

    async fn commit(
        &self,
        entry: &Entry,
        lock: &Arc<EntryLock>,
        part: Part,
        mut meta: Meta,
        digests: &Digests,
        bytes: u64,
    ) -> Result<Cached, FetchError> {
        meta.total = Some(bytes);
        meta.sha256 = digests
            .iter()
            .find(|(algorithm, _)| *algorithm == Algorithm::Sha256)
            .map(|(_, digest)| hex::encode(digest));
        let (entry, lock) = (entry.clone(), Arc::clone(lock));
        blocking::run(self.token, move || {
            let _lock = lock;
            drop(part);
            entry.commit(&entry.part(), &meta)?;
            let path = entry.path().to_owned();
            let file = File::open(&path).map_err(FetchError::io("open", &path))?;
            Ok(Cached {
                file,
                path,
                meta,
                bytes,
                from_cache: false,
            })
        })
        .await
    }

    fn failed(&self, attempts: u32, problem: TransferProblem) -> FetchError {
        FetchError::Transfer {
            source_name: self.label.to_owned(),
            url: request::shown(self.url),
            attempts,
            problem,
        }
    }

    fn too_large(&self) -> FetchError {
        FetchError::TooLarge {
            source_name: self.label.to_owned(),
            limit: self.policy.http.max_bytes,
        }
    }

    fn offline(&self) -> FetchError {
        FetchError::Offline {
            missing: vec![self.label.to_owned()],
        }
    }
}

/// Compares digests with what the recipe declares.
///
/// # Errors
/// [`FetchError::Mismatch`] for the strongest kind that differs.
pub(crate) fn compare(
    label: &str,
    checksums: &[Checksum],
    digests: &Digests,
) -> Result<(), FetchError> {
    let mut declared: Vec<_> = checksums.iter().collect();
    declared.sort_by_key(|checksum| std::cmp::Reverse(checksum.algorithm));
    for checksum in declared {
        let Expected::Digest(expected) = &checksum.expected else {
            continue;
        };
        let got = digests
            .iter()
            .find(|(algorithm, _)| *algorithm == checksum.algorithm)
            .map_or(&[][..], |(_, digest)| digest);
        if got != expected.as_slice() {
            return Err(FetchError::Mismatch {
                source_name: label.to_owned(),
                kind: checksum.algorithm,
                expected: checksum.to_string(),
                got: crate::checksum::digest_text(checksum.algorithm, got),
            });
        }
    }
    Ok(())
}

/// The kinds to compute: those declared, and SHA-256 when none of them names content.
pub(crate) fn algorithms(checksums: &[Checksum]) -> Vec<Algorithm> {
    let mut kinds: Vec<_> = checksums
        .iter()
        .filter(|checksum| !checksum.is_skip())
        .map(|checksum| checksum.algorithm)
        .collect();
    if kinds.iter().all(|kind| *kind == Algorithm::Cksum) {
        kinds.push(Algorithm::Sha256);
    }
    kinds
}

fn cancelled(token: &CancellationToken) -> std::io::Result<()> {
    if token.is_cancelled() {
        return Err(std::io::Error::other("cancelled"));
    }
    Ok(())
}
