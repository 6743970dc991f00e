//! Work that blocks, off the runtime's threads.

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

/// Threads at work at once, for all clients of the process. More would not be faster, and each one
/// costs a program that asks for hundreds of workers its stack.
const THREADS: usize = 8;

static FREE: Semaphore = Semaphore::const_new(THREADS);

/// Runs `work`, which must not wait for other work that comes here.
///
/// # Errors
/// When `work` panics, or the runtime shuts down before it begins.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    // Only a closed semaphore gives none, and nobody closes this one.
    let free = FREE.acquire().await.ok();
    let work = move || {
        // Held by the work and not by the future, which may be dropped meanwhile.
        let _free = free;
        work()
    };
    spawn_blocking(work).await
}
