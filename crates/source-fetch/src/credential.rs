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

impl Credentials {
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
            return Ok(None);
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
