//! The lowest speed of a transfer.

use std::time::Duration;

/// The fewest bytes a peer must send, on average over a time.
///
/// A limit on silence alone lets a peer hold a source for ever, with a byte every now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowestSpeed {
    /// Bytes that must arrive in each such time; zero for no such rule.
    pub bytes: u64,
    /// The time over which they are counted. Only what is spent waiting for the peer counts, so
    /// that a slow disk of our own is not held against it.
    pub within: Duration,
}

impl Default for LowestSpeed {
    /// 64 KiB a minute: a seventh of what a telephone modem brought.
    fn default() -> Self {
        Self {
            bytes: 64 << 10,
            within: Duration::from_mins(1),
        }
    }
}

impl LowestSpeed {
    /// The same speed, judged over `times` the time.
    pub(crate) fn over(self, times: u32) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(u64::from(times)),
            within: self.within.saturating_mul(times),
        }
    }
}

/// What one transfer has brought of late.
#[derive(Debug)]
pub(crate) struct Pace {
    lowest: LowestSpeed,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(crate) fn new(lowest: LowestSpeed) -> Self {
        Self {
            lowest,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// Counts what has come after how long a wait.
    ///
    /// # Errors
    /// The speed that is not reached.
    pub(crate) fn arrived(&mut self, bytes: usize, waited: Duration) -> Result<(), LowestSpeed> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.waited = self.waited.saturating_add(waited);
        if self.waited < self.lowest.within {
            return Ok(());
        }
        if self.bytes < self.lowest.bytes {
            return Err(self.lowest);
        }
        (self.bytes, self.waited) = (0, Duration::ZERO);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(lowest: LowestSpeed, bytes: usize, every: Duration, times: u32) -> Option<u32> {
        let mut pace = Pace::new(lowest);
        (1..=times).find(|_| pace.arrived(bytes, every).is_err())
    }

    #[test]
    fn a_byte_now_and_then_ends_it() {
        let lowest = LowestSpeed::default();
        assert_eq!(after(lowest, 1, SECOND * 25, 9), Some(3));
        assert_eq!(after(lowest.over(10), 1, SECOND * 25, 99), Some(24));
        assert_eq!(after(lowest, 1_092, SECOND, 99), Some(60), "a little below");
    }

    #[test]
    fn what_is_fast_enough_goes_on() {
        let lowest = LowestSpeed::default();
        assert_eq!(after(lowest, 1_093, SECOND, 10_000), None, "a little above");
        assert_eq!(
            after(lowest, 1, Duration::ZERO, 10_000),
            None,
            "no wait at all"
        );
        let off = LowestSpeed { bytes: 0, ..lowest };
        assert_eq!(after(off, 0, Duration::MAX, 99), None);
    }

    #[test]
    fn an_early_burst_does_not_pay_for_ever() {
        let mut pace = Pace::new(LowestSpeed::default());
        pace.arrived(1 << 30, SECOND).unwrap();
        pace.arrived(1, SECOND * 60).unwrap();
        pace.arrived(1, SECOND * 60).unwrap_err();
    }
}
