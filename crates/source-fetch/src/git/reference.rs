//! How the reference of a source is named on the wire and found in the mirror.

use std::fmt;

use crate::source::GitReference;

impl GitReference {
    /// The object id, when the reference is a full one.
    pub(super) fn object_id(&self) -> Option<git2::Oid> {
        match self {
            Self::Commit(id) | Self::Tag(id) if id.len() == 40 => id.parse().ok(),
            _ => None,
        }
    }

    /// The full name of the reference, when it has one.
    pub(super) fn full_name(&self) -> Option<String> {
        match self {
            Self::Default | Self::Commit(_) => None,
            Self::Branch(name) => Some(format!("refs/heads/{name}")),
            Self::Tag(_) if self.is_full_commit() => None,
            Self::Tag(name) => Some(format!("refs/tags/{name}")),
        }
    }
}

/// A reference in the words of a message.
pub(super) struct InWords<'a>(pub(super) &'a GitReference);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            GitReference::Default => f.write_str("default branch"),
            GitReference::Branch(name) => write!(f, "branch `{}`", name.escape_debug()),
            GitReference::Tag(name) => write!(f, "tag `{}`", name.escape_debug()),
            GitReference::Commit(id) => write!(f, "commit `{}`", id.escape_debug()),
        }
    }
}
