//! The table of ratios and its JSON.

use comfy_table::{Table, presets};
use serde::Serialize;

use super::statistics::Spread;

/// One comparison.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Which of the groups it belongs to, from 1.
    pub(crate) group: u8,
    /// What is done, and how much of it.
    pub(crate) what: String,
    /// Seconds that ours took.
    pub(crate) ours: Spread,
    /// Most memory of ours, in KiB.
    pub(crate) ours_peak_kib: Option<f64>,
    /// What it is compared with.
    pub(crate) peer: Option<Peer>,
    /// The one figure of the comparison.
    pub(crate) figure: Figure,
    /// What the figure should be.
    pub(crate) goal: Option<Goal>,
    /// Whether it is; `None` where there is no goal.
    pub(crate) met: Option<bool>,
}

/// Another program, or ours in another state.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: String,
    /// Seconds that it took.
    pub(crate) time: Spread,
    /// Most memory of one of its processes, in KiB.
    pub(crate) peak_kib: Option<f64>,
}

/// The figure that a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Our time as a share of the peer's.
    TimeRatio(f64),
    /// How many times as fast as the peer.
    Speedup(f64),
    /// Seconds.
    Seconds(f64),
    /// Megabytes (10^6 bytes) a second.
    Throughput(f64),
    /// Peak memory in MiB.
    Memory(f64),
}

/// A bound that a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// No more than this, in the figure's unit.
    AtMost(f64),
    /// No less than this, in the figure's unit.
    AtLeast(f64),
}

impl Figure {
    fn value(self) -> f64 {
        match self {
            Self::TimeRatio(value)
            | Self::Speedup(value)
            | Self::Seconds(value)
            | Self::Throughput(value)
            | Self::Memory(value) => value,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::TimeRatio(_) => format!("{}×", digits(value)),
            Self::Speedup(_) => format!("{}× as fast", digits(value)),
            Self::Seconds(_) => seconds(value),
            Self::Throughput(_) => format!("{value:.0} MB/s"),
            Self::Memory(_) => format!("{} MiB", digits(value)),
        }
    }
}

impl Row {
    /// Our time as a share of a peer's.
    pub(crate) fn time(group: u8, what: impl Into<String>, ours: Measured, peer: Peer) -> Self {
        let figure = Figure::TimeRatio(ours.time.median / peer.time.median);
        Self::new(group, what, ours, Some(peer), figure)
    }

    /// How many times as fast as a peer ours is.
    pub(crate) fn speed(group: u8, what: impl Into<String>, ours: Measured, peer: Peer) -> Self {
        let figure = Figure::Speedup(peer.time.median / ours.time.median);
        Self::new(group, what, ours, Some(peer), figure)
    }

    /// A figure of ours alone.
    pub(crate) fn alone(
        group: u8,
        what: impl Into<String>,
        ours: Measured,
        figure: Figure,
    ) -> Self {
        Self::new(group, what, ours, None, figure)
    }

    /// The peak memory of ours, in MiB.
    pub(crate) fn memory(group: u8, what: impl Into<String>, ours: Measured) -> Self {
        let figure = Figure::Memory(ours.peak_kib.unwrap_or_default() / 1024.0);
        Self::new(group, what, ours, None, figure)
    }

    fn new(
        group: u8,
        what: impl Into<String>,
        ours: Measured,
        peer: Option<Peer>,
        figure: Figure,
    ) -> Self {
        Self {
            group,
            what: what.into(),
            ours: ours.time,
            ours_peak_kib: ours.peak_kib,
            peer,
            figure,
            goal: None,
            met: None,
        }
    }

    /// One line for whoever waits for the table.
    pub(crate) fn line(&self) -> String {
        let peer = self.peer.as_ref();
        let peer = peer.map_or_else(String::new, |peer| format!(" beside {}", peer.name));
        let missed = if self.met == Some(false) {
            ", goal missed"
        } else {
            ""
        };
        let figure = self.figure.show(self.figure.value());
        format!("  {}{peer}: {figure}{missed}", self.what)
    }

    /// Holds the figure against a goal.
    #[must_use]
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        let value = self.figure.value();
        self.met = Some(match goal {
            Goal::AtMost(bound) => value <= bound,
            Goal::AtLeast(bound) => value >= bound,
        });
        self.goal = Some(goal);
        self
    }
}

/// Time and memory of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Seconds.
    pub(crate) time: Spread,
    /// Most memory, in KiB.
    pub(crate) peak_kib: Option<f64>,
}

/// The table as Markdown, which reads well on a terminal too.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "#",
        "what",
        "ours",
        "peer",
        "peer's",
        "figure",
        "goal",
        "met",
        "memory ours, peer",
    ]);
    for row in rows {
        let (peer, time, peak) = match &row.peer {
            Some(peer) => (peer.name.clone(), spread(&peer.time), peer.peak_kib),
            None => Default::default(),
        };
        let goal = row.goal.map_or_else(String::new, |goal| match goal {
            Goal::AtMost(bound) => format!("≤ {}", row.figure.show(bound)),
            Goal::AtLeast(bound) => format!("≥ {}", row.figure.show(bound)),
        });
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let memory = [row.ours_peak_kib, peak]
            .into_iter()
            .flatten()
            .map(|kib| format!("{} MiB", digits(kib / 1024.0)))
            .collect::<Vec<_>>()
            .join(", ");
        table.add_row([
            row.group.to_string(),
            row.what.clone(),
            spread(&row.ours),
            peer,
            time,
            row.figure.show(row.figure.value()),
            goal,
            met.to_owned(),
            memory,
        ]);
    }
    table.to_string()
}

/// A median with its spread: `1.23 s (1.20 to 1.30)`.
fn spread(spread: &Spread) -> String {
    if spread.runs < 2 {
        return seconds(spread.median);
    }
    format!(
        "{} ({} to {})",
        seconds(spread.median),
        seconds(spread.min),
        seconds(spread.max)
    )
}

/// Seconds in the unit that suits them.
pub(crate) fn seconds(value: f64) -> String {
    if value >= 1.0 {
        format!("{value:.2} s")
    } else if value >= 1e-3 {
        format!("{} ms", digits(value * 1e3))
    } else {
        format!("{} µs", digits(value * 1e6))
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.01 => format!("{value:.2}"),
        value => format!("{value:.5}"),
    }
}
