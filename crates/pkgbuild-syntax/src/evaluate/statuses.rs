//! How commands ended.

use super::dynamic::Reason;

/// An exit status that is known or not.
pub(crate) type Status = Result<i32, Reason>;

/// `$?`, `PIPESTATUS` and what a command without a name takes its status from.
#[derive(Debug, Clone)]
pub(crate) struct Statuses {
    last: Status,
    pipe: Vec<Status>,
    /// Of the last command substitution in the current simple command.
    substitution: Option<Status>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            last: Ok(0),
            pipe: Vec::new(),
            substitution: None,
        }
    }
}

impl Statuses {
    /// `$?`.
    pub(crate) fn last(&self) -> Status {
        self.last.clone()
    }

    /// A command has ended.
    pub(crate) fn set(&mut self, status: Status) {
        self.last = status;
    }

    /// A pipeline has ended, whose commands ended so.
    pub(crate) fn set_pipe(&mut self, statuses: Vec<Status>) {
        self.pipe = statuses;
    }

    /// `PIPESTATUS`. Something has run before the recipe, whatever it was.
    pub(crate) fn pipe(&self) -> Vec<Status> {
        if self.pipe.is_empty() {
            vec![self.last()]
        } else {
            self.pipe.clone()
        }
    }

    /// A simple command begins.
    pub(crate) fn begin(&mut self) {
        self.substitution = None;
    }

    /// A command substitution has ended.
    pub(crate) fn substituted(&mut self, status: Status) {
        self.substitution = Some(status);
    }

    /// How the last command substitution of the current command ended.
    pub(crate) fn take_substituted(&mut self) -> Option<Status> {
        self.substitution.take()
    }
}
