//! What hosts ask for, kept out of every message.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

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
