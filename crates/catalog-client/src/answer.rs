//! A result, and how far it may be trusted to be current.

use std::time::Duration;

use crate::error::CatalogError;

/// Something a catalog said, and when.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer<T> {
    /// What it said.
    pub value: T,
    /// How current that is.
    pub freshness: Freshness,
    /// Where it came from, without credentials.
    pub url: String,
    /// Why a stale copy had to do; `None` when nothing failed.
    pub cause: Option<CatalogError>,
}

impl<T> Answer<T> {
    /// The same answer about something else.
    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: convert(self.value),
            freshness: self.freshness,
            url: self.url,
            cause: self.cause,
        }
    }
}

/// How current an answer is (RFC 9111, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The service sent or confirmed it just now.
    Live,
    /// A kept copy within the time the service allowed.
    Fresh {
        /// Time since the service sent or confirmed it.
        age: Duration,
    },
    /// A kept copy beyond that time, because the service cannot be reached or must not be asked.
    Stale {
        /// Time since the service sent or confirmed it.
        age: Duration,
    },
}

impl Freshness {
    /// How long ago the service sent or confirmed it.
    pub fn age(self) -> Duration {
        match self {
            Self::Live => Duration::ZERO,
            Self::Fresh { age } | Self::Stale { age } => age,
        }
    }

    /// Whether the copy is older than the service allows.
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Stale { .. })
    }
}
