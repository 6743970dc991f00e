#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod chain;
mod copy;
mod cursor;
mod error;
mod file;
mod limits;
mod owner;
mod remove;
mod resolve;
mod tree;
mod usage;

pub use copy::{Copied, copy};
pub use cursor::{Entry, Kind, Visit, Walk};
pub use error::TreeError;
pub use file::{copy_contents, copy_file, copy_open_file, open_file};
pub use limits::Limits;
pub use owner::change_owner;
pub use remove::{remove, remove_patiently};
pub use tree::Tree;
pub use usage::{Usage, usage, usage_at_least};
