//! Sources that are one file: beside the recipe, at a `file` URL, or downloaded.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use untrusted_tree::TreeError;

use super::Context;
use crate::blocking;
use crate::checksum::{Algorithm, Checksum, Hashers};
use crate::error::FetchError;
use crate::extract::{self, Alongside, Extraction, Job, Outcome};
use crate::http::{self, Cached, Cookies, Download, Step};
use crate::local::{self, LocalFile};
use crate::plan;
use crate::policy::{Fetched, Origin, SourceRequest, Verification};
use crate::progress::{Event, SourceId};
use crate::source::Location;
use crate::staging::{Staged, Staging};

/// A file whose content is what the recipe declares.
struct Content {
    /// The same content, open.
    file: Option<File>,
    path: PathBuf,
    /// Whether `path` is in the cache and not in the staging directory.
    cached: bool,
    bytes: u64,
    origin: Origin,
    from_cache: bool,
}

pub(super) async fn fetch(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
) -> Result<(Fetched, Staged), FetchError> {
    let tell = |event| context.reporter.report(event);
    tell(Event::Started { source: id.clone() });
    let job = Job {
        name: request.source.file_name().to_owned(),
        root: context.staging.unpacked(id.index),
        limits: context.policy.extract.clone(),
        token: context.token.clone(),
    };
    let staging: Arc<Staging> = Arc::clone(&context.staging);
    let packed = request.no_extract || context.hold;
    let alongside = (!packed).then(|| Alongside::new(job.clone(), staging));
    let content = match request.source.location() {
        Location::Http(url) => {
            download(context, id, request, url.url(), alongside.as_ref()).await?
        }
        Location::Local(path) => {
            let file = LocalFile {
                source_name: request.source.label(),
                path: context.dirs.startdir.join(path),
                within: Some(context.dirs.startdir.clone()),
                max_bytes: context.policy.http.max_bytes,
            };
            copy(context, id, request, file).await?
        }
        Location::File(url) => {
            let file = LocalFile {
                source_name: request.source.label(),
                path: url.url().to_file_path().unwrap_or_default(),
                within: None,
                max_bytes: context.policy.http.max_bytes,
            };
            copy(context, id, request, file).await?
        }
        // git never comes here; an answer that is wrong would be worse than an error.
        other => {
            return Err(FetchError::UnsupportedVcs {
                source_name: request.source.label(),
                vcs: match other {
                    Location::OtherVcs { vcs, .. } => vcs,
                    _ => "git",
                },
            });
        }
    };
    if content.from_cache {
        tell(Event::FromCache { source: id.clone() });
    }
    let verification = Verification {
        skipped: plan::is_skipped(request),
        digests: declared(request),
        pinned: false,
        signed_by: None,
    };
    tell(Event::Verified {
        source: id.clone(),
        digests: verification.digests.clone(),
    });
    let fetched = Fetched {
        source: request.source.clone(),
        path: context.dirs.srcdir.join(request.source.file_name()),
        bytes: content.bytes,
        origin: content.origin.clone(),
        from_cache: content.from_cache,
        verification,
        extracted: None,
        computed: Vec::new(),
    };
    let outcome = match &alongside {
        Some(alongside) => alongside
            .finish()
            .await
            .map_err(|stop| stop.into_error(&job.name))?,
        None => Some(Outcome::Kept),
    };
    let unpacked = place(context, id, job, content, outcome).await?;
    let extracted = unpacked.as_ref().map(|(_, extraction)| {
        tell(Event::Extracted {
            source: id.clone(),
            entries: extraction.entries,
            bytes: extraction.bytes,
        });
        extraction.entries
    });
    let computed = compute(context, context.staging.file(id.index), &request.wanted).await?;
    let staged = Staged {
        name: request.source.file_name().to_owned(),
        path: context.staging.file(id.index),
        unpacked,
    };
    Ok((
        Fetched {
            extracted,
            computed,
            ..fetched
        },
        staged,
    ))
}

async fn compute(
    context: &Context<'_>,
    path: PathBuf,
    wanted: &[Algorithm],
) -> Result<Vec<Checksum>, FetchError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (mut hashers, token) = (Hashers::new(wanted.iter().copied()), context.token.clone());
    let staging: Arc<Staging> = Arc::clone(&context.staging);
    blocking::run(context.token, move || {
        let _staging = staging;
        let mut file = File::open(&path).map_err(FetchError::io("open", &path))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            if token.is_cancelled() {
                return Err(FetchError::Cancelled);
            }
            match file
                .read(&mut buffer)
                .map_err(FetchError::io("read", &path))?
            {
                0 => break,
                length => hashers.update(&buffer[..length]),
            }
        }
        Ok(hashers.finish().into_iter().map(Checksum::of).collect())
    })
    .await
}

