//! What hosts ask for, kept out of every message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use network_policy::may_carry_secrets;
use reqwest::header::HeaderValue;
use url::Url;

use crate::error::FetchError;

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

/// Finds the credential of a host when a request is about to be made.
pub trait CredentialProvider: Send + Sync + fmt::Debug {
    /// Returns what to send with a request for `url`, or nothing.
    ///
    /// # Errors
    /// [`FetchError::Credential`] when there should be one and it cannot be had.
    fn credential(&self, url: &Url) -> Result<Option<Credential>, FetchError>;
}

/// The credentials of a fetch; the first match wins: provider, bearer token, netrc.
///
/// Over plain http they go to this machine alone, unless [`Credentials::with_plain_http`] says
/// otherwise. What a redirect to another host or port leads to gets nothing but what the provider
/// gives for it or what was named for that very port.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    plain_http: bool,
    provider: Option<Arc<dyn CredentialProvider>>,
    bearer: BTreeMap<String, String>,
    netrc: Vec<Login>,
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

/// One `machine` of a netrc file.
#[derive(Debug, Clone)]
struct Login {
    /// Nothing for `default`.
    host: Option<String>,
    user: String,
    password: Secret,
}

impl Credentials {
    /// Asks `provider` first.
    #[must_use]
    pub fn with_provider(mut self, provider: Arc<dyn CredentialProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Sends secrets over plain http too, where anybody on the way can read them.
    #[must_use]
    pub fn with_plain_http(mut self) -> Self {
        self.plain_http = true;
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
        self.bearer
            .insert(host.into().to_ascii_lowercase(), variable.into());
        self
    }
}

/// Reads the text of a netrc file as curl(1) does; a `macdef` ends it.
fn parse_netrc(text: &str) -> Vec<Login> {
    let mut logins: Vec<Login> = Vec::new();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    while let Some(word) = words.next() {
        let begun = match word {
            "machine" => Some(words.next().unwrap_or_default().to_ascii_lowercase()),
            "default" => None,
            "macdef" => break,
            _ => {
                let value = words.next().unwrap_or_default();
                match (word, logins.last_mut()) {
                    ("login", Some(login)) => value.clone_into(&mut login.user),
                    ("password", Some(login)) => login.password = Secret::new(value),
                    _ => {}
                }
                continue;
            }
        };
        logins.push(Login {
            host: begun,
            user: String::new(),
            password: Secret::new(""),
        });
    }
    logins
}

impl Credentials {
    /// Takes the text of a `.netrc` file: `machine`, `login` and `password`.
    ///
    /// Its `default` entry is not used, as it would send a password to every host a recipe
    /// names.
    #[must_use]
    pub fn with_netrc(mut self, text: &str) -> Self {
        self.netrc = parse_netrc(text)
            .into_iter()
            .filter(|login| login.host.is_some())
            .collect();
        self
    }

    /// Returns what goes with a request for `url`, which a request for `first` was redirected to
    /// if they differ.
    ///
    /// What a recipe writes into the URL itself comes first, and is nobody's secret.
    pub(crate) fn authorization(
        &self,
        url: &Url,
        first: &Url,
    ) -> Result<Authorization, FetchError> {
        if let Some(password) = url.password() {
            let credential = Credential::Basic {
                user: decode(url.username()),
                password: Secret::new(decode(password)),
            };
            return header(&credential, url).map(Authorization::Send);
        }
        let (Some(host), Some(found)) = (url.host_str(), self.find(url, first)?) else {
            return Ok(Authorization::Nothing);
        };
        if !self.plain_http && !may_carry_secrets(url) {
            return Ok(Authorization::Withheld {
                host: host.to_owned(),
            });
        }
        let credential = match found {
            Found::Credential(credential) => credential,
            Found::Variable(variable) => Credential::Bearer(token(variable, host)?),
        };
        header(&credential, url).map(Authorization::Send)
    }

    fn find(&self, url: &Url, first: &Url) -> Result<Option<Found<'_>>, FetchError> {
        if let Some(provider) = &self.provider
            && let Some(credential) = provider.credential(url)?
        {
            return Ok(Some(Found::Credential(credential)));
        }
        let Some(host) = url.host_str() else {
            return Ok(None);
        };
        let with_port = url
            .port_or_known_default()
            .map(|port| format!("{host}:{port}"));
        if let Some(variable) = with_port.and_then(|host| self.bearer.get(&host)) {
            return Ok(Some(Found::Variable(variable)));
        }
        // What is named by the host alone is for the port that the recipe names.
        if url.origin() != first.origin() {
            return Ok(None);
        }
        if let Some(variable) = self.bearer.get(host) {
            return Ok(Some(Found::Variable(variable)));
        }
        let login = self
            .netrc
            .iter()
            .find(|login| login.host.as_deref() == Some(host));
        Ok(login.map(|login| {
            Found::Credential(Credential::Basic {
                user: login.user.clone(),
                password: login.password.clone(),
            })
        }))
    }
}

enum Found<'a> {
    Credential(Credential),
    /// A bearer token in this variable of the environment.
    Variable(&'a str),
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

    fn sent(credentials: &Credentials, url: &str, first: &str) -> Option<String> {
        let (url, first) = (url.parse().unwrap(), first.parse().unwrap());
        match credentials.authorization(&url, &first).unwrap() {
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
            fn credential(&self, _: &Url) -> Result<Option<Credential>, FetchError> {
                Ok(Some(Credential::Bearer(Secret::new("a\nb-secret"))))
            }
        }
        let credentials = Credentials::default().with_provider(Arc::new(Bad));
        let url = "https://example.org".parse().unwrap();
        let error = credentials.authorization(&url, &url).unwrap_err();
        assert!(!format!("{error:?}{error}").contains("secret"));
    }

    #[test]
    fn secrets_stay_where_nobody_can_read_them() {
        let netrc = ["a.example.org", "127.0.0.1", "[::1]", "localhost"]
            .map(|host| format!("machine {host} login u password p\n"))
            .concat();
        let careful = Credentials::default().with_netrc(&netrc);
        let careless = careful.clone().with_plain_http();
        let basic = Some("Basic dTpw");
        let cases = [
            ("https://a.example.org/x", basic, basic),
            (
                "http://a.example.org/x",
                Some("withheld from a.example.org"),
                basic,
            ),
            ("http://127.0.0.1:8080/x", basic, basic),
            ("http://[::1]:8080/x", basic, basic),
            ("http://localhost/x", basic, basic),
            ("http://b.example.org/x", None, None),
            ("http://u:p@b.example.org/x", basic, basic),
        ];
        for (url, expected, anyway) in cases {
            assert_eq!(sent(&careful, url, url).as_deref(), expected, "{url}");
            assert_eq!(sent(&careless, url, url).as_deref(), anyway, "{url}");
        }
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
