//! Sources that are git repositories.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use reqwest::header::HeaderValue;
use url::Url;

use super::file::chain;
use super::{Context, signed};
use crate::blocking;
use crate::credential::{Authorization, Credentials};
use crate::error::{FetchError, SignatureProblem};
use crate::git::{
    self, GitCredentials, GitLimits, GitOptions, GitProblem, GitRequest, GitRevision, GitStep,
    History, UrlRewrites,
};
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
    let revision = transfer(context, id, request, source).await?;
    let from_cache = revision.received_bytes() == 0;
    if from_cache {
        tell(Event::FromCache { source: id.clone() });
    }
    tell(Event::Verified {
        source: id.clone(),
        digests: Vec::new(),
    });
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
        bytes: revision.received_bytes(),
        origin: Origin::Git {
            commit: checkout.commit,
        },
        from_cache,
        verification: Verification {
            skipped: crate::plan::is_skipped(request),
            pinned: source.reference().is_full_commit(),
            signed_by,
            ..Verification::default()
        },
        extracted: None,
    };
    let staged = Staged {
        name: request.source.file_name().to_owned(),
        path: target,
        unpacked: None,
    };
    Ok((fetched, staged))
}

/// Brings the wanted revision into the cache.
async fn transfer(
    context: &Context<'_>,
    id: &SourceId,
    request: &SourceRequest,
    source: &GitSource,
) -> Result<GitRevision, FetchError> {
    let tell = |event| context.reporter.report(event);
    let failed = |problem| convert(request.source.label(), problem);
    let rewrites = blocking::run(context.token, || Ok(UrlRewrites::from_user_configuration()))
        .await?
        .map_err(failed)?;
    let withheld = Arc::new(Mutex::default());
    let options = GitOptions {
        credentials: Some(Arc::new(HostCredentials {
            credentials: context.policy.credentials.clone(),
            withheld: Arc::clone(&withheld),
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
        history: if request.needs_history {
            History::Full
        } else {
            History::Shallow
        },
        signed: source.signed() && !context.policy.skip_pgp_check,
    };
    let report = |step: GitStep<'_>| match step {
        GitStep::Progress(now) => tell(Event::Bytes {
            source: id.clone(),
            received: now.received_bytes,
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
    revision.map_err(failed)
}

/// What the caller gave for hosts, for git's requests too.
struct HostCredentials {
    credentials: Credentials,
    /// Hosts that were not given what there is for them.
    withheld: Arc<Mutex<BTreeSet<String>>>,
}

impl GitCredentials for HostCredentials {
    fn authorization(&self, url: &Url, first: &Url) -> Option<HeaderValue> {
        match self.credentials.authorization(url, first) {
            Ok(Authorization::Send(value)) => Some(value),
            Ok(Authorization::Nothing) => None,
            Ok(Authorization::Withheld { host }) => {
                if let Ok(mut withheld) = self.withheld.lock() {
                    withheld.insert(host);
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, "going on without a credential");
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
