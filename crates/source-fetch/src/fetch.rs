//! All sources of a recipe, side by side, into one tree.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use network_policy::{Access, HttpClients, SourcePolicy};
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::error::FetchError;
use crate::plan;
use crate::policy::{Directories, Fetched, Policy, SourceRequest};
use crate::progress::{Event, Reporter, SourceId};
use crate::source::Location;
use crate::staging::{Staged, Staging};

mod file;
mod held;
#[cfg(feature = "git")]
mod repository;
#[cfg_attr(not(feature = "signatures"), path = "fetch/unsigned.rs")]
mod signed;

pub use held::{Held, fetch_and_hold};
use signed::Signatures;

/// How long a cancelled fetch waits for its staging directory to be removed.
const GRACE: Duration = Duration::from_millis(50);
/// How long any other waits for it: nobody is in a hurry, and what is unpacking has to stop first.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest time for a connection to be made.
const CONNECT: Duration = Duration::from_secs(30);

/// Fetches, verifies and extracts `sources`; `srcdir` appears with all of them or not at all.
///
/// At most `policy.parallel` sources are worked on at a time. The files and directories of
/// `srcdir` are the caller's own, copied from the cache and never linked to it.
///
/// Dropping the future is as good as cancelling: what is left are whole cache entries, parts of
/// downloads that the next fetch resumes, and nothing beside `srcdir`.
///
/// # Errors
/// The first failure; see [`FetchError`]. With `policy.offline`, every source that is missing is
/// named at once. [`FetchError::Cancelled`] within 100 ms of `token` being cancelled.
pub async fn fetch_all(
    sources: &[SourceRequest],
    dirs: &Directories,
    policy: &Policy,
    token: &CancellationToken,
    reporter: &dyn Reporter,
) -> Result<Vec<Fetched>, FetchError> {
    if token.is_cancelled() {
        return Err(FetchError::Cancelled);
    }
    plan::check(sources, policy)?;
    let stop = token.child_token();
    // Tells the blocking parts to stop when this future is dropped.
    let stop_on_drop = stop.clone().drop_guard();
    let gone = CancellationToken::new();
    let work = async {
        let order = Order {
            sources,
            dirs,
            policy,
            hold: false,
        };
        let gathered = gather(&order, &stop, reporter, &gone).await?;
        gathered.publish(&stop).await
    };
    let result = until_cancelled(token, work).await;
    drop(stop_on_drop);
    wait_for(&gone, token).await;
    result
}

/// Runs `work` until it ends or `token` is cancelled.
async fn until_cancelled<T>(
    token: &CancellationToken,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    tokio::select! {
        biased;
        () = token.cancelled() => Err(FetchError::Cancelled),
        result = work => result,
    }
}

/// Waits for the end of a staging directory: the caller goes on with the folder that it is in.
async fn wait_for(gone: &CancellationToken, token: &CancellationToken) {
    let patience = async {
        tokio::select! {
            () = token.cancelled() => tokio::time::sleep(GRACE).await,
            () = tokio::time::sleep(PATIENCE) => {}
        }
    };
    tokio::select! {
        () = gone.cancelled() => {}
        () = patience => {}
    }
}

/// What is to be fetched, where to, and how.
struct Order<'a> {
    sources: &'a [SourceRequest],
    dirs: &'a Directories,
    policy: &'a Policy,
    /// Nothing is unpacked yet.
    hold: bool,
}

/// What every source needs.
struct Context<'a> {
    dirs: &'a Directories,
    policy: &'a Policy,
    hold: bool,
    clients: HttpClients,
    token: &'a CancellationToken,
    reporter: &'a dyn Reporter,
    staging: Arc<Staging>,
    signatures: Signatures,
}

/// One source that is complete.
#[derive(Debug)]
struct Done {
    index: usize,
    fetched: Fetched,
    staged: Staged,
}

/// Everything in the staging directory, verified, in the order of the recipe.
#[derive(Debug)]
struct Gathered {
    staging: Arc<Staging>,
    done: Vec<Done>,
}

