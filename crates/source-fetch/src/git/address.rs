//! Where a repository is, and by which way it is reached.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use network_policy::{Crowd, Refusal, Scheme, SourcePolicy, Turn};
use url::{Host, Url};

use super::error::GitProblem;

/// A parsed git address: git-clone(1), "Git URLs".
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Smart HTTP; `Url` may carry user information.
    Http(Url),
    /// The person's `ssh` program.
    Ssh {
        /// `user@host` or `host`.
        host: String,
        /// The port, when the address names one.
        port: Option<u16>,
        /// The path on the other side.
        path: String,
    },
    /// The git daemon.
    Daemon {
        /// The host name.
        host: String,
        /// The port; 9418 unless named.
        port: u16,
        /// The path on the other side.
        path: String,
    },
    /// A repository on this machine.
    Local(PathBuf),
}

impl Address {
    /// Parses what follows `git+`, or a scp-like form.
    ///
    /// # Errors
    /// [`GitProblem::Url`]: an unknown scheme, an empty host or path, or a host or path that starts with a dash,
    /// which a program could take for an option.
    pub(super) fn parse(text: &str) -> Result<Self, GitProblem> {
        let refuse = |reason| GitProblem::Url {
            url: without_secrets(text),
            reason,
        };
        if text.chars().any(char::is_control) {
            return Err(refuse("it holds a control character"));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "file" => local(Path::new(
                    &percent_decoded(rest).ok_or_else(|| refuse("its path is not UTF-8"))?,
                ))
                .ok_or_else(|| refuse("a local repository needs an absolute path")),
                "http" | "https" => Url::parse(text)
                    .map_err(|_| refuse("it is not a URL"))
                    .map(Self::Http),
                "ssh" | "git" => {
                    let url = Url::parse(text).map_err(|_| refuse("it is not a URL"))?;
                    remote(&url, scheme).map_err(refuse)
                }
                _ => Err(refuse(
                    "the scheme is not one of https, http, ssh, git and file",
                )),
            };
        }
        if text.starts_with('/') {
            return local(Path::new(text))
                .ok_or_else(|| refuse("a local repository needs an absolute path"));
        }
        let (host, path) = text
            .split_once(':')
            .ok_or_else(|| refuse("it has neither a scheme nor the form `host:path`"))?;
        if host.contains('/') {
            return Err(refuse("it has neither a scheme nor the form `host:path`"));
        }
        checked(host, path).map_err(refuse)?;
        Ok(Self::Ssh {
            host: host.to_owned(),
            port: None,
            path: path.to_owned(),
        })
    }
}

impl Address {
    /// How it is reached, and at which host and port.
    fn place(&self) -> (Scheme, Option<Host>, u16) {
        let parsed = |host: &str| {
            let name = host.rsplit('@').next().unwrap_or(host);
            Host::parse(name).ok()
        };
        match self {
            Self::Http(url) => {
                let scheme = if url.scheme() == "https" {
                    Scheme::Https
                } else {
                    Scheme::Http
                };
                let host = url.host().map(|host| host.to_owned());
                (
                    scheme,
                    host,
                    url.port_or_known_default().unwrap_or_default(),
                )
            }
            Self::Ssh { host, port, .. } => (Scheme::Ssh, parsed(host), port.unwrap_or(22)),
            Self::Daemon { host, port, .. } => (Scheme::Git, parsed(host), *port),
            Self::Local(_) => (Scheme::File, None, 0),
        }
    }

    /// Whether the operator has listed its host.
    pub(super) fn is_listed(&self, policy: &SourcePolicy) -> bool {
        let (_, host, port) = self.place();
        host.is_some_and(|host| policy.is_listed(&borrowed(&host), port))
    }

    /// Whether the person's own git configuration counts for its host.
    pub(super) fn has_own_settings(&self, policy: &SourcePolicy) -> bool {
        let (_, host, port) = self.place();
        host.is_some_and(|host| policy.has_own_settings(&borrowed(&host), port))
    }

    /// Waits until its host may be asked.
    pub(super) async fn enter(&self, crowd: &Crowd) -> Option<Turn> {
        let (_, host, _) = self.place();
        Some(crowd.enter(&borrowed(&host?)).await)
    }

    /// Judges it by what is written.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) fn check(&self, policy: &SourcePolicy, is_pinned: bool) -> Result<(), Refusal> {
        let (scheme, host, port) = self.place();
        let host = host.as_ref().map(borrowed);
        policy.check(scheme, host.as_ref(), port, is_pinned)
    }

    /// Resolves its host to addresses that may be connected to.
    ///
    /// # Errors
    /// [`GitProblem::Refused`], [`GitProblem::Connection`].
    pub(super) async fn resolve(
        &self,
        policy: &SourcePolicy,
        shown: &str,
    ) -> Result<Vec<SocketAddr>, GitProblem> {
        let (_, host, port) = self.place();
        let Some(host) = host else {
            return Err(GitProblem::Refused {
                url: shown.to_owned(),
                refusal: Refusal::NoHost,
            });
        };
        policy
            .resolve(&borrowed(&host), port)
            .await
            .map_err(|source| match Refusal::in_chain(&source) {
                Some(refusal) => GitProblem::Refused {
                    url: shown.to_owned(),
                    refusal: refusal.clone(),
                },
                None => GitProblem::Connection {
                    url: shown.to_owned(),
                    source,
                },
            })
    }
}

