//! Sources that are git repositories.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use network_policy::SourcePolicy;
use reqwest::header::HeaderValue;
use url::Url;

use super::file::chain;
use super::{Context, signed};
use crate::blocking;
use crate::checksum::{Algorithm, Checksum, Hashers};
use crate::credential::{Authorization, Credentials};
use crate::error::{FetchError, SignatureProblem};
use crate::git::{
    self, Archived, Exports, GitCredentials, GitLimits, GitOptions, GitProblem, GitRequest,
    GitRevision, GitStep, History, UrlRewrites,
};
use crate::http;
use crate::policy::{Fetched, Origin, SourceRequest, Verification};
use crate::progress::{Event, SourceId};
use crate::source::GitSource;
use crate::staging::Staged;

pub(super) async fn fetch(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
    source: &GitSource,
) -> Result<(Fetched, Staged), FetchError> {
    let tell = |event| context.reporter.report(event);
    let failed = |problem| convert(request.source.label(), problem);
    tell(Event::Started { source: id.clone() });
    let (revision, received) = with_history(context, id, request, source).await?;
    let from_cache = received == 0;
    if from_cache {
        tell(Event::FromCache { source: id.clone() });
    }
    let digests = verify(context, request, &revision).await?;
    tell(Event::Verified {
        source: id.clone(),
        digests: digests.clone(),
    });
    let computed = compute(context, request, &revision).await?;
    let signed_by = match revision.signed() {
        Some(object) => signed::verify_object(context, id, request.source.label(), object).await?,
        None => None,
    };
    let target = context.staging.file(id.index);
    let checkout = revision
        .check_out(&target, context.token)
        .await
        .map_err(failed)?;
    tell(Event::Extracted {
        source: id.clone(),
        entries: checkout.files,
        bytes: checkout.bytes,
    });
    let fetched = Fetched {
        source: request.source.clone(),
        path: context.dirs.srcdir.join(request.source.file_name()),
        bytes: received,
        origin: Origin::Git {
            commit: checkout.commit,
        },
        from_cache,
        verification: Verification {
            skipped: crate::plan::is_skipped(request),
            digests,
            pinned: source.reference().is_full_commit(),
            signed_by,
        },
        extracted: None,
        computed,
    };
    let staged = Staged {
        name: request.source.file_name().to_owned(),
        path: target,
        unpacked: None,
    };
    Ok((fetched, staged))
}

async fn compute(
    context: &Context<'_>,
    request: &SourceRequest,
    revision: &GitRevision,
) -> Result<Vec<Checksum>, FetchError> {
    if request.wanted.is_empty() {
        return Ok(Vec::new());
    }
    let hashers = Hashers::new(request.wanted.iter().copied());
    let (_, hashers) = revision
        .archive(Exports::Ignored, hashers, context.token)
        .await
        .map_err(|problem| convert(request.source.label(), problem))?;
    Ok(hashers.finish().into_iter().map(Checksum::of).collect())
}

/// Compares what the recipe declares with the digests of the archive that makepkg takes them of: `source/git.sh`,
/// `calc_checksum_git`. Returns the kinds that matched.
///
/// makepkg does so for tags and commits and takes no digest for anything else; here one counts for a branch too.
async fn verify(
    context: &Context<'_>,
    request: &SourceRequest,
    revision: &GitRevision,
) -> Result<Vec<Algorithm>, FetchError> {
    let mut kinds: Vec<Algorithm> = request
        .checksums
        .iter()
        .filter(|checksum| !checksum.is_skip())
        .map(|checksum| checksum.algorithm)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return Ok(kinds);
    }
    let label = request.source.label();
    let archive = async |exports| {
        let hashers = Hashers::new(kinds.iter().copied());
        let (end, hashers) = revision
            .archive(exports, hashers, context.token)
            .await
            .map_err(|problem| convert(label.clone(), problem))?;
        let compared = http::compare(&label, &request.checksums, &hashers.finish());
        Ok::<_, FetchError>((end, compared))
    };
    let mismatch = match archive(Exports::Ignored).await? {
        (_, Ok(())) => return Ok(kinds),
        // A digest of pacman 6.1, which followed the attributes `export-ignore` and `export-subst`. The archive names the
        // commit, so what is left out of it is pinned too.
        (Archived::WithExports, Err(mismatch)) => mismatch,
        (_, Err(mismatch)) => return Err(mismatch),
    };
    match archive(Exports::Followed).await? {
        (Archived::WithExports, Ok(())) => Ok(kinds),
        _ => Err(mismatch),
    }
}

