//! What a caller is told while sources are fetched.

use std::sync::Arc;
use std::time::Duration;

use crate::checksum::Algorithm;
use crate::signer::Signer;

/// Which source an [`Event`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceId {
    /// Position in the list given to `fetch_all`, from zero.
    pub index: usize,
    /// Name of the file or directory in `srcdir`, as [`Source::shown_name`](crate::Source::shown_name)
    /// gives it.
    pub name: Arc<str>,
}

/// One fact about one source; each is told once, in order per source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Work on the source has begun.
    Started {
        /// The source.
        source: SourceId,
    },
    /// More of the source has arrived.
    ///
    /// `received` never falls, also across retries, and never passes `total`.
    Bytes {
        /// The source.
        source: SourceId,
        /// Bytes on disk so far, resumed ones included.
        received: u64,
        /// Size of the whole in bytes, when the sender told it.
        total: Option<u64>,
    },
    /// An attempt failed and another follows.
    Retrying {
        /// The source.
        source: SourceId,
        /// Number of the attempt that failed, from one.
        attempt: u32,
        /// Pause before the next attempt.
        delay: Duration,
        /// Why the attempt failed; never holds a secret.
        reason: String,
    },
    /// There is a secret for a host of this source, and it is not sent because the connection is
    /// not encrypted; see [`Credentials`](crate::Credentials).
    CredentialWithheld {
        /// The source.
        source: SourceId,
        /// The host.
        host: String,
    },
    /// The content came from the cache and nothing was transferred.
    FromCache {
        /// The source.
        source: SourceId,
    },
    /// The content is what the recipe declares.
    Verified {
        /// The source.
        source: SourceId,
        /// Digest kinds that matched; empty when the recipe says `SKIP`.
        digests: Vec<Algorithm>,
    },
    /// The source carries a good signature, or another source is one for it.
    SignatureVerified {
        /// The signed source.
        source: SourceId,
        /// Who has signed it, and whether that has expired.
        signed_by: Signer,
    },
    /// The recipe asks for a signature to be verified, and the policy is not to.
    SignatureSkipped {
        /// The signature, or the signed repository.
        source: SourceId,
    },
    /// The archive was unpacked.
    Extracted {
        /// The source.
        source: SourceId,
        /// Members written.
        entries: u64,
        /// Bytes of file content written.
        bytes: u64,
    },
    /// The source is complete; it appears in `srcdir` together with all others.
    Finished {
        /// The source.
        source: SourceId,
    },
}

impl Event {
    /// Returns the source the event is about.
    pub fn source(&self) -> &SourceId {
        match self {
            Self::Started { source }
            | Self::Bytes { source, .. }
            | Self::Retrying { source, .. }
            | Self::CredentialWithheld { source, .. }
            | Self::FromCache { source }
            | Self::Verified { source, .. }
            | Self::SignatureVerified { source, .. }
            | Self::SignatureSkipped { source }
            | Self::Extracted { source, .. }
            | Self::Finished { source } => source,
        }
    }
}

/// Receives the events of a fetch.
///
/// Called from the task that awaits `fetch_all`, so it must return soon.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Reporter for F {
    fn report(&self, event: Event) {
        self(event);
    }
}

/// A [`Reporter`] that drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: Event) {}
}
