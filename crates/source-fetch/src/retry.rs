//! Which failures are tried again and when: one rule for downloads and git.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; at least one.
    pub attempts: u32,
    /// Pause before the second attempt; doubles with each further one, with jitter.
    pub backoff: Duration,
    /// Longest pause, and the longest `Retry-After` that is honoured.
    pub max_backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_mins(1),
        }
    }
}

/// RFC 9110, 15.5 and 15.6: these say that the same request may succeed later.
pub(crate) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The wait a server asks for, in seconds or as a date; RFC 9110, 10.2.3.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Doubles with each failure in a row; between half and the whole of that, so that many clients
/// of one server do not come back together.
pub(crate) fn backoff(first: Duration, longest: Duration, in_a_row: u32) -> Duration {
    let factor = 1_u32 << in_a_row.saturating_sub(1).min(16);
    let whole = first.saturating_mul(factor).min(longest);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}
