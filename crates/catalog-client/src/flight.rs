//! Requests under way, shared by everyone who asks for the same thing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, WeakShared};

use crate::error::CatalogError;
use crate::fetch::{Fetched, Fetcher, Target};
use crate::payload::Kind;

type Flight = BoxFuture<'static, Result<Arc<Fetched>, CatalogError>>;

/// What is asked for, and whether a kept answer may do.
type Key = (Kind, bool, Target);

/// The requests under way.
///
/// A flight belongs to all who wait for it: any of them drives it, it goes on when the one who
/// started it is cancelled, and it is dropped with the last. No task is spawned.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, WeakShared<Flight>>>);

impl Flights {
    pub(crate) async fn join(
        &self,
        fetcher: &Arc<Fetcher>,
        target: Target,
        kind: Kind,
    ) -> Result<Arc<Fetched>, CatalogError> {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| flight.upgrade().is_some_and(|f| f.peek().is_none()));
            let key = (kind, fetcher.refresh, target);
            if let Some(flight) = flights.get(&key).and_then(WeakShared::upgrade) {
                flight
            } else {
                let (fetcher, target) = (Arc::clone(fetcher), key.2.clone());
                let flight = async move { fetcher.fetch(&target, kind).await.map(Arc::new) }
                    .boxed()
                    .shared();
                if let Some(weak) = flight.downgrade() {
                    flights.insert(key, weak);
                }
                flight
            }
        };
        flight.await
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flights")
    }
}
