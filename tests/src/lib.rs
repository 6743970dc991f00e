//! Local services and fixtures for the end-to-end tests and `xtask`.
