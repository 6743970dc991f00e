//! Which workers the catalog is known to offer, remembered so that asking never waits.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalog_client::{Answer, WorkerId, WorkerList};

/// How long a list counts: as long as the service lets it be kept.
const FRESH: Duration = Duration::from_hours(1);

/// The ids of the catalog's last known list, and until when it counts.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    list: Mutex<Option<(Instant, BTreeSet<WorkerId>)>>,
}

impl Offered {
    /// Remembers a whole list that was sent `age` ago; one that is too old tells nothing.
    pub(crate) fn learn(&self, age: Duration, ids: impl IntoIterator<Item = WorkerId>) {
        if let Some(left) = FRESH.checked_sub(age) {
            *self.lock() = Some((Instant::now() + left, ids.into_iter().collect()));
        }
    }

    /// Remembers what the catalog has answered.
    pub(crate) fn learn_list(&self, list: Answer<WorkerList>) {
        let workers = list.value.workers.into_iter();
        self.learn(list.freshness.age(), workers.map(|worker| worker.id));
    }

    /// Remembers that a worker was there after all.
    pub(crate) fn add(&self, id: &WorkerId) {
        if let Some((_, ids)) = self.lock().as_mut() {
            ids.insert(id.clone());
        }
    }

    /// Whether the catalog offers `id` under either generation's name; `None` when nothing recent
    /// is known.
    pub(crate) fn has(&self, id: &WorkerId) -> Option<bool> {
        let list = self.lock();
        let (until, ids) = list.as_ref()?;
        if Instant::now() > *until {
            return None;
        }
        let name = |id: &WorkerId| id.split_backend().map(|(name, _)| name);
        Some(
            ids.contains(id)
                || name(id).is_some_and(|name| ids.contains(&name))
                || ids.iter().any(|other| name(other).as_ref() == Some(id)),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, BTreeSet<WorkerId>)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_worker_is_known_by_either_generations_name() {
        let id = |text: &str| text.parse::<WorkerId>().unwrap();
        let offered = Offered::default();
        assert_eq!(offered.has(&id("one")), None);
        offered.learn(Duration::from_hours(2), [id("one")]);
        assert_eq!(offered.has(&id("one")), None, "too long ago");
        offered.learn(Duration::ZERO, [id("one"), id("two-cuda")]);
        for (name, expected) in [
            ("one", true),
            ("one-cpu", true),
            ("two", true),
            ("two-cuda", true),
            ("two-cpu", false),
            ("three", false),
        ] {
            assert_eq!(offered.has(&id(name)), Some(expected), "{name}");
        }
        offered.add(&id("three"));
        assert_eq!(offered.has(&id("three")), Some(true));
    }
}