impl Gathered {
    /// Makes it `srcdir`.
    async fn publish(self, token: &CancellationToken) -> Result<Vec<Fetched>, FetchError> {
        let (fetched, staged): (Vec<_>, Vec<_>) = self
            .done
            .into_iter()
            .map(|one| (one.fetched, one.staged))
            .unzip();
        let (staging, stop) = (Arc::clone(&self.staging), token.clone());
        blocking::run(token, move || staging.assemble(&staged, &stop)).await?;
        // Here and not in the blocking part: once cancelled, nothing may appear any more.
        if token.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        self.staging.publish()?;
        Ok(fetched)
    }
}

async fn gather(
    order: &Order<'_>,
    token: &CancellationToken,
    reporter: &dyn Reporter,
    gone: &CancellationToken,
) -> Result<Gathered, FetchError> {
    let (sources, policy) = (order.sources, order.policy);
    // Without a staging directory there is nothing whose end could be waited for.
    let nothing_made = |error: &FetchError| {
        if !matches!(error, FetchError::Cancelled) {
            gone.cancel();
        }
    };
    let clients = clients(policy, token).await.inspect_err(nothing_made)?;
    let signatures = Signatures::plan(sources, policy, token)
        .await
        .inspect_err(nothing_made)?;
    let (srcdir, end) = (order.dirs.srcdir.clone(), gone.clone());
    let staging = blocking::run(token, move || Staging::create(&srcdir, end))
        .await
        .inspect_err(nothing_made)?;
    let context = Context {
        dirs: order.dirs,
        policy,
        hold: order.hold,
        clients,
        token,
        reporter,
        staging: Arc::new(staging),
        signatures,
    };
    let mut done = fetch_each(&context, sources).await?;
    done.sort_by_key(|one| one.index);
    signed::verify_files(&context, sources, &mut done).await?;
    Ok(Gathered {
        staging: context.staging,
        done,
    })
}

async fn fetch_each(
    context: &Context<'_>,
    sources: &[SourceRequest],
) -> Result<Vec<Done>, FetchError> {
    // A list of finished types and not a closure over borrowed ones: the compiler cannot see
    // that a stream of the latter may move between threads.
    let each: Vec<_> = sources
        .iter()
        .enumerate()
        .map(|(index, request)| fetch_one(context, index, request).boxed())
        .collect();
    let mut running = stream::iter(each).buffer_unordered(context.policy.parallel.max(1));
    let (mut done, mut absent) = (Vec::new(), Vec::new());
    while let Some(result) = running.next().await {
        match result {
            Ok(one) => done.push(one),
            // One message with everything that is missing saves going online once for each.
            Err(FetchError::Offline { missing }) => absent.extend(missing),
            Err(error) => return Err(error),
        }
    }
    if absent.is_empty() {
        return Ok(done);
    }
    absent.sort_unstable();
    Err(FetchError::Offline { missing: absent })
}

async fn fetch_one(
    context: &Context<'_>,
    index: usize,
    request: &SourceRequest,
) -> Result<Done, FetchError> {
    let id = SourceId {
        index,
        name: request.source.shown_name().into(),
    };
    let (fetched, staged) = match request.source.location() {
        #[cfg(feature = "git")]
        Location::Git(git) => repository::fetch(context, &id, request, git).await?,
        _ => file::fetch(context, &id, request).await?,
    };
    let skipped = context.policy.skip_pgp_check && plan::is_signed(request);
    if skipped {
        context
            .reporter
            .report(Event::SignatureSkipped { source: id.clone() });
    }
    if !context.hold && !context.signatures.concern(index) {
        context.reporter.report(Event::Finished { source: id });
    }
    Ok(Done {
        index,
        fetched,
        staged,
    })
}

/// Clients for [`Policy::clients`], which neither decode bodies, since digests are over what is sent,
/// nor follow redirects, since each hop is judged and may need its own credential.
pub fn http_clients(access: Access) -> HttpClients {
    HttpClients::new(SourcePolicy::default(), access, |builder| {
        builder
            .user_agent(concat!("worker-provisioner/", env!("CARGO_PKG_VERSION")))
            .no_gzip()
            .connect_timeout(CONNECT)
    })
}

async fn clients(policy: &Policy, token: &CancellationToken) -> Result<HttpClients, FetchError> {
    if let Some(clients) = &policy.clients {
        return Ok(clients.with_policy(policy.network.clone()));
    }
    let access = blocking::run(token, || Access::from_env().map_err(FetchError::Access));
    Ok(http_clients(access.await?).with_policy(policy.network.clone()))
}
