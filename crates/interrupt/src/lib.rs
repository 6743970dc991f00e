#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGINT, SIGTERM or SIGHUP, which no longer end the process from then
/// on. It needs the current tokio runtime, which must have I/O enabled.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn token() -> std::io::Result<CancellationToken> {
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
