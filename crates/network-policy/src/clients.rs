//! HTTP clients that connect only to what is allowed.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;
use tokio::sync::OnceCell;
use url::{Host, Url};

use crate::access::Access;
use crate::crowd::Crowd;
use crate::policy::{SourcePolicy, is_loopback, keep_allowed};
use crate::refusal::Refusal;
use crate::roots::no_tls;

/// Clients for every kind of place, all set up in the same way, and the rules they ask by.
///
/// None of them may follow redirects: each hop is another place, to be asked about with
/// [`client`](Self::client). A client is made when it is first needed. Clones share clients and with
/// them connections, whatever rules each has: see [`with_policy`](Self::with_policy).
#[derive(Debug, Clone)]
pub struct HttpClients {
    policy: Arc<SourcePolicy>,
    crowd: Crowd,
    clients: Clients,
}

#[derive(Debug, Clone)]
enum Clients {
    Own(Arc<Set>),
    Given(Client),
}

/// Which client a place is asked with; connections are never shared between them.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// On the internet: resolves names to allowed addresses alone.
    Guarded,
    /// A host that the operator has listed.
    Listed,
    /// This machine itself, without a proxy.
    Own,
}

struct Set {
    access: Access,
    configure: Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>,
    /// For each [`Place`], without TLS and with it.
    clients: [[OnceCell<Client>; 2]; 3],
}

impl fmt::Debug for Set {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Set")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl HttpClients {
    /// Clients that reach places by `access`; `configure` is applied to each.
    pub fn new(
        policy: SourcePolicy,
        access: Access,
        configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        let crowd = access.crowd.clone();
        let set = Set {
            access,
            configure: Box::new(configure),
            clients: Default::default(),
        };
        Self {
            policy: Arc::new(policy),
            crowd,
            clients: Clients::Own(Arc::new(set)),
        }
    }

    /// The same client for every place; what is asked is still judged by what is written.
    pub fn with_client(policy: SourcePolicy, client: Client) -> Self {
        Self {
            policy: Arc::new(policy),
            crowd: Crowd::default(),
            clients: Clients::Given(client),
        }
    }

    /// The same clients by other rules.
    #[must_use]
    pub fn with_policy(&self, policy: SourcePolicy) -> Self {
        Self {
            policy: Arc::new(policy),
            crowd: self.crowd.clone(),
            clients: self.clients.clone(),
        }
    }

    /// The rules.
    pub fn policy(&self) -> &SourcePolicy {
        &self.policy
    }

    /// How much may be asked of a host at once: [`Crowd::enter`] before each request, for as long as
    /// its answer takes.
    pub fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// The client to ask `url` with, which connects to allowed addresses alone.
    ///
    /// Where a proxy is set it is the proxy that resolves the name, and it is trusted to; a name
    /// that this machine resolves to a refused address is refused all the same.
    ///
    /// # Errors
    /// [`Refusal`]. A name that resolves to refused addresses alone is refused by the request: see
    /// [`Refusal::in_chain`]. Dropping the future ends the wait.
    pub async fn client(&self, url: &Url, is_pinned: bool) -> Result<Client, Refusal> {
        self.policy.check_url(url, is_pinned)?;
        let set = match &self.clients {
            Clients::Own(set) => set,
            Clients::Given(client) => return Ok(client.clone()),
        };
        let host = url.host().ok_or(Refusal::NoHost)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let is_listed = self.policy.is_listed(&host, port);
        let place = match is_listed {
            true if is_loopback(&host) => Place::Own,
            true => Place::Listed,
            false => Place::Guarded,
        };
        if !is_listed
            && set.access.proxies.may_be_any()
            && matches!(host, Host::Domain(_))
            && let Err(error) = self.policy.resolve(&host, port).await
            && let Some(refusal) = Refusal::in_chain(&error)
        {
            return Err(refusal.clone());
        }
        set.client(place, url.scheme() == "https").await
    }

    /// The refusal because of which a request for `url` failed, if that was it. It is the same at
    /// every attempt.
    pub fn refusal(&self, url: &Url, error: &reqwest::Error) -> Option<Refusal> {
        let port = url.port_or_known_default().unwrap_or_default();
        Refusal::in_chain(error).map(|refusal| refusal.clone().with_port(port))
    }
}

impl Set {
    async fn client(&self, place: Place, is_tls: bool) -> Result<Client, Refusal> {
        let needs_tls = is_tls || self.access.proxies.need_tls();
        let made = &self.clients[place as usize][usize::from(needs_tls)];
        let client = made.get_or_try_init(|| async {
            let tls = if needs_tls {
                self.access.roots.tls().await?
            } else {
                no_tls().map_err(|error| Refusal::client(&error))?
            };
            self.make(place, tls)
                .map_err(|error| Refusal::client(&error))
        });
        client.await.cloned()
    }

    fn make(&self, place: Place, tls: ClientConfig) -> Result<Client, reqwest::Error> {
        let builder = (self.configure)(Client::builder())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .use_preconfigured_tls(tls);
        match place {
            Place::Guarded => {
                let proxies = self.access.proxies.hosts().collect();
                let builder = builder.dns_resolver(Arc::new(Guard { proxies }));
                self.access.proxies.apply(builder)?.build()
            }
            Place::Listed => self.access.proxies.apply(builder)?.build(),
            Place::Own => builder.no_proxy().build(),
        }
    }
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
