//! Which failures are followed by another attempt, how many, and after which pause: one rule for a
//! catalog, for downloads and for git.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use rustls::AlertDescription;
use tokio::time::Instant;

use crate::refusal::{Refusal, causes};

/// What a failure says about another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outlook {
    /// It would fail in the same way.
    Final,
    /// It may succeed.
    Passing,
    /// It may succeed later: there are too many requests at once. Such failures are no fault of the
    /// way there, so that [`Retries`] counts [`CROWDED`] of them as one other.
    Crowded,
}

/// So many failures for want of room count as one other.
pub const CROWDED: u32 = 4;

impl Outlook {
    /// What a status that is no success says.
    ///
    /// Source: RFC 9110, 15.5 and 15.6, RFC 6585, 4, and RFC 8470, 5.2; 522 and 524 are what
    /// Cloudflare answers for a server that cannot be reached in time, as curl(1) has them under
    /// `--retry`.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 | 503 => Self::Crowded,
            408 | 425 | 500 | 502 | 504 | 522 | 524 => Self::Passing,
            _ => Self::Final,
        }
    }

    /// What an error of a connection, of an HTTP request, or of the body of its answer says.
    ///
    /// Final are a [`Refusal`], a certificate that is not trusted, what is not HTTP, and what cannot
    /// be asked at all. The rest is a connection that is not made in time, or breaks.
    pub fn of_error(error: &(dyn Error + 'static)) -> Self {
        use io::ErrorKind::{PermissionDenied, Unsupported};
        let is_final = |error: &(dyn Error + 'static)| {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                !is_accident(error)
            } else if let Some(error) = error.downcast_ref::<reqwest::Error>() {
                error.is_builder() || error.is_redirect()
            } else if let Some(error) = error.downcast_ref::<hyper::Error>() {
                error.is_parse()
            } else if let Some(error) = error.downcast_ref::<io::Error>() {
                matches!(error.kind(), PermissionDenied | Unsupported)
            } else {
                error.is::<Refusal>()
            }
        };
        if causes(error).any(is_final) {
            Self::Final
        } else {
            Self::Passing
        }
    }

    /// Whether there may be another attempt.
    pub fn may_pass(self) -> bool {
        self != Self::Final
    }
}

/// Whether TLS failed because of what was garbled on the way, and not because of who is there.
fn is_accident(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::DecryptError
            | rustls::Error::AlertReceived(
                AlertDescription::BadRecordMac
                    | AlertDescription::InternalError
                    | AlertDescription::UserCanceled
            )
    )
}

/// The wait that an answer asks for with `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3).
///
/// A date is held against the answer's own `Date`, so that no clock has to be right; `now` is the
/// time where the answer has none.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |value: &HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
    let asked = headers.get(RETRY_AFTER).and_then(text)?;
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = asked.parse().unwrap_or(u64::MAX).min(LONGEST_ASKED);
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(&asked).ok()?;
    let sent = headers.get(DATE).and_then(text);
    let sent = sent.and_then(|sent| httpdate::parse_http_date(&sent).ok());
    Some(date.duration_since(sent.unwrap_or(now)).unwrap_or_default())
}

/// RFC 9111, section 1.2.2, on seconds that do not fit: take them for this.
const LONGEST_ASKED: u64 = 1 << 31;

/// How hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in a row that bring nothing new, the first included; 5 by default, one for never
    /// again. After failures for want of room alone there are [`CROWDED`] times as many.
    pub attempts: u32,
    /// Pause before the second attempt; doubles with each further one. Between half and the whole of
    /// it, as chance has it, so that many clients of one server do not come back together. Half a
    /// second by default.
    pub backoff: Duration,
    /// The longest such pause; a minute by default.
    pub max_backoff: Duration,
    /// The longest wait that a server may ask for; after a longer one there is no other attempt. Five
    /// minutes by default.
    pub longest_asked: Duration,
    /// The time in which there may be another attempt; without end by default.
    pub within: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_mins(1),
            longest_asked: Duration::from_mins(5),
            within: None,
        }
    }
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// It would fail in the same way.
    Final,
    /// As many as [`Retry::attempts`] allows have failed.
    Attempts,
    /// The server asks for a longer wait than [`Retry::longest_asked`].
    Asked(Duration),
    /// The next one would begin after [`Retry::within`].
    Time,
}

/// The attempts at one thing. Deciding is its only job: the caller waits, and ends the wait by
/// dropping it.
#[derive(Debug)]
pub struct Retries {
    rule: Retry,
    /// The end of [`Retry::within`]; `None` as well when that is beyond what the clock can count.
    until: Option<Instant>,
    in_a_row: u32,
    /// Failures in a row, each counted [`CROWDED`] times, and once for want of room.
    counted: u32,
    /// The attempt that fails next has brought something new.
    has_progressed: bool,
}

impl Retries {
    /// Begins now.
    pub fn new(rule: &Retry) -> Self {
        Self {
            rule: rule.clone(),
            until: rule
                .within
                .and_then(|time| Instant::now().checked_add(time)),
            in_a_row: 0,
            counted: 0,
            has_progressed: false,
        }
    }

    /// The last attempt has brought something new, so that neither what failed before it counts nor
    /// that it failed too.
    pub fn progressed(&mut self) {
        (self.in_a_row, self.counted, self.has_progressed) = (0, 0, true);
    }

    /// How long to wait before the next attempt, after one that failed; `asked` is what the server
    /// asks for: see [`retry_after`].
    ///
    /// # Errors
    /// Why there is none.
    pub fn next(&mut self, outlook: Outlook, asked: Option<Duration>) -> Result<Duration, Enough> {
        let counts = match outlook {
            Outlook::Final => return Err(Enough::Final),
            Outlook::Passing => CROWDED,
            Outlook::Crowded => 1,
        };
        if !std::mem::take(&mut self.has_progressed) {
            self.counted = self.counted.saturating_add(counts);
        }
        let most = self.rule.attempts.saturating_sub(1).saturating_mul(CROWDED);
        if self.counted > most {
            return Err(Enough::Attempts);
        }
        if let Some(asked) = asked.filter(|asked| *asked > self.rule.longest_asked) {
            return Err(Enough::Asked(asked));
        }
        let factor = 1_u32 << self.in_a_row.min(16);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let whole = self.rule.backoff.saturating_mul(factor);
        let pause = by_chance(whole.min(self.rule.max_backoff));
        // Whoever was told to come back then should not come together either.
        let spread = by_chance(self.rule.backoff.min(self.rule.max_backoff));
        let pause = asked.map_or(pause, |asked| asked.saturating_add(spread).max(pause));
        match self.until {
            Some(until) => Instant::now()
                .checked_add(pause)
                .filter(|end| *end < until)
                .map_or(Err(Enough::Time), |_| Ok(pause)),
            None => Ok(pause),
        }
    }
}

/// Between half and the whole.
fn by_chance(whole: Duration) -> Duration {
    let part = 0.5 + fastrand::f64() / 2.0;
    // Multiplying would overflow where the whole is as long as can be said.
    Duration::try_from_secs_f64(whole.as_secs_f64() * part).map_or(whole, |time| time.min(whole))
}
