//! Reads hostile recipes, each in a process of its own, and prints what each costs and how it ends.
//!
//! `cargo run --release -p pkgbuild-syntax --example hostile`; it fails when one takes more than a
//! second or 256 MB.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use pkgbuild_syntax::{Environment, evaluate, parse};

const LONGEST: Duration = Duration::from_secs(1);
const MOST_KIB: u64 = 256 * 1_000_000 / 1024;

type Case = (&'static str, fn() -> Vec<u8>);

/// `text` so many times.
fn times(text: &str, count: usize) -> Vec<u8> {
    text.repeat(count).into_bytes()
}

/// A line, and another so many times.
fn after(first: &str, line: &str, count: usize) -> Vec<u8> {
    [first.as_bytes(), &times(line, count)].concat()
}

const CASES: [Case; 24] = [
    ("a line of 200 MB", || times("x", 200_000_000)),
    ("200 MB of short lines", || times("a=b\n", 50_000_000)),
    ("the longest text, one word", || {
        times("x", pkgbuild_syntax::MAX_LENGTH)
    }),
    ("the longest text, assignments", || {
        times("a=b\n", pkgbuild_syntax::MAX_LENGTH / 4)
    }),
    ("100,000 nested $(", || times("$(", 100_000)),
    ("100,000 nested ${", || times("${a:-", 100_000)),
    ("100,000 nested ((", || times("((", 100_000)),
    ("100,000 nested {", || times("{ ", 100_000)),
    ("100,000 nested if", || times("if ", 100_000)),
    ("100,000 lone double quotes", || times("\"\n", 99_999)),
    ("100,000 lone single quotes", || times("'\n", 99_999)),
    ("100,000 lone backquotes", || times("`\n", 99_999)),
    ("1,000,000 NUL bytes", || times("\0", 1_000_000)),
    ("100,000 here-documents", || times("cat <<E\n", 100_000)),
    ("{1..1000000000}", || b"x=({1..1000000000})".to_vec()),
    ("60 doublings", || after("x=aaaa\n", "x=$x$x\n", 60)),
    ("60 replacements ${x//a/aaaa}", || {
        after("x=aaaa\n", "x=${x//a/aaaa}\n", 60)
    }),
    ("an endless loop", || b"while :; do :; done".to_vec()),
    ("an endless loop that grows a text", || {
        b"while :; do x+=aaaaaaaaaaaaaaaa; done".to_vec()
    }),
    ("an endless loop that grows an array", || {
        b"while :; do x+=(a); done".to_vec()
    }),
    ("an endless loop that copies an array", || {
        b"while :; do x=(\"${x[@]}\" a); done".to_vec()
    }),
    ("a recursive function", || b"f() { f; }; f".to_vec()),
    ("a recursive substitution", || b"f() { $(f); }; f".to_vec()),
    ("a costly pattern", || {
        after("x=", "a", 100_000)
            .into_iter()
            .chain(*b"\n: ${x//*a*a*a*b/}")
            .collect()
    }),
];

/// Reads one recipe and says in a few words what came of it.
fn outcome(recipe: &[u8]) -> String {
    let parsed = parse(recipe);
    if let Some(error) = parsed.errors.first() {
        return format!("{} syntax errors, first: {error}", parsed.errors.len());
    }
    let evaluation = evaluate(&parsed.file, &Environment::default());
    evaluation
        .failure()
        .map_or_else(|| "read to its end".to_owned(), ToString::to_string)
}

/// The most memory this process has had, in KiB; Linux tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn one(index: usize) -> Result<(), Box<dyn Error>> {
    let (_, recipe) = CASES.get(index).ok_or("no such case")?;
    let recipe = recipe();
    let before = recipe.len() as u64 / 1024;
    let started = Instant::now();
    let outcome = outcome(&recipe);
    let elapsed = started.elapsed();
    // The text is the caller's memory.
    let peak = peak_kib().unwrap_or_default().saturating_sub(before);
    println!("{}\t{peak}\t{outcome:.100}", elapsed.as_micros());
    Ok(())
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(index) = std::env::args().nth(1) {
        one(index.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut is_good = true;
    println!("{:<38} {:>9} {:>9}  ends with", "recipe", "time", "memory");
    for (index, (name, _)) in CASES.iter().enumerate() {
        let output = Command::new(std::env::current_exe()?)
            .arg(index.to_string())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut fields = text.trim_end().splitn(3, '\t');
        let (Some(micros), Some(kib), Some(outcome)) =
            (fields.next(), fields.next(), fields.next())
        else {
            println!("{name:<38} {}", output.status);
            is_good = false;
            continue;
        };
        let (elapsed, kib) = (Duration::from_micros(micros.parse()?), kib.parse::<u64>()?);
        is_good &= elapsed <= LONGEST && kib <= MOST_KIB;
        println!(
            "{name:<38} {:>6} ms {:>6} MB  {outcome}",
            elapsed.as_millis(),
            kib * 1024 / 1_000_000
        );
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
