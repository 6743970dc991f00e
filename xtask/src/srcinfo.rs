//! `cargo xtask srcinfo`: what `makepkg --printsrcinfo` prints, without running the recipe.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use pkgbuild_syntax::{
    DynamicKind, Environment, Evaluation, Position, PrintError, evaluate, parse, printsrcinfo,
};

use printable::say_error;

/// Prints the .SRCINFO of a recipe, or of every recipe below a folder.
///
/// Exit status: 0 when all is known, 3 when only running the recipe would tell a value, 4 when the
/// recipe has syntax errors, 1 when makepkg would refuse it for another reason, 5 when `--check`
/// finds another text. With `--batch` the outcomes are files, and the status is 0 when all could be
/// written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The architecture to build for, as `CARCH` in makepkg.conf.
    #[arg(long, value_name = "ARCH", default_value = "x86_64")]
    carch: String,
    /// An environment variable that the recipe sees; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    set_env: Vec<String>,
    /// The recipe; `-` reads it from standard input, with the files of the current folder beside it.
    #[arg(required_unless_present = "batch")]
    file: Option<PathBuf>,
    /// Print the package as JSON: every field, and what the package functions override.
    #[arg(long, conflicts_with_all = ["batch", "check"])]
    json: bool,
    /// Compare with this .SRCINFO and print nothing but the lines that differ.
    #[arg(long, value_name = "FILE", conflicts_with = "batch")]
    check: Option<PathBuf>,
    /// Handle every `PKGBUILD` below this folder.
    #[arg(long, value_name = "DIR", requires = "out", conflicts_with = "file")]
    batch: Option<PathBuf>,
    /// Where `--batch` writes `<relative folder>/.SRCINFO`, or `DYNAMIC` or `ERROR` with the
    /// reasons.
    #[arg(long, value_name = "DIR", requires = "batch")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut environment = Environment::default()
        .with_carch(&args.carch)
        // As makepkg has it under `--printsrcinfo`.
        .with_variable("PRINTSRCINFO", "1");
    for pair in &args.set_env {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                environment = environment.with_variable(name, value);
            }
            _ => bail!("`--set-env {pair}`: expected `NAME=VALUE`"),
        }
    }
    match (&args.file, &args.batch, &args.out) {
        (Some(file), _, _) => one(file, args, &environment),
        (None, Some(folder), Some(out)) => batch(folder, out, &environment),
        _ => bail!("give a recipe, or `--batch DIR --out DIR`"),
    }
}

/// What came of one recipe; the texts are for people.
enum Outcome {
    Srcinfo(String),
    Dynamic(String),
    Syntax(String),
    Refused(String),
}

impl Outcome {
    const FILES: [&str; 3] = [".SRCINFO", "DYNAMIC", "ERROR"];

    fn file(&self) -> (&'static str, &str) {
        match self {
            Self::Srcinfo(text) => (Self::FILES[0], text),
            Self::Dynamic(text) => (Self::FILES[1], text),
            Self::Syntax(text) | Self::Refused(text) => (Self::FILES[2], text),
        }
    }
}

/// Longest recipe that is read, in bytes, and a byte more.
const MAX_RECIPE: u64 = pkgbuild_syntax::MAX_LENGTH as u64 + 1;

fn one(file: &Path, args: &Args, environment: &Environment) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    if file == Path::new("-") {
        let mut input = io::stdin().lock().take(MAX_RECIPE);
        input
            .read_to_end(&mut text)
            .context("failed to read standard input")?;
    } else {
        let opened =
            fs::File::open(file).and_then(|opened| opened.take(MAX_RECIPE).read_to_end(&mut text));
        opened.with_context(|| format!("failed to read `{}`", file.display()))?;
    }
    let outcome = srcinfo(&text, folder_of(file), environment);
    let (status, text) = match &outcome {
        Outcome::Srcinfo(srcinfo) if args.json => {
            let package = pkgbuild_syntax::Package::from_srcinfo(srcinfo)?;
            let full = read(&text, folder_of(file), environment);
            let package = full.unwrap_or(package);
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&package)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Outcome::Srcinfo(srcinfo) => {
            let Some(committed) = &args.check else {
                io::stdout().write_all(srcinfo.as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            };
            return check(committed, srcinfo);
        }
        Outcome::Dynamic(text) => (3, text),
        Outcome::Syntax(text) => (4, text),
        Outcome::Refused(text) => (1, text),
    };
    say_error!("{}:\n{}", file.display(), text.trim_end_matches('\n'));
    Ok(ExitCode::from(status))
}

