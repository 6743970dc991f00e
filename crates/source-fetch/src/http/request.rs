//! One request, its redirects, and what the answer means.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use network_policy::{Outlook, Refusal, Turn, retry_after};
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, COOKIE, DATE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION,
    RANGE, SET_COOKIE,
};
use reqwest::{Response, StatusCode};
use url::Url;

use super::part::has_validator;
use super::{Download, Step, TICK};
use crate::cache::Meta;
use crate::credential::Authorization;
use crate::error::{FetchError, TransferProblem};

/// Most redirects followed; as many as browsers follow.
const MAX_REDIRECTS: usize = 20;

/// What a server is asked for.
pub(super) enum Ask<'a> {
    Whole,
    /// The whole, unless it is still what is known.
    IfChanged(&'a Meta),
    /// The rest.
    From {
        offset: u64,
        meta: &'a Meta,
    },
}

/// What a server has to give.
pub(super) enum Answer {
    Unchanged,
    /// There is no byte beyond the ones at hand.
    Complete(Meta),
    /// The range asked for does not exist.
    StartAgain,
    Body {
        response: Response,
        /// Held until all of the body has come.
        turn: Turn,
        meta: Meta,
        offset: u64,
    },
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt cannot help.
    Fatal(FetchError),
    /// The transfer failed; with the wait that the server asks for.
    Transfer(TransferProblem, Option<Duration>),
}

/// Passes byte counts on, not too often, never falling and never past the total.
pub(super) struct Told<'a> {
    report: &'a (dyn Fn(Step<'_>) + Send + Sync),
    state: Mutex<(u64, Option<Instant>)>,
    withheld: Mutex<HashSet<String>>,
}

impl<'a> Told<'a> {
    pub(super) fn new(report: &'a (dyn Fn(Step<'_>) + Send + Sync), received: u64) -> Self {
        Self {
            report,
            state: Mutex::new((received, None)),
            withheld: Mutex::default(),
        }
    }

    pub(super) fn report(&self, step: Step<'_>) {
        (self.report)(step);
    }

    /// Once for each host, however many attempts are made.
    fn withheld(&self, host: &str) {
        let is_new = |mut hosts: MutexGuard<'_, HashSet<String>>| hosts.insert(host.to_owned());
        if self.withheld.lock().is_ok_and(is_new) {
            self.report(Step::Withheld { host });
        }
    }

    pub(super) fn bytes(&self, received: u64, total: Option<u64>) {
        self.tell(received, total, false);
    }

    pub(super) fn finish(&self, received: u64, total: Option<u64>) {
        self.tell(received, total, true);
    }

    fn tell(&self, received: u64, total: Option<u64>, last: bool) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let (highest, at) = *state;
        let now = Instant::now();
        if !last && at.is_some_and(|at| now.duration_since(at) < TICK) {
            return;
        }
        let received = received.max(highest);
        *state = (received, Some(now));
        drop(state);
        // After a restart the new file may be shorter than what came of the old one.
        let total = total.filter(|total| *total >= received);
        (self.report)(Step::Bytes { received, total });
    }
}

