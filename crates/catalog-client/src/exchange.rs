//! One request and its answer, bounded in size and time.

use std::sync::Arc;
use std::time::SystemTime;

use network_policy::{HttpClients, Outlook, Refusal, Turn, in_chain, retry_after};
use reqwest::header::{self, HeaderMap};
use url::Url;

use crate::base::{Base, Bases};
use crate::config::Limits;
use crate::error::{CatalogError, Stage, printable};

/// Error bodies say one sentence; more is not read.
const ERROR_BYTES: u64 = 64 << 10;

/// What a request is made with.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) clients: HttpClients,
    pub(crate) bases: Bases,
    pub(crate) limits: Limits,
    pub(crate) user_agent: String,
}

/// An answer with status 200 or 304.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Got {
    /// The media type, in lower case and without parameters.
    pub(crate) fn content_type(&self) -> Option<String> {
        media_type(&self.headers)
    }
}

impl Exchange {
    /// Asks for `url`. `limit` bounds the decompressed body.
    pub(crate) async fn get(
        &self,
        url: &Url,
        headers: &HeaderMap,
        limit: u64,
    ) -> Result<Got, CatalogError> {
        tokio::time::timeout(self.limits.whole, self.follow(url, headers, limit))
            .await
            .unwrap_or_else(|_| {
                Err(CatalogError::TimedOut {
                    url: Base::show(url),
                    stage: Stage::Whole,
                    limit: self.limits.whole,
                })
            })
    }