fn borrowed(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(address) => Host::Ipv4(*address),
        Host::Ipv6(address) => Host::Ipv6(*address),
    }
}

fn local(path: &Path) -> Option<Address> {
    path.is_absolute().then(|| Address::Local(path.to_owned()))
}

fn remote(url: &Url, scheme: &str) -> Result<Address, &'static str> {
    let host = url.host_str().unwrap_or_default();
    let path = percent_decoded(url.path()).ok_or("its path is not UTF-8")?;
    // `ssh://host/~user/x` means the other person's home; the slash before the tilde is not part of it.
    let path = if path.starts_with("/~") {
        path[1..].to_owned()
    } else {
        path
    };
    checked(host, &path)?;
    if scheme == "git" {
        return Ok(Address::Daemon {
            host: host.to_owned(),
            port: url.port().unwrap_or(9418),
            path,
        });
    }
    let user = percent_decoded(url.username()).ok_or("its user is not UTF-8")?;
    let host = if user.is_empty() {
        host.to_owned()
    } else {
        format!("{user}@{host}")
    };
    checked(&host, &path)?;
    Ok(Address::Ssh {
        host,
        port: url.port(),
        path,
    })
}

fn checked(host: &str, path: &str) -> Result<(), &'static str> {
    if host.is_empty() || path.is_empty() || path == "/" {
        return Err("the host or the path is missing");
    }
    let name = host.rsplit('@').next().unwrap_or(host);
    if path.starts_with(':') {
        return Err("remote helpers are not supported");
    }
    if host.starts_with('-') || name.starts_with('-') || path.starts_with('-') {
        return Err(
            "the host or the path starts with `-`, which a program would take for an option",
        );
    }
    if path.chars().any(char::is_control)
        || host.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        return Err("it holds a control character");
    }
    Ok(())
}

pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut ahead = bytes.clone();
        let digits =
            [ahead.next(), ahead.next()].map(|b| b.and_then(|b| char::from(b).to_digit(16)));
        if let [Some(high), Some(low)] = digits {
            out.push(u8::try_from(high * 16 + low).ok()?);
            bytes = ahead;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The address without a password, and over HTTP without a user either, since tokens are put there.
pub(super) fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else {
        return text.to_owned();
    };
    let user = user.split(':').next().unwrap_or_default();
    match scheme {
        "ssh" if !user.is_empty() => format!("{scheme}://{user}@{host}{path}"),
        _ => format!("{scheme}://{host}{path}"),
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => f.write_str(&without_secrets(url.as_str())),
            Self::Ssh { host, port, path } => write!(f, "ssh {host} {port:?} {path}"),
            Self::Daemon { host, port, path } => write!(f, "git {host} {port} {path}"),
            Self::Local(path) => write!(f, "file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ssh(host: &str, port: Option<u16>, path: &str) -> Address {
        Address::Ssh {
            host: host.into(),
            port,
            path: path.into(),
        }
    }

    #[test]
    fn every_form_of_git_clone_is_understood() {
        let cases = [
            (
                "ssh://git@example.org:2222/a/b.git",
                ssh("git@example.org", Some(2222), "/a/b.git"),
            ),
            ("ssh://example.org/~me/b", ssh("example.org", None, "~me/b")),
            (
                "git@example.org:a/b.git",
                ssh("git@example.org", None, "a/b.git"),
            ),
            ("example.org:/a/b", ssh("example.org", None, "/a/b")),
            ("/srv/a", Address::Local("/srv/a".into())),
            ("file:///srv/a%20b", Address::Local("/srv/a b".into())),
            (
                "git://example.org/a",
                Address::Daemon {
                    host: "example.org".into(),
                    port: 9418,
                    path: "/a".into(),
                },
            ),
            (
                "https://example.org/a",
                Address::Http("https://example.org/a".parse().unwrap()),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Address::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_that_could_become_options_or_programs_are_refused() {
        for text in [
            "ssh://-oProxyCommand=touch%20x/a",
            "-oProxyCommand=x:a",
            "a@-oProxyCommand=x:a",
            "host:-upload-pack",
            "ext::sh -c touch",
            "fd::7",
            "ssh://host",
            "ssh://host/",
            "relative/path",
            "file://relative",
            "ftp://host/a",
            "git://host/a\nb",
            "git://host/a%0ahost=b",
            "ssh://-evil@host/a",
        ] {
            assert!(
                matches!(Address::parse(text), Err(GitProblem::Url { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn secrets_are_left_out() {
        let cases = [
            ("https://token@h/a", "https://h/a"),
            ("https://u:p@h:8/a@b", "https://h:8/a@b"),
            ("ssh://git:p@h/a", "ssh://git@h/a"),
            ("git@h:a", "git@h:a"),
            ("https://h/a", "https://h/a"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
