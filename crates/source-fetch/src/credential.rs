//! What hosts ask for, kept out of every message.

mod netrc;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use network_policy::{SourcePolicy, may_carry_secrets};
use reqwest::header::HeaderValue;
use url::Url;

use crate::error::FetchError;
use netrc::Login;

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

/// What is sent to one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token.
    Bearer(Secret),
}

/// Why a credential that there should be cannot be had; it never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CredentialError {
    reason: String,
}

impl CredentialError {
    /// An error with a reason for people.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// Finds the credential of a host when a request is about to be made.
pub trait CredentialProvider: Send + Sync + fmt::Debug {
    /// Returns what to send with a request for `url`, or nothing. It is called on the runtime and
    /// must not block.
    ///
    /// # Errors
    /// [`CredentialError`] when there should be one and it cannot be had; the source fails then.
    fn credential(&self, url: &Url) -> Result<Option<Credential>, CredentialError>;
}

/// The credentials of a fetch; the first match wins: provider, what is named for a host, netrc.
///
/// They go over TLS, or to this machine, and to nobody that the operator has not named: what was
/// named for a host goes there, and a provider and a netrc file, which may know more than recipes
/// should ask with, count for the hosts of
/// [`SourcePolicy::allow_host`](network_policy::SourcePolicy::allow_host) alone. What a redirect to
/// another host or port leads to gets nothing but what the provider gives for it or what was named
/// for that very port.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    provider: Option<Arc<dyn CredentialProvider>>,
    named: BTreeMap<String, Named>,
    netrc: Vec<Login>,
}

/// What was named for a host.
#[derive(Debug, Clone)]
enum Named {
    /// A bearer token in this variable of the environment.
    Variable(String),
    Given(Credential),
}

/// What goes with one request.
#[derive(Debug)]
pub(crate) enum Authorization {
    Nothing,
    /// The `Authorization` header, marked as sensitive.
    Send(HeaderValue),
    /// There is a secret, and anybody on the way could read it.
    Withheld {
        host: String,
    },
}

impl Credentials {
    /// Asks `provider` first.
    #[must_use]
    pub fn with_provider(mut self, provider: Arc<dyn CredentialProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Sends the value of the environment variable `variable` as bearer token to `host`.
    ///
    /// The variable is read when a request needs it; `host` may end in `:port`.
    #[must_use]
    pub fn with_bearer_variable(
        mut self,
        host: impl Into<String>,
        variable: impl Into<String>,
    ) -> Self {
        let variable = Named::Variable(variable.into());
        self.named
            .insert(host.into().to_ascii_lowercase(), variable);
        self
    }

    /// Sends a credential to `host`, which may end in `:port`.
    #[must_use]
    pub fn with_credential(mut self, host: impl Into<String>, credential: Credential) -> Self {
        let given = Named::Given(credential);
        self.named.insert(host.into().to_ascii_lowercase(), given);
        self
    }
}

impl Credentials {
    /// Takes the text of a `.netrc` file: `machine`, `login` and `password`.
    ///
    /// Its `default` entry is not used, as it would send a password to every host a recipe
    /// names.
    #[must_use]
    pub fn with_netrc(mut self, text: &str) -> Self {
        self.netrc = netrc::parse(text)
            .into_iter()
            .filter(|login| login.host.is_some())
            .collect();
        self
    }

    /// Returns what goes with a request for `url`, which a request for `first` was redirected to
    /// if they differ.
    ///
    /// What a recipe writes into the URL itself comes first, and is nobody's secret. `policy` says
    /// which hosts the operator has listed.
    pub(crate) fn authorization(
        &self,
        url: &Url,
        first: &Url,
        policy: &SourcePolicy,
    ) -> Result<Authorization, FetchError> {
        if let Some(password) = url.password() {
            let credential = Credential::Basic {
                user: decode(url.username()),
                password: Secret::new(decode(password)),
            };
            return header(&credential, url).map(Authorization::Send);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Ok(Authorization::Nothing);
        };
        let is_listed = policy.has_own_settings(&host, port);
        let host = host.to_string();
        let Some(found) = self.find(url, first, (&host, port), is_listed)? else {
            return Ok(Authorization::Nothing);
        };
        if !may_carry_secrets(url) {
            return Ok(Authorization::Withheld { host });
        }
        let credential = match found {
            Named::Given(credential) => credential,
            Named::Variable(variable) => Credential::Bearer(token(&variable, &host)?),
        };
        header(&credential, url).map(Authorization::Send)
    }

