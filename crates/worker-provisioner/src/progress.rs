//! What a provision reports: one event type, delivered in order, with a bounded backlog.

mod event;
mod follow;

pub use event::{EVENT_VERSION, Happening, OutputStream, ProvisionEvent, ProvisionPhase, Unit};
pub use follow::{BACKLOG, BACKLOG_BYTES, Reporter, Subscription};
pub(crate) use follow::{Emitter, Jobs};