/// Brings the wanted revision into the cache, with its history where the request or a file that builds it asks for that, and
/// says how many bytes that took.
async fn with_history(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
    source: &GitSource,
) -> Result<(GitRevision, u64), FetchError> {
    if request.needs_history {
        let revision = transfer(context, id, request, source, (History::Full, 0)).await?;
        let received = revision.received_bytes();
        return Ok((revision, received));
    }
    let revision = transfer(context, id, request, source, (History::Shallow, 0)).await?;
    let before = revision.received_bytes();
    let asking = revision
        .asks_for_history(context.token)
        .await
        .map_err(|problem| convert(request.source.label(), problem))?;
    let Some(path) = asking else {
        return Ok((revision, before));
    };
    tracing::info!(source = %id.name, file = %path.display(), "a file asks git for the history");
    let revision = transfer(context, id, request, source, (History::Full, before)).await?;
    let received = before + revision.received_bytes();
    Ok((revision, received))
}

/// Brings the wanted revision into the cache, with so much history, and after so many bytes of an earlier transfer.
async fn transfer(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
    source: &GitSource,
    (history, before): (History, u64),
) -> Result<GitRevision, FetchError> {
    let tell = |event| context.reporter.report(event);
    let failed = |problem| convert(request.source.label(), problem);
    let rewrites = blocking::run(context.token, || Ok(UrlRewrites::from_user_configuration()))
        .await?
        .map_err(failed)?;
    let withheld = Arc::new(Mutex::default());
    let unusable = Arc::new(Mutex::<Option<FetchError>>::default());
    let options = GitOptions {
        credentials: Some(Arc::new(HostCredentials {
            credentials: context.policy.credentials.clone(),
            policy: context.clients.policy().clone(),
            withheld: Arc::clone(&withheld),
            failed: Arc::clone(&unusable),
        })),
        retry: context.policy.http.retry.clone(),
        rewrites,
        limits: GitLimits {
            received_bytes: context.policy.http.max_bytes,
            idle: context.policy.http.idle_timeout,
            lowest_speed: context.policy.http.lowest_speed.over(10),
            total: context.policy.http.total_timeout,
            files: context.policy.extract.max_entries,
            checkout_bytes: context.policy.extract.max_bytes,
            ..GitLimits::default()
        },
        offline: context.policy.offline,
        ..GitOptions::new(context.clients.clone())
    };
    let wanted = GitRequest {
        url: source.url().to_owned(),
        reference: source.reference().clone(),
        history,
        signed: source.signed() && !context.policy.skip_pgp_check,
    };
    let report = |step: GitStep<'_>| match step {
        GitStep::Progress(now) => tell(Event::Bytes {
            source: id.clone(),
            received: before + now.received_bytes,
            total: None,
        }),
        GitStep::Retrying {
            attempt,
            delay,
            problem,
        } => tell(Event::Retrying {
            source: id.clone(),
            attempt,
            delay,
            reason: chain(problem),
        }),
    };
    let revision = git::fetch(
        &wanted,
        &context.dirs.cache,
        &options,
        context.token,
        &report,
    )
    .await;
    for host in withheld
        .lock()
        .map(|hosts| hosts.clone())
        .unwrap_or_default()
    {
        tell(Event::CredentialWithheld {
            source: id.clone(),
            host,
        });
    }
    revision.map_err(|problem| {
        let unusable = unusable.lock().ok().and_then(|mut error| error.take());
        match (&problem, unusable) {
            // The server has nothing to do with it.
            (GitProblem::Authentication { .. }, Some(error)) => error,
            _ => failed(problem),
        }
    })
}

/// What the caller gave for hosts, for git's requests too.
struct HostCredentials {
    credentials: Credentials,
    policy: SourcePolicy,
    /// Hosts that were not given what there is for them.
    withheld: Arc<Mutex<BTreeSet<String>>>,
    /// Why there is none where there should be one.
    failed: Arc<Mutex<Option<FetchError>>>,
}

impl GitCredentials for HostCredentials {
    fn authorization(&self, url: &Url, first: &Url) -> Option<HeaderValue> {
        match self.credentials.authorization(url, first, &self.policy) {
            Ok(Authorization::Send(value)) => Some(value),
            Ok(Authorization::Nothing) => None,
            Ok(Authorization::Withheld { host }) => {
                if let Ok(mut withheld) = self.withheld.lock() {
                    withheld.insert(host);
                }
                None
            }
            Err(error) => {
                if let Ok(mut failed) = self.failed.lock() {
                    *failed = Some(error);
                }
                None
            }
        }
    }
}

fn convert(source_name: String, problem: GitProblem) -> FetchError {
    match problem {
        GitProblem::Cancelled => FetchError::Cancelled,
        GitProblem::Offline { .. } => FetchError::Offline {
            missing: vec![source_name],
        },
        GitProblem::Unsigned { kind, object, .. } => FetchError::Signature {
            source_name,
            problem: SignatureProblem::Unsigned { kind, object },
        },
        GitProblem::Io {
            action,
            path,
            source,
        } => FetchError::io(action, path)(source),
        problem => FetchError::Git {
            source_name,
            problem: Box::new(problem),
        },
    }
}