    fn find(
        &self,
        url: &Url,
        first: &Url,
        (host, port): (&str, u16),
        is_listed: bool,
    ) -> Result<Option<Named>, FetchError> {
        if let Some(provider) = self.provider.as_ref().filter(|_| is_listed) {
            let found = provider.credential(url);
            let found = found.map_err(|error| FetchError::Credential {
                host: host.to_owned(),
                reason: error.to_string(),
            })?;
            if found.is_some() {
                return Ok(found.map(Named::Given));
            }
        }
        if let Some(named) = self.named.get(&format!("{host}:{port}")) {
            return Ok(Some(named.clone()));
        }
        // What is named by the host alone is for the port that the recipe names.
        if url.origin() != first.origin() {
            return Ok(None);
        }
        if let Some(named) = self.named.get(host) {
            return Ok(Some(named.clone()));
        }
        let mut logins = self.netrc.iter().filter(|_| is_listed);
        let login = logins.find(|login| login.host.as_deref() == Some(host));
        Ok(login.map(|login| {
            Named::Given(Credential::Basic {
                user: login.user.clone(),
                password: login.password.clone(),
            })
        }))
    }
}

fn token(variable: &str, host: &str) -> Result<Secret, FetchError> {
    match std::env::var(variable) {
        Ok(token) if !token.trim().is_empty() => Ok(Secret::new(token.trim())),
        _ => Err(FetchError::Credential {
            host: host.to_owned(),
            reason: format!("the environment variable `{variable}` is not set"),
        }),
    }
}

fn header(credential: &Credential, url: &Url) -> Result<HeaderValue, FetchError> {
    let text = match credential {
        Credential::Basic { user, password } => {
            let pair = format!("{user}:{}", password.expose());
            format!("Basic {}", STANDARD.encode(pair))
        }
        Credential::Bearer(token) => format!("Bearer {}", token.expose()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| FetchError::Credential {
        host: url.host_str().unwrap_or_default().to_owned(),
        reason: "it holds a character that no header may hold".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Undoes the percent encoding of a user or password in a URL.
fn decode(text: &str) -> String {
    // Form decoding also turns `+` into a blank, which user information does not.
    let text = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOSTS: [&str; 8] = [
        "a.example.org",
        "b.example.org",
        "c.example.org",
        "xa.example.org",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "d.example.org",
    ];

    fn listing() -> SourcePolicy {
        let rules = HOSTS.iter().map(|host| host.parse().unwrap());
        rules.fold(SourcePolicy::default(), SourcePolicy::allow_host)
    }

    fn sent(credentials: &Credentials, url: &str, first: &str) -> Option<String> {
        sent_by(credentials, url, first, &listing())
    }

    fn sent_by(
        credentials: &Credentials,
        url: &str,
        first: &str,
        policy: &SourcePolicy,
    ) -> Option<String> {
        let (url, first) = (url.parse().unwrap(), first.parse().unwrap());
        match credentials.authorization(&url, &first, policy).unwrap() {
            Authorization::Nothing => None,
            Authorization::Withheld { host } => Some(format!("withheld from {host}")),
            Authorization::Send(value) => {
                assert!(value.is_sensitive());
                Some(value.to_str().unwrap().to_owned())
            }
        }
    }

    #[test]
    fn netrc_logins_go_to_their_host() {
        let text = "# login of the office\nmachine A.example.org login me password s3cret\n\
                    machine b.example.org\n  password p login u\n\
                    default login anonymous password x\nmacdef init\nmachine c.example.org login c";
        let credentials = Credentials::default().with_netrc(text);
        let cases = [
            ("https://a.example.org/x", Some("Basic bWU6czNjcmV0")),
            ("https://b.example.org/x", Some("Basic dTpw")),
            ("https://c.example.org/x", None),
            ("https://xa.example.org/x", None),
            ("https://u:p%40@a.example.org/x", Some("Basic dTpwQA==")),
        ];
        for (url, expected) in cases {
            assert_eq!(sent(&credentials, url, url).as_deref(), expected, "{url}");
        }
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_without_being_shown() {
        #[derive(Debug)]
        struct Bad;
        impl CredentialProvider for Bad {
            fn credential(&self, _: &Url) -> Result<Option<Credential>, CredentialError> {
                Ok(Some(Credential::Bearer(Secret::new("a\nb-secret"))))
            }
        }
        let credentials = Credentials::default().with_provider(Arc::new(Bad));
        let url = "https://a.example.org".parse().unwrap();
        let error = credentials
            .authorization(&url, &url, &listing())
            .unwrap_err();
        assert!(!format!("{error:?}{error}").contains("secret"));
    }

    #[test]
    fn secrets_stay_where_nobody_can_read_them() {
        let netrc = ["a.example.org", "127.0.0.1", "[::1]", "localhost"]
            .map(|host| format!("machine {host} login u password p\n"))
            .concat();
        let credentials = Credentials::default().with_netrc(&netrc);
        let basic = Some("Basic dTpw");
        let cases = [
            ("https://a.example.org/x", basic),
            (
                "http://a.example.org/x",
                Some("withheld from a.example.org"),
            ),
            ("http://127.0.0.1:8080/x", basic),
            ("http://[::1]:8080/x", basic),
            ("http://localhost/x", basic),
            ("http://b.example.org/x", None),
            ("http://u:p@b.example.org/x", basic),
        ];
        for (url, expected) in cases {
            assert_eq!(sent(&credentials, url, url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn who_is_not_named_gets_nothing() {
        #[derive(Debug)]
        struct Generous;
        impl CredentialProvider for Generous {
            fn credential(&self, _: &Url) -> Result<Option<Credential>, CredentialError> {
                Ok(Some(Credential::Bearer(Secret::new("t"))))
            }
        }
        let netrc = Credentials::default().with_netrc("machine a.example.org login u password p");
        let provider = Credentials::default().with_provider(Arc::new(Generous));
        let named = Credentials::default()
            .with_credential("A.example.org", Credential::Bearer(Secret::new("t")));
        let url = "https://a.example.org/x";
        let other_port = SourcePolicy::default().allow_host("a.example.org:8443".parse().unwrap());
        for unlisted in [SourcePolicy::default(), other_port] {
            assert_eq!(sent_by(&netrc, url, url, &unlisted), None);
            assert_eq!(sent_by(&provider, url, url, &unlisted), None);
            let found = sent_by(&named, url, url, &unlisted);
            assert_eq!(found.as_deref(), Some("Bearer t"));
        }
        assert!(sent(&netrc, url, url).is_some() && sent(&provider, url, url).is_some());
        let elsewhere = "https://b.example.org/x";
        assert_eq!(sent(&named, elsewhere, elsewhere), None);
    }

    #[test]
    fn a_redirect_leaves_secrets_behind() {
        // Any variable that is surely set will do as a secret here.
        let credentials = Credentials::default()
            .with_netrc(
                "machine a.example.org login u password p machine b.example.org login u password p",
            )
            .with_bearer_variable("c.example.org", "PATH")
            .with_bearer_variable("d.example.org:443", "PATH");
        let first = "https://a.example.org/x";
        let cases = [
            ("https://a.example.org/elsewhere", true),
            ("https://a.example.org:8443/x", false),
            ("https://b.example.org/x", false),
            ("https://c.example.org/x", false),
            ("https://d.example.org/x", true),
            ("https://d.example.org:8443/x", false),
        ];
        for (url, is_sent) in cases {
            assert_eq!(sent(&credentials, url, first).is_some(), is_sent, "{url}");
        }
        assert!(
            sent(
                &credentials,
                "https://c.example.org/x",
                "https://c.example.org/y"
            )
            .is_some()
        );
    }
}
