#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod ansi_c;
mod error;
mod evaluate;
mod parse;
mod span;
mod tree;

pub use error::{Opened, SyntaxError, SyntaxErrorKind};
pub use evaluate::{
    Budget, DynamicKind, DynamicReason, Environment, EvaluateError, Evaluated, Evaluation, Uname,
    evaluate, with_pkgver,
};
pub use parse::{MAX_DEPTH, MAX_LENGTH, Parse, ParseWord, parse, parse_word};
pub use span::{Position, Span};
pub use tree::*;
