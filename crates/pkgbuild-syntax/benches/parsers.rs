//! One parser over every `PKGBUILD` below a folder: `parsers NAME FOLDER` prints the seconds of
//! one pass as JSON, for `cargo xtask bench`, which lets the parsers take turns.

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// A pass is repeated for about this long, because one alone is shorter than a turn of the
/// scheduler.
const SECONDS: f64 = 0.3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        eprintln!("usage: parsers pkgbuild-syntax|brush-parser|tree-sitter-bash FOLDER");
        return ExitCode::from(2);
    };
    let mut texts = Vec::new();
    collect(Path::new(folder), &mut texts);
    if texts.is_empty() {
        eprintln!("no PKGBUILD below `{folder}`");
        return ExitCode::FAILURE;
    }
    let seconds = match name.as_str() {
        "pkgbuild-syntax" => pass(&texts, |text| {
            black_box(pkgbuild_syntax::parse(text));
        }),
        "brush-parser" => {
            let options = brush_parser::ParserOptions::default();
            pass(&texts, |text| {
                let parsed = brush_parser::Parser::new(text.as_bytes(), &options).parse_program();
                let _ = black_box(parsed);
            })
        }
        "tree-sitter-bash" => {
            let mut parser = tree_sitter::Parser::new();
            parser
                .set_language(&tree_sitter_bash::LANGUAGE.into())
                .expect("the grammar fits the library");
            pass(&texts, |text| {
                black_box(parser.parse(text, None));
            })
        }
        other => {
            eprintln!("no parser is called `{other}`");
            return ExitCode::from(2);
        }
    };
    println!("{{\"seconds\": {seconds}}}");
    ExitCode::SUCCESS
}

/// Seconds of one pass over all texts, on average.
fn pass(texts: &[String], mut parse: impl FnMut(&str)) -> f64 {
    let started = Instant::now();
    let mut passes = 0.0;
    loop {
        texts.iter().for_each(|text| parse(text));
        passes += 1.0;
        let elapsed = started.elapsed().as_secs_f64();
        if elapsed >= SECONDS {
            return elapsed / passes;
        }
    }
}

fn collect(folder: &Path, texts: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, texts);
        } else if path.file_name().is_some_and(|name| name == "PKGBUILD")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            texts.push(text);
        }
    }
}
