//! Throughput of the parser beside its peers, on the same texts in the same run.
//!
//! `cargo bench --manifest-path crates/pkgbuild-syntax/benches/Cargo.toml`. With `RECIPES` set to a
//! folder, the files named PKGBUILD below it are measured instead of the made-up ones.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn collect(folder: &Path, texts: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.file_name().is_some_and(|name| name == "PKGBUILD")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            texts.push(text);
        }
    }
}

fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    match std::env::var_os("RECIPES") {
        Some(folder) => collect(Path::new(&folder), &mut texts),
        None => texts = pkgbuild_syntax_benches::recipes(1_000),
    }
    texts.truncate(5_000);
    texts
}

fn brush(text: &str) -> bool {
    let options = brush_parser::ParserOptions::default();
    brush_parser::Parser::new(text.as_bytes(), &options)
        .parse_program()
        .is_ok()
}

fn parsers(criterion: &mut Criterion) {
    let texts = texts();
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut group = criterion.benchmark_group("recipes");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("pkgbuild-syntax", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                black_box(pkgbuild_syntax::parse(text));
            }
        });
    });
    group.sample_size(10);
    group.bench_function("brush-parser", |bencher| {
        bencher.iter(|| texts.iter().filter(|text| brush(text)).count());
    });
    let mut peer = tree_sitter::Parser::new();
    let language = tree_sitter_bash::LANGUAGE.into();
    peer.set_language(&language)
        .expect("the grammar fits the library");
    group.bench_function("tree-sitter-bash", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                black_box(peer.parse(text, None));
            }
        });
    });
    group.finish();

    let one = texts.concat();
    let mut group = criterion.benchmark_group("one large text");
    group.throughput(Throughput::Bytes(one.len() as u64));
    group.sample_size(20);
    group.bench_function("pkgbuild-syntax", |bencher| {
        bencher.iter(|| pkgbuild_syntax::parse(&one))
    });
    group.finish();
}

criterion_group!(benches, parsers);
criterion_main!(benches);
