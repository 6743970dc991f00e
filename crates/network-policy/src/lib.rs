#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod access;
mod address;
mod clients;
mod crowd;
mod policy;
mod proxies;
mod refusal;
mod retry;
mod roots;
mod rule;

pub use access::{Access, AccessError};
pub use address::{AddressKind, kind_of};
pub use clients::HttpClients;
pub use crowd::{Crowd, Turn};
pub use policy::{Scheme, SourcePolicy};
pub use policy::{is_loopback, may_carry_secrets};
pub use proxies::{Proxies, ProxyError};
pub use refusal::{Refusal, in_chain};
pub use retry::{CROWDED, Enough, Outlook, Retries, Retry, retry_after};
pub use roots::{Roots, RootsError};
pub use rule::{HostRule, HostRuleError};
