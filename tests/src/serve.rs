//! Runs a router on a loopback port until dropped.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An HTTP server on loopback; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    /// Serves `router` on `port`, or on a free port when it is 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, router: Router) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("failed to listen on port {port}; is it taken?"))?;
        let address = listener.local_addr()?;
        // An answer in several pieces would wait for the acknowledgement of the first.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            // Not a graceful shutdown: an idle keep-alive connection would hold it open.
            tokio::select! {
                () = stopped.cancelled() => {}
                _ = axum::serve(listener, router) => {}
            }
        });
        Ok(Self {
            address,
            _stop: stop.drop_guard(),
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}
