//! Ctrl-C and SIGTERM cancel the work instead of ending the process.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
/// When the handlers cannot be installed.
pub(crate) fn token() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut arrivals = signal(kind)?;
        let token = token.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                token.cancel();
            }
        });
    }
    Ok(token)
}
