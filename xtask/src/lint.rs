//! `cargo xtask lint`: what is wrong with recipes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use pkgbuild_syntax::{
    Diagnostic, Environment, Position, Severity, Span, SyntaxError, evaluate, lint, parse,
};
use serde::Serialize;

use crate::srcinfo::{folder_of, with_files};

/// Prints what is wrong with recipes: makepkg's own rules, then those of a careful reader.
///
/// Exit status: 1 when there is an error, 0 when there are warnings at most.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recipes.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print each finding as a line of JSON.
    #[arg(long)]
    json: bool,
    /// The architecture to build for, as `CARCH` in makepkg.conf.
    #[arg(long, value_name = "ARCH", default_value = "x86_64")]
    carch: String,
}

#[derive(Serialize)]
struct Finding<'recipe> {
    file: &'recipe Path,
    line: Option<u32>,
    column: Option<u32>,
    span: Option<Span>,
    code: &'static str,
    severity: Severity,
    message: String,
    fix: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let environment = Environment::default().with_carch(&args.carch);
    let mut status = ExitCode::SUCCESS;
    for file in &args.files {
        let text =
            fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        for finding in findings(file, &text, &environment) {
            if finding.severity == Severity::Error {
                status = ExitCode::FAILURE;
            }
            if args.json {
                println!("{}", serde_json::to_string(&finding)?);
            } else {
                print(&finding);
            }
        }
    }
    Ok(status)
}

fn print(finding: &Finding<'_>) {
    print!("{}:", finding.file.display());
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        print!("{line}:{column}:");
    }
    println!(
        " {}: {} [{}]",
        finding.severity, finding.message, finding.code
    );
    if !finding.fix.is_empty() {
        println!("    fix: {}", finding.fix);
    }
}

fn findings<'recipe>(
    file: &'recipe Path,
    text: &[u8],
    environment: &Environment,
) -> Vec<Finding<'recipe>> {
    let finding = |span: Option<Span>, code, severity, message, fix| {
        let position = span.map(|span| Position::of(text, span.start));
        Finding {
            file,
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            span,
            code,
            severity,
            message,
            fix,
        }
    };
    let parsed = parse(text);
    let syntax = |error: &SyntaxError| {
        let fix = error.help.unwrap_or_default().to_owned();
        finding(
            Some(error.span),
            "syntax",
            Severity::Error,
            error.kind.to_string(),
            fix,
        )
    };
    if !parsed.errors.is_empty() {
        return parsed.errors.iter().map(syntax).collect();
    }
    let folder = folder_of(file);
    let evaluation = with_files(folder, environment, |environment| {
        evaluate(&parsed.file, environment)
    });
    match lint(&evaluation, |path| folder.join(path).is_file()) {
        Ok(diagnostics) => diagnostics
            .into_iter()
            .map(
                |Diagnostic {
                     code,
                     severity,
                     span,
                     message,
                     fix,
                 }| { finding(span, code.name(), severity, message, fix) },
            )
            .collect(),
        Err(error) => vec![finding(
            error.span(),
            "recipe-fails",
            Severity::Error,
            error.to_string(),
            String::new(),
        )],
    }
}
