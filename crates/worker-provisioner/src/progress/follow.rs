//! Who is told: a reporter, and followers of a job served from a bounded backlog.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use tokio::sync::watch;

use super::event::{EVENT_VERSION, Happening, ProvisionEvent, ProvisionPhase};

/// How many events of one job a late [`Subscription`] can still see; fewer when they hold more than
/// [`BACKLOG_BYTES`] of text.
pub const BACKLOG: usize = 10_000;

/// How many bytes of text the events that are kept of one job hold at most.
pub const BACKLOG_BYTES: usize = 4 << 20;

/// How many finished jobs are kept for late subscribers.
const FINISHED_JOBS: usize = 64;

/// Receives events in order, from whichever task they come.
///
/// It is called with a lock held so that the order is kept: return soon, and never block.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: &ProvisionEvent);
}

impl<F: Fn(&ProvisionEvent) + Send + Sync> Reporter for F {
    fn report(&self, event: &ProvisionEvent) {
        self(event);
    }
}

/// The events of one job, as far as they are kept.
#[derive(Debug)]
struct JobLog {
    state: Mutex<JobState>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct JobState {
    events: VecDeque<ProvisionEvent>,
    /// Of text in `events`.
    bytes: usize,
    dropped: u64,
    opened: bool,
    closed: bool,
}

impl JobLog {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: ProvisionEvent) {
        let mut state = self.lock();
        state.bytes += event.text_len();
        state.events.push_back(event);
        while state.events.len() > BACKLOG || state.bytes > BACKLOG_BYTES {
            let Some(oldest) = state.events.pop_front() else {
                break;
            };
            state.bytes -= oldest.text_len();
            state.dropped += 1;
        }
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.send_modify(|count| *count += 1);
    }
}

/// Follows the events of one job from its first kept one to its end.
#[derive(Debug)]
pub struct Subscription {
    log: Arc<JobLog>,
    changed: watch::Receiver<u64>,
    next: u64,
}

impl Subscription {
    /// The next event, or `None` once the job has ended and everything was seen.
    ///
    /// A reader that falls more than [`BACKLOG`] events, or [`BACKLOG_BYTES`], behind misses the oldest ones, which
    /// shows as a gap in [`ProvisionEvent::sequence`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<ProvisionEvent> {
        loop {
            self.changed.mark_unchanged();
            {
                let state = self.log.lock();
                self.next = self.next.max(state.dropped);
                let index = usize::try_from(self.next - state.dropped).unwrap_or(usize::MAX);
                if let Some(event) = state.events.get(index) {
                    self.next += 1;
                    return Some(event.clone());
                }
                if state.closed {
                    return None;
                }
            }
            if self.changed.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The same as a stream, such as one of server-sent events is made of.
    pub fn into_stream(self) -> impl Stream<Item = ProvisionEvent> + Send + Unpin + 'static {
        let next = |mut subscription: Self| async move {
            let event = subscription.next().await?;
            Some((event, subscription))
        };
        Box::pin(stream::unfold(self, next))
    }
}

/// The job logs of one provisioner.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    state: Mutex<JobTable>,
}

#[derive(Debug, Default)]
struct JobTable {
    logs: HashMap<String, Arc<JobLog>>,
    finished: VecDeque<String>,
}

impl Jobs {
    /// Follows `job_id`, which may not have started yet.
    pub(crate) fn subscribe(&self, job_id: &str) -> Subscription {
        let log = self.log(job_id);
        let changed = log.changed.subscribe();
        Subscription {
            log,
            changed,
            next: 0,
        }
    }

    fn log(&self, job_id: &str) -> Arc<JobLog> {
        let mut table = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Jobs that never started and that nobody waits for any more.
        table
            .logs
            .retain(|_, log| Arc::strong_count(log) > 1 || log.lock().opened);
        Arc::clone(
            table
                .logs
                .entry(job_id.to_owned())
                .or_insert_with(JobLog::new),
        )
    }

    /// Starts the log of `job_id` anew when an earlier provision of that name has ended.
    fn open(&self, job_id: &str) -> Arc<JobLog> {
        let mut table = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let log = table
            .logs
            .entry(job_id.to_owned())
            .or_insert_with(JobLog::new);
        if log.lock().closed {
            *log = JobLog::new();
        }
        log.lock().opened = true;
        Arc::clone(log)
    }

    fn finish(&self, job_id: &str, log: &Arc<JobLog>) {
        log.close();
        let mut table = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        table.finished.retain(|finished| finished != job_id);
        table.finished.push_back(job_id.to_owned());
        while table.finished.len() > FINISHED_JOBS {
            if let Some(oldest) = table.finished.pop_front()
                && table.logs.get(&oldest).is_some_and(|log| log.lock().closed)
            {
                table.logs.remove(&oldest);
            }
        }
    }
}

/// Numbers the events of one provision and hands them on.
///
/// Dropping it ends the job's log, so a subscriber of a dropped provision does not wait for ever.
pub(crate) struct Emitter {
    jobs: Arc<Jobs>,
    reporter: Option<Arc<dyn Reporter>>,
    worker_id: String,
    state: Mutex<EmitterState>,
}

struct EmitterState {
    sequence: u64,
    /// Whoever waits for the provision, the one that started it first.
    followers: Vec<(String, Arc<JobLog>)>,
}

