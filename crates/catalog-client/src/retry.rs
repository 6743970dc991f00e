//! How often, and how long, a failed request is repeated.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Limits;

/// What is left of one request's time and attempts. Deciding is its only job: the caller waits.
#[derive(Debug)]
pub(crate) struct Budget {
    /// `None` when the budget is beyond what the clock can count.
    until: Option<Instant>,
    left: u32,
    next: Duration,
}

/// No single wait is longer, whatever doubling says.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            until: Instant::now().checked_add(limits.retry_budget),
            left: limits.retries,
            next: limits.backoff,
        }
    }

    /// How long to wait before the next attempt; `None` when there shall be none, which includes
    /// a service that asks for a longer wait than the budget has left.
    pub(crate) fn wait(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        // Half of the wait is left to chance, so that many clients do not come back together.
        let backoff = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = self.next.saturating_mul(2).min(LONGEST_BACKOFF);
        let wait = retry_after.map_or(backoff, |asked| asked.max(backoff));
        let end = Instant::now().checked_add(wait)?;
        self.until.is_none_or(|until| end < until).then_some(wait)
    }
}

/// RFC 9111, section 1.2.2, on seconds that do not fit: take them for this.
const LONGEST_ASKED: u64 = 1 << 31;

/// The wait a `Retry-After` header asks for: seconds or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: std::time::SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More than a clock can count is a wait longer than any budget.
        let seconds = value.parse().unwrap_or(u64::MAX).min(LONGEST_ASKED);
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn limits() -> Limits {
        Limits {
            retries: 3,
            retry_budget: Duration::from_secs(10),
            backoff: Duration::from_millis(100),
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_within_their_jitter() {
        let mut budget = Budget::new(&limits());
        for base in [100, 200, 400] {
            let wait = budget.wait(None).unwrap();
            let (low, high) = (Duration::from_millis(base / 2), Duration::from_millis(base));
            assert!((low..=high).contains(&wait), "{wait:?} for {base} ms");
        }
        assert_eq!(budget.wait(None), None, "the attempts are used up");
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_may_ask_for_more_but_not_for_too_much() {
        let mut budget = Budget::new(&limits());
        let asked = Some(Duration::from_secs(3));
        assert_eq!(budget.wait(asked), asked);
        assert_eq!(budget.wait(Some(Duration::from_mins(1))), None);
        let mut budget = Budget::new(&limits());
        assert_eq!(budget.wait(Some(Duration::MAX)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_setting_overflows() {
        let mut budget = Budget::new(&Limits {
            retry_budget: Duration::MAX,
            backoff: Duration::MAX,
            ..limits()
        });
        assert_eq!(budget.wait(None), None, "an endless backoff is no wait");
        assert!(budget.wait(None).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_ends_the_attempts() {
        let mut budget = Budget::new(&limits());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(budget.wait(None), None);
    }

    #[test]
    fn reads_both_forms_of_the_header() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("18446744073709551615", Some(1 << 31)),
            ("99999999999999999999999", Some(1 << 31)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(
                retry_after(text, now),
                seconds.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }
}
