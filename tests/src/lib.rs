//! Local services and fixtures for the end-to-end tests and `xtask`.
//!
//! ```
//! # fn main() -> anyhow::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let repository = e2e_tests::repository::create(folder.path(), "sample.git")?;
//! assert!(repository.join("HEAD").is_file());
//! # Ok(())
//! # }
//! ```

pub mod catalog_server;
pub mod forward_proxy;
pub mod git_server;
pub mod processes;
pub mod proxy;
pub mod release;
pub mod repository;
pub mod sample;
pub mod serve;
pub mod tls;
pub mod worker;
