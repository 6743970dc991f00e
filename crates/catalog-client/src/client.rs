//! The client: list, get, recipe, select.

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::base::Bases;
use crate::cache::Store;
use crate::config::CatalogConfig;
use crate::entry::{Flavor, Variant, WorkerEntry};
use crate::error::{CatalogError, printable};
use crate::exchange::Exchange;
use crate::fetch::{Fetched, Fetcher, Target};
use crate::flight::Flights;
use crate::host::{self, Host};
use crate::id::WorkerId;
use crate::payload::{Kind, Payload};
use crate::platform::WorkerType;
use crate::recipe::{self, Recipe};
use crate::transport;

/// What a catalog lists.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerList {
    /// The workers, in the catalog's order.
    pub workers: Vec<WorkerEntry>,
    /// What is wrong with the entries that could not be used.
    pub rejected: Vec<CatalogError>,
}

/// Asks a worker catalog for entries and recipes.
///
/// Cloning is cheap; clones share connections, cache and the requests under way, so that any
/// number of concurrent calls for one document make one request.
///
/// Every call ends within 100 ms of its token's cancellation with [`CatalogError::Cancelled`];
/// dropping a call's future does the same without an answer. A request that others wait for too
/// goes on for them.
#[derive(Debug, Clone)]
pub struct CatalogClient {
    fetcher: Arc<Fetcher>,
    flights: Arc<Flights>,
}

impl CatalogClient {
    /// A client for the configured catalog. Nothing is requested yet.
    ///
    /// # Errors
    /// [`CatalogError::Config`] when a base URL, token, proxy, certificate or user agent cannot
    /// work. Blocks while certificate files that are named are read.
    pub fn new(config: CatalogConfig) -> Result<Self, CatalogError> {
        let bases = Bases::new(&config)?;
        let clients = transport::clients(&config, &bases)?;
        Ok(Self {
            fetcher: Arc::new(Fetcher {
                store: config
                    .cache_dir
                    .as_deref()
                    .map(|dir| Store::new(dir, config.limits.cached_answers)),
                offline: config.offline,
                refresh: config.refresh,
                exchange: Arc::new(Exchange {
                    clients,
                    bases,
                    limits: config.limits,
                    user_agent: config.user_agent,
                }),
            }),
            flights: Arc::default(),
        })
    }

    /// The same client, which asks the catalog before it gives anything that is kept.
    ///
    /// It tells caches on the way to do so too (`Cache-Control: no-cache`, RFC 9111, section
    /// 5.2.1.4). A kept copy still serves, as [stale](crate::Freshness::Stale), when the catalog
    /// cannot be reached; a client that is offline asks nobody all the same.
    #[must_use]
    pub fn refreshing(&self) -> Self {
        let mut fetcher = Fetcher::clone(&self.fetcher);
        fetcher.refresh = true;
        Self {
            fetcher: Arc::new(fetcher),
            flights: Arc::clone(&self.flights),
        }
    }

    /// All workers of the catalog. Entries that cannot be used are set apart, not fatal.
    ///
    /// # Errors
    /// Whatever keeps the list from being had: see [`CatalogError`].
    pub async fn list(
        &self,
        cancel: &CancellationToken,
    ) -> Result<Answer<WorkerList>, CatalogError> {
        unless_cancelled(cancel, self.fetch_list()).await
    }

    /// The base URLs that the configured secret is not sent to: it goes over TLS or to this machine
    /// itself, and the token to the first base URL alone.
    pub fn withheld(&self) -> Vec<String> {
        self.fetcher.exchange.bases.withheld()
    }

    /// The list as it was last kept in the cache folder, however old; nobody is asked.
    ///
    /// For callers that cannot wait: it reads one file a base URL and blocks meanwhile. `None` when
    /// no list is kept.
    pub fn kept_list(&self) -> Option<Answer<WorkerList>> {
        let list = Target::Path("workers".to_owned());
        let fetched = self.fetcher.kept_now(&list, Kind::List)?;
        answer(&fetched, worker_list).ok()
    }

    /// One worker, by the name either generation of the service gives it.
    ///
    /// `llm-worker-rbee-cuda` on a service that knows `llm-worker-rbee` gives that entry with its
    /// `cuda` variants alone; `llm-worker-rbee` on a service with an entry for each backend gives
    /// those joined into one. An entry of exactly that id comes first. When the service cannot be
    /// reached, a kept list serves as well as a kept entry.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] with the ids on offer, and whatever else keeps the entry from
    /// being had: see [`CatalogError`].
    pub async fn get(
        &self,
        id: &WorkerId,
        cancel: &CancellationToken,
    ) -> Result<Answer<WorkerEntry>, CatalogError> {
        unless_cancelled(cancel, self.fetch_entry(id)).await
    }

