#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod ansi_c;
mod arch;
mod compare;
mod edit;
mod error;
mod evaluate;
mod invocation;
mod lint;
mod package;
mod parse;
mod source_text;
mod span;
mod srcinfo;
mod tree;

pub use arch::{Arch, InvalidArch};
pub use compare::{ChangeKind, RecipeChange, Weight, compare};
pub use edit::{Document, EditError};
pub use error::{Opened, SyntaxError, SyntaxErrorKind};
pub use evaluate::{
    Budget, DynamicKind, DynamicReason, Environment, EvaluateError, Evaluated, Evaluation, Uname,
    evaluate, with_pkgver,
};
pub use lint::{Code, Diagnostic, Edit, Severity, fixed, lint};
pub use package::{
    Algorithm, Array, ArrayField, ArrayKey, Checksum, FieldChange, Metadata, Overrides, Package,
    PackageError, ResolvedPackage, ResolvedSource, StringField, UnknownField, Value as FieldValue,
};
pub use parse::{MAX_DEPTH, MAX_LENGTH, Parse, ParseWord, parse, parse_word};
pub use span::{LineIndex, Place, Position, Span};
pub use srcinfo::{PrintError, SrcinfoError, printsrcinfo};
pub use tree::*;
