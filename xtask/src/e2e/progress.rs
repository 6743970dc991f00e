//! Tells what a run does, a line for each thing worth reading.

use worker_provisioner::{Happening, ProvisionEvent, Reporter};

/// Lines on standard error.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What builds say, too.
    pub(crate) verbose: bool,
}

impl Reporter for Lines {
    fn report(&self, event: &ProvisionEvent) {
        let text = match &event.happening {
            Happening::Note { text } => text.clone(),
            Happening::Warning { text } => format!("warning: {text}"),
            Happening::Finished { elapsed_ms } => format!("done in {}", seconds(*elapsed_ms)),
            Happening::Failed { error } => format!("failed: {error}"),
            Happening::Cancelled => "cancelled".to_owned(),
            Happening::Output { line, .. } if self.verbose => format!("| {line}"),
            _ => return,
        };
        printable::say_error!("{:<14} {text}", event.phase.title());
    }
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "for a reader")]
pub(crate) fn seconds(milliseconds: u64) -> String {
    format!("{:.2} s", milliseconds as f64 / 1000.0)
}
