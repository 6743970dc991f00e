//! Smart HTTP: gitprotocol-http(5).

use std::time::SystemTime;

use network_policy::{Turn, retry_after};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;

use super::{Body, PacketReader, timeout};
use crate::git::address::Address;
use crate::git::error::{GitProblem, ProtocolError, printable};
use crate::git::options::GitOptions;
use crate::redact::redact;

const MAX_REDIRECTS: usize = 5;
const QUERY: &str = "service=git-upload-pack";

/// Each request is a connection of its own, from the pool of the shared client.
pub(crate) struct HttpTransport {
    base: Url,
    authorization: Option<HeaderValue>,
    /// A full commit id says what must come.
    is_pinned: bool,
    reader: PacketReader,
    options: GitOptions,
    shown: String,
    /// For as long as there is a conversation.
    turn: Option<Turn>,
}

impl HttpTransport {
    pub(super) async fn connect(
        url: &Url,
        is_pinned: bool,
        shown: &str,
        options: &GitOptions,
    ) -> Result<Self, GitProblem> {
        let mut base = url.clone();
        let own = own_authorization(url);
        // User information travels as a header, and only to the host it was written for.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_fragment(None);
        let first = base.clone();
        let mut turn;
        for _ in 0..=MAX_REDIRECTS {
            let authorization = match &own {
                Some(own) if base.origin() == first.origin() => Some(own.clone()),
                _ => options
                    .credentials
                    .as_ref()
                    .and_then(|c| c.authorization(&base, &first)),
            };
            let asked = info_refs(&base);
            let request = client(options, &asked, is_pinned, shown)
                .await?
                .get(asked.clone())
                .header(ACCEPT, "*/*")
                .header("Git-Protocol", "version=2")
                .header("Pragma", "no-cache");
            turn = Address::Http(asked.clone())
                .enter(options.clients.crowd())
                .await;
            let response = send(request, &asked, authorization.as_ref(), shown, options).await?;
            learn(turn.as_ref(), &response);
            if response.status().is_redirection() {
                base = redirected(&base, &response, shown)?;
                drop(turn.take());
                continue;
            }
            let response = checked(
                response,
                Some("application/x-git-upload-pack-advertisement"),
                shown,
            )?;
            return Ok(Self {
                base,
                authorization,
                is_pinned,
                reader: PacketReader::new(Body::Http(response), shown, options),
                options: options.clone(),
                shown: shown.to_owned(),
                turn,
            });
        }
        Err(GitProblem::Redirect {
            url: shown.to_owned(),
            target: redact(base.as_str()),
            reason: "there are too many in a row",
        })
    }

    pub(super) fn reader(&mut self) -> &mut PacketReader {
        &mut self.reader
    }

    pub(super) async fn post(&mut self, body: Vec<u8>, version_2: bool) -> Result<(), GitProblem> {
        self.reader.finish().await;
        let mut target = self.base.clone();
        target.set_path(&format!("{}/git-upload-pack", trimmed(&self.base)));
        let mut request = client(&self.options, &target, self.is_pinned, &self.shown)
            .await?
            .post(target.clone())
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result")
            .body(body);
        if version_2 {
            request = request.header("Git-Protocol", "version=2");
        }
        let response = send(
            request,
            &target,
            self.authorization.as_ref(),
            &self.shown,
            &self.options,
        )
        .await?;
        learn(self.turn.as_ref(), &response);
        if response.status().is_redirection() {
            return Err(GitProblem::Redirect {
                url: self.shown.clone(),
                target: location(&response),
                reason: "git follows redirects only on its first request",
            });
        }
        let response = checked(response, None, &self.shown)?;
        self.reader = PacketReader::new(Body::Http(response), &self.shown, &self.options);
        Ok(())
    }
}

fn trimmed(base: &Url) -> &str {
    base.path().trim_end_matches('/')
}

fn info_refs(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/info/refs", trimmed(base)));
    let query = match base.query() {
        Some(query) => format!("{query}&{QUERY}"),
        None => QUERY.to_owned(),
    };
    url.set_query(Some(&query));
    url
}

