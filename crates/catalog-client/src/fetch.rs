//! One document: from the cache, from the first base URL that can be reached, or stale.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use network_policy::{Outlook, Retries};
use reqwest::header::{self, HeaderMap, HeaderValue};
use url::Url;

use crate::answer::Freshness;
use crate::base::{Base, Bases};
use crate::blocking::blocking;
use crate::cache::{Kept, Store};
use crate::error::CatalogError;
use crate::exchange::{Exchange, Got};
use crate::payload::{Kind, Payload, decode};

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// Below every base URL; without a leading slash.
    Path(String),
    /// In one place.
    Url(Url),
}

/// A document and how it was come by.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) payload: Payload,
    pub(crate) url: String,
    pub(crate) freshness: Freshness,
    pub(crate) cause: Option<CatalogError>,
}

/// What fetching needs.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) store: Option<Store>,
    pub(crate) offline: bool,
    pub(crate) refresh: bool,
}

impl Target {
    fn urls(&self, bases: &Bases) -> Vec<Url> {
        match self {
            Self::Path(path) => bases.iter().filter_map(|base| base.join(path)).collect(),
            Self::Url(url) => vec![url.clone()],
        }
    }
}

/// One place a document may come from, and what is kept of it.
struct Place {
    url: Url,
    copy: Option<Box<Copy>>,
}

/// A kept answer that decodes.
struct Copy {
    kept: Kept,
    payload: Payload,
}

impl Fetcher {
    /// A kept document, as far as it is not too old; nobody is asked.
    pub(crate) async fn kept(&self, target: &Target, kind: Kind) -> Option<Fetched> {
        match self.places(target, kind).await {
            Ok(fresh) => Some(fresh),
            Err(places) => self.stale(places, None).ok().flatten(),
        }
    }

    /// A kept document however old, for callers that cannot wait. Blocks while files are read.
    pub(crate) fn kept_now(&self, target: &Target, kind: Kind) -> Option<Fetched> {
        match self.looking(target, kind)() {
            Ok(fresh) => Some(fresh),
            Err(places) => youngest(places).and_then(|(place, _)| place.stale(None)),
        }
    }

    /// The youngest copy of any place.
    ///
    /// RFC 9111, section 4.2.4, forbids this for answers marked `must-revalidate`. Catalogs mark
    /// every recipe so, and a worker that cannot be installed on a bad line is worse than one whose
    /// recipe is stated to be old; the result says so, and the caller may refuse it. What is older
    /// than the limit is refused here: who keeps the catalog out of reach must not decide for long
    /// which recipe counts.
    fn stale(
        &self,
        places: Vec<Place>,
        cause: Option<&CatalogError>,
    ) -> Result<Option<Fetched>, CatalogError> {
        let limit = self.exchange.limits.longest_stale;
        match youngest(places) {
            Some((place, age)) if age > limit => Err(CatalogError::TooOld {
                url: Base::show(&place.url),
                age,
                limit,
                cause: cause.cloned().map(Arc::new),
            }),
            youngest => Ok(youngest.and_then(|(place, _)| place.stale(cause))),
        }
    }

    /// A copy that may be given without asking, or else the places to ask.
    async fn places(&self, target: &Target, kind: Kind) -> Result<Fetched, Vec<Place>> {
        // Work that ended without an answer has found nothing.
        let nothing = || {
            let urls = target.urls(&self.exchange.bases).into_iter();
            Err(urls.map(|url| Place { url, copy: None }).collect())
        };
        let looking = self.looking(target, kind);
        blocking(looking).await.unwrap_or_else(|_| nothing())
    }