impl Emitter {
    pub(crate) fn new(
        jobs: &Arc<Jobs>,
        reporter: Option<Arc<dyn Reporter>>,
        job_id: &str,
        worker_id: &str,
    ) -> Arc<Self> {
        let followers = vec![(job_id.to_owned(), jobs.open(job_id))];
        Arc::new(Self {
            jobs: Arc::clone(jobs),
            reporter,
            worker_id: worker_id.to_owned(),
            state: Mutex::new(EmitterState {
                sequence: 0,
                followers,
            }),
        })
    }

    /// One that nobody listens to.
    pub(crate) fn silent(jobs: &Arc<Jobs>, worker_id: &str) -> Arc<Self> {
        Arc::new(Self {
            jobs: Arc::clone(jobs),
            reporter: None,
            worker_id: worker_id.to_owned(),
            state: Mutex::new(EmitterState {
                sequence: 0,
                followers: Vec::new(),
            }),
        })
    }

    /// Tells the job everything that has happened so far, as far as it is kept, and from now on.
    pub(crate) fn add_job(&self, jobs: &Jobs, job_id: &str) {
        let mut state = self.lock();
        if state
            .followers
            .iter()
            .any(|(follower, _)| follower == job_id)
        {
            return;
        }
        let log = jobs.open(job_id);
        let past: Vec<_> = match state.followers.first() {
            Some((_, first)) => first.lock().events.iter().cloned().collect(),
            None => Vec::new(),
        };
        for mut event in past {
            job_id.clone_into(&mut event.job_id);
            self.deliver(&log, event);
        }
        state.followers.push((job_id.to_owned(), log));
    }

    fn lock(&self) -> MutexGuard<'_, EmitterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, log: &JobLog, event: ProvisionEvent) {
        if let Some(reporter) = &self.reporter {
            reporter.report(&event);
        }
        log.push(event);
    }

    pub(crate) fn emit(&self, phase: ProvisionPhase, happening: Happening) {
        // Held while the event is handed on: two tasks cannot overtake one another.
        let mut state = self.lock();
        let event = ProvisionEvent {
            version: EVENT_VERSION,
            job_id: String::new(),
            worker_id: self.worker_id.clone(),
            sequence: state.sequence,
            time: Timestamp::now(),
            phase,
            happening,
        };
        state.sequence += 1;
        for (job_id, log) in &state.followers {
            self.deliver(
                log,
                ProvisionEvent {
                    job_id: job_id.clone(),
                    ..event.clone()
                },
            );
        }
    }

    pub(crate) fn note(&self, phase: ProvisionPhase, text: impl Into<String>) {
        self.emit(phase, Happening::Note { text: text.into() });
    }

    pub(crate) fn warn(&self, phase: ProvisionPhase, text: impl Into<String>) {
        self.emit(phase, Happening::Warning { text: text.into() });
    }
}

impl Drop for Emitter {
    fn drop(&mut self) {
        let followers = std::mem::take(&mut self.lock().followers);
        for (job_id, log) in followers {
            self.jobs.finish(&job_id, &log);
        }
    }
}

impl std::fmt::Debug for Emitter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Emitter")
            .field("worker_id", &self.worker_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_late_subscriber_sees_everything_in_order() {
        let jobs = Arc::new(Jobs::default());
        let mut early = jobs.subscribe("job");
        let emitter = Emitter::new(&jobs, None, "job", "worker");
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let emitter = Arc::clone(&emitter);
                tokio::spawn(async move { emitter.note(ProvisionPhase::Build, "line") })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        drop(emitter);
        let mut late = jobs.subscribe("job");
        for expected in 0..8 {
            assert_eq!(early.next().await.unwrap().sequence, expected);
            assert_eq!(late.next().await.unwrap().sequence, expected);
        }
        assert!(early.next().await.is_none());
        assert!(late.next().await.is_none());
        let all: Vec<_> = jobs.subscribe("job").into_stream().collect().await;
        assert_eq!(all.len(), 8);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_in_bytes_too() {
        let jobs = Arc::new(Jobs::default());
        let emitter = Emitter::new(&jobs, None, "job", "worker");
        let line = "x".repeat(64 << 10);
        for _ in 0..200 {
            emitter.note(ProvisionPhase::Build, line.as_str());
        }
        emitter.note(ProvisionPhase::Build, "last");
        drop(emitter);
        let kept: Vec<_> = jobs.subscribe("job").into_stream().collect().await;
        let bytes: usize = kept.iter().map(ProvisionEvent::text_len).sum();
        assert!(
            bytes <= BACKLOG_BYTES && bytes > BACKLOG_BYTES / 2,
            "{bytes}"
        );
        assert_eq!(kept.last().unwrap().sequence, 200);
    }

    #[test]
    fn a_job_that_nobody_starts_or_waits_for_is_forgotten() {
        let jobs = Jobs::default();
        let waiting = jobs.subscribe("waiting");
        for index in 0..1_000 {
            drop(jobs.subscribe(&format!("never-{index}")));
        }
        let logs = jobs.state.lock().unwrap().logs.len();
        assert!(logs <= 2, "{logs}");
        let log = Arc::clone(&waiting.log);
        assert!(Arc::ptr_eq(&log, &jobs.open("waiting")));
    }
}
