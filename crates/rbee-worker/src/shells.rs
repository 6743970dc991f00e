//! `rbee-worker completions|man`: made from the definitions of the commands.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::outcome::unless_closed;

/// Print the completions of a shell, to be put where it looks for them.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(&self, command: &mut Command) -> ExitCode {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, command, "rbee-worker", &mut text);
        let written = io::Write::write_all(&mut io::stdout(), &text);
        match written.or_else(unless_closed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// Print the manual page, or write one for each command into a directory.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where the pages go; the main page goes to standard output without it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    /// Runs the command.
    pub(crate) fn run(&self, command: &Command) -> Result<ExitCode> {
        if let Some(directory) = &self.out {
            std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(command.clone(), directory))
                .with_context(|| format!("cannot write to `{}`", directory.display()))?;
        } else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page)?;
            io::Write::write_all(&mut io::stdout(), &page).or_else(unless_closed)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
