//! What servers want to be reminded of, within one download.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Response;
use reqwest::cookie::{CookieStore as _, Jar};
use reqwest::header::{HeaderValue, SET_COOKIE};
use url::Url;

/// Bytes of cookies that one download takes; RFC 6265, 6.1, asks for 4 KiB a cookie and 50 of them.
const MOST: usize = 200 << 10;

/// The cookies of one download: some hosts of files answer with a redirect to themselves until they
/// see theirs. RFC 6265 says which of them goes where.
#[derive(Default)]
pub(crate) struct Cookies {
    jar: Jar,
    taken: AtomicUsize,
}

impl Cookies {
    /// What goes with a request for `url`.
    pub(super) fn of(&self, url: &Url) -> Option<HeaderValue> {
        let mut cookies = self.jar.cookies(url)?;
        cookies.set_sensitive(true);
        Some(cookies)
    }

    /// Takes what an answer of `url` sets, as long as there is room.
    pub(super) fn keep(&self, response: &Response, url: &Url) {
        let set = response.headers().get_all(SET_COOKIE).iter();
        let mut few = set.take_while(|cookie| {
            self.taken.fetch_add(cookie.len(), Ordering::Relaxed) + cookie.len() <= MOST
        });
        self.jar.set_cookies(&mut few, url);
    }
}

impl fmt::Debug for Cookies {
    // They may be as good as a password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Cookies")
    }
}
