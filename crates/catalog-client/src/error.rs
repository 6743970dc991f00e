//! What can go wrong, told apart by what a caller would do or say about it.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use network_policy::{Outlook, Refusal};

use crate::entry::Flavor;
use crate::host::{Host, Offer};

/// A failure to get something from a worker catalog.
///
/// URLs in it carry no credentials: they are taken out of the configuration before the first
/// request. It is cheap to clone, since concurrent callers share one answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The configuration cannot work.
    #[error("catalog setting `{setting}` is not usable: {problem}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A text is not a worker id.
    #[error(
        "`{id}` is not a worker id: {problem}; an id has 1 to 100 lower-case letters, digits and hyphens"
    )]
    InvalidId {
        /// The text, made printable and cut to 120 characters.
        id: String,
        /// The rule it breaks.
        problem: String,
    },
    /// The catalog has no such worker.
    #[error("worker `{id}` is not in the catalog at `{url}`{}", offers(available))]
    NotFound {
        /// The id asked for.
        id: String,
        /// Where it was looked for.
        url: String,
        /// The ids the catalog offers, when it could be asked.
        available: Vec<String>,
    },
    /// The entry names a recipe that the catalog does not have.
    #[error("the recipe of worker `{id}` is not at `{url}`; its catalog entry is out of date")]
    RecipeNotFound {
        /// The worker.
        id: String,
        /// Where the recipe was looked for.
        url: String,
    },
    /// The variant has no recipe of that flavor.
    #[error("worker `{id}` has no {flavor} recipe for backend `{backend}`{}", instead(*offered))]
    NoRecipe {
        /// The worker.
        id: String,
        /// The variant's backend.
        backend: String,
        /// What was asked for.
        flavor: Flavor,
        /// What there is.
        offered: Option<Flavor>,
    },
    /// No variant fits the host.
    #[error(
        "no variant of worker `{id}` fits {host}{}",
        would_fit(fitting, offered)
    )]
    NoVariant {
        /// The worker.
        id: String,
        /// What was asked for.
        host: Host,
        /// Backends that this operating system and architecture could use.
        fitting: Vec<String>,
        /// Everything on offer.
        offered: Vec<Offer>,
    },
    /// The service answered, and refused.
    #[error("the catalog {} `{url}` with status {status}{}{}", did(*status), said(error.as_deref(), message.as_deref()), hint(*status, *retry_after))]
    Refused {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The body's `error`, made printable.
        error: Option<String>,
        /// The body's `message`, made printable.
        message: Option<String>,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// No connection, or a connection lost.
    #[error("cannot reach the catalog at `{url}`{}", tries(*attempts))]
    Unreachable {
        /// What was asked for.
        url: String,
        /// How often it was tried.
        attempts: u32,
        /// The transport's reason.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The service took too long.
    #[error("{}", waited(url, *stage, *limit))]
    TimedOut {
        /// What was asked for.
        url: String,
        /// What was waited for.
        stage: Stage,
        /// The limit that was reached.
        limit: Duration,
    },
    /// No trusted connection.
    #[error(
        "cannot make a trusted connection to `{url}`; if the catalog has a private certificate authority, name its certificate with `--ca-file` or `SSL_CERT_FILE`; use `http` if it has no TLS"
    )]
    Tls {
        /// What was asked for.
        url: String,
        /// The transport's reason.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A redirect or a recipe leads to where only this machine or its network gets.
    #[error("`{url}` may not be asked in the name of the catalog")]
    NotAllowed {
        /// The place.
        url: String,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// An answer over its limit.
    #[error("the answer from `{url}` is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit in bytes, counted after decompression.
        limit: u64,
    },
    /// Something answers, but not a catalog.
    #[error(
        "this does not look like a worker catalog: `{url}` answered {found}; check the catalog's address"
    )]
    NotACatalog {
        /// What was asked for.
        url: String,
        /// What came instead.
        found: String,
    },
    /// An entry or list that cannot be used.
    #[error(
        "malformed catalog entry at `{url}`: {}{problem}",
        position(path, *line, *column)
    )]
    MalformedEntry {
        /// Where it came from.
        url: String,
        /// The field, such as `variants[1].platforms`; empty for the whole document.
        path: String,
        /// The line, from 1; 0 when the text is not at fault.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A recipe that is no text.
    #[error("the recipe at `{url}` is not usable: {problem}")]
    MalformedRecipe {
        /// Where it came from.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// A redirect that leads nowhere.
    #[error("`{url}` redirects without end; stopped at `{location}` after {hops} redirects")]
    TooManyRedirects {
        /// What was asked for.
        url: String,
        /// Where it led last.
        location: String,
        /// How many were followed.
        hops: u32,
    },
    /// A recipe URL or a redirect leaves the catalog.
    #[error(
        "`{url}` is outside the catalog at `{catalog}`; allow its origin in the configuration if it is trusted"
    )]
    OtherOrigin {
        /// Where it leads.
        url: String,
        /// The catalog's base URL.
        catalog: String,
    },
    /// Offline, and nothing kept.
    #[error("`{url}` is not in the cache, and the client is offline; ask for it once online")]
    Offline {
        /// What was asked for.
        url: String,
    },
    /// The only copy is too old to be used.
    #[error(
        "the copy of `{url}` is {} old, and none older than {} is used; ask for it once the catalog can be reached, or allow older copies in the configuration",
        rounded(*age),
        rounded(*limit)
    )]
    TooOld {
        /// What was asked for.
        url: String,
        /// The time since the catalog sent or confirmed it.
        age: Duration,
        /// The longest time allowed.
        limit: Duration,
        /// Why the catalog could not be asked; `None` for a client that is offline.
        #[source]
        cause: Option<Arc<CatalogError>>,
    },
    /// Every base URL failed.
    #[error("no catalog could be reached:{}", each(failures))]
    AllMirrors {
        /// One failure for each base URL, in their order.
        failures: Vec<CatalogError>,
    },
    /// The token was cancelled.
    #[error("the catalog request was cancelled")]
    Cancelled,
}

