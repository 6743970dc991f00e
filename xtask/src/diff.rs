//! `cargo xtask diff`: what a new text of a recipe does that the old one did not.

use std::cmp::Reverse;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use pkgbuild_syntax::{
    Environment, Evaluation, MAX_LENGTH, Position, Weight, compare, evaluate, parse,
};
use serde::Serialize;

use crate::srcinfo::{folder_of, with_files};

/// Prints what changed between two texts of a recipe: fields, sources by host and digest, and the
/// commands that appeared in functions; the heaviest first.
///
/// Exit status: 0 when nothing is heavier than a note, 1 when there is a warning, 2 when there is a
/// danger, 3 when one of the texts cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recipe as it was.
    old: PathBuf,
    /// The recipe as it is now.
    new: PathBuf,
    /// Print each change as a line of JSON.
    #[arg(long)]
    json: bool,
    /// The architecture to build for, as `CARCH` in makepkg.conf.
    #[arg(long, value_name = "ARCH", default_value = "x86_64")]
    carch: String,
}

#[derive(Serialize)]
struct Told<'change> {
    /// In the new recipe, counted from 1.
    line: Option<u32>,
    #[serde(flatten)]
    change: &'change pkgbuild_syntax::RecipeChange,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let environment = Environment::default().with_carch(&args.carch);
    let read = |file: &Path| read(file, &environment);
    let (old, new) = match (read(&args.old), read(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => {
            printable::say_error!("error: {error:#}");
            return Ok(ExitCode::from(3));
        }
    };
    let mut changes = match compare(&old, &new) {
        Ok(changes) => changes,
        Err(error) => {
            printable::say_error!("error: {error}");
            return Ok(ExitCode::from(3));
        }
    };
    changes.sort_by_key(|change| Reverse(change.weight));
    let mut out = io::stdout().lock();
    for change in &changes {
        let line = change
            .span
            .map(|span| Position::of(new.file().source(), span.start).line);
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&Told { line, change })?)?;
            continue;
        }
        let place = line.map_or_else(String::new, |line| format!(":{line}"));
        let mut shown = format!(
            "{}{place}: {}: {} [{}]\n",
            args.new.display(),
            change.weight,
            change.message,
            change.kind
        );
        for (sign, texts) in [('-', &change.before), ('+', &change.after)] {
            for text in texts {
                let text = text.replace('\n', "\n    ");
                shown = format!("{shown}  {sign} {text}\n");
            }
        }
        write!(out, "{}", printable::text(&shown))?;
    }
    Ok(ExitCode::from(
        match changes.iter().map(|change| change.weight).max() {
            Some(Weight::Danger) => 2,
            Some(Weight::Warning) => 1,
            _ => 0,
        },
    ))
}

fn read(file: &Path, environment: &Environment) -> anyhow::Result<Evaluation> {
    let failed = || format!("failed to read `{}`", file.display());
    let mut text = Vec::new();
    let opened = fs::File::open(file).with_context(failed)?;
    // A byte more than a recipe may have, so that the parser refuses it.
    let limit = u64::try_from(MAX_LENGTH)?.saturating_add(1);
    opened
        .take(limit)
        .read_to_end(&mut text)
        .with_context(failed)?;
    let parsed = parse(&text);
    if let Some(error) = parsed.errors.first() {
        bail!("{}: {error:#}", file.display());
    }
    Ok(with_files(folder_of(file), environment, |environment| {
        evaluate(&parsed.file, environment)
    }))
}
