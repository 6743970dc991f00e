use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::address::kind_of;
use crate::refusal::Refusal;
use crate::rule::HostRule;

/// How a source is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `https`, `git+https`.
    Https,
    /// `http`, `git+http`.
    Http,
    /// `git`: the git daemon.
    Git,
    /// `ssh`, `git+ssh` and the form `host:path`.
    Ssh,
    /// `file`, `git+file`.
    File,
}

impl Scheme {
    /// Its name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Git => "git",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

/// What sources may be fetched from. By default, what a recipe from a catalog may make this machine
/// ask: `https` on the internet, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct SourcePolicy {
    hosts: Vec<HostRule>,
    origins: Vec<HostRule>,
    cleartext: Vec<HostRule>,
    insecure: bool,
    ssh: bool,
    files: bool,
    tls: bool,
}

impl SourcePolicy {
    /// Allows a host whatever its address is, and the person's git configuration for it
    /// (`--allow-source-host`).
    #[must_use]
    pub fn allow_host(mut self, rule: HostRule) -> Self {
        self.hosts.push(rule);
        self
    }

    /// Allows the very origin of a URL that the operator has configured, such as the catalog's;
    /// over http too where it is loopback, as nobody is in between.
    #[must_use]
    pub fn allow_origin(mut self, url: &Url) -> Self {
        if let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) {
            let rule = HostRule::new(host.to_owned(), Some(port));
            if is_loopback(&host) {
                self.cleartext.push(rule.clone());
            }
            self.origins.push(rule);
        }
        self
    }

    /// Allows what is not encrypted, without a digest too (`--allow-insecure-sources`).
    #[must_use]
    pub fn allow_insecure(mut self, allow: bool) -> Self {
        self.insecure = allow;
        self
    }

    /// Allows ssh with the person's own keys and agent (`--allow-ssh-sources`).
    #[must_use]
    pub fn allow_ssh(mut self, allow: bool) -> Self {
        self.ssh = allow;
        self
    }

    /// Refuses what is not encrypted even where a digest or a commit id pins it, and whatever else
    /// allows it (`--require-tls`).
    #[must_use]
    pub fn require_tls(mut self, require: bool) -> Self {
        self.tls = require;
        self
    }

    /// Allows files and repositories of this machine: for a recipe of the person's own, never for
    /// one from a catalog.
    #[must_use]
    pub fn allow_files(mut self, allow: bool) -> Self {
        self.files = allow;
        self
    }

    /// Whether this host may be asked whatever its address is: it is listed, or the very origin of a
    /// URL that the operator has configured.
    pub fn is_listed(&self, host: &Host<&str>, port: u16) -> bool {
        let mut origins = self.origins.iter();
        self.has_own_settings(host, port) || origins.any(|rule| rule.matches(host, port))
    }

    /// Whether the operator has listed this host by name, so that what is configured for the person
    /// counts there: git's rewriting of addresses, and logins.
    pub fn has_own_settings(&self, host: &Host<&str>, port: u16) -> bool {
        self.hosts.iter().any(|rule| rule.matches(host, port))
    }

    /// Judges a place by its scheme, and by its address where that is written out.
    ///
    /// A name is judged when it is resolved: see [`resolve`](Self::resolve) and
    /// [`HttpClients`](crate::HttpClients). `is_pinned` says that a strong digest or a full commit
    /// id decides what is accepted.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(
        &self,
        scheme: Scheme,
        host: Option<&Host<&str>>,
        port: u16,
        is_pinned: bool,
    ) -> Result<(), Refusal> {
        if scheme == Scheme::File {
            return if self.files {
                Ok(())
            } else {
                Err(Refusal::File)
            };
        }
        let host = host.ok_or(Refusal::NoHost)?;
        match scheme {
            Scheme::Http | Scheme::Git if self.tls => {
                return Err(Refusal::WithoutTls {
                    scheme: scheme.name(),
                });
            }
            Scheme::Http | Scheme::Git => {
                let is_own = self.cleartext.iter().any(|rule| rule.matches(host, port));
                if !self.insecure && !is_pinned && !is_own {
                    return Err(Refusal::Insecure {
                        scheme: scheme.name(),
                    });
                }
            }
            Scheme::Ssh if !self.ssh => {
                return Err(Refusal::Ssh {
                    host: host.to_string(),
                });
            }
            Scheme::Ssh | Scheme::Https | Scheme::File => {}
        }
        match host {
            Host::Ipv4(address) => self.check_address(host, port, (*address).into()),
            Host::Ipv6(address) => self.check_address(host, port, (*address).into()),
            Host::Domain(_) => Ok(()),
        }
    }

    /// Judges a URL of the schemes `http` and `https`: see [`check`](Self::check).
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check_url(&self, url: &Url, is_pinned: bool) -> Result<(), Refusal> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => {
                return Err(Refusal::Scheme {
                    scheme: other.chars().take(40).collect(),
                });
            }
        };
        let port = url.port_or_known_default().unwrap_or_default();
        self.check(scheme, url.host().as_ref(), port, is_pinned)
    }

    /// Judges one address of a host.
    ///
    /// # Errors
    /// [`Refusal::Address`].
    pub fn check_address(
        &self,
        host: &Host<&str>,
        port: u16,
        address: IpAddr,
    ) -> Result<(), Refusal> {
        match kind_of(address) {
            Some(kind) if !self.is_listed(host, port) => Err(Refusal::Address {
                host: host.to_string(),
                port,
                address,
                kind,
            }),
            _ => Ok(()),
        }
    }

    /// Resolves a host for a connection of another kind than HTTP, and returns the addresses that
    /// may be connected to: connect to these, and do not resolve the name again.
    ///
    /// # Errors
    /// [`Refusal::Address`] inside an [`std::io::Error`] when there is no other address, and the
    /// resolver's own errors. Dropping the future ends the wait.
    pub async fn resolve(
        &self,
        host: &Host<&str>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, std::io::Error> {
        let name = match host {
            Host::Domain(name) => (*name).to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let found = tokio::net::lookup_host((name, port)).await?;
        let found: Vec<SocketAddr> = found.collect();
        let judged = found
            .iter()
            .map(|at| self.check_address(host, port, at.ip()));
        keep_allowed(&found, judged).map_err(std::io::Error::other)
    }
}

/// The addresses that were not refused; the first refusal when there is none.
pub(crate) fn keep_allowed(
    found: &[SocketAddr],
    judged: impl Iterator<Item = Result<(), Refusal>>,
) -> Result<Vec<SocketAddr>, Refusal> {
    let mut refusal = None;
    let mut allowed = Vec::new();
    for (address, judged) in found.iter().zip(judged) {
        match judged {
            Ok(()) => allowed.push(*address),
            Err(error) => {
                refusal.get_or_insert(error);
            }
        }
    }
    match refusal {
        Some(refusal) if allowed.is_empty() => Err(refusal),
        _ => Ok(allowed),
    }
}

/// Whether a host is this machine by what is written: RFC 6761, 6.3, for the name.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case("localhost")
        }
    }
}

/// Whether a secret may go with a request for `url`: over TLS, or to this machine itself, which
/// [`HttpClients`](crate::HttpClients) asks without a proxy.
pub fn may_carry_secrets(url: &Url) -> bool {
    url.scheme() == "https" || url.host().is_some_and(|host| is_loopback(&host))
}