/// What a request was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// A connection.
    Connect,
    /// The first byte of the answer.
    Answer,
    /// More of the body.
    Body,
    /// The whole answer.
    Whole,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Answer => "waiting for an answer",
            Self::Body => "reading the answer",
            Self::Whole => "completing the answer",
        })
    }
}

impl CatalogError {
    /// Whether the service could not be reached, so that a kept copy or another mirror may serve.
    ///
    /// True for [`Unreachable`](Self::Unreachable), [`TimedOut`](Self::TimedOut),
    /// [`Tls`](Self::Tls), [`AllMirrors`](Self::AllMirrors) and a refusal that may pass.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::AllMirrors { .. } => true,
            other => other.is_transient(),
        }
    }

    /// Whether the same request may succeed soon: see [`outlook`](Self::outlook).
    pub fn is_transient(&self) -> bool {
        self.outlook().may_pass()
    }

    /// What it says about another attempt, by the rule that sources have too. A service that is
    /// silent may answer the next time; one that takes longer than [`Limits::whole`] with all it has
    /// to say does not.
    ///
    /// [`Limits::whole`]: crate::Limits::whole
    pub fn outlook(&self) -> Outlook {
        match self {
            Self::Unreachable { source, .. } => Outlook::of_error(&**source),
            Self::TimedOut { stage, .. } if *stage != Stage::Whole => Outlook::Passing,
            Self::Refused { status, .. } => Outlook::of_status(*status),
            _ => Outlook::Final,
        }
    }

    /// Whether the catalog answered that it has no such worker.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Text from outside, fit for one line of a terminal: at most `max` characters, and what a terminal
