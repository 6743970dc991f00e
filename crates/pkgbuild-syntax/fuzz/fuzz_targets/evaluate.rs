//! Any bytes evaluate without a panic, and a failure is data.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pkgbuild_syntax::{Budget, Environment, Package, evaluate, lint, parse, printsrcinfo};

fuzz_target!(|input: &[u8]| {
    let budget = Budget { steps: 50_000, bytes: 4 << 20, ..Budget::default() };
    let environment = Environment::default().with_budget(budget);
    let mut evaluation = evaluate(&parse(input).file, &environment);
    let _ = Package::from_evaluation(&evaluation);
    let _ = printsrcinfo(&evaluation, |_| false);
    let _ = lint(&evaluation, |_| false);
    let names: Vec<String> = evaluation.functions().into_iter().map(str::to_owned).collect();
    for name in names {
        let _ = evaluation.declare_f(&name);
    }
    evaluation.eval("outvalue=(\"${source[@]}\")");
});
