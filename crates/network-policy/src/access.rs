//! How places are reached, as the operator has set it.

use std::path::PathBuf;

use crate::crowd::Crowd;
use crate::proxies::{Proxies, ProxyError};
use crate::roots::{Roots, RootsError};

/// Whom TLS trusts, through whom requests go, and how many at once, for everything that is asked.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Whom TLS trusts: by default whom the host trusts.
    pub roots: Roots,
    /// Through whom requests go: by default through nobody.
    pub proxies: Proxies,
    /// How much is asked of one host at once; what is set up with a clone of it asks no more
    /// together.
    pub crowd: Crowd,
}

/// Why places cannot be reached as it was set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Certificates cannot be used.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// A proxy is none.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl Access {
    /// As the environment says: see [`Roots::from_env`] and [`Proxies::from_env`]. Blocks while files
    /// are read.
    ///
    /// # Errors
    /// [`AccessError`] when a variable cannot be used.
    pub fn from_env() -> Result<Self, AccessError> {
        Ok(Self {
            roots: Roots::from_env()?,
            proxies: Proxies::from_env()?,
            crowd: Crowd::default(),
        })
    }

    /// Trusts the authorities of these PEM files as well (`--ca-file`). Blocks while they are read.
    ///
    /// # Errors
    /// [`AccessError::Roots`] when one cannot be used.
    pub fn trusting(mut self, files: &[PathBuf]) -> Result<Self, AccessError> {
        for file in files {
            self.roots = self.roots.with_file(file)?;
        }
        Ok(self)
    }
}