    /// The recipe of a variant, as text.
    ///
    /// A reference without a host is relative to the catalog's base URL. A variant without any
    /// reference has its recipe at `/workers/<id>/PKGBUILD`, taken for a source recipe.
    ///
    /// # Errors
    /// [`CatalogError::NoRecipe`] when the variant has none of that flavor,
    /// [`CatalogError::OtherOrigin`] when its URL leaves the catalog,
    /// [`CatalogError::RecipeNotFound`], [`CatalogError::MalformedRecipe`], and whatever else keeps
    /// the text from being had: see [`CatalogError`].
    pub async fn recipe(
        &self,
        entry: &WorkerEntry,
        variant: &Variant,
        flavor: Flavor,
        cancel: &CancellationToken,
    ) -> Result<Answer<Recipe>, CatalogError> {
        unless_cancelled(cancel, self.fetch_recipe(entry, variant, flavor)).await
    }

    /// The variant of a worker that fits a host: the first of the host's backends, in its order,
    /// that a variant offers for the host's operating system and architecture. Asks nobody.
    ///
    /// # Errors
    /// [`CatalogError::NoVariant`], which lists what would have fitted.
    pub fn select<'a>(
        &self,
        entry: &'a WorkerEntry,
        host: &Host,
    ) -> Result<&'a Variant, CatalogError> {
        host::select(entry, host)
    }

    async fn fetch_list(&self) -> Result<Answer<WorkerList>, CatalogError> {
        let fetched = self
            .fetch("workers".to_owned(), Kind::List)
            .await
            .map_err(|error| match error {
                CatalogError::Refused {
                    url, status: 404, ..
                } => CatalogError::NotACatalog {
                    url,
                    found: "status 404 where every catalog has its list".to_owned(),
                },
                other => other,
            })?;
        answer(&fetched, worker_list)
    }

    async fn fetch_entry(&self, id: &WorkerId) -> Result<Answer<WorkerEntry>, CatalogError> {
        match self.fetch_exact(id).await {
            Err(CatalogError::Refused {
                url,
                status: 404 | 410,
                ..
            }) => self.fetch_alias(id, url).await,
            Err(error @ (CatalogError::Offline { .. } | CatalogError::TooOld { .. })) => {
                self.kept_alias(id, None).await.ok_or(error)
            }
            Err(error) if error.is_unreachable() => {
                self.kept_alias(id, Some(&error)).await.ok_or(error)
            }
            other => other,
        }
    }

    /// The worker under any of its names, from what was kept of the list or of its v2 entry.
    async fn kept_alias(
        &self,
        id: &WorkerId,
        cause: Option<&CatalogError>,
    ) -> Option<Answer<WorkerEntry>> {
        let give = |fetched: &Fetched, entry| Answer {
            value: entry,
            freshness: fetched.freshness,
            url: fetched.url.clone(),
            cause: cause.cloned(),
        };
        let list = Target::Path("workers".to_owned());
        if let Some(fetched) = self.fetcher.kept(&list, Kind::List).await
            && let Payload::List(workers, _) = &fetched.payload
            && let Some(entry) = resolve(id, workers)
        {
            return Some(give(&fetched, entry));
        }
        let (name, backend) = id.split_backend()?;
        let base = Target::Path(format!("workers/{name}"));
        let fetched = self.fetcher.kept(&base, Kind::Entry).await?;
        match &fetched.payload {
            Payload::Entry(entry) if entry.id == name => {
                narrow(entry, backend).map(|entry| give(&fetched, entry))
            }
            _ => None,
        }
    }

    /// The entry of exactly this id.
    async fn fetch_exact(&self, id: &WorkerId) -> Result<Answer<WorkerEntry>, CatalogError> {
        let fetched = self.fetch(format!("workers/{id}"), Kind::Entry).await?;
        let answer = answer(&fetched, |payload| match payload {
            Payload::Entry(entry) => Some(entry.as_ref().clone()),
            _ => None,
        })?;
        if answer.value.id != *id {
            return Err(CatalogError::MalformedEntry {
                url: answer.url,
                path: "id".to_owned(),
                line: 0,
                column: 1,
                problem: format!("the entry is for `{}`, not `{id}`", answer.value.id),
            });
        }
        Ok(answer)
    }

    /// The worker under its name in the other generation of the service.
    async fn fetch_alias(
        &self,
        id: &WorkerId,
        url: String,
    ) -> Result<Answer<WorkerEntry>, CatalogError> {
        let not_found = |available: Vec<String>| CatalogError::NotFound {
            id: id.to_string(),
            url,
            available,
        };
        let list = match self.fetch_list().await {
            Ok(list) => list,
            Err(error) => {
                tracing::debug!(%error, "no list to look for another name in");
                return match self.fetch_base(id).await {
                    Some(answer) => Ok(answer),
                    // Whether the worker is there under another name is not known.
                    None if error.is_unreachable() => Err(error),
                    None => Err(not_found(Vec::new())),
                };
            }
        };
        match resolve(id, &list.value.workers) {
            Some(entry) => Ok(list.map(|_| entry)),
            None => Err(not_found(
                list.value
                    .workers
                    .iter()
                    .map(|w| w.id.to_string())
                    .collect(),
            )),
        }
    }

    /// The v2 entry for a v1 id, asked for directly.
    async fn fetch_base(&self, id: &WorkerId) -> Option<Answer<WorkerEntry>> {
        let (name, backend) = id.split_backend()?;
        let answer = self.fetch_exact(&name).await.ok()?;
        let entry = narrow(&answer.value, backend)?;
        Some(answer.map(|_| entry))
    }

    async fn fetch_recipe(
        &self,
        entry: &WorkerEntry,
        variant: &Variant,
        flavor: Flavor,
    ) -> Result<Answer<Recipe>, CatalogError> {
        if !variant.offers(flavor) {
            let other = match flavor {
                Flavor::Binary => Flavor::Source,
                Flavor::Source => Flavor::Binary,
            };
            return Err(CatalogError::NoRecipe {
                id: entry.id.to_string(),
                backend: printable(variant.backend.as_str(), 40),
                flavor,
                offered: variant.offers(other).then_some(other),
            });
        }
        let reference = match flavor {
            Flavor::Binary => &variant.binary_recipe,
            Flavor::Source => &variant.source_recipe,
        };
        let target = match reference {
            Some(reference) => recipe::locate(&self.fetcher.exchange.bases, reference)?,
            None => Target::Path(format!("workers/{}/PKGBUILD", variant.worker_id)),
        };
        let fetched = self
            .flights
            .join(&self.fetcher, target, Kind::Recipe)
            .await
            .map_err(|error| match error {
                CatalogError::Refused {
                    url,
                    status: 404 | 410,
                    ..
                } => CatalogError::RecipeNotFound {
                    id: entry.id.to_string(),
                    url,
                },
                other => other,
            })?;
        answer(&fetched, |payload| match payload {
            Payload::Recipe(text) => Some(Recipe {
                text: text.clone(),
                url: fetched.url.clone(),
            }),
            _ => None,
        })
    }

    async fn fetch(&self, path: String, kind: Kind) -> Result<Arc<Fetched>, CatalogError> {
        self.flights
            .join(&self.fetcher, Target::Path(path), kind)
            .await
    }
}

