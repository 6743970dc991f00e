//! Developer commands for the workspace: `cargo xtask --help` lists them.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod archives;
mod bench;
mod bump;
mod catalog;
mod diff;
mod e2e;
mod faults;
mod fetch;
mod lint;
mod picture;
mod program;
mod replace;
mod soak;
mod sources;
mod srcinfo;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Local end-to-end runs and tools for the worker provisioner.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Archives(archives::Archives),
    E2e(e2e::E2e),
    Faults(faults::Faults),
    Soak(soak::Soak),
    Catalog(catalog::Catalog),
    Fetch(fetch::Fetch),
    Srcinfo(srcinfo::Args),
    Lint(lint::Args),
    Diff(diff::Args),
    Bump(bump::Bump),
    Bench(bench::Bench),
    Picture(picture::Picture),
    #[command(name = "bench-meter", hide = true)]
    Meter(bench::Meter),
    #[command(name = "bench-case", hide = true)]
    Case(bench::Case),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        // Whoever read the output wants no more of it.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            printable::say_error!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let causes = error.chain();
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Archives(command) => block_on(command.run()),
        Command::E2e(command) => block_on(command.run()),
        Command::Faults(command) => command.run(),
        Command::Soak(command) => command.run(),
        Command::Catalog(command) => block_on(command.run()),
        Command::Fetch(command) => block_on(command.run()),
        Command::Srcinfo(args) => srcinfo::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Bump(command) => block_on(command.run()),
        Command::Bench(command) => block_on(command.run()),
        Command::Picture(command) => block_on(command.run()),
        Command::Meter(command) => command.run(),
        Command::Case(command) => block_on(command.run()),
    }
}

fn block_on(future: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(future)
}