/// The package of a recipe that parses and can be sourced.
fn read(text: &[u8], folder: &Path, environment: &Environment) -> Option<pkgbuild_syntax::Package> {
    let parsed = parse(text);
    let evaluation = with_files(folder, environment, |environment| {
        evaluate(&parsed.file, environment)
    });
    pkgbuild_syntax::Package::from_evaluation(&evaluation).ok()
}

/// Prints the lines that only one of the texts has.
fn check(committed: &Path, srcinfo: &str) -> anyhow::Result<ExitCode> {
    let old = fs::read_to_string(committed)
        .with_context(|| format!("failed to read `{}`", committed.display()))?;
    // makepkg writes no blank at the end of a line, and an editor may have left one.
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim_end().to_owned());
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    };
    let (old, new) = (lines(&old), lines(srcinfo));
    if old == new {
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout().lock();
    let (mut old, mut new) = (old.as_slice(), new.as_slice());
    // What both have in this order is left out; the texts are short.
    loop {
        match (old.split_first(), new.split_first()) {
            (Some((before, old_rest)), Some((after, new_rest))) if before == after => {
                (old, new) = (old_rest, new_rest);
            }
            (Some((before, rest)), _) if !new.contains(before) => {
                writeln!(out, "-{before}")?;
                old = rest;
            }
            (_, Some((after, rest))) => {
                writeln!(out, "+{after}")?;
                new = rest;
            }
            (_, None) => break,
        }
    }
    Ok(ExitCode::from(5))
}

pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The `.SRCINFO` of a recipe in the default environment, where it can be told.
pub(crate) fn print(text: &[u8], folder: &Path) -> Option<String> {
    match srcinfo(text, folder, &Environment::default()) {
        Outcome::Srcinfo(text) => Some(text),
        _ => None,
    }
}

fn srcinfo(text: &[u8], folder: &Path, environment: &Environment) -> Outcome {
    let parsed = parse(text);
    if !parsed.errors.is_empty() {
        let errors = parsed.errors.iter().map(|error| format!("{error:#}\n"));
        return Outcome::Syntax(errors.collect());
    }
    let evaluation = with_files(folder, environment, |environment| {
        evaluate(&parsed.file, environment)
    });
    let lines = |messages: Vec<String>| messages.join("\n") + "\n";
    match printsrcinfo(&evaluation, |path| folder.join(path).is_file()) {
        Ok(text) => Outcome::Srcinfo(text),
        Err(PrintError::Dynamic { reasons }) => Outcome::Dynamic(lines(
            reasons.iter().map(|reason| reason.describe(text)).collect(),
        )),
        Err(PrintError::Refused { diagnostics }) => {
            let line = |found: &pkgbuild_syntax::Diagnostic| match found.span {
                Some(span) => format!("{}: {found}", Position::of(text, span.start)),
                None => found.to_string(),
            };
            Outcome::Refused(lines(diagnostics.iter().map(line).collect()))
        }
        Err(PrintError::Package(error)) => Outcome::Refused(match error.span() {
            Some(span) => format!("{}: {error}\n", Position::of(text, span.start)),
            None => format!("{error}\n"),
        }),
        Err(error) => Outcome::Refused(format!("{error}\n")),
    }
}

/// The longest file beside a recipe that is read for it, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How many times a recipe is evaluated, each time with one more file known to be missing.
const MAX_ROUNDS: usize = 4;

