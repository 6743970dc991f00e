#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod config;
mod control_group;
mod declared;
mod environment;
mod error;
mod execute;
mod isolation;
mod judge;
mod limits;
mod log;
mod networks;
mod outcome;
mod output;
mod phase;
mod prepare;
mod private;
mod probe;
mod progress;
mod quote;
mod recipe;
mod run;
mod sandbox;
mod script;
#[cfg(target_os = "linux")]
mod seccomp;
mod spec;
#[expect(
    unsafe_code,
    reason = "fork without exec, namespaces, Landlock and seccomp have no safe interface; `sys` states its rules"
)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "system calls pass every kind of number through one integer type"
)]
mod sys;
mod users;
mod watch;

pub use config::Config;
pub use declared::{Declarations, Value};
pub use environment::{HOST_NAME, Variables, recipe_environment, recipe_variables};
pub use error::{SandboxError, Tail};
pub use isolation::{Capabilities, Isolation, IsolationChoice, Kill, TierStatus};
pub use limits::{Enforcement, LimitKind, Limits};
pub use outcome::{CommandOutcome, Credentials, Ownership, PhaseOutcome, PhaseStatus, RunReport};
pub use phase::Phase;
pub use progress::{Event, LineEnd, Reporter, Silent, Stream};
pub use quote::quote;
pub use sandbox::Sandbox;
pub use spec::{
    Access, BuildFlags, BuildSpec, CheckPolicy, Mount, Network, NetworkPolicy, Writable,
};
