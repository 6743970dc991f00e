use std::fmt;
use std::str::FromStr;

use url::Host;

/// A host that the operator allows, by name or address, with one port or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostRule {
    host: Host<String>,
    port: Option<u16>,
}

/// A text is no `HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no `HOST[:PORT]`, such as `git.example.org`, `10.0.0.7:8080` or `[::1]:443`")]
pub struct HostRuleError {
    text: String,
}

impl HostRule {
    /// A rule for a host with one port, or with every port.
    pub fn new(host: Host<String>, port: Option<u16>) -> Self {
        let host = match host {
            Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_ascii_lowercase()),
            address => address,
        };
        Self { host, port }
    }

    /// Whether the rule is for this host and port.
    pub fn matches(&self, host: &Host<&str>, port: u16) -> bool {
        let is_same = match (&self.host, host) {
            (Host::Domain(own), Host::Domain(name)) => {
                own.eq_ignore_ascii_case(name.trim_end_matches('.'))
            }
            (Host::Ipv4(own), Host::Ipv4(address)) => own == address,
            (Host::Ipv6(own), Host::Ipv6(address)) => own == address,
            _ => false,
        };
        is_same && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || HostRuleError {
            text: text.chars().take(200).collect(),
        };
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without a port is all colons.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| refuse())?))
            }
            _ => (text, None),
        };
        let host = if host.contains(':') && !host.starts_with('[') {
            Host::parse(&format!("[{host}]"))
        } else {
            Host::parse(host)
        };
        Ok(Self::new(host.map_err(|_| refuse())?, port))
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(out, "{}:{port}", self.host),
            None => write!(out, "{}", self.host),
        }
    }
}
