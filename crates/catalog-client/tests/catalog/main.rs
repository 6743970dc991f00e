//! The client against real servers on loopback: well-behaved ones of both generations, and every
//! kind of other.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod aged;
mod cancelled;
mod cases;
mod failures;
mod kept;
mod line;
mod property;
mod recorded;
mod support;
