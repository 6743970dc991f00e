//! Worker ids: one safe path segment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{CatalogError, printable};
use crate::platform::WorkerType;

/// The longest id a catalog accepts, in characters.
const MAX_LEN: usize = 100;

/// A worker's id as a catalog names it: `^[a-z0-9-]{1,100}$`.
///
/// The rule is the catalog service's own; it is applied before a URL is made, so an id can never
/// climb out of its path segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WorkerId(String);

impl WorkerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits a v1-style id into the worker's name and the backend it ends in:
    /// `llm-worker-rbee-cuda` is `llm-worker-rbee` and [`WorkerType::Cuda`].
    pub fn split_backend(&self) -> Option<(WorkerId, WorkerType)> {
        let (name, backend) = self.0.rsplit_once('-')?;
        let backend = WorkerType::from_wire(backend)?;
        (!name.is_empty()).then(|| (Self(name.to_owned()), backend))
    }

    /// The v1-style id of this worker for `backend`; `None` when it would be too long.
    pub fn with_backend(&self, backend: WorkerType) -> Option<WorkerId> {
        format!("{}-{backend}", self.0).parse().ok()
    }
}

impl FromStr for WorkerId {
    type Err = CatalogError;

    /// # Errors
    /// [`CatalogError::InvalidId`] when the text breaks the rule.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = if text.is_empty() {
            "it is empty".to_owned()
        } else if let Some(bad) = text
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'))
        {
            format!("`{}` is not allowed", printable(&bad.to_string(), 1))
        } else if text.starts_with('-') {
            "it begins with `-`, which a program would take for an option".to_owned()
        } else if text.len() > MAX_LEN {
            format!("it has {} characters", text.len())
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(CatalogError::InvalidId {
            id: printable(text, 120),
            problem,
        })
    }
}

impl<'de> Deserialize<'de> for WorkerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for WorkerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accepts_what_the_service_accepts() {
        for id in ["a", "0", "0-", "llm-worker-rbee-cuda", &"x".repeat(100)] {
            assert_eq!(id.parse::<WorkerId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for id in [
            "",
            "-",
            "-rf",
            ".",
            "..",
            "%2e%2e",
            "a/b",
            "a b",
            "A",
            "ä",
            "a_b",
            "a.b",
            "a\0",
            "a\n",
            &"x".repeat(101),
        ] {
            assert!(
                matches!(id.parse::<WorkerId>(), Err(CatalogError::InvalidId { .. })),
                "{id:?} was accepted"
            );
        }
    }

    #[test]
    fn splits_and_joins_the_backend() {
        let id: WorkerId = "llm-worker-rbee-cuda".parse().unwrap();
        let (name, backend) = id.split_backend().unwrap();
        assert_eq!(
            (name.as_str(), backend),
            ("llm-worker-rbee", WorkerType::Cuda)
        );
        assert_eq!(name.with_backend(backend).unwrap(), id);
        for id in ["llm-worker-rbee", "cuda", "x-gpu"] {
            assert!(
                id.parse::<WorkerId>().unwrap().split_backend().is_none(),
                "{id}"
            );
        }
        let long: WorkerId = "x".repeat(98).parse().unwrap();
        assert!(long.with_backend(WorkerType::Cpu).is_none());
    }
}
