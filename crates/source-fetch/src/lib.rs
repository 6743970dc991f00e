#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(
    not(all(feature = "git", feature = "signatures")),
    allow(dead_code, unused_imports, reason = "helpers of what is left out")
)]

mod blocking;
mod cache;
mod checksum;
mod credential;
mod error;
mod extract;
mod fetch;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "git")]
pub mod git;
mod http;
mod local;
mod pace;
mod plan;
mod policy;
mod progress;
mod redact;
#[cfg(feature = "signatures")]
mod signature;
mod signer;
mod source;
mod space;
mod staging;

pub use cache::{GarbageReport, collect_garbage};
pub use checksum::{Algorithm, Checksum, Expected};
pub use credential::{Credential, CredentialError, CredentialProvider, Credentials, Secret};
pub use error::{
    ExtractProblem, FetchError, KeyringProblem, SignatureProblem, SyntaxProblem, TransferProblem,
};
pub use fetch::{Held, fetch_all, fetch_and_hold, http_clients};
pub use pace::LowestSpeed;
pub use policy::{
    Directories, ExtractLimits, Fetched, HttpPolicy, Origin, Policy, SourceRequest, Verification,
};
pub use progress::{Event, Reporter, Silent, SourceId};
pub use signer::{Expired, Signer, Weakness};
pub use source::{GitReference, GitSource, HttpUrl, Location, MAX_SOURCE_LENGTH, Source};
