//! Provisions one worker from a program of your own, with progress and Ctrl-C.
//!
//! `cargo run --example embed -- <worker id> [<catalog URL>]`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ArtifactProvisioner as _, Config, Happening, ProvisionEvent, WorkerProvisioner,
};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(worker_id) = arguments.next() else {
        eprintln!("usage: embed <worker id> [<catalog URL>]");
        return ExitCode::from(2);
    };
    let mut config = Config::from_env();
    if let Some(url) = arguments.next() {
        config.catalog_urls = vec![url];
    }
    let provisioner = match WorkerProvisioner::new(config) {
        Ok(provisioner) => provisioner.with_reporter(Arc::new(report)),
        Err(error) => return failed(&error),
    };

    let cancel = CancellationToken::new();
    let on_interrupt = cancel.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            on_interrupt.cancel();
        }
    });

    match provisioner.provision(&worker_id, "embed", cancel).await {
        Ok(worker) => {
            println!("{} is at {}", worker.name(), worker.path().display());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn report(event: &ProvisionEvent) {
    match &event.happening {
        Happening::Started => eprintln!("{} ...", event.phase.title()),
        Happening::Output { line, .. } => eprintln!("  | {line}"),
        Happening::Warning { text } => eprintln!("  warning: {text}"),
        _ => {}
    }
}

fn failed(error: &worker_provisioner::ProvisionError) -> ExitCode {
    eprintln!("error: {}", error.chain());
    ExitCode::FAILURE
}
