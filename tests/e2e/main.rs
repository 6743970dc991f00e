//! The whole pipeline, from a worker's id to an installed binary, against real local services.
#![allow(clippy::unwrap_used)]

mod binary_package;
mod cancel;
mod failure;
mod hive;
mod lifecycle;
mod progress;
mod repair;
mod signed;
mod source_build;
mod support;
