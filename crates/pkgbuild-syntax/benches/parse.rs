//! Throughput of the parser beside its peers, on the same texts in the same run.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use pkgbuild_syntax_benches::{shortest, texts};

fn ours(texts: &[String]) {
    for text in texts {
        black_box(pkgbuild_syntax::parse(text));
    }
}

/// Syntax only: brush-parser leaves the words of a command as text.
fn brush(texts: &[String]) {
    let options = brush_parser::ParserOptions::default();
    for text in texts {
        let _ = black_box(brush_parser::Parser::new(text.as_bytes(), &options).parse_program());
    }
}

fn tree_sitter(parser: &mut tree_sitter::Parser, texts: &[String]) {
    for text in texts {
        black_box(parser.parse(text, None));
    }
}

fn bash_grammar() -> tree_sitter::Parser {
    let mut parser = tree_sitter::Parser::new();
    parser
        .set_language(&tree_sitter_bash::LANGUAGE.into())
        .expect("the grammar fits the library");
    parser
}

fn parsers(criterion: &mut Criterion, texts: &[String]) {
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("pkgbuild-syntax", |bencher| bencher.iter(|| ours(texts)));
    group.sample_size(10);
    group.bench_function("brush-parser", |bencher| bencher.iter(|| brush(texts)));
    let mut peer = bash_grammar();
    group.bench_function("tree-sitter-bash", |bencher| {
        bencher.iter(|| tree_sitter(&mut peer, texts));
    });
    group.finish();

    let one = [texts.concat()];
    let mut group = criterion.benchmark_group("parse one large text");
    group.throughput(Throughput::Bytes(one[0].len() as u64));
    group.sample_size(20);
    group.bench_function("pkgbuild-syntax", |bencher| bencher.iter(|| ours(&one)));
    group.finish();
}

/// The parsers in turn, so that what disturbs one run disturbs all three alike.
fn summary(texts: &[String]) {
    const ROUNDS: usize = 10;
    let mut peer = bash_grammar();
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        best[0] = best[0].min(shortest(1, || ours(texts)));
        best[1] = best[1].min(shortest(1, || brush(texts)));
        best[2] = best[2].min(shortest(1, || tree_sitter(&mut peer, texts)));
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    println!(
        "{} recipes, {bytes} bytes, best of {ROUNDS} rounds",
        texts.len()
    );
    let names = ["pkgbuild-syntax", "brush-parser", "tree-sitter-bash"];
    for (name, time) in names.iter().zip(best) {
        println!(
            "{name:17} {:6.1} MB/s, 1/{:.1} of pkgbuild-syntax",
            bytes as f64 / 1e6 / time.as_secs_f64(),
            time.as_secs_f64() / best[0].as_secs_f64()
        );
    }
}

fn main() {
    let texts = texts();
    let mut criterion = Criterion::default().configure_from_args();
    parsers(&mut criterion, &texts);
    criterion.final_summary();
    summary(&texts);
}
