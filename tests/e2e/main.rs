//! The whole pipeline, from a worker's id to an installed binary, against real local services.
#![allow(clippy::unwrap_used)]

mod backends;
mod binary_package;
mod cancel;
mod credentials;
mod evaluation;
mod failure;
mod hive;
mod host;
mod hostile_tree;
mod installing;
mod layouts;
mod lifecycle;
mod limits;
mod mismatch;
mod own_ground;
mod policy;
mod progress;
mod proof;
mod repair;
mod reuse;
mod running;
mod side_by_side;
mod signed;
mod source_build;
mod support;
mod takeover;
mod trial;
mod trust;
mod unattended;
mod verify_function;
mod waiting;
