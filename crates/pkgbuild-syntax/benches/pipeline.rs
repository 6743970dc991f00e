//! From the text of a recipe to its `.SRCINFO`: the recipe of median length, and all of them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use pkgbuild_syntax::{Environment, evaluate, parse, printsrcinfo};
use pkgbuild_syntax_benches::{shortest, texts};

fn srcinfo(text: &str, environment: &Environment) -> usize {
    let parsed = parse(text);
    let evaluation = evaluate(&parsed.file, environment);
    printsrcinfo(&evaluation, |_| true).map_or(0, |text| text.len())
}

fn pipeline(criterion: &mut Criterion, texts: &[String], environment: &Environment) {
    let median = &texts[texts.len() / 2];
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Bytes(median.len() as u64));
    group.bench_function("recipe of median length", |bencher| {
        bencher.iter(|| srcinfo(black_box(median), environment));
    });
    let total: usize = texts.iter().map(String::len).sum();
    group.throughput(Throughput::Bytes(total as u64));
    group.sample_size(20);
    group.bench_function("all recipes", |bencher| {
        bencher.iter(|| {
            texts
                .iter()
                .map(|text| srcinfo(black_box(text), environment))
                .sum::<usize>()
        });
    });
    group.finish();
}

/// What each recipe takes, the best of a few runs.
fn summary(texts: &[String], environment: &Environment) {
    const RUNS: usize = 5;
    let mut times: Vec<Duration> = texts
        .iter()
        .map(|text| shortest(RUNS, || srcinfo(text, environment)))
        .collect();
    times.sort_unstable();
    let microseconds =
        |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!(
        "parse, evaluate and .SRCINFO of {} recipes, the median of {} bytes: median {:.1} µs, 99th percentile {:.1} µs",
        texts.len(),
        texts[texts.len() / 2].len(),
        microseconds(50),
        microseconds(99),
    );
}

fn main() {
    let environment = Environment::default();
    let mut texts = texts();
    texts.sort_by_key(String::len);
    let mut criterion = Criterion::default().configure_from_args();
    pipeline(&mut criterion, &texts, &environment);
    criterion.final_summary();
    summary(&texts, &environment);
}
