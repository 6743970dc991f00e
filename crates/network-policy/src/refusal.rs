use std::error::Error;
use std::net::IpAddr;

use crate::address::AddressKind;

/// Why a place is not asked, and the switch that would allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Anybody on the way could exchange what comes, and nothing that the recipe states would show
    /// it.
    #[error(
        "`{scheme}` is not encrypted and no sha2 or blake2 digest or full commit id says what must \
         come; use https, or allow it with `--allow-insecure-sources`"
    )]
    Insecure {
        /// The scheme as the recipe writes it.
        scheme: &'static str,
    },
    /// Everything must come over TLS.
    #[error("`{scheme}` is not encrypted, which `--require-tls` demands; use https")]
    WithoutTls {
        /// The scheme as the recipe writes it.
        scheme: &'static str,
    },
    /// The person's keys and agent would be used.
    #[error(
        "ssh would use your own keys at `{host}`; use https, or allow it with \
         `--allow-ssh-sources`"
    )]
    Ssh {
        /// The host.
        host: String,
    },
    /// A file of this machine would be read.
    #[error(
        "a recipe from a catalog may not read files of this machine; put the file beside the \
         recipe or on a server"
    )]
    File,
    /// The scheme is none that sources can have.
    #[error("`{scheme}` is no way to fetch a source; use https")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The URL names no host.
    #[error("the address names no host")]
    NoHost,
    /// No HTTP client can be made.
    #[error("the HTTP client cannot be set up: {problem}")]
    Client {
        /// What its library says.
        problem: String,
    },
    /// The host is, or resolves to, an address that only this machine or its network reaches.
    #[error(
        "{}, which a recipe may not ask; if you trust it, allow it with `--allow-source-host \
         {host}:{port}`",
        place(host, *address, *kind)
    )]
    Address {
        /// The host as it was asked for.
        host: String,
        /// The port; 0 where it is not known.
        port: u16,
        /// The address.
        address: IpAddr,
        /// What is special about it.
        kind: AddressKind,
    },
}

fn place(host: &str, address: IpAddr, kind: AddressKind) -> String {
    if host.trim_matches(['[', ']']) == address.to_string() {
        format!("`{host}` is {kind}")
    } else {
        format!("`{host}` is at {address}, {kind}")
    }
}

impl Refusal {
    /// The refusal among the causes of an error, when a connection was refused by policy.
    ///
    /// It is the same at every attempt, so trying again is of no use.
    pub fn in_chain<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        in_chain(error)
    }

    pub(crate) fn client(error: &(dyn Error + 'static)) -> Self {
        let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
        Self::Client {
            problem: causes.join(": "),
        }
    }

    pub(crate) fn with_port(self, port: u16) -> Self {
        match self {
            Self::Address {
                host,
                address,
                kind,
                ..
            } => Self::Address {
                host,
                port,
                address,
                kind,
            },
            other => other,
        }
    }
}

/// The first error of type `T` among an error and its causes.
pub fn in_chain<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// An error and its causes.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // `io::Error` hides what it wraps from `source`.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}