/// The base that a redirect of `info/refs` stands for: git's rule is that the end of the path and the query stay.
fn redirected(base: &Url, response: &Response, shown: &str) -> Result<Url, GitProblem> {
    let refuse = |reason| GitProblem::Redirect {
        url: shown.to_owned(),
        target: location(response),
        reason,
    };
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = target.ok_or_else(|| refuse("it names no place"))?;
    let mut target = base.join(target).map_err(|_| refuse("it is not a URL"))?;
    match (base.scheme(), target.scheme()) {
        ("https", "http") => return Err(refuse("it leads from https to http")),
        (_, "http" | "https") => {}
        _ => return Err(refuse("it leaves HTTP")),
    }
    let query = target
        .query()
        .and_then(|query| query.strip_suffix(QUERY))
        .map(|query| query.trim_end_matches('&').to_owned())
        .ok_or_else(|| refuse("it leads to something else than a git repository"))?;
    let path = target
        .path()
        .strip_suffix("/info/refs")
        .ok_or_else(|| refuse("it leads to something else than a git repository"))?
        .to_owned();
    target.set_path(&path);
    target.set_query((!query.is_empty()).then_some(query.as_str()));
    // A server has no say in which credentials are used.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Ok(target)
}

fn location(response: &Response) -> String {
    let value = response.headers().get(LOCATION);
    redact(&printable(
        value.map_or(b"" as &[u8], HeaderValue::as_bytes),
    ))
}

async fn client(
    options: &GitOptions,
    url: &Url,
    is_pinned: bool,
    shown: &str,
) -> Result<reqwest::Client, GitProblem> {
    let client = options.clients.client(url, is_pinned);
    timeout(options.limits.idle, shown, client)
        .await?
        .map_err(|refusal| GitProblem::Refused {
            url: shown.to_owned(),
            refusal,
        })
}

async fn send(
    request: RequestBuilder,
    asked: &Url,
    authorization: Option<&HeaderValue>,
    shown: &str,
    options: &GitOptions,
) -> Result<Response, GitProblem> {
    let request = match authorization {
        Some(value) => request.header(AUTHORIZATION, value.clone()),
        None => request,
    };
    timeout(options.limits.idle, shown, request.send())
        .await?
        .map_err(|source| match options.clients.refusal(asked, &source) {
            Some(refusal) => GitProblem::Refused {
                url: shown.to_owned(),
                refusal,
            },
            None => GitProblem::Http {
                url: shown.to_owned(),
                source: source.without_url(),
            },
        })
}

fn learn(turn: Option<&Turn>, response: &Response) {
    if let Some(turn) = turn {
        turn.answered(response.status().as_u16(), response.headers());
    }
}

/// `expected` is the content type; git takes any for the answer to a fetch.
fn checked(
    response: Response,
    expected: Option<&str>,
    shown: &str,
) -> Result<Response, GitProblem> {
    match response.status() {
        status if status == StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => {
            return Err(GitProblem::Authentication {
                url: shown.to_owned(),
            });
        }
        status => {
            return Err(GitProblem::Status {
                url: shown.to_owned(),
                status: status.as_u16(),
                wait: retry_after(response.headers(), SystemTime::now()),
            });
        }
    }
    let found = response
        .headers()
        .get(CONTENT_TYPE)
        .map_or(b"" as &[u8], HeaderValue::as_bytes);
    // What follows a semicolon, such as a character set, is not compared: git takes it too.
    let found = found.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_other = |expected: &str| !found.trim_ascii().eq_ignore_ascii_case(expected.as_bytes());
    if expected.is_some_and(is_other) {
        return Err(GitProblem::Protocol {
            url: shown.to_owned(),
            source: ProtocolError::ContentType(printable(found)),
        });
    }
    Ok(response)
}

fn own_authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| crate::git::address::percent_decoded(text);
    let user = decoded(url.username())?;
    let password = decoded(url.password().unwrap_or_default())?;
    Some(crate::git::options::basic(&user, &password))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_service_is_asked_for_beside_an_own_query() {
        let cases = [
            (
                "https://h/a.git",
                "https://h/a.git/info/refs?service=git-upload-pack",
            ),
            (
                "https://h/a.git/",
                "https://h/a.git/info/refs?service=git-upload-pack",
            ),
            (
                "https://h/a?k=v",
                "https://h/a/info/refs?k=v&service=git-upload-pack",
            ),
        ];
        for (base, expected) in cases {
            assert_eq!(info_refs(&base.parse().unwrap()).as_str(), expected);
        }
    }
}