    /// The work of looking for a copy; it blocks when called.
    fn looking(
        &self,
        target: &Target,
        kind: Kind,
    ) -> impl FnOnce() -> Result<Fetched, Vec<Place>> + Send + 'static {
        let (store, limit) = (self.store.clone(), self.limit(kind));
        let longest = if self.refresh && !self.offline {
            None
        } else {
            Some(self.exchange.limits.longest_fresh)
        };
        let bases = &self.exchange.bases;
        let identified = |url: Url| (bases.identity(&url), url);
        let urls: Vec<_> = target.urls(bases).into_iter().map(identified).collect();
        move || {
            let mut places = Vec::new();
            for (identity, url) in urls {
                let store = store.as_ref();
                let copy = store.and_then(|store| load(store, &url, &identity, kind, limit));
                match usable(url, kind, copy, longest) {
                    Ok(fresh) => return Ok(fresh),
                    Err(place) => places.push(place),
                }
            }
            Err(places)
        }
    }

    pub(crate) async fn fetch(&self, target: &Target, kind: Kind) -> Result<Fetched, CatalogError> {
        let mut places = match self.places(target, kind).await {
            Ok(fresh) => return Ok(fresh),
            Err(places) => places,
        };
        if self.offline {
            let shown = places.first().map(|place| Base::show(&place.url));
            return self.stale(places, None)?.ok_or(CatalogError::Offline {
                url: shown.unwrap_or_else(|| self.exchange.bases.first().shown()),
            });
        }
        match self.ask(&mut places, kind).await {
            Err(error) if error.is_unreachable() => self.stale(places, Some(&error))?.ok_or(error),
            other => other,
        }
    }

    /// Asks the places in turn; when all that failed may pass, waits and asks those again.
    async fn ask(&self, places: &mut [Place], kind: Kind) -> Result<Fetched, CatalogError> {
        let mut retries = Retries::new(&self.exchange.limits.retry());
        let mut failures: Vec<Option<CatalogError>> = vec![None; places.len()];
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut retry_after = None;
            for (place, failure) in places.iter_mut().zip(&mut failures) {
                if failure.as_ref().is_some_and(|error| !error.is_transient()) {
                    continue;
                }
                match self.ask_one(place, kind).await {
                    Err(mut error) if error.is_unreachable() => {
                        if let CatalogError::Unreachable {
                            attempts: tried, ..
                        } = &mut error
                        {
                            *tried = attempts;
                        }
                        if let CatalogError::Refused {
                            retry_after: Some(asked),
                            ..
                        } = &error
                        {
                            retry_after = Some(
                                retry_after.map_or(*asked, |other: Duration| other.min(*asked)),
                            );
                        }
                        tracing::debug!(url = %Base::show(&place.url), attempts, %error, "no answer");
                        *failure = Some(error);
                    }
                    other => return other,
                }
            }
            match retries.next(outlook(&failures), retry_after) {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(_) => break,
            }
        }
        let mut failures: Vec<CatalogError> = failures.into_iter().flatten().collect();
        Err(match failures.len() {
            1 => failures.remove(0),
            _ => CatalogError::AllMirrors { failures },
        })
    }

    async fn ask_one(&self, place: &mut Place, kind: Kind) -> Result<Fetched, CatalogError> {
        let url = place.url.clone();
        let shown = Base::show(&url);
        let limit = self.limit(kind);
        let plain = request(&url, kind);
        let asked = SystemTime::now();
        let conditional =
            place.copy.as_ref().map(
                |copy| match copy.kept.policy.before_request(&plain, asked) {
                    // Fresh by the service's word, and yet to be asked for: so is what caches on
                    // the way keep of it.
                    BeforeRequest::Fresh(_) => past_caches(plain.headers()),
                    BeforeRequest::Stale { request, .. } => request.headers,
                },
            );
        if let Some(headers) = &conditional {
            let got = self.exchange.get(&url, headers, limit).await?;
            if got.status != 304 {
                return self.take(&url, kind, got).await;
            }
            if let Some(copy) = place.copy.take() {
                let Copy { kept, payload } = *copy;
                let answer = response(&got);
                if let AfterResponse::NotModified(policy, _) =
                    kept.policy
                        .after_response(&plain, &answer, SystemTime::now())
                {
                    let kept = Kept {
                        policy,
                        stored: SystemTime::now(),
                        ..kept
                    };
                    self.save(&url, kept).await;
                    return Ok(Fetched {
                        payload,
                        url: shown,
                        freshness: Freshness::Live,
                        cause: None,
                    });
                }
            }
            // Status 304 for another version than the kept one: only the whole answer helps.
        }
        let headers = if self.refresh {
            past_caches(plain.headers())
        } else {
            plain.headers().clone()
        };
        let got = self.exchange.get(&url, &headers, limit).await?;
        if got.status == 304 {
            return Err(CatalogError::NotACatalog {
                url: shown,
                found: "status 304 to an unconditional request".to_owned(),
            });
        }
        self.take(&url, kind, got).await
    }

    /// Decodes an answer, and keeps it only then: a bad answer does not replace a good copy.
    async fn take(&self, url: &Url, kind: Kind, got: Got) -> Result<Fetched, CatalogError> {
        let shown = Base::show(url);
        let content_type = got.content_type();
        let headers = response(&got);
        let (payload, body) = decode(kind, &shown, content_type.clone(), got.body).await?;
        let options = CacheOptions {
            shared: false,
            // A guess from `Last-Modified` would hide a new version.
            cache_heuristic: 0.0,
            ..CacheOptions::default()
        };
        let now = SystemTime::now();
        let policy = CachePolicy::new_options(&request(url, kind), &headers, now, options);
        if policy.is_storable() {
            let kept = Kept {
                policy,
                content_type,
                body,
                stored: now,
            };
            self.save(url, kept).await;
        }
        Ok(Fetched {
            payload,
            url: shown,
            freshness: Freshness::Live,
            cause: None,
        })
    }

    /// A cache that cannot be written costs time, not the answer.
    async fn save(&self, url: &Url, kept: Kept) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let (key, identity) = (url.to_string(), self.exchange.bases.identity(url));
        let saved = blocking(move || store.save(&key, &identity, &kept)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(url = %Base::show(url), %error, "cannot write the catalog cache");
        }
    }

    fn limit(&self, kind: Kind) -> u64 {
        let limits = &self.exchange.limits;
        match kind {
            Kind::Entry => limits.entry_bytes,
            Kind::List => limits.list_bytes,
            Kind::Recipe => limits.recipe_bytes,
        }
    }
}