/// The worker that `id` means in a list, under whatever name the list has it.
fn resolve(id: &WorkerId, workers: &[WorkerEntry]) -> Option<WorkerEntry> {
    if let Some(exact) = workers.iter().find(|entry| entry.id == *id) {
        return Some(exact.clone());
    }
    if let Some((name, backend)) = id.split_backend()
        && let Some(entry) = workers.iter().find(|entry| entry.id == name)
        && let Some(narrowed) = narrow(entry, backend)
    {
        return Some(narrowed);
    }
    let siblings = workers.iter().filter(|entry| {
        entry.id.split_backend().is_some_and(|(name, backend)| {
            name == *id
                && entry
                    .variants
                    .iter()
                    .any(|v| v.backend.known() == Some(backend))
        })
    });
    siblings.fold(None, |joined: Option<WorkerEntry>, sibling| match joined {
        None => Some(WorkerEntry {
            id: id.clone(),
            name: id.to_string(),
            ..sibling.clone()
        }),
        Some(mut joined) => {
            if joined.version != sibling.version {
                joined.version = None;
            }
            joined.variants.extend(sibling.variants.iter().cloned());
            Some(joined)
        }
    })
}

/// The entry with the variants of one backend alone; `None` when it has none.
fn narrow(entry: &WorkerEntry, backend: WorkerType) -> Option<WorkerEntry> {
    let mut entry = entry.clone();
    entry
        .variants
        .retain(|variant| variant.backend.known() == Some(backend));
    (!entry.variants.is_empty()).then_some(entry)
}

fn worker_list(payload: &Payload) -> Option<WorkerList> {
    match payload {
        Payload::List(workers, rejected) => Some(WorkerList {
            workers: workers.clone(),
            rejected: rejected.clone(),
        }),
        _ => None,
    }
}

fn answer<T>(
    fetched: &Fetched,
    pick: impl FnOnce(&Payload) -> Option<T>,
) -> Result<Answer<T>, CatalogError> {
    // A flight's key holds its kind, so that its payload is always of that kind.
    let value = pick(&fetched.payload).ok_or_else(|| CatalogError::NotACatalog {
        url: fetched.url.clone(),
        found: "a document of another kind".to_owned(),
    })?;
    Ok(Answer {
        value,
        freshness: fetched.freshness,
        url: fetched.url.clone(),
        cause: fetched.cause.clone(),
    })
}

async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(CatalogError::Cancelled),
        result = work => result,
    }
}
