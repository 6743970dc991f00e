#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod blocking;
mod checksum;
mod credential;
mod error;
mod fetch;
pub mod git;
mod policy;
mod progress;
mod source;
mod space;

pub use checksum::{Algorithm, Checksum, Expected};
pub use credential::{Credential, CredentialProvider, Credentials, Secret};
pub use error::{ExtractProblem, FetchError, SignatureProblem, SyntaxProblem, TransferProblem};
pub use fetch::fetch_all;
pub use policy::{
    Directories, ExtractLimits, Fetched, HttpPolicy, Origin, Policy, SourceRequest, Verification,
};
pub use progress::{Event, Reporter, Silent, SourceId};
pub use source::{GitReference, GitSource, HttpUrl, Location, MAX_SOURCE_LENGTH, Source};