/// obeys or a reader does not see is escaped.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let end = text.char_indices().nth(max).map(|(at, _)| at);
    let cut = &text[..end.unwrap_or(text.len())];
    let mut shown = printable::text(cut)
        .replace('\n', "\\u{a}")
        .replace('\t', "\\u{9}");
    if end.is_some() {
        shown.push('…');
    }
    shown
}

/// A time to the unit that tells it best, rounded down.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn offers(available: &[String]) -> String {
    if available.is_empty() {
        return String::new();
    }
    let shown: Vec<_> = available
        .iter()
        .take(20)
        .map(|id| format!("`{id}`"))
        .collect();
    let more = available.len() - shown.len();
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("; it offers {}{tail}", shown.join(", "))
}

fn instead(offered: Option<Flavor>) -> String {
    offered.map_or_else(String::new, |flavor| format!("; it has a {flavor} recipe"))
}

fn would_fit(fitting: &[String], offered: &[Offer]) -> String {
    let mut text = String::new();
    if fitting.is_empty() {
        text.push_str("; nothing it offers runs on this system");
    } else {
        let names: Vec<_> = fitting.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(text, "; this system could use {}", names.join(", "));
    }
    let mut offers: Vec<_> = offered.iter().take(20).map(ToString::to_string).collect();
    if offered.len() > offers.len() {
        offers.push(format!("and {} more", offered.len() - offers.len()));
    }
    let _ = write!(text, "; on offer: {}", offers.join("; "));
    text
}

fn said(error: Option<&str>, message: Option<&str>) -> String {
    match (error, message) {
        (Some(error), Some(message)) => format!(": {error}: {message}"),
        (Some(text), None) | (None, Some(text)) => format!(": {text}"),
        (None, None) => String::new(),
    }
}

fn did(status: u16) -> &'static str {
    match status {
        400..500 => "refused",
        500.. => "failed on",
        _ => "gave no document for",
    }
}

fn hint(status: u16, retry_after: Option<Duration>) -> String {
    match (status, retry_after) {
        (401 | 403, _) => "; a licensed catalog needs a token".to_owned(),
        (407, _) => "; the proxy wants a user name and password".to_owned(),
        (_, Some(wait)) => format!("; it asks to come back in {} s", wait.as_secs()),
        (408 | 425 | 429 | 500 | 502..=504, None) => "; try again later".to_owned(),
        _ => String::new(),
    }
}

fn waited(url: &str, stage: Stage, limit: Duration) -> String {
    match stage {
        Stage::Connect => format!("no connection to the catalog at `{url}` within {limit:?}"),
        Stage::Answer => format!("no answer from the catalog at `{url}` within {limit:?}"),
        Stage::Body => {
            format!("the answer from `{url}` broke off: nothing new for {limit:?}")
        }
        Stage::Whole => format!("the answer from `{url}` was not complete within {limit:?}"),
    }
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        n => format!(" in {n} attempts"),
    }
}

fn position(path: &str, line: usize, column: usize) -> String {
    match (path, line) {
        ("", 0) => String::new(),
        ("", _) => format!("line {line} column {column}: "),
        (_, 0) => format!("field `{path}`: "),
        _ => format!("field `{path}`, line {line} column {column}: "),
    }
}

fn each(failures: &[CatalogError]) -> String {
    let mut text = String::new();
    for failure in failures {
        let _ = write!(text, " {failure}");
        let mut source = failure.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        text.push(';');
    }
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_from_outside_does_not_steer_the_terminal() {
        for (text, shown) in [
            ("plain ä", "plain ä"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb", "a\\u{a}b"),
            ("\u{202e}x\u{200b}", "\\u{202e}x\\u{200b}"),
            ("123456789", "12345678…"),
        ] {
            assert_eq!(printable(text, 8), shown);
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let available: Vec<_> = (0..5_000).map(|n| format!("w{n}")).collect();
        let text = offers(&available);
        assert!(
            text.len() < 300 && text.ends_with("`w19` and 4980 more"),
            "{text}"
        );
    }
}
