//! Changes to a recipe's text that leave every other byte alone.

mod array;
mod document;
mod error;
mod find;
mod read_back;
mod rename;
mod sums;
mod write;

pub use self::document::Document;
pub use self::error::EditError;
