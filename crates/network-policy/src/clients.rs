//! HTTP clients that connect only to what is allowed.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder};
use url::{Host, Url};

use crate::policy::{SourcePolicy, is_loopback, keep_allowed};
use crate::refusal::Refusal;

/// Where proxies are set: curl(1), "ENVIRONMENT".
const PROXY_VARIABLES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// One client for each kind of place, all set up in the same way.
///
/// None of them may follow redirects: each hop is another place, to be asked about with
/// [`client`](Self::client).
#[derive(Debug, Clone)]
pub struct HttpClients {
    policy: Arc<SourcePolicy>,
    /// For hosts on the internet: resolves names to allowed addresses alone.
    guarded: Client,
    /// For hosts that the operator has listed.
    listed: Client,
    /// For this machine itself, without a proxy.
    own: Client,
    has_proxy: bool,
}

impl HttpClients {
    /// Builds the clients; `configure` is applied to each.
    ///
    /// # Errors
    /// Those of [`ClientBuilder::build`].
    pub fn new(
        policy: SourcePolicy,
        configure: impl Fn(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let proxies: Vec<String> = PROXY_VARIABLES
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .filter(|value| !value.trim().is_empty())
            .collect();
        let base = || {
            configure(Client::builder())
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
        };
        let resolver = Guard {
            proxies: proxies.iter().filter_map(|proxy| host_of(proxy)).collect(),
        };
        Ok(Self {
            policy,
            guarded: base().dns_resolver(Arc::new(resolver)).build()?,
            listed: base().build()?,
            own: base().no_proxy().build()?,
            has_proxy: !proxies.is_empty(),
        })
    }

    /// The same client for every place; what is asked is still judged by what is written.
    pub fn with_client(policy: SourcePolicy, client: Client) -> Self {
        Self {
            policy: Arc::new(policy),
            guarded: client.clone(),
            listed: client.clone(),
            own: client,
            has_proxy: false,
        }
    }

    /// The rules.
    pub fn policy(&self) -> &SourcePolicy {
        &self.policy
    }

    /// The client to ask `url` with, which connects to allowed addresses alone.
    ///
    /// Where a proxy is set it is the proxy that resolves the name, and it is trusted to; a name
    /// that this machine resolves to a refused address is refused all the same.
    ///
    /// # Errors
    /// [`Refusal`]. A name that resolves to refused addresses alone is refused by the request: see
    /// [`Refusal::in_chain`]. Dropping the future ends the wait.
    pub async fn client(&self, url: &Url, is_pinned: bool) -> Result<&Client, Refusal> {
        self.policy.check_url(url, is_pinned)?;
        let host = url.host().ok_or(Refusal::NoHost)?;
        let port = url.port_or_known_default().unwrap_or_default();
        if is_loopback(&host) && self.policy.is_listed(&host, port) {
            return Ok(&self.own);
        }
        if self.policy.is_listed(&host, port) {
            return Ok(&self.listed);
        }
        if self.has_proxy
            && matches!(host, Host::Domain(_))
            && let Err(error) = self.policy.resolve(&host, port).await
            && let Some(refusal) = Refusal::in_chain(&error)
        {
            return Err(refusal.clone());
        }
        Ok(&self.guarded)
    }

    /// The refusal because of which a request for `url` failed, if that was it. It is the same at
    /// every attempt.
    pub fn refusal(&self, url: &Url, error: &reqwest::Error) -> Option<Refusal> {
        let port = url.port_or_known_default().unwrap_or_default();
        Refusal::in_chain(error).map(|refusal| refusal.clone().with_port(port))
    }
}

fn host_of(proxy: &str) -> Option<String> {
    let url = if proxy.contains("://") {
        Url::parse(proxy)
    } else {
        Url::parse(&format!("http://{proxy}"))
    };
    Some(url.ok()?.host_str()?.to_ascii_lowercase())
}

/// Resolves names to addresses that are not special.
#[derive(Debug)]
struct Guard {
    /// The operator's own proxies, which may be anywhere.
    proxies: Vec<String>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let is_proxy = self
            .proxies
            .iter()
            .any(|proxy| proxy.eq_ignore_ascii_case(&name));
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if is_proxy {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let strict = SourcePolicy::default();
            let host = Host::Domain(name.as_str());
            let judged = found
                .iter()
                .map(|at| strict.check_address(&host, 0, at.ip()));
            let allowed = keep_allowed(&found, judged)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