    async fn follow(
        &self,
        asked: &Url,
        headers: &HeaderMap,
        limit: u64,
    ) -> Result<Got, CatalogError> {
        let mut url = asked.clone();
        for _ in 0..=self.limits.redirects {
            // Held until all of the body has come.
            let (response, _turn) = self.send(&url, headers).await?;
            // An injected client may have followed redirects by itself.
            if response.url().origin() != url.origin() && !self.bases.allows(response.url()) {
                return Err(self.outside(response.url()));
            }
            let status = response.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return self.finish(&url, response, limit).await;
            }
            let next = response
                .headers()
                .get(header::LOCATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|location| response.url().join(location).ok())
                .ok_or_else(|| CatalogError::NotACatalog {
                    url: Base::show(&url),
                    found: format!("status {} without a usable `Location`", status.as_u16()),
                })?;
            if !matches!(next.scheme(), "http" | "https") || !self.bases.allows(&next) {
                return Err(self.outside(&next));
            }
            url = next;
        }
        Err(CatalogError::TooManyRedirects {
            url: Base::show(asked),
            location: printable(&Base::show(&url), 200),
            hops: self.limits.redirects,
        })
    }

    fn outside(&self, url: &Url) -> CatalogError {
        CatalogError::OtherOrigin {
            url: printable(&Base::show(url), 200),
            catalog: self.bases.first().shown(),
        }
    }

    async fn send(
        &self,
        url: &Url,
        headers: &HeaderMap,
    ) -> Result<(reqwest::Response, Turn), CatalogError> {
        let mut clean = url.clone();
        // A redirect may carry a user name; it is not ours to send.
        let _ = clean.set_username("");
        let _ = clean.set_password(None);
        let host = clean
            .host()
            .ok_or_else(|| not_allowed(url, Refusal::NoHost))?;
        let turn = self.clients.crowd().enter(&host).await;
        let limit = self.limits.connect.saturating_add(self.limits.idle);
        let asking = async {
            let client = self.clients.client(&clean, true).await;
            let request = client
                .map_err(|refusal| not_allowed(url, refusal))?
                .get(clean.clone())
                .headers(headers.clone())
                .header(header::USER_AGENT, &self.user_agent);
            let sent = self.bases.authorize(url, request).send().await;
            sent.map_err(|error| match self.clients.refusal(&clean, &error) {
                Some(refusal) => not_allowed(url, refusal),
                None => self.classify(url, error),
            })
        };
        match tokio::time::timeout(limit, asking).await {
            Ok(answer) => {
                let response = answer?;
                turn.answered(response.status().as_u16(), response.headers());
                Ok((response, turn))
            }
            Err(_) => Err(CatalogError::TimedOut {
                url: Base::show(url),
                stage: Stage::Answer,
                limit,
            }),
        }
    }

    async fn finish(
        &self,
        url: &Url,
        response: reqwest::Response,
        limit: u64,
    ) -> Result<Got, CatalogError> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            return Err(CatalogError::NotACatalog {
                url: Base::show(url),
                found: format!(
                    "in the encoding `{}`, which was not asked for",
                    printable(&String::from_utf8_lossy(encoding.as_bytes()), 40)
                ),
            });
        }
        match status {
            200 => {
                let body = self.read(url, response, limit, false).await?;
                Ok(Got {
                    status,
                    headers,
                    body,
                })
            }
            304 => Ok(Got {
                status,
                headers,
                body: Vec::new(),
            }),
            _ => Err(self.refusal(url, status, &headers, response).await),
        }
    }

    async fn refusal(
        &self,
        url: &Url,
        status: u16,
        headers: &HeaderMap,
        response: reqwest::Response,
    ) -> CatalogError {
        #[derive(serde::Deserialize, Default)]
        struct Said {
            error: Option<String>,
            message: Option<String>,
        }
        let kind = media_type(headers);
        if status == 404 && kind.as_deref().is_some_and(is_html) {
            return CatalogError::NotACatalog {
                url: Base::show(url),
                found: "an HTML page with status 404".to_owned(),
            };
        }
        // The status is the answer; a body that cannot be read takes nothing from it.
        let body = self
            .read(url, response, ERROR_BYTES, true)
            .await
            .unwrap_or_default();
        let said = match kind.as_deref() {
            Some(kind) if is_json(kind) => serde_json::from_slice(&body).unwrap_or_default(),
            Some("text/plain") => Said {
                error: None,
                message: Some(String::from_utf8_lossy(&body).trim().to_owned()),
            },
            _ => Said::default(),
        };
        let clean = |text: Option<String>| {
            text.filter(|text| !text.is_empty())
                .map(|text| printable(&text, 300))
        };
        CatalogError::Refused {
            url: Base::show(url),
            status,
            error: clean(said.error),
            message: clean(said.message),
            retry_after: retry_after(headers, SystemTime::now()),
        }
    }

    /// Reads a body up to `limit` bytes; `cut` keeps what fits instead of failing.
    async fn read(
        &self,
        url: &Url,
        mut response: reqwest::Response,
        limit: u64,
        cut: bool,
    ) -> Result<Vec<u8>, CatalogError> {
        let too_large = || CatalogError::TooLarge {
            url: Base::show(url),
            limit,
        };
        if !cut
            && response
                .content_length()
                .is_some_and(|length| length > limit)
        {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            let chunk = match tokio::time::timeout(self.limits.idle, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(self.classify(url, error)),
                Err(_) => {
                    return Err(CatalogError::TimedOut {
                        url: Base::show(url),
                        stage: Stage::Body,
                        limit: self.limits.idle,
                    });
                }
            };
            if (body.len() + chunk.len()) as u64 > limit {
                return if cut { Ok(body) } else { Err(too_large()) };
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn classify(&self, url: &Url, error: reqwest::Error) -> CatalogError {
        let shown = Base::show(url);
        let found = |text: &str| CatalogError::NotACatalog {
            url: shown.clone(),
            found: text.to_owned(),
        };
        if error.is_timeout() {
            // The only limit of our own client is the one on connecting; an injected one has others.
            let stage = if error.is_connect() {
                Stage::Connect
            } else {
                Stage::Answer
            };
            return CatalogError::TimedOut {
                url: shown,
                stage,
                limit: self.limits.connect,
            };
        }
        if error.is_redirect() {
            return CatalogError::TooManyRedirects {
                url: shown.clone(),
                location: error.url().map_or(shown, Base::show),
                hops: self.limits.redirects,
            };
        }
        let is_final = !Outlook::of_error(&error).may_pass();
        if is_final && in_chain::<rustls::Error>(&error).is_some() {
            return CatalogError::Tls {
                url: shown,
                source: Arc::new(error.without_url()),
            };
        }
        let transport = in_chain::<hyper::Error>(&error);
        if transport.is_some_and(hyper::Error::is_parse) {
            return found("something that is not valid HTTP");
        }
        if error.is_decode() && transport.is_none() {
            return found("with compressed data that cannot be decompressed");
        }
        CatalogError::Unreachable {
            url: shown,
            attempts: 1,
            source: Arc::new(error.without_url()),
        }
    }
}

fn not_allowed(url: &Url, refusal: Refusal) -> CatalogError {
    CatalogError::NotAllowed {
        url: printable(&Base::show(url), 200),
        refusal,
    }
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let kind = text.split(';').next().unwrap_or_default().trim();
    (!kind.is_empty()).then(|| kind.to_ascii_lowercase())
}

/// Whether a media type is JSON (RFC 6839, section 3.1 for the suffix).
pub(crate) fn is_json(kind: &str) -> bool {
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

/// Whether a media type is a web page.
pub(crate) fn is_html(kind: &str) -> bool {
    matches!(kind, "text/html" | "application/xhtml+xml")
}
