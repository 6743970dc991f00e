//! Local services and fixtures for the end-to-end tests and `xtask`.

pub mod catalog_server;
pub mod serve;
