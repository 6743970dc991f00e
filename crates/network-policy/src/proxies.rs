//! Through whom requests go.

use std::fmt;

use reqwest::{ClientBuilder, NoProxy, Proxy};
use url::Url;

/// The proxies for `http` and `https`, and what goes past them.
///
/// They may carry a user and a password, which are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    except: String,
    /// Where the system keeps such settings, those count if the environment has none.
    of_system: bool,
}

/// A text is no address of a proxy; it is not shown, as it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{set_by} is no address of a proxy such as `http://proxy.example.org:3128` or \
     `socks5h://127.0.0.1:1080`; the schemes are http, https, socks4, socks4a, socks5 and socks5h"
)]
pub struct ProxyError {
    set_by: String,
}

impl Proxies {
    /// As `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say, which count before their
    /// names in capitals. Empty ones count as unset. `HTTP_PROXY` is not read in a program that a web
    /// server has started with a request's headers in its environment (`REQUEST_METHOD`).
    ///
    /// Source: curl(1), "ENVIRONMENT"; for the latter <https://httpoxy.org>.
    ///
    /// # Errors
    /// [`ProxyError`] for a variable that is no address.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.trim().is_empty());
        let first = |names: &[&'static str]| names.iter().copied().find(|name| is_set(name));
        let proxy = |names: &[&'static str]| {
            first(names)
                .map(|name| parse(&variable(name).unwrap_or_default(), || format!("`{name}`")))
                .transpose()
        };
        let is_answering = variable("REQUEST_METHOD").is_some();
        let http: &[_] = if is_answering {
            &["http_proxy"]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        let all = proxy(&["all_proxy", "ALL_PROXY"])?;
        let except = first(&["no_proxy", "NO_PROXY"]).and_then(&variable);
        Ok(Self {
            http: proxy(http)?.or_else(|| all.clone()),
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?.or(all),
            except: except.unwrap_or_default(),
            of_system: cfg!(any(target_os = "macos", windows)),
        })
    }

    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything through one, except for this machine itself.
    ///
    /// # Errors
    /// [`ProxyError`] when it is no address.
    pub fn all(proxy: &str) -> Result<Self, ProxyError> {
        let proxy = parse(proxy, || "the proxy".to_owned())?;
        Ok(Self {
            http: Some(proxy.clone()),
            https: Some(proxy),
            ..Self::default()
        })
    }

    /// What goes past them: names, which stand for all names below them too, addresses, networks
    /// such as `10.0.0.0/8`, or `*` for everything; with commas in between.
    #[must_use]
    pub fn except(mut self, list: impl Into<String>) -> Self {
        self.except = list.into();
        self
    }

    /// Whether a request may go through one.
    pub(crate) fn may_be_any(&self) -> bool {
        self.http.is_some() || self.https.is_some() || self.of_system
    }

    /// Whether what is not encrypted goes to a proxy over TLS.
    pub(crate) fn need_tls(&self) -> bool {
        let is_tls = |proxy: &Url| proxy.scheme() == "https";
        self.http.as_ref().is_some_and(is_tls) || self.of_system
    }

    /// Their own host names.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> {
        let urls = [&self.http, &self.https].into_iter().flatten();
        urls.filter_map(|url| url.host_str().map(str::to_ascii_lowercase))
    }

    pub(crate) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, reqwest::Error> {
        if self.of_system && self.http.is_none() && self.https.is_none() {
            return Ok(builder);
        }
        let mut builder = builder.no_proxy();
        let except = || NoProxy::from_string(&self.except);
        if let Some(proxy) = &self.http {
            builder = builder.proxy(Proxy::http(proxy.as_str())?.no_proxy(except()));
        }
        if let Some(proxy) = &self.https {
            builder = builder.proxy(Proxy::https(proxy.as_str())?.no_proxy(except()));
        }
        Ok(builder)
    }
}

