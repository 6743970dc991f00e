#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod answer;
mod base;
mod blocking;
mod cache;
mod client;
mod config;
mod document;
mod entry;
mod error;
mod exchange;
mod fetch;
mod flight;
mod host;
mod id;
mod payload;
mod platform;
mod recipe;
mod transport;
mod wire;

pub use answer::{Answer, Freshness};
pub use client::{CatalogClient, WorkerList};
pub use config::{CatalogConfig, Limits, OtherOrigins, Token};
pub use entry::{BuildOptions, Capabilities, CodeSource, Flavor, Variant, WorkerEntry};
pub use error::{CatalogError, Stage};
pub use host::{Host, Offer, select};
pub use id::WorkerId;
pub use platform::{Architecture, Backend, Named, Platform, UnknownName, WorkerType};
pub use recipe::Recipe;
