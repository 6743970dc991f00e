//! A small hive: installs workers on request and streams what happens.
//!
//! `cargo run -p worker-provisioner --example hive -- [<port>]`, then
//!
//! ```sh
//! curl -d '{"operation":"worker_install","hive_id":"local","worker_id":"llm-worker-rbee"}' \
//!   -H 'content-type: application/json' http://127.0.0.1:7835/v1/jobs
//! curl -N http://127.0.0.1:7835/v1/jobs/<job id>/stream
//! ```
#![allow(clippy::print_stdout)]

mod router;

use std::error::Error;

use worker_provisioner::{Config, FilesystemCatalog, WorkerProvisioner};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args()
        .nth(1)
        .map_or(Ok(7835), |port| port.parse())?;
    let config = Config::from_env();
    let catalog = FilesystemCatalog::new(config.data_dir.join("workers"));
    let router = router::router(WorkerProvisioner::new(config)?, catalog);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
