//! `cargo xtask lint`: what is wrong with recipes.

mod sarif;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use pkgbuild_syntax::{
    Code, Diagnostic, Edit, Environment, LineIndex, Place, Severity, Span, SyntaxError, evaluate,
    fixed, lint, parse,
};
use serde::Serialize;

use crate::replace::replace;
use crate::srcinfo::{folder_of, with_files};

/// Prints what is wrong with recipes: makepkg's own rules, then those of a careful reader.
///
/// A comment `# lint: allow(code)` in a line, or alone in the line before it, allows what a rule
/// other than makepkg's own finds there; `# lint: allow-file(code)` in the whole recipe.
///
/// Exit status: 1 when there is an error, 0 when there are warnings at most.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one flag")]
pub(crate) struct Args {
    /// The recipes.
    #[arg(required_unless_present = "rules")]
    files: Vec<PathBuf>,
    /// Print each finding as a line of JSON.
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print all findings as one SARIF 2.1.0 log.
    #[arg(long)]
    sarif: bool,
    /// Make the changes that are safe, in the files; what is left is printed.
    #[arg(long)]
    fix: bool,
    /// Leave out what a rule other than makepkg's own finds; may be given several times.
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    /// Print the rules, how bad it is to break each, and what it is about.
    #[arg(long, conflicts_with_all = ["files", "fix"])]
    rules: bool,
    /// The architecture to build for, as `CARCH` in makepkg.conf.
    #[arg(long, value_name = "ARCH", default_value = "x86_64")]
    carch: String,
}

#[derive(Serialize)]
struct Finding<'recipe> {
    file: &'recipe Path,
    /// Counted from 1, as `column` is.
    line: Option<u32>,
    column: Option<u32>,
    span: Option<Span>,
    /// Counted from 0, for editors.
    range: Option<(Place, Place)>,
    code: &'static str,
    severity: Severity,
    message: String,
    /// What the rule is about.
    reason: &'static str,
    fix: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit>,
}

/// How often a file is mended and read again: an edit may uncover another finding.
const ROUNDS: usize = 5;

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if args.rules {
        for code in Code::ALL {
            writeln!(out, "{code} ({}): {}", code.severity(), code.reason())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = args.allow.iter().find(|name| {
        let known = Code::ALL.iter().find(|code| code.name() == **name);
        known.is_none_or(|code| code.is_lint_pkgbuild())
    }) {
        bail!("`--allow {unknown}`: no such rule, or one of makepkg's own; see `--rules`");
    }
    let environment = Environment::default().with_carch(&args.carch);
    let mut status = ExitCode::SUCCESS;
    let mut log = sarif::Log::default();
    for file in &args.files {
        let mut text =
            fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        if args.fix {
            text = mend(file, &text, &environment, &args.allow)?;
        }
        for finding in findings(file, &text, &environment, &args.allow) {
            if finding.severity == Severity::Error {
                status = ExitCode::FAILURE;
            }
            if args.sarif {
                log.add(&finding);
            } else if args.json {
                writeln!(out, "{}", serde_json::to_string(&finding)?)?;
            } else {
                let mut shown = Vec::new();
                print(&mut shown, &finding, &text)?;
                let shown = String::from_utf8_lossy(&shown);
                write!(out, "{}", printable::text(&shown))?;
            }
        }
    }
    if args.sarif {
        writeln!(out, "{}", serde_json::to_string_pretty(&log.finish())?)?;
    }
    Ok(status)
}

fn mend(
    file: &Path,
    text: &[u8],
    environment: &Environment,
    allow: &[String],
) -> anyhow::Result<Vec<u8>> {
    let mut now = text.to_vec();
    let mut count = 0;
    for _ in 0..ROUNDS {
        let Some(Ok(found)) = diagnose(file, &now, environment) else {
            break;
        };
        let found: Vec<_> = found
            .into_iter()
            .filter(|found| !allow.iter().any(|name| name == found.code.name()))
            .collect();
        let (changed, mended) = fixed(&now, &found);
        // An edit that spoils the syntax is not made.
        if mended == 0 || !parse(&changed).errors.is_empty() {
            break;
        }
        count += mended;
        now = changed;
    }
    if now != text {
        replace(file, &now)?;
        printable::say_error!("{}: {count} mended", file.display());
    }
    Ok(now)
}

fn print(out: &mut impl io::Write, finding: &Finding<'_>, text: &[u8]) -> io::Result<()> {
    write!(out, "{}:", finding.file.display())?;
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        write!(out, "{line}:{column}:")?;
    }
    writeln!(
        out,
        " {}: {} [{}]",
        finding.severity, finding.message, finding.code
    )?;
    if let Some((start, end)) = finding.range {
        caret(out, text, start, end)?;
    }
    if !finding.fix.is_empty() {
        writeln!(out, "  = help: {}", finding.fix)?;
    }
    Ok(())
}

