#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod accelerator;
mod activate;
mod artifact;
mod backend;
mod binary;
mod blocking;
mod concession;
mod config;
mod contract;
mod dependencies;
mod error;
mod filesystem_catalog;
mod fit;
mod history_policy;
mod install;
mod join;
mod lock;
mod names;
mod offered;
mod package;
mod places;
mod plan;
mod progress;
mod provisioner;
mod receipt;
mod relocation;
mod steps;
mod store;
mod temporary;
mod trial;
mod updates;
mod version;
mod view;
mod workspace;

pub use artifact::WorkerBinary;
pub use backend::{BackendChoice, HostProbe, Kernel, SystemProbe};
pub use build_sandbox::{Isolation, IsolationChoice};
pub use catalog_client::{Flavor, Platform, Token, WorkerEntry, WorkerId, WorkerType};
pub use concession::Concession;
pub use config::{
    BackendPolicy, CheckPolicy, Config, DEFAULT_CATALOG_URL, DependencyPolicy, EvaluationPolicy,
    ExpiredSignatures, FlavorPreference, ProgramNamePolicy, SignaturePolicy, TransportPolicy,
};
pub use contract::{Artifact, ArtifactCatalog, ArtifactProvisioner, ArtifactStatus, VendorSource};
pub use dependencies::MissingDependency;
pub use error::{BinaryProblem, ProvisionError};
pub use filesystem_catalog::FilesystemCatalog;
pub use history_policy::HistoryPolicy;
pub use network_policy::{AccessError, HostRule, Proxies, ProxyError, RootsError};
pub use progress::{
    BACKLOG, BACKLOG_BYTES, EVENT_VERSION, Happening, OutputStream, ProvisionEvent, ProvisionPhase,
    Reporter, Subscription, Unit,
};
pub use provisioner::{ProvisionRequest, Provisioned, WorkerProvisioner};
pub use receipt::{
    FileContent, FileRecord, RECEIPT_VERSION, Receipt, SignatureState, SourceRecord, Verification,
};
pub use relocation::Relocation;
pub use source_fetch::{Credential, CredentialError, CredentialProvider, Credentials, Secret};
pub use store::{Collected, Lease, Store};
pub use updates::{Offer, Update};
pub use url::Url;