impl Place {
    fn stale(self, cause: Option<&CatalogError>) -> Option<Fetched> {
        let url = Base::show(&self.url);
        self.copy.map(|copy| Fetched {
            freshness: Freshness::Stale {
                age: copy.kept.policy.age(SystemTime::now()),
            },
            payload: copy.payload,
            url,
            cause: cause.cloned(),
        })
    }
}

/// What another round may bring: of the places that may yet answer, one that is not merely crowded
/// decides.
fn outlook(failures: &[Option<CatalogError>]) -> Outlook {
    let outlooks = failures.iter().flatten().map(CatalogError::outlook);
    outlooks.fold(Outlook::Final, |all, one| match (all, one) {
        (Outlook::Passing, _) | (_, Outlook::Passing) => Outlook::Passing,
        (Outlook::Crowded, _) | (_, Outlook::Crowded) => Outlook::Crowded,
        _ => Outlook::Final,
    })
}

/// The place with the youngest copy, and the time since the service sent or confirmed that by this
/// machine's clock, which nobody outside can set.
fn youngest(places: Vec<Place>) -> Option<(Place, Duration)> {
    let now = SystemTime::now();
    let with_age = |place: Place| {
        let stored = place.copy.as_ref()?.kept.stored;
        Some((place, now.duration_since(stored).unwrap_or_default()))
    };
    let copies = places.into_iter().filter_map(with_age);
    copies.min_by_key(|(_, age)| *age)
}

/// The headers of a request that no cache on the way may answer by itself.
fn past_caches(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers
}

/// Reads what is kept of a document, as far as it still decodes. Blocks.
fn load(store: &Store, url: &Url, identity: &str, kind: Kind, limit: u64) -> Option<Copy> {
    let kept = store.load(url.as_str(), identity, limit)?;
    let payload = kind
        .decode(&Base::show(url), kept.content_type.as_deref(), &kept.body)
        .ok()?;
    Some(Copy { kept, payload })
}

/// A copy that may be given without asking, or else the place to ask. No copy may be older than
/// `longest`; without it none may be given.
fn usable(
    url: Url,
    kind: Kind,
    copy: Option<Copy>,
    longest: Option<Duration>,
) -> Result<Fetched, Place> {
    let fresh =
        |kept: &Kept| longest.is_some_and(|longest| is_fresh(kept, &request(&url, kind), longest));
    match copy {
        Some(Copy { kept, payload }) if fresh(&kept) => {
            let age = kept.policy.age(SystemTime::now());
            Ok(Fetched {
                payload,
                url: Base::show(&url),
                freshness: Freshness::Fresh { age },
                cause: None,
            })
        }
        copy => {
            let copy = copy.map(Box::new);
            Err(Place { url, copy })
        }
    }
}

/// A copy whose time stamp lies further ahead than this was stored under a wrong clock.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

fn is_fresh(kept: &Kept, request: &http::Request<()>, longest: Duration) -> bool {
    let now = SystemTime::now();
    let held = now.duration_since(kept.stored).unwrap_or_default();
    kept.stored <= now + CLOCK_SKEW
        && held.max(kept.policy.age(now)) < longest
        && kept
            .policy
            .before_request(request, now)
            .satisfies_without_revalidation()
}

/// The request as far as caching rules care: without credentials, which never reach the disk.
fn request(url: &Url, kind: Kind) -> http::Request<()> {
    let mut request = http::Request::new(());
    // A URL that is no URI is never sent either; the default only makes the copy miss.
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    request.headers_mut().insert(header::ACCEPT, kind.accept());
    request
}

fn response(got: &Got) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(got.status).unwrap_or_default();
    response.headers_mut().clone_from(&got.headers);
    // RFC 9111, section 1.2.2: a number of seconds that does not fit counts as this. The caching
    // rules would add to it without looking.
    if let Some(age) = response.headers_mut().get_mut(header::AGE) {
        let digits = age.as_bytes();
        let number = digits.iter().all(u8::is_ascii_digit) && !digits.is_empty();
        let fits = age.to_str().ok().and_then(|text| text.parse().ok());
        if number && fits.is_none_or(|seconds: u64| seconds > 1 << 31) {
            *age = HeaderValue::from_static("2147483648");
        }
    }
    response
}