fn parse(text: &str, set_by: impl Fn() -> String) -> Result<Url, ProxyError> {
    let text = text.trim();
    let text = match text.split_once("://") {
        None => format!("http://{text}"),
        // As curl has it.
        Some(("socks", rest)) => format!("socks4://{rest}"),
        Some(_) => text.to_owned(),
    };
    let known = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    let url = Url::parse(&text).ok();
    url.filter(|url| {
        known.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty())
    })
    .ok_or_else(|| ProxyError { set_by: set_by() })
}

impl fmt::Debug for Proxies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |url: &Option<Url>| {
            let port = |url: &Url| url.port().map_or(String::new(), |port| format!(":{port}"));
            let host = |url: &Url| {
                format!(
                    "{}://{}{}",
                    url.scheme(),
                    url.host_str().unwrap_or_default(),
                    port(url)
                )
            };
            url.as_ref().map(host)
        };
        out.debug_struct("Proxies")
            .field("http", &shown(&self.http))
            .field("https", &shown(&self.https))
            .field("except", &self.except)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    type Set = &'static [(&'static str, &'static str)];

    fn read(set: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_count_as_for_curl() {
        let cases: [(Set, Option<&str>, Option<&str>); 13] = [
            (&[], None, None),
            (&[("http_proxy", "http://a:1")], Some("http://a:1/"), None),
            (&[("HTTP_PROXY", "http://a:1")], Some("http://a:1/"), None),
            (&[("https_proxy", "a:1")], None, Some("http://a:1/")),
            (&[("HTTPS_PROXY", "https://a")], None, Some("https://a/")),
            (
                &[("all_proxy", "socks5h://a:1")],
                Some("socks5h://a:1"),
                Some("socks5h://a:1"),
            ),
            (
                &[("ALL_PROXY", "socks://a:1")],
                Some("socks4://a:1"),
                Some("socks4://a:1"),
            ),
            (
                &[("http_proxy", "b:2"), ("all_proxy", "a:1")],
                Some("http://b:2/"),
                Some("http://a:1/"),
            ),
            (
                &[("http_proxy", "b:2"), ("HTTP_PROXY", "a:1")],
                Some("http://b:2/"),
                None,
            ),
            (
                &[("http_proxy", ""), ("HTTP_PROXY", "a:1")],
                Some("http://a:1/"),
                None,
            ),
            (&[("http_proxy", " ")], None, None),
            (
                &[("HTTP_PROXY", "a:1"), ("REQUEST_METHOD", "GET")],
                None,
                None,
            ),
            (
                &[("http_proxy", "u:p@a:1"), ("REQUEST_METHOD", "GET")],
                Some("http://u:p@a:1/"),
                None,
            ),
        ];
        for (set, http, https) in cases {
            let found = read(set).unwrap();
            assert_eq!(found.http.as_ref().map(Url::as_str), http, "{set:?}");
            assert_eq!(found.https.as_ref().map(Url::as_str), https, "{set:?}");
        }
        for names in ["no_proxy", "NO_PROXY"] {
            assert_eq!(read(&[(names, "a, b")]).unwrap().except, "a, b");
        }
        assert_eq!(
            read(&[("no_proxy", "a"), ("NO_PROXY", "b")])
                .unwrap()
                .except,
            "a"
        );
    }

    #[test]
    fn what_is_no_proxy_is_named_by_its_variable_alone() {
        for value in [
            "ftp://secret@a",
            "http://",
            "http://secret:x y@[",
            "unix:///secret",
            "://secret",
        ] {
            let error = read(&[("https_proxy", value)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                text.contains("`https_proxy`") && !text.contains("secret"),
                "{text}"
            );
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let proxies = Proxies::all("http://user:secret@proxy.example.org:3128").unwrap();
        let shown = format!("{proxies:?}");
        assert!(shown.contains("proxy.example.org:3128"), "{shown}");
        assert!(
            !shown.contains("secret") && !shown.contains("user"),
            "{shown}"
        );
    }
}
