//! Sources that are git repositories.

use std::sync::Arc;

use reqwest::header::HeaderValue;
use url::Url;

use super::{Context, signed};
use crate::blocking;
use crate::credential::Credentials;
use crate::error::{FetchError, SignatureProblem};
use crate::git::{
    self, GitCredentials, GitLimits, GitOptions, GitProblem, GitProgress, GitRequest, History,
    UrlRewrites,
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
    let rewrites = blocking::run(context.token, || Ok(UrlRewrites::from_user_configuration()))
        .await?
        .map_err(failed)?;
    let options = GitOptions {
        credentials: Some(Arc::new(HostCredentials(
            context.policy.credentials.clone(),
        ))),
        rewrites,
        limits: GitLimits {
            received_bytes: context.policy.http.max_bytes,
            idle: context.policy.http.idle_timeout,
            total: context.policy.http.total_timeout,
            files: context.policy.extract.max_entries,
            checkout_bytes: context.policy.extract.max_bytes,
            ..GitLimits::default()
        },
        offline: context.policy.offline,
        ..GitOptions::new(context.client.clone())
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
    let progress = |now: GitProgress| {
        context.reporter.report(Event::Bytes {
            source: id.clone(),
            received: now.received_bytes,
            total: None,
        });
    };
    let revision = git::fetch(
        &wanted,
        &context.dirs.cache,
        &options,
        context.token,
        &progress,
    )
    .await
    .map_err(failed)?;
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

/// What the caller gave for hosts, for git's requests too.
struct HostCredentials(Credentials);

impl GitCredentials for HostCredentials {
    fn authorization(&self, url: &Url) -> Option<HeaderValue> {
        self.0.authorization(url).unwrap_or_else(|error| {
            tracing::warn!(%error, "going on without a credential");
            None
        })
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
