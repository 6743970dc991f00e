//! What an evaluation tells its caller beside the values.

use super::dynamic::{DynamicReason, Reason};
use super::error::EvaluateError;

/// How many reasons are kept.
const MAX_REASONS: usize = 200;

/// What was met on the way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    reasons: Vec<DynamicReason>,
    looked_at_files: bool,
    failure: Option<EvaluateError>,
}

impl Told {
    /// A value is not known, once for each time in a row.
    pub(crate) fn add(&mut self, reason: &DynamicReason) {
        if self.reasons.len() < MAX_REASONS && self.reasons.last() != Some(reason) {
            self.reasons.push(reason.clone());
        }
    }

    /// The same, once for all.
    pub(crate) fn add_once(&mut self, reason: &Reason) {
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(reason) {
            self.reasons.push((**reason).clone());
        }
    }

    pub(crate) fn reasons(&self) -> &[DynamicReason] {
        &self.reasons
    }

    /// Nothing counts that was met before the recipe's own text.
    pub(crate) fn begin(&mut self) {
        self.reasons.clear();
    }

    /// A file beside the recipe was looked for.
    pub(crate) fn look_at_files(&mut self) {
        self.looked_at_files = true;
    }

    pub(crate) fn looked_at_files(&self) -> bool {
        self.looked_at_files
    }

    /// Why the evaluation ended; what was there before goes.
    pub(crate) fn end(&mut self, failure: Option<EvaluateError>) {
        self.failure = failure;
    }

    /// The same, unless it has ended before.
    pub(crate) fn fail(&mut self, failure: EvaluateError) {
        self.failure.get_or_insert(failure);
    }

    pub(crate) fn failure(&self) -> Option<&EvaluateError> {
        self.failure.as_ref()
    }
}
