//! Medians and their spread.

use serde::Serialize;

use super::meter::{Figures, PEAK};

/// What several runs of one command gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// The middle one; the mean of both middle ones of an even number.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// How many there were.
    pub(crate) runs: usize,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self {
            median: f64::midpoint(low, high),
            min,
            max,
            runs: sorted.len(),
        })
    }

    /// The figure `name` of all runs, each divided by `parts`.
    pub(crate) fn named(runs: &[Figures], name: &str, parts: f64) -> Option<Self> {
        Self::of(
            runs.iter()
                .filter_map(|figures| figures.get(name))
                .map(|figure| figure / parts),
        )
    }

    /// The largest peak of all runs, in KiB.
    pub(crate) fn peak_kib(runs: &[Figures]) -> Option<f64> {
        Self::named(runs, PEAK, 1.0).map(|spread| spread.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!(
            odd.map(|s| (s.median, s.min, s.max, s.runs)),
            Some((2.0, 1.0, 3.0, 3))
        );
        let even = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(even.map(|s| s.median), Some(2.5));
    }
}