impl Download<'_> {
    /// Sends a request, follows redirects and reads the head of the answer.
    pub(super) async fn ask(&self, ask: &Ask<'_>, told: &Told<'_>) -> Result<Answer, Failure> {
        let (response, turn, url, tls) = self.send(ask, told).await?;
        let status = response.status();
        let headers = response.headers();
        let mut meta = Meta {
            final_url: shown(&url),
            tls,
            etag: text(headers, &ETAG),
            last_modified: text(headers, &LAST_MODIFIED),
            last_modified_strong: is_strong(headers),
            encoding: text(headers, &CONTENT_ENCODING),
            ..Meta::default()
        };
        match (status, ask) {
            (StatusCode::OK, _) => {
                meta.total = length(headers).or_else(|| response.content_length());
                Ok(Answer::Body {
                    response,
                    turn,
                    meta,
                    offset: 0,
                })
            }
            (StatusCode::NOT_MODIFIED, Ask::IfChanged(_)) => Ok(Answer::Unchanged),
            (StatusCode::PARTIAL_CONTENT, Ask::From { offset, meta: old }) => {
                let range = text(headers, &CONTENT_RANGE).and_then(|range| content_range(&range));
                let fits = |(start, total): &(u64, Option<u64>)| {
                    *start == *offset
                        && (total.is_none() || old.total.is_none() || *total == old.total)
                };
                let Some((_, total)) = range.filter(fits) else {
                    return Ok(Answer::StartAgain);
                };
                meta.total = total.or(old.total);
                Ok(Answer::Body {
                    response,
                    turn,
                    meta,
                    offset: *offset,
                })
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Ask::From { offset, meta: old }) => {
                let total = text(headers, &CONTENT_RANGE)
                    .and_then(|range| range.trim().strip_prefix("bytes */")?.trim().parse().ok());
                if total == Some(*offset) && old.total.is_none_or(|old| old == *offset) {
                    meta.total = Some(*offset);
                    return Ok(Answer::Complete(meta));
                }
                Ok(Answer::StartAgain)
            }
            _ => Err(self.refused(&url, &response)),
        }
    }

    fn refused(&self, url: &Url, response: &Response) -> Failure {
        let status = response.status().as_u16();
        if Outlook::of_status(status).may_pass() {
            let asked = retry_after(response.headers(), SystemTime::now());
            return Failure::Transfer(TransferProblem::Busy { status }, asked);
        }
        Failure::Fatal(FetchError::Status {
            source_name: self.label.to_owned(),
            url: shown(url),
            status,
        })
    }

    async fn send(
        &self,
        ask: &Ask<'_>,
        told: &Told<'_>,
    ) -> Result<(Response, Turn, Url, bool), Failure> {
        let mut url = self.url.clone();
        let mut tls = url.scheme() == "https";
        let mut seen = vec![url.clone()];
        let mut hops = 0;
        loop {
            let (response, turn) = self.send_once(&url, ask, told).await?;
            let hop = response.status();
            if !matches!(hop.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((response, turn, url, tls));
            }
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|to| std::str::from_utf8(to.as_bytes()).ok())
                .and_then(|to| url.join(to).ok())
                .filter(|to| matches!(to.scheme(), "http" | "https"));
            let Some(mut target) = target else {
                return Err(self.refused(&url, &response));
            };
            if url.scheme() == "https" && target.scheme() == "http" {
                return Err(Failure::Transfer(TransferProblem::Downgrade, None));
            }
            // A server has no business choosing who we log in as.
            let _ = target.set_username("");
            let _ = target.set_password(None);
            target.set_fragment(None);
            hops += 1;
            // The same place may answer otherwise once it sees its cookie.
            if response.headers().contains_key(SET_COOKIE) {
                seen.clear();
            }
            if seen.contains(&target) || hops > MAX_REDIRECTS {
                let limit = MAX_REDIRECTS;
                let problem = TransferProblem::Redirects { limit };
                return Err(Failure::Transfer(problem, None));
            }
            tls &= target.scheme() == "https";
            seen.push(target.clone());
            url = target;
        }
    }

    async fn send_once(
        &self,
        url: &Url,
        ask: &Ask<'_>,
        told: &Told<'_>,
    ) -> Result<(Response, Turn), Failure> {
        let mut bare = url.clone();
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        bare.set_fragment(None);
        let refused = |refusal| {
            Failure::Fatal(FetchError::Refused {
                source_name: self.label.to_owned(),
                refusal,
            })
        };
        let client = self.clients.client(&bare, self.is_pinned).await;
        let mut request = client.map_err(refused)?.get(bare.clone());
        let credentials = &self.policy.credentials;
        match credentials
            .authorization(url, self.url, self.clients.policy())
            .map_err(Failure::Fatal)?
        {
            Authorization::Send(value) => request = request.header(AUTHORIZATION, value),
            Authorization::Withheld { host } => told.withheld(&host),
            Authorization::Nothing => {}
        }
        for (name, value) in conditions(ask) {
            request = request.header(name, value);
        }
        if let Some(cookies) = self.cookies.of(&bare) {
            request = request.header(COOKIE, cookies);
        }
        let host = bare.host().ok_or_else(|| refused(Refusal::NoHost))?;
        let turn = self.clients.crowd().enter(&host).await;
        let limit = self.policy.http.idle_timeout;
        match tokio::time::timeout(limit, request.send()).await {
            Err(_) => Err(Failure::Transfer(TransferProblem::Idle { limit }, None)),
            Ok(Ok(response)) => {
                turn.answered(response.status().as_u16(), response.headers());
                self.cookies.keep(&response, &bare);
                Ok((response, turn))
            }
            Ok(Err(error)) => {
                if let Some(refusal) = self.clients.refusal(&bare, &error) {
                    return Err(refused(refusal));
                }
                let problem = TransferProblem::Connection(error.without_url());
                Err(Failure::Transfer(problem, None))
            }
        }
    }
}

fn conditions(ask: &Ask<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.push((name, value));
        }
    };
    match ask {
        Ask::Whole => {}
        Ask::IfChanged(meta) => {
            if let Some(tag) = &meta.etag {
                add(IF_NONE_MATCH, tag);
            } else if let Some(date) = &meta.last_modified {
                add(IF_MODIFIED_SINCE, date);
            }
        }
        Ask::From { offset, meta } => {
            add(RANGE, &format!("bytes={offset}-"));
            let strong_tag = meta.etag.as_ref().filter(|tag| !tag.starts_with("W/"));
            if has_validator(meta)
                && let Some(validator) = strong_tag.or(meta.last_modified.as_ref())
            {
                add(IF_RANGE, validator);
            }
        }
    }
    headers
}

/// The URL for people: without user, password, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (value.len() <= 1024).then(|| value.to_owned())
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH)?.trim().parse().ok()
}

/// RFC 9110, 8.8.2.2: a date is strong when it is at least a second before the answer's.
fn is_strong(headers: &HeaderMap) -> bool {
    let date = |name| httpdate::parse_http_date(&text(headers, &name)?).ok();
    match (date(LAST_MODIFIED), date(DATE)) {
        (Some(modified), Some(answered)) => modified + Duration::from_secs(1) <= answered,
        _ => false,
    }
}

/// Reads `bytes 0-9/10` as start and total.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (start <= end && total.is_none_or(|total: u64| end < total)).then_some((start, total))
}
