//! Callers that want the same thing at the same time share one piece of work.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The work under way, by what it is for.
#[derive(Debug)]
pub(crate) struct Joins<K, C, T> {
    flights: Arc<Mutex<HashMap<K, Flight<C, T>>>>,
}

/// One piece of work that several callers may wait for.
#[derive(Debug)]
struct Flight<C, T> {
    /// Tells this work from a later one for the same key.
    number: u64,
    waiters: usize,
    cancel: CancellationToken,
    context: C,
    outcome: watch::Receiver<Option<T>>,
}

impl<K, C, T> Default for Joins<K, C, T> {
    fn default() -> Self {
        Self {
            flights: Arc::default(),
        }
    }
}

/// A caller's place in the work; leaving as the last one cancels it.
#[derive(Debug)]
pub(crate) struct Waiter<K: Eq + Hash, C, T> {
    flights: Arc<Mutex<HashMap<K, Flight<C, T>>>>,
    key: K,
    number: u64,
    outcome: watch::Receiver<Option<T>>,
    staying: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, C, T> Joins<K, C, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    C: Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the work for `key` that is under way, after `joined` has seen its context, or starts
    /// it on a task of its own.
    pub(crate) fn join<F>(
        &self,
        key: K,
        joined: impl FnOnce(&C),
        start: impl FnOnce(CancellationToken) -> (C, F),
    ) -> Waiter<K, C, T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get_mut(&key)
            && !flight.cancel.is_cancelled()
        {
            flight.waiters += 1;
            joined(&flight.context);
            let (number, outcome) = (flight.number, flight.outcome.clone());
            return self.waiter(key, number, outcome);
        }
        let number = flights.get(&key).map_or(0, |flight| flight.number + 1);
        let cancel = CancellationToken::new();
        let (sender, outcome) = watch::channel(None);
        let (context, work) = start(cancel.clone());
        let flight = Flight {
            number,
            waiters: 1,
            cancel,
            context,
            outcome: outcome.clone(),
        };
        flights.insert(key.clone(), flight);
        let table = Arc::clone(&self.flights);
        let finished = key.clone();
        tokio::spawn(async move {
            let value = work.await;
            let mut flights = lock(&table);
            if flights
                .get(&finished)
                .is_some_and(|flight| flight.number == number)
            {
                flights.remove(&finished);
            }
            drop(flights);
            sender.send_replace(Some(value));
        });
        self.waiter(key, number, outcome)
    }

    fn waiter(&self, key: K, number: u64, outcome: watch::Receiver<Option<T>>) -> Waiter<K, C, T> {
        Waiter {
            flights: Arc::clone(&self.flights),
            key,
            number,
            outcome,
            staying: true,
        }
    }
}

impl<K: Eq + Hash, C, T: Clone> Waiter<K, C, T> {
    /// The outcome; `None` when the work was lost to a panic or a runtime that shuts down.
    ///
    /// When `cancel` is cancelled, the last waiter cancels the work and still waits for what comes
    /// of it; any other one leaves.
    pub(crate) async fn wait(mut self, cancel: &CancellationToken) -> Result<Option<T>, Left> {
        let mut outcome = self.outcome.clone();
        let finished = async {
            let value = outcome.wait_for(Option::is_some).await.ok()?;
            value.clone()
        };
        tokio::pin!(finished);
        tokio::select! {
            biased;
            value = &mut finished => return Ok(value),
            () = cancel.cancelled() => {}
        }
        if self.leave() {
            Ok(finished.await)
        } else {
            Err(Left)
        }
    }
}

impl<K: Eq + Hash, C, T> Waiter<K, C, T> {
    /// Gives the place up; whether nobody else waits.
    fn leave(&mut self) -> bool {
        if !std::mem::take(&mut self.staying) {
            return true;
        }
        let mut flights = lock(&self.flights);
        let Some(flight) = flights.get_mut(&self.key) else {
            return true;
        };
        if flight.number != self.number {
            return true;
        }
        flight.waiters -= 1;
        if flight.waiters == 0 {
            flight.cancel.cancel();
        }
        flight.waiters == 0
    }
}

impl<K: Eq + Hash, C, T> Drop for Waiter<K, C, T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The caller left while others still wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    type Numbers = Joins<&'static str, (), u32>;

    #[tokio::test]
    async fn callers_of_the_same_key_share_one_piece_of_work() {
        let joins = Numbers::default();
        let (open, opened) = tokio::sync::oneshot::channel::<()>();
        let first = joins.join(
            "a",
            |()| panic!("nothing to join"),
            |_| {
                ((), async move {
                    opened.await.unwrap();
                    7
                })
            },
        );
        let second = joins.join(
            "a",
            |()| {},
            |_| -> ((), std::future::Ready<u32>) { panic!("already under way") },
        );
        let never = CancellationToken::new();
        open.send(()).unwrap();
        assert_eq!(first.wait(&never).await, Ok(Some(7)));
        assert_eq!(second.wait(&never).await, Ok(Some(7)));
        let third = joins.join("a", |()| panic!("it is over"), |_| ((), async { 8 }));
        assert_eq!(third.wait(&never).await, Ok(Some(8)));
    }

    #[tokio::test]
    async fn only_the_last_to_leave_cancels_the_work() {
        let joins = Numbers::default();
        let work = |cancel: CancellationToken| {
            ((), async move {
                cancel.cancelled().await;
                9
            })
        };
        let first = joins.join("a", |()| {}, work);
        let second = joins.join("a", |()| {}, work);
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert_eq!(first.wait(&cancelled).await, Err(Left));
        assert_eq!(second.wait(&cancelled).await, Ok(Some(9)));
    }

    #[tokio::test]
    async fn a_dropped_waiter_counts_as_one_that_left() {
        let joins = Numbers::default();
        let (seen, observed) = tokio::sync::oneshot::channel();
        let waiter = joins.join(
            "a",
            |()| {},
            |cancel| {
                ((), async move {
                    cancel.cancelled().await;
                    seen.send(()).unwrap();
                    0
                })
            },
        );
        drop(waiter);
        observed.await.unwrap();
    }
}
