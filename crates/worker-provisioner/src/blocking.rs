//! File system work, off the runtime's threads.

use tokio::sync::Semaphore;

use crate::error::ProvisionError;

/// Threads at work at once, for all provisioners of the process. More would not be faster, and with
/// every thread that a process has its forks, which start the builds, take longer.
const THREADS: usize = 8;

static FREE: Semaphore = Semaphore::const_new(THREADS);

/// Runs file system work off the runtime's threads.
///
/// `work` must not wait for other work that comes here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProvisionError> + Send + 'static,
) -> Result<T, ProvisionError> {
    // Only a closed semaphore gives none, and nobody closes this one.
    let free = FREE.acquire().await.ok();
    let span = tracing::Span::current();
    let work = move || {
        // Held by the work and not by the future, which may be dropped meanwhile.
        let _free = free;
        span.in_scope(work)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels blocking work that has not begun.
            Err(_) => Err(ProvisionError::Cancelled),
        },
    }
}
