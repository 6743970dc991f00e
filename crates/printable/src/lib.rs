#![doc = include_str!("../README.md")]

mod print;
mod show;

pub use print::{error_line, line};
pub use show::{coloured, text};