fn declared(request: &SourceRequest) -> Vec<Algorithm> {
    let mut kinds: Vec<_> = request
        .checksums
        .iter()
        .filter(|checksum| !checksum.is_skip())
        .map(|checksum| checksum.algorithm)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

async fn download(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
    url: &url::Url,
    alongside: Option<&Alongside>,
) -> Result<Content, FetchError> {
    let label = request.source.label();
    let cookies = Cookies::default();
    let download = Download {
        clients: &context.clients,
        is_pinned: plan::is_pinned(request),
        policy: context.policy,
        url,
        label: &label,
        checksums: &request.checksums,
        cache: &context.dirs.cache,
        token: context.token,
        cookies: &cookies,
        alongside,
    };
    let report = |step: Step<'_>| {
        context.reporter.report(match step {
            Step::Bytes { received, total } => Event::Bytes {
                source: id.clone(),
                received,
                total,
            },
            Step::Retrying {
                attempt,
                delay,
                problem,
            } => Event::Retrying {
                source: id.clone(),
                attempt,
                delay,
                reason: chain(problem),
            },
            Step::Withheld { host } => Event::CredentialWithheld {
                source: id.clone(),
                host: host.to_owned(),
            },
        });
    };
    let Cached {
        file,
        path,
        meta,
        bytes,
        from_cache,
    } = download.run(&report).await?;
    Ok(Content {
        file: Some(file),
        path,
        cached: true,
        bytes,
        origin: Origin::Http {
            final_url: meta.final_url,
            tls: meta.tls,
        },
        from_cache,
    })
}

/// A failure with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn copy(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
    file: LocalFile,
) -> Result<Content, FetchError> {
    let target = context.staging.file(id.index);
    let algorithms = http::algorithms(&request.checksums);
    let (done, size, notify) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(Notify::new()),
    );
    let work = {
        let (target, token, staging) = (
            target.clone(),
            context.token.clone(),
            Arc::clone(&context.staging),
        );
        let (done, size, notify) = (Arc::clone(&done), Arc::clone(&size), Arc::clone(&notify));
        blocking::run(context.token, move || {
            let _staging: Arc<Staging> = staging;
            local::copy(&file, &target, &algorithms, &token, &|copied, total| {
                done.store(copied, Ordering::Relaxed);
                size.store(total, Ordering::Relaxed);
                notify.notify_one();
            })
        })
    };
    tokio::pin!(work);
    let tell = || {
        context.reporter.report(Event::Bytes {
            source: id.clone(),
            received: done.load(Ordering::Relaxed),
            total: Some(size.load(Ordering::Relaxed)),
        });
    };
    let (bytes, digests) = loop {
        tokio::select! {
            biased;
            result = &mut work => break result?,
            () = notify.notified() => {
                tell();
                tokio::select! {
                    biased;
                    result = &mut work => break result?,
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
        }
    };
    tell();
    http::compare(&request.source.label(), &request.checksums, &digests)?;
    Ok(Content {
        file: None,
        path: target,
        cached: false,
        bytes,
        origin: Origin::File,
        from_cache: false,
    })
}

/// Unpacks the file unless that is done, and puts it into the staging directory under its own name.
async fn place(
    context: &Context<'_>,
    id: &SourceId,
    job: Job,
    content: Content,
    outcome: Option<Outcome>,
) -> Result<Option<(PathBuf, Extraction)>, FetchError> {
    let target = context.staging.file(id.index);
    let staging = Arc::clone(&context.staging);
    let token = context.token.clone();
    blocking::run(context.token, move || {
        let _staging = staging;
        let file = match content.file {
            Some(file) => file,
            None => File::open(&content.path).map_err(FetchError::io("open", &content.path))?,
        };
        let outcome = if let Some(outcome) = outcome {
            outcome
        } else {
            let again = file
                .try_clone()
                .map_err(FetchError::io("open", &content.path))?;
            extract::from_file(&job, again).map_err(|stop| stop.into_error(&job.name))?
        };
        let unpacked = match outcome {
            Outcome::Extracted(extraction) => Some((job.root, extraction)),
            Outcome::Kept => None,
        };
        if content.cached {
            put(&file, &target, &token)?;
        }
        Ok(unpacked)
    })
    .await
}

/// Copies a file of the cache to where the build works on it. They share blocks where the file
/// system can do that, and never an inode: a build owns what it is given, and could exchange the
/// bytes that another fetch has just verified.
fn put(cached: &File, target: &Path, token: &CancellationToken) -> Result<(), FetchError> {
    let mode = 0o666 & !extract::UMASK;
    untrusted_tree::copy_open_file(cached, target, mode, &|| token.is_cancelled()).map_err(
        |error| match error {
            TreeError::Cancelled => FetchError::Cancelled,
            error => FetchError::io("write", target)(error.into()),
        },
    )?;
    Ok(())
}
