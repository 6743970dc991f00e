//! How much is asked of one host at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Host;

use crate::retry::{Outlook, retry_after};

/// The longest time for which one answer keeps everybody here from asking a host.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Hosts that are remembered although nobody asks them.
const REMEMBERED: usize = 256;

/// So many successes in a row say that a host can be asked for more.
const CALM: u32 = 8;

/// A bound on what is asked of each host at once, which all clones share.
///
/// A host that says it has too much to do (429, 503) is asked for half as much at once, and for
/// nothing before the time it names in `Retry-After`; after eight successes in a row for one more
/// again, up to the bound.
#[derive(Clone)]
pub struct Crowd {
    most: usize,
    hosts: Arc<Mutex<HashMap<String, Arc<Places>>>>,
}

/// The places at one host.
struct Places {
    free: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    /// Places there are.
    limit: usize,
    /// Places that are taken and shall not come back.
    owed: usize,
    /// Successes in a row.
    calm: u32,
    not_before: Option<Instant>,
}

/// A place at a host: hold it for as long as the host is busy with what was asked, its body
/// included. Dropping it gives it back.
pub struct Turn {
    most: usize,
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Default for Crowd {
    /// Four at once, no more than curl(1) and browsers ask of one host.
    fn default() -> Self {
        Self::new(4)
    }
}

impl Crowd {
    /// At most `most` at once, and at least one.
    pub fn new(most: usize) -> Self {
        Self {
            most: most.clamp(1, Semaphore::MAX_PERMITS),
            hosts: Arc::default(),
        }
    }

    /// Waits for a place at `host`. Dropping the future ends the wait.
    ///
    /// Whoever holds one must not wait for another at the same host.
    pub async fn enter(&self, host: &Host<&str>) -> Turn {
        let places = self.places(&host.to_string().to_ascii_lowercase());
        // It is never closed.
        let permit = Arc::clone(&places.free).acquire_owned().await.ok();
        let turn = Turn {
            most: self.most,
            places,
            permit,
        };
        loop {
            let until = turn.places.state().not_before;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return turn,
            }
        }
    }

    fn places(&self, host: &str) -> Arc<Places> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= REMEMBERED {
            // A redirect may lead to any number of them.
            hosts.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = hosts.entry(host.to_owned()).or_insert_with(|| {
            Arc::new(Places {
                free: Arc::new(Semaphore::new(self.most)),
                state: Mutex::new(State {
                    limit: self.most,
                    owed: 0,
                    calm: 0,
                    not_before: None,
                }),
            })
        });
        Arc::clone(places)
    }
}

impl Places {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Learns from an answer how much may be asked of the host.
    pub fn answered(&self, status: u16, headers: &HeaderMap) {
        let mut state = self.places.state();
        if Outlook::of_status(status) == Outlook::Crowded {
            let fewer = (state.limit / 2).max(1);
            state.owed += state.limit - fewer;
            state.owed -= self.places.free.forget_permits(state.owed);
            state.limit = fewer;
            state.calm = 0;
            if let Some(asked) = retry_after(headers, SystemTime::now()) {
                let until = Instant::now() + asked.min(LONGEST_PAUSE);
                state.not_before = state.not_before.max(Some(until));
            }
        } else if (200..300).contains(&status) && state.limit < self.most {
            state.calm += 1;
            if state.calm < CALM {
                return;
            }
            state.calm = 0;
            state.limit += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.places.free.add_permits(1);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if state.owed > 0
            && let Some(permit) = self.permit.take()
        {
            state.owed -= 1;
            permit.forget();
        }
    }
}

impl fmt::Debug for Crowd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Crowd({})", self.most)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Turn").finish_non_exhaustive()
    }
}
