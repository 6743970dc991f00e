//! One run of one command: how long it took and how much memory it had at most.
//!
//! Each run is a child of a small process of its own, because the kernel counts what a parent
//! occupies as its child's until the child has called exec, and the parent here serves files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::resource::{UsageWho, getrusage};

/// What one run gave, by name: [`WALL`], [`PEAK`], and whatever the command says of itself.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Seconds from the start of a command to its end.
pub(crate) const WALL: &str = "wall";

/// The most memory that one process of a command had at a time, in KiB.
pub(crate) const PEAK: &str = "peak_kib";

/// Runs one command and prints what it took as JSON.
///
/// Figures that the command prints as JSON in its last line replace those of the outside.
#[derive(Debug, Args)]
pub(crate) struct Meter {
    /// Keep the command's standard output in this file.
    #[arg(long)]
    output: Option<PathBuf>,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<std::ffi::OsString>,
}

impl Meter {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (program, arguments) = self.command.split_first().context("no command is given")?;
        let started = Instant::now();
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("failed to start `{}`", program.display()))?;
        let wall = started.elapsed().as_secs_f64();
        if !output.status.success() {
            bail!("`{}` ended with {}", program.display(), output.status);
        }
        if let Some(file) = &self.output {
            std::fs::write(file, &output.stdout)?;
        }
        let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
        let mut figures = Figures::from([
            (WALL.to_owned(), wall),
            (PEAK.to_owned(), f64::from(u32::try_from(peak)?)),
        ]);
        let text = String::from_utf8_lossy(&output.stdout);
        if let Some(said) = text.lines().last()
            && let Ok(own) = serde_json::from_str::<Figures>(said)
        {
            figures.extend(own);
        }
        println!("{}", serde_json::to_string(&figures)?);
        Ok(ExitCode::SUCCESS)
    }
}

/// The hidden command that [`Meter`] is.
pub(crate) const WRAPPER: &str = "bench-meter";

/// A command that is measured: add its arguments, environment and folder.
///
/// # Errors
/// When this program's own file cannot be found.
pub(crate) fn metered(program: impl AsRef<OsStr>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([WRAPPER, "--"]).arg(program);
    Ok(command)
}

/// One of this program's own cases, in a process of its own.
///
/// # Errors
/// When this program's own file cannot be found.
pub(crate) fn case(name: &str) -> Result<Command> {
    let mut command = metered(std::env::current_exe()?)?;
    command.args(["bench-case", name]);
    Ok(command)
}

/// Runs a command made by [`metered`] or [`case`].
///
/// # Errors
/// When it fails; what it said on standard error is in the message.
pub(crate) fn run(mut command: Command) -> Result<Figures> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let arguments: Vec<_> = command.get_args().skip(2).collect();
        bail!("{arguments:?} failed: {}", said.trim_end());
    }
    serde_json::from_slice(&output.stdout).context("the measured command printed no figures")
}

/// One of the commands that take turns.
pub(crate) struct Contender<'a> {
    /// Makes ready and gives the command of a round; not measured.
    prepare: Box<dyn FnMut(usize) -> Result<Command> + 'a>,
    figures: Vec<Figures>,
}

impl<'a> Contender<'a> {
    /// A command that differs from round to round.
    pub(crate) fn new(prepare: impl FnMut(usize) -> Result<Command> + 'a) -> Self {
        Self {
            prepare: Box::new(prepare),
            figures: Vec::new(),
        }
    }
}

/// Lets the contenders take turns for so many rounds; each round starts with another one.
///
/// # Errors
/// When one of them fails: a ratio with a failure in it would say nothing.
pub(crate) fn interleave<const N: usize>(
    rounds: usize,
    mut contenders: [Contender<'_>; N],
) -> Result<[Vec<Figures>; N]> {
    let bar = ProgressBar::new(rounds as u64);
    if let Ok(style) = ProgressStyle::with_template("  round {pos} of {len}, {elapsed}") {
        bar.set_style(style);
    }
    for round in 0..rounds {
        bar.set_position(round as u64 + 1);
        for turn in 0..N {
            let contender = &mut contenders[(turn + round) % N];
            let figures = run((contender.prepare)(round)?)?;
            contender.figures.push(figures);
        }
    }
    bar.finish_and_clear();
    Ok(contenders.map(|contender| contender.figures))
}
