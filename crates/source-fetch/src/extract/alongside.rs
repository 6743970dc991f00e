//! Unpacks a download into its private directory while it still arrives.
//!
//! It reads the unfinished file and not the connection: a slow decoder does not hold the transfer up, nothing is
//! buffered twice, and a resumed download is followed from its first byte.

use std::any::Any;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::follow::{Arrived, Follower};
use super::{Job, Outcome, Stop, from_stream};
use crate::error::FetchError;

/// Nothing when the format can only be read as a whole.
type Result = std::result::Result<Option<Outcome>, Stop>;

/// Follows one download; dropping it stops the work.
pub(crate) struct Alongside {
    job: Job,
    /// Kept until the thread has ended: the directory that it writes to.
    keep: Arc<dyn Any + Send + Sync>,
    running: Mutex<Option<Running>>,
}

struct Running {
    arrived: Abandon,
    outcome: oneshot::Receiver<Result>,
    thread: JoinHandle<()>,
}

/// Tells the thread that the rest never comes, unless it has everything by then.
struct Abandon(Arc<Arrived>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl std::fmt::Debug for Alongside {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Alongside")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}

impl Alongside {
    pub(crate) fn new(job: Job, keep: Arc<dyn Any + Send + Sync>) -> Self {
        Self {
            job,
            keep,
            running: Mutex::new(None),
        }
    }

    /// Follows the file at `path`, which holds `length` good bytes; goes on when it does already.
    ///
    /// Returns where to tell what arrives; nothing when no thread can be had, and then the file is unpacked later.
    pub(crate) fn follow(&self, path: &Path, length: u64) -> Option<Arc<Arrived>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_none() {
            *running = self.start(path);
        }
        let arrived = &running.as_ref()?.arrived.0;
        arrived.advance(length);
        Some(Arc::clone(arrived))
    }

    fn start(&self, path: &Path) -> Option<Running> {
        let file = File::open(path).ok()?;
        let arrived = Arc::new(Arrived::default());
        let follower = Follower::new(file, Arc::clone(&arrived));
        let (sender, outcome) = oneshot::channel();
        let (job, keep) = (self.job.clone(), Arc::clone(&self.keep));
        // A thread of its own: on the runtime's pool it could wait for a writer that has no thread left.
        let thread = std::thread::Builder::new()
            .name("unpack".into())
            .spawn(move || {
                let result = from_stream(&job, follower);
                drop(keep);
                let _ = sender.send(result);
            })
            .ok()?;
        Some(Running {
            arrived: Abandon(arrived),
            outcome,
            thread,
        })
    }

    /// Throws away what was unpacked: the download starts again.
    ///
    /// # Errors
    /// [`FetchError::Io`] when it cannot be removed.
    pub(crate) async fn restart(&self) -> std::result::Result<(), FetchError> {
        let Some(Running {
            arrived,
            outcome,
            thread,
        }) = self.take()
        else {
            return Ok(());
        };
        drop(arrived);
        let ended = outcome.await.is_ok();
        let root = self.job.root.clone();
        crate::blocking::run(&self.job.token, move || {
            join(thread, ended);
            match crate::staging::remove_tree(&root) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(FetchError::io("remove", root)(error))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Waits for the end, now that the whole file is there; nothing when the file is still to be unpacked.
    ///
    /// # Errors
    /// Those of unpacking the file.
    pub(crate) async fn finish(&self) -> Result {
        let Some(running) = self.take() else {
            return Ok(None);
        };
        running.arrived.0.finish();
        let result = running.outcome.await;
        join(running.thread, result.is_ok());
        result.unwrap_or(Err(Stop::Cancelled))
    }

    fn take(&self) -> Option<Running> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Passes a panic on; a thread that has given its result has none.
fn join(thread: JoinHandle<()>, ended: bool) {
    if !ended && let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
