//! The closing table.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use worker_provisioner::ProvisionPhase;

use super::progress::seconds;

/// What came of one scenario.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) worker_id: &'static str,
    pub(crate) obtained: &'static str,
    pub(crate) phases: Vec<(ProvisionPhase, u64)>,
    pub(crate) total: Duration,
    pub(crate) outcome: Result<String>,
}

/// Phases that took no time worth a reader's attention.
const SHORTEST_MS: u64 = 10;

/// A table of all rows with the time of each phase that took any.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<22} {:<36} {:>9}  {:<34} steps\n",
        "worker", "how", "time", "result"
    );
    for row in rows {
        let total = u64::try_from(row.total.as_millis()).unwrap_or(u64::MAX);
        let result = match &row.outcome {
            Ok(verdict) => verdict.clone(),
            Err(_) => "FAILED, see above".to_owned(),
        };
        let steps: Vec<String> = row
            .phases
            .iter()
            .filter(|(_, elapsed)| *elapsed >= SHORTEST_MS)
            .map(|(phase, elapsed)| format!("{} {}", phase.title(), seconds(*elapsed)))
            .collect();
        let _ = writeln!(
            text,
            "{:<22} {:<36} {:>9}  {:<34} {}",
            row.worker_id,
            row.obtained,
            seconds(total),
            result,
            steps.join(", ")
        );
    }
    text
}
