//! The kinds of document a catalog has, and what they decode to.

use reqwest::header::HeaderValue;

use crate::blocking::blocking;
use crate::entry::WorkerEntry;
use crate::error::CatalogError;
use crate::exchange::{is_html, is_json};
use crate::{recipe, wire};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Entry,
    List,
    Recipe,
}

/// A decoded document.
#[derive(Debug)]
pub(crate) enum Payload {
    Entry(Box<WorkerEntry>),
    List(Vec<WorkerEntry>, Vec<CatalogError>),
    Recipe(String),
}

impl Kind {
    pub(crate) fn accept(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Entry | Self::List => "application/json",
            Self::Recipe => "text/plain, */*;q=0.5",
        })
    }

    /// Checks the content type, then decodes.
    pub(crate) fn decode(
        self,
        url: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Payload, CatalogError> {
        let not_a_catalog = |found: String| CatalogError::NotACatalog {
            url: url.to_owned(),
            found,
        };
        let due = if self == Self::Recipe {
            "a recipe"
        } else {
            "JSON"
        };
        match content_type {
            Some(kind) if is_html(kind) => {
                return Err(not_a_catalog(format!("an HTML page where {due} is due")));
            }
            Some(kind) if is_json(kind) == (self == Self::Recipe) => {
                let kind = crate::error::printable(kind, 60);
                return Err(not_a_catalog(format!(
                    "with content type `{kind}` where {due} is due"
                )));
            }
            None if self != Self::Recipe => {
                return Err(not_a_catalog(format!(
                    "without a content type where {due} is due"
                )));
            }
            _ => {}
        }
        match self {
            Self::Entry => wire::entry(url, body).map(|entry| Payload::Entry(Box::new(entry))),
            Self::List => wire::list(url, body).map(|(good, bad)| Payload::List(good, bad)),
            Self::Recipe => recipe::text(url, body).map(Payload::Recipe),
        }
    }
}

/// Bodies beyond this are decoded where they hold up nobody.
const DECODED_IN_PLACE: usize = 64 << 10;

pub(crate) async fn decode(
    kind: Kind,
    url: &str,
    content_type: Option<String>,
    body: Vec<u8>,
) -> Result<(Payload, Vec<u8>), CatalogError> {
    let url = url.to_owned();
    let small = body.len() <= DECODED_IN_PLACE;
    let work = move || {
        let payload = kind.decode(&url, content_type.as_deref(), &body)?;
        Ok((payload, body))
    };
    if small {
        return work();
    }
    match blocking(work).await {
        Ok(decoded) => decoded,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(CatalogError::Cancelled),
        },
    }
}
