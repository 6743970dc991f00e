//! How a client is told what to talk to, and how far to trust it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use network_policy::{Access, Retry};

/// Everything a [`CatalogClient`](crate::CatalogClient) is built from. No environment variable is
/// read, except where [`access`](Self::access) is left open.
#[derive(Clone)]
pub struct CatalogConfig {
    /// The catalog's base URLs, in the order to try them: the next one is asked when one cannot be
    /// reached. Trailing slashes do not matter. A user name and password in a URL are sent to that
    /// origin only, and never shown.
    pub base_urls: Vec<String>,
    /// The bearer token of a licensed catalog. It goes to the origins of `base_urls`, and to no
    /// other, whatever an entry or a redirect says.
    pub token: Option<Token>,
    /// Where answers are kept; `None` keeps nothing. Several processes may share it.
    pub cache_dir: Option<PathBuf>,
    /// Ask nobody, answer from the cache.
    pub offline: bool,
    /// Ask the catalog every time, whatever time a kept answer still has; see
    /// [`CatalogClient::refreshing`](crate::CatalogClient::refreshing). Has no effect together
    /// with `offline`.
    pub refresh: bool,
    /// Sizes and times.
    pub limits: Limits,
    /// Which origins beside the catalog's own a recipe may come from.
    pub other_origins: OtherOrigins,
    /// Whom TLS trusts and which proxies requests go through; `None` is as the environment says when
    /// the client is built ([`Access::from_env`]). Has no effect on an injected client.
    pub access: Option<Access>,
    /// Root certificates to trust beside those, as PEM bundles. Has no effect on an injected client.
    pub root_certificates: Vec<Vec<u8>>,
    /// What the `User-Agent` header says: a name and a version.
    pub user_agent: String,
    /// The caller's own client. Its connection settings count; redirects that it follows by itself
    /// are checked only once they have been followed, so give it none
    /// ([`reqwest::redirect::Policy::none`]).
    pub http: Option<reqwest::Client>,
}

impl CatalogConfig {
    /// A configuration for one catalog and its mirrors, with everything else at its default.
    pub fn new<S: Into<String>>(base_urls: impl IntoIterator<Item = S>) -> Self {
        Self {
            base_urls: base_urls.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl fmt::Debug for CatalogConfig {
    /// Shows neither the token nor what stands before the `@` of a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_urls: Vec<_> = self
            .base_urls
            .iter()
            .map(|url| url.rsplit_once('@').map_or(url.as_str(), |(_, rest)| rest))
            .map(|url| url.split(['?', '#']).next().unwrap_or_default())
            .collect();
        f.debug_struct("CatalogConfig")
            .field("base_urls", &base_urls)
            .field("token", &self.token)
            .field("cache_dir", &self.cache_dir)
            .field("offline", &self.offline)
            .field("refresh", &self.refresh)
            .field("limits", &self.limits)
            .field("other_origins", &self.other_origins)
            .field("root_certificates", &self.root_certificates.len())
            .field("access", &self.access)
            .field("user_agent", &self.user_agent)
            .field("http", &self.http.is_some())
            .finish()
    }
}

impl Default for CatalogConfig {
    /// The catalog on this machine, `http://localhost:8787`, without a cache.
    fn default() -> Self {
        Self {
            base_urls: vec!["http://localhost:8787".to_owned()],
            token: None,
            cache_dir: None,
            offline: false,
            refresh: false,
            limits: Limits::default(),
            other_origins: OtherOrigins::Refuse,
            root_certificates: Vec::new(),
            access: None,
            user_agent: concat!("catalog-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            http: None,
        }
    }
}

/// Sizes and times that bound every request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// An entry's size in bytes, after decompression. 1 MiB.
    pub entry_bytes: u64,
    /// A list's size in bytes, after decompression. 8 MiB.
    pub list_bytes: u64,
    /// A recipe's size in bytes, after decompression. 1 MiB.
    pub recipe_bytes: u64,
    /// The longest wait for a connection. 10 s. Has no effect on an injected client.
    pub connect: Duration,
    /// The longest wait without a single new byte. 20 s.
    pub idle: Duration,
    /// The longest time for one answer, however steadily it trickles. 120 s.
    pub whole: Duration,
    /// The time in which a failed request may be repeated, waits included. 30 s; zero for never.
    pub retry_budget: Duration,
    /// How often a request is repeated at most, and [`CROWDED`](network_policy::CROWDED) times as
    /// often where the service only says that it has too much to do. 4.
    pub retries: u32,
    /// The first wait before a repetition; later ones double, and each is shortened by chance to
    /// between half and all of it. 250 ms.
    pub backoff: Duration,
    /// How many redirects are followed. 5.
    pub redirects: u32,
    /// How many answers the cache keeps. 512; the oldest go first.
    pub cached_answers: usize,
    /// The longest time for which a kept answer is given without asking the catalog, whatever its
    /// `Cache-Control` allows. A day; zero asks every time.
    pub longest_fresh: Duration,
    /// The longest time since the catalog sent or confirmed an answer for which a kept copy may
    /// stand in while the catalog cannot be reached or must not be asked. Seven days.
    pub longest_stale: Duration,
}

/// No single pause is longer, whatever doubling says: somebody is waiting.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

impl Limits {
    /// The rule that these limits make; a service may ask for a longer pause, within the budget.
    pub(crate) fn retry(&self) -> Retry {
        Retry {
            attempts: self.retries.saturating_add(1),
            backoff: self.backoff,
            max_backoff: LONGEST_BACKOFF,
            longest_asked: self.retry_budget,
            within: Some(self.retry_budget),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entry_bytes: 1 << 20,
            list_bytes: 8 << 20,
            recipe_bytes: 1 << 20,
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(20),
            whole: Duration::from_mins(2),
            retry_budget: Duration::from_secs(30),
            retries: 4,
            backoff: Duration::from_millis(250),
            redirects: 5,
            cached_answers: 512,
            longest_fresh: Duration::from_hours(24),
            longest_stale: Duration::from_hours(7 * 24),
        }
    }
}

/// Which origins beside the catalog's own may serve recipes and receive redirects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OtherOrigins {
    /// None.
    #[default]
    Refuse,
    /// These, such as `https://recipes.example`.
    Allow(Vec<String>),
    /// Any on the internet; what only this machine or its network reaches is refused.
    AllowAny,
}

/// A secret that never shows in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a bearer token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
