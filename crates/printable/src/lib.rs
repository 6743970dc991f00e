#![doc = include_str!("../README.md")]

mod show;

pub use show::{coloured, text};