/// Longest line that is shown, in characters.
const SHOWN: usize = 160;

/// The line with carets under what it is about.
fn caret(out: &mut impl io::Write, text: &[u8], start: Place, end: Place) -> io::Result<()> {
    let index = LineIndex::new(text);
    let line = index.line(start.line).unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let visible: String = line.chars().take(SHOWN).collect();
    let visible = visible.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
    let (from, length) = (start.character as usize, visible.chars().count());
    if from >= length.max(1) {
        return Ok(());
    }
    let to = if end.line == start.line {
        (end.character as usize).clamp(from + 1, length.max(from + 1))
    } else {
        length
    };
    // Tabs stay, so that the carets stand under the text.
    let lead: String = visible
        .chars()
        .take(from)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let number = (start.line + 1).to_string();
    writeln!(out, "{number} | {visible}")?;
    let margin = " ".repeat(number.len());
    writeln!(out, "{margin} | {lead}{}", "^".repeat(to - from))
}

/// What lint finds; `None` for a recipe with syntax errors.
fn diagnose(
    file: &Path,
    text: &[u8],
    environment: &Environment,
) -> Option<Result<Vec<Diagnostic>, pkgbuild_syntax::PackageError>> {
    let parsed = parse(text);
    if !parsed.errors.is_empty() {
        return None;
    }
    let folder = folder_of(file);
    let evaluation = with_files(folder, environment, |environment| {
        evaluate(&parsed.file, environment)
    });
    Some(lint(&evaluation, |path| folder.join(path).is_file()))
}

fn findings<'recipe>(
    file: &'recipe Path,
    text: &[u8],
    environment: &Environment,
    allow: &[String],
) -> Vec<Finding<'recipe>> {
    let index = LineIndex::new(text);
    let finding = |span: Option<Span>, code, severity, message| {
        let range = span.map(|span| index.range(span));
        Finding {
            file,
            line: range.as_ref().map(|range| range.start.line + 1),
            column: range.as_ref().map(|range| range.start.character + 1),
            span,
            range: range.map(|range| (range.start, range.end)),
            code,
            severity,
            message,
            reason: "",
            fix: String::new(),
            edits: Vec::new(),
        }
    };
    let syntax = |error: &SyntaxError| Finding {
        fix: error.help.unwrap_or_default().to_owned(),
        reason: "Text that bash does not parse.",
        ..finding(
            Some(error.span),
            "syntax",
            Severity::Error,
            error.kind.to_string(),
        )
    };
    match diagnose(file, text, environment) {
        None => parse(text).errors.iter().map(syntax).collect(),
        Some(Ok(diagnostics)) => diagnostics
            .into_iter()
            .filter(|found| !allow.iter().any(|name| name == found.code.name()))
            .map(|found| Finding {
                fix: found.fix,
                edits: found.edits,
                reason: found.code.reason(),
                ..finding(found.span, found.code.name(), found.severity, found.message)
            })
            .collect(),
        Some(Err(error)) => vec![Finding {
            reason: "A recipe that makepkg cannot source.",
            ..finding(
                error.span(),
                "recipe-fails",
                Severity::Error,
                error.to_string(),
            )
        }],
    }
}