/// Evaluates without any file first, which does for nearly every recipe; one that looks at files
/// is evaluated again with those that stand beside it.
pub(crate) fn with_files(
    folder: &Path,
    environment: &Environment,
    evaluate: impl Fn(&Environment) -> Evaluation,
) -> Evaluation {
    let place = fs::canonicalize(folder).ok();
    let place = place.and_then(|place| place.into_os_string().into_string().ok());
    let environment = &match place {
        Some(place) => environment.clone().with_directory(place),
        None => environment.clone(),
    };
    let mut evaluation = evaluate(environment);
    if !evaluation.looks_at_files() {
        return evaluation;
    }
    let mut environment = add_files(folder, environment.clone());
    for _ in 0..MAX_ROUNDS {
        evaluation = evaluate(&environment);
        let missing = evaluation
            .dynamic()
            .iter()
            .find_map(|reason| match &reason.kind {
                DynamicKind::File(path) if is_missing(folder, path) => Some(path.clone()),
                _ => None,
            });
        match missing {
            Some(path) => environment = environment.with_missing_file(path),
            None => break,
        }
    }
    evaluation
}

fn is_missing(folder: &Path, path: &str) -> bool {
    let found = folder.join(path).symlink_metadata();
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// How deep below the recipe files are read, and how many of them.
const MAX_LEVELS: usize = 4;
const MAX_FILES: usize = 2_000;

fn add_files(folder: &Path, environment: Environment) -> Environment {
    let mut left = MAX_FILES;
    add_below(folder, "", MAX_LEVELS, &mut left, environment)
}

/// Links are not followed: they could lead anywhere.
fn add_below(
    folder: &Path,
    prefix: &str,
    levels: usize,
    left: &mut usize,
    mut environment: Environment,
) -> Environment {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        if kind.is_dir() && levels > 0 && !name.starts_with('.') {
            environment = add_below(&path, &format!("{name}/"), levels - 1, left, environment);
        }
        let length = fs::metadata(&path)
            .ok()
            .filter(|file| file.is_file() && (prefix.is_empty() || kind.is_file()))
            .map(|file| file.len());
        if let Some(0..=MAX_FILE) = length
            && *left > 0
            && let Ok(contents) = fs::read(&path)
        {
            *left -= 1;
            environment = environment.with_file(name, contents);
        }
    }
    environment
}

fn batch(folder: &Path, out: &Path, environment: &Environment) -> anyhow::Result<ExitCode> {
    let mut recipes = Vec::new();
    find_recipes(folder, &mut recipes)?;
    recipes.sort();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut times = Vec::with_capacity(recipes.len());
    let mut bytes = 0;
    for file in &recipes {
        let text =
            fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        let start = Instant::now();
        let outcome = srcinfo(&text, folder_of(file), environment);
        times.push(start.elapsed());
        bytes += text.len();
        let target = out.join(
            folder_of(file)
                .strip_prefix(folder)
                .unwrap_or(Path::new("")),
        );
        let (name, text) = outcome.file();
        *counts.entry(name).or_default() += 1;
        write(&target, name, text)
            .with_context(|| format!("failed to write `{}`", target.join(name).display()))?;
    }
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    let count = |name| counts.get(name).copied().unwrap_or(0);
    let mut out = io::stdout().lock();
    writeln!(out, "recipes  {}", recipes.len())?;
    writeln!(out, ".SRCINFO {}", count(".SRCINFO"))?;
    writeln!(out, "DYNAMIC  {}", count("DYNAMIC"))?;
    writeln!(out, "ERROR    {}", count("ERROR"))?;
    writeln!(out, "bytes    {bytes}")?;
    writeln!(out, "MB/s     {:.1}", megabytes_a_second(bytes, total))?;
    writeln!(out, "median   {:.1} µs", percentile(&times, 50))?;
    writeln!(out, "p99      {:.1} µs", percentile(&times, 99))?;
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for stale in Outcome::FILES.into_iter().filter(|stale| *stale != name) {
        match fs::remove_file(folder.join(stale)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::write(folder.join(name), text)
}

/// Does not follow links, which could lead in circles.
fn find_recipes(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list `{}`", folder.display()))?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find_recipes(&entry.path(), found)?;
        } else if entry.file_name() == "PKGBUILD" && entry.path().is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes_a_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}
