//! From the text of a recipe to its `.SRCINFO`: the median recipe, and many of all sizes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pkgbuild_syntax::{Environment, evaluate, parse, printsrcinfo};
use pkgbuild_syntax_benches::recipes;

fn srcinfo(text: &str, environment: &Environment) -> usize {
    let parsed = parse(text);
    let evaluation = evaluate(&parsed.file, environment);
    printsrcinfo(&evaluation, |_| true).map_or(0, |text| text.len())
}

fn pipeline(criterion: &mut Criterion) {
    let environment = Environment::default();
    let mut recipes = recipes(401);
    recipes.sort_by_key(String::len);
    let median = &recipes[recipes.len() / 2];
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Bytes(median.len() as u64));
    group.bench_function("median recipe", |bencher| {
        bencher.iter(|| srcinfo(black_box(median), &environment));
    });
    let total: usize = recipes.iter().map(String::len).sum();
    group.throughput(Throughput::Bytes(total as u64));
    group.bench_function("401 recipes", |bencher| {
        bencher.iter(|| {
            recipes
                .iter()
                .map(|text| srcinfo(black_box(text), &environment))
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
