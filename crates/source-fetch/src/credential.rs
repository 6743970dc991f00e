//! What hosts ask for, kept out of every message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    provider: Option<Arc<dyn CredentialProvider>>,
    bearer: BTreeMap<String, String>,
    netrc: Vec<Login>,
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

    /// Returns the `Authorization` header for a request, marked as sensitive.
    ///
    /// What a recipe writes into the URL itself comes first.
    pub(crate) fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>, FetchError> {
        match self.find(url)? {
            Some(credential) => header(&credential, url).map(Some),
            None => Ok(None),
        }
    }

    fn find(&self, url: &Url) -> Result<Option<Credential>, FetchError> {
        if let Some(password) = url.password() {
            return Ok(Some(Credential::Basic {
                user: decode(url.username()),
                password: Secret::new(decode(password)),
            }));
        }
        if let Some(provider) = &self.provider
            && let Some(credential) = provider.credential(url)?
        {
            return Ok(Some(credential));
        }
        let Some(host) = url.host_str() else {
            return Ok(None);
        };
        let with_port = url
            .port_or_known_default()
            .map(|port| format!("{host}:{port}"));
        let variable = with_port
            .and_then(|host| self.bearer.get(&host))
            .or_else(|| self.bearer.get(host));
        let Some(variable) = variable else {
            let found = self
                .netrc
                .iter()
                .find(|login| login.host.as_deref() == Some(host));
            return Ok(found.map(|login| Credential::Basic {
                user: login.user.clone(),
                password: login.password.clone(),
            }));
        };
        match std::env::var(variable) {
            Ok(token) if !token.trim().is_empty() => {
                Ok(Some(Credential::Bearer(Secret::new(token.trim()))))
            }
            _ => Err(FetchError::Credential {
                host: host.to_owned(),
                reason: format!("the environment variable `{variable}` is not set"),
            }),
        }
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

    fn sent(credentials: &Credentials, url: &str) -> Option<String> {
        let value = credentials.authorization(&url.parse().unwrap()).unwrap()?;
        assert!(value.is_sensitive());
        Some(value.to_str().unwrap().to_owned())
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
            assert_eq!(sent(&credentials, url).as_deref(), expected, "{url}");
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
        let error = credentials.authorization(&url).unwrap_err();
        assert!(!format!("{error:?}{error}").contains("secret"));
    }
}
