//! What came of the faults: counted, shown, written down.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::lane::Lane;

/// Which worker stands in the folder of binaries after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The one that was installed before.
    Old,
    /// The one that was being installed.
    New,
    /// None.
    Nothing,
}

/// What came of one run.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// What stood right after the fault; absent when that is a loss.
    pub(crate) standing: Option<Standing>,
    /// What was lost.
    pub(crate) losses: Vec<String>,
    /// What was left behind after the next run.
    pub(crate) left: Vec<String>,
}

impl Finding {
    /// A run that ended in something that must not be.
    pub(crate) fn lose(&mut self, what: impl Into<String>) {
        self.losses.push(what.into());
    }

    /// The same, with what was found before.
    pub(crate) fn after(mut self, earlier: Self) -> Self {
        self.losses.extend(earlier.losses);
        self.left.extend(earlier.left);
        self
    }
}

/// Leaves `most` of the cases, chosen at random.
pub(crate) fn thin<C>(cases: &mut Vec<C>, most: usize, rng: &mut fastrand::Rng) {
    rng.shuffle(cases);
    cases.truncate(most);
}

/// One line of the table.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) fault: String,
    pub(crate) runs: usize,
    pub(crate) old_kept: usize,
    pub(crate) new_installed: usize,
    /// Nothing was installed before, and nothing is.
    pub(crate) nothing: usize,
    pub(crate) losses: Vec<String>,
    pub(crate) left_behind: Vec<String>,
    /// Why there were no runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
}

impl Row {
    /// A fault that this host cannot be given.
    pub(crate) fn skipped(fault: &str, why: &str) -> Self {
        eprintln!("{fault}: skipped: {why}");
        Self {
            fault: fault.to_owned(),
            skipped: Some(why.to_owned()),
            ..Self::default()
        }
    }

    fn add(&mut self, case: &str, finding: Finding) {
        self.runs += 1;
        match finding.standing {
            Some(Standing::Old) => self.old_kept += 1,
            Some(Standing::New) => self.new_installed += 1,
            Some(Standing::Nothing) => self.nothing += 1,
            None => {}
        }
        for loss in finding.losses {
            eprintln!("LOSS: {}: {case}: {loss}", self.fault);
            self.losses.push(format!("{case}: {loss}"));
        }
        for left in finding.left {
            eprintln!("LEFT: {}: {case}: {left}", self.fault);
            self.left_behind.push(format!("{case}: {left}"));
        }
    }

    /// Whether nothing was lost and nothing left.
    pub(crate) fn is_good(&self) -> bool {
        self.losses.is_empty() && self.left_behind.is_empty()
    }
}

/// Runs every case on whichever lane is free.
pub(crate) fn run_all<C: std::fmt::Debug + Sync>(
    lanes: &[Lane<'_>],
    fault: &str,
    cases: &[C],
    run: impl Fn(&Lane<'_>, &C) -> Result<Finding> + Sync,
) -> Row {
    let bar = ProgressBar::new(cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix:<44} [{bar:30}] {pos}/{len} {elapsed}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(fault.to_owned());
    let row = Mutex::new(Row {
        fault: fault.to_owned(),
        ..Row::default()
    });
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let finding = run(lane, case).unwrap_or_else(|error| {
                        let mut finding = Finding::default();
                        finding.lose(format!("{error:#}"));
                        finding
                    });
                    row.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(&format!("{case:?}"), finding);
                    bar.inc(1);
                }
            });
        }
    });
    let row = row.into_inner().unwrap_or_else(PoisonError::into_inner);
    bar.finish_and_clear();
    eprintln!(
        "{fault}: {} runs, {} losses, {} left behind",
        row.runs,
        row.losses.len(),
        row.left_behind.len()
    );
    row
}

/// The table as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "fault",
        "runs",
        "old worker kept",
        "new worker installed",
        "none before, none after",
        "losses",
        "left behind",
    ]);
    for row in rows {
        if let Some(why) = &row.skipped {
            table.add_row([row.fault.clone(), format!("skipped: {why}")]);
            continue;
        }
        table.add_row([
            row.fault.clone(),
            row.runs.to_string(),
            row.old_kept.to_string(),
            row.new_installed.to_string(),
            row.nothing.to_string(),
            row.losses.len().to_string(),
            row.left_behind.len().to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
