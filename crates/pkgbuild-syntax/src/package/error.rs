//! What can be wrong with a package.

use std::fmt;

use thiserror::Error;

use super::{Algorithm, Arch};
use crate::evaluate::{DynamicReason, EvaluateError};
use crate::span::Span;

/// Why a package, or a field of it, cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackageError {
    /// makepkg could not source the recipe.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// A value that was asked for can only be found out by running the recipe.
    #[error("only running the recipe would tell: {}", Reasons(reasons))]
    Dynamic {
        /// All reasons, each once, in the order of the text.
        reasons: Vec<DynamicReason>,
    },
    /// A field without which there is no package has no value.
    #[error("`{name}` has no value")]
    Missing {
        /// The field.
        name: &'static str,
    },
    /// The recipe is not for this architecture.
    #[error("the recipe is not for `{arch}`, only for {}", List(available))]
    Architecture {
        /// The one that was asked for.
        arch: Arch,
        /// Those in `arch=()`.
        available: Vec<String>,
        /// Where `arch` is assigned.
        span: Option<Span>,
    },
    /// There are more or fewer checksums than sources.
    #[error("`{name}` has {checksums} elements for {sources} sources in `{source_name}`")]
    ChecksumCount {
        /// The kind of checksum.
        algorithm: Algorithm,
        /// The list of checksums.
        name: String,
        /// The list of sources.
        source_name: String,
        /// How many sources there are.
        sources: usize,
        /// How many checksums there are.
        checksums: usize,
        /// Where the checksums are assigned.
        span: Option<Span>,
    },
}

impl PackageError {
    pub(crate) fn dynamic<'reason>(
        reasons: impl IntoIterator<Item = &'reason DynamicReason>,
    ) -> Self {
        let mut unique: Vec<DynamicReason> = Vec::new();
        for reason in reasons {
            if !unique.contains(reason) {
                unique.push(reason.clone());
            }
        }
        unique.sort_by_key(|reason| reason.span);
        Self::Dynamic { reasons: unique }
    }

    /// The place in the recipe that it is about.
    pub fn span(&self) -> Option<Span> {
        match self {
            Self::Evaluate(error) => Some(error.span()),
            Self::Dynamic { reasons } => reasons.first().map(|reason| reason.span),
            Self::Missing { .. } => None,
            Self::Architecture { span, .. } | Self::ChecksumCount { span, .. } => *span,
        }
    }
}

struct Reasons<'error>(&'error [DynamicReason]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{reason}")?;
        }
        Ok(())
    }
}

struct List<'error>(&'error [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}`{name}`")?;
        }
        Ok(())
    }
}
