//! Nothing but tests: see `tests/public_api.rs`.
