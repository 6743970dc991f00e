//! Runs the tables of cases that stand beside the rules.

use super::{Code, Diagnostic, lint, makepkg, reader};
use crate::evaluate::{Environment, evaluate};
use crate::parse::parse;

/// What is appended to a good recipe, and what the rules of the table find there: the code and the
/// text at the place, `*` for any. Empty for what looks like a finding and is none.
pub(super) type Case = (&'static str, &'static [(Code, &'static str)]);

const HEAD: &str = "pkgname=a\npkgver=1\npkgrel=1\narch=(x86_64)\n";

fn findings(text: &str) -> Vec<Diagnostic> {
    let recipe = parse(text);
    assert!(recipe.errors.is_empty(), "{text}: {:?}", recipe.errors);
    let evaluation = evaluate(&recipe.file, &Environment::default());
    match lint(&evaluation, |name| name == "here") {
        Ok(found) => found,
        Err(error) => panic!("{text}: {error}"),
    }
}

#[test]
fn every_rule_finds_its_cases_and_no_others() {
    let mut wrong = Vec::new();
    for table in makepkg::TABLES.iter().chain(reader::TABLES) {
        let codes: Vec<Code> = table
            .iter()
            .flat_map(|(_, expected)| expected.iter().map(|(code, _)| *code))
            .collect();
        assert!(
            table.iter().any(|(_, expected)| expected.is_empty()),
            "{codes:?} has no innocent case"
        );
        for (addition, expected) in *table {
            let text = format!("{HEAD}{addition}\n");
            let found = findings(&text);
            let own: Vec<(Code, &str)> = found
                .iter()
                .filter(|found| codes.contains(&found.code))
                .map(|found| {
                    let at = found.span.map_or("", |span| text[span.range()].trim_end());
                    (found.code, at)
                })
                .collect();
            let fit = |(found, expected): (&(Code, &str), &(Code, &str))| {
                found.0 == expected.0 && (found.1 == expected.1 || expected.1 == "*")
            };
            if own.len() != expected.len() || !own.iter().zip(*expected).all(fit) {
                wrong.push(format!("{addition:?}: {own:?}, expected {expected:?}"));
            }
            for found in &found {
                assert!(
                    !found.fix.is_empty() && !found.fix.contains('\n'),
                    "{found:?}"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let tables = makepkg::TABLES.iter().chain(reader::TABLES);
    let tested: Vec<Code> = tables
        .flat_map(|table| table.iter())
        .flat_map(|(_, expected)| expected.iter().map(|(code, _)| *code))
        .collect();
    for code in Code::ALL {
        assert!(tested.contains(code), "{code} has no case");
    }
}
