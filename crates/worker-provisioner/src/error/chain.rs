//! Making errors, and showing them with their causes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use untrusted_tree::TreeError;

use super::ProvisionError;
use super::text::shown;

impl ProvisionError {
    pub(crate) fn metadata(path: &Path, source: serde_json::Error) -> Self {
        Self::MalformedMetadata {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn tree(action: &'static str, path: &Path, source: TreeError) -> Self {
        match source {
            TreeError::Cancelled => Self::Cancelled,
            source => Self::io(action, path, source.into()),
        }
    }

    /// Whether the work was cancelled, at whatever depth that was noticed.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// The message with all its causes, joined by `: `.
    ///
    /// Whatever a catalog, a server or a recipe has put into it, nothing of it drives a terminal.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        shown(text)
    }
}
