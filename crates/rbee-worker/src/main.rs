#![doc = include_str!("../README.md")]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod display;
mod doctor;
mod install;
mod installed;
mod offers;
mod outcome;
mod settings;
mod shells;
mod sources;
mod switches;
mod upgrade;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// Installs, updates and looks after the workers of rbee-hive.
#[derive(Debug, Parser)]
#[command(name = "rbee-worker", version, about, after_help = outcome::EXIT_CODES)]
#[command(args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Show the libraries' own log on standard error; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show nothing but the result and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Install(install::Install),
    #[command(flatten)]
    Installed(installed::Installed),
    Outdated(upgrade::Outdated),
    Upgrade(upgrade::Upgrade),
    Search(offers::Search),
    Show(offers::Show),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Config(settings::Settings),
    Completions(shells::Completions),
    Man(shells::Man),
}

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loudness {
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
}

fn main() -> ExitCode {
    let result = settings::arguments(&Cli::command())
        .map(|arguments| Cli::command().get_matches_from(arguments))
        .and_then(|matches| Ok(Cli::from_arg_matches(&matches)?));
    let outcome = result.and_then(|cli| {
        let loudness = Loudness {
            verbose: cli.verbose,
            quiet: cli.quiet,
        };
        log(loudness);
        run(cli.command, loudness)
    });
    outcome.unwrap_or_else(|error| outcome::failed(&error))
}

fn run(command: Command, loudness: Loudness) -> Result<ExitCode> {
    match command {
        Command::Install(command) => block_on(command.run(loudness)),
        Command::Installed(command) => block_on(command.run()),
        Command::Outdated(command) => block_on(command.run()),
        Command::Upgrade(command) => block_on(command.run(loudness)),
        Command::Search(command) => block_on(command.run()),
        Command::Show(command) => block_on(command.run()),
        Command::Doctor(command) => block_on(command.run()),
        Command::Config(command) => command.run(),
        Command::Completions(command) => Ok(command.run(&mut Cli::command())),
        Command::Man(command) => command.run(&Cli::command()),
    }
}

/// Shows the libraries' spans where they are asked for.
fn log(loudness: Loudness) {
    let level = match loudness.verbose {
        0 => return,
        1 => "info",
        _ => "debug",
    };
    let crates = "worker_provisioner,catalog_client,source_fetch,build_sandbox,network_policy";
    let filter: Vec<_> = crates
        .split(',')
        .map(|name| format!("{name}={level}"))
        .collect();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter.join(","))
        .with_writer(std::io::stderr)
        .try_init();
}

fn block_on(future: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }
}
