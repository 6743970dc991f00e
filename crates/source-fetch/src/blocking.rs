//! Blocking work off the runtime's threads.

use tokio::task;
use tokio_util::sync::CancellationToken;

use crate::error::FetchError;

/// Runs `work` on a thread that may block and waits for its result.
///
/// A panic goes on in the caller. When `token` is cancelled the call returns
/// [`FetchError::Cancelled`] at once; the work itself must look at the token to end soon too.
///
/// # Errors
/// What `work` returns, or [`FetchError::Cancelled`].
pub(crate) async fn run<T, F>(token: &CancellationToken, work: F) -> Result<T, FetchError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, FetchError> + Send + 'static,
{
    let handle = task::spawn_blocking(work);
    tokio::select! {
        biased;
        () = token.cancelled() => Err(FetchError::Cancelled),
        joined = handle => match joined {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(FetchError::Cancelled),
        },
    }
}
