//! Compares with what `makepkg --printsrcinfo` prints, to the byte.
//!
//! The recipes are those in `tests/recipes`, each alone and many in pairs. makepkg takes half a
//! second for one, so its own code is loaded once for all of them (`support/oracle.bash`), and a
//! few recipes, other ones each day, go through the real program too. `DIFFERENTIAL_MAKEPKG=all`
//! sends all of them through it.

#![allow(clippy::print_stderr)]

mod support;

use pkgbuild_syntax::{Environment, PrintError, evaluate, parse, printsrcinfo};
use support::{Case, Oracle, Printed, cases, pairs};

/// Recipes that go through the real program on an ordinary run.
const SAMPLE: usize = 4;

enum Ours {
    Srcinfo(String),
    Dynamic(String),
    Refused(String),
}

fn ours(text: &str) -> Ours {
    let parsed = parse(text);
    if let Some(error) = parsed.errors.first() {
        return Ours::Refused(error.to_string());
    }
    let evaluation = evaluate(&parsed.file, &Environment::default());
    match printsrcinfo(&evaluation, |path| path == "case.install") {
        Ok(text) => Ours::Srcinfo(text),
        Err(error @ PrintError::Dynamic { .. }) => Ours::Dynamic(error.to_string()),
        Err(error) => Ours::Refused(error.to_string()),
    }
}

/// `None` when the two agree.
fn difference(case: &Case, printed: &Printed) -> Option<String> {
    let ours = ours(&case.text);
    let agree = match &ours {
        Ours::Srcinfo(text) => {
            !case.dynamic && printed.success && text.as_bytes() == printed.stdout
        }
        Ours::Refused(_) => !case.dynamic && !printed.success,
        Ours::Dynamic(_) => case.dynamic || case.either,
    };
    if agree {
        return None;
    }
    Some(format!(
        "=== {}\n{}\n--- ours\n{}\n--- makepkg ({})\n{}{}\n",
        case.name,
        case.text,
        match &ours {
            Ours::Srcinfo(text) => text.clone(),
            Ours::Dynamic(reason) => format!("dynamic: {reason}"),
            Ours::Refused(reason) => format!("refused: {reason}"),
        },
        if printed.success {
            "success"
        } else {
            "failure"
        },
        String::from_utf8_lossy(&printed.stdout),
        String::from_utf8_lossy(&printed.stderr),
    ))
}

#[test]
fn srcinfo_is_makepkgs() {
    let Some(oracle) = Oracle::new() else { return };
    let mut all = cases();
    assert!(all.len() >= 250, "only {} recipes", all.len());
    all.extend(pairs(&all));
    let printed = oracle.run(&all);
    let differences: Vec<_> = all
        .iter()
        .zip(&printed)
        .filter_map(|(case, printed)| difference(case, printed))
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} recipes differ\n{}",
        differences.len(),
        all.len(),
        differences.concat()
    );
    eprintln!("{} recipes compared", all.len());
}

#[test]
fn oracle_is_makepkg() {
    let Some(oracle) = Oracle::new() else { return };
    let all = cases();
    let chosen: Vec<Case> = if let Ok("all") = std::env::var("DIFFERENTIAL_MAKEPKG").as_deref() {
        all
    } else {
        let day = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs() / 86_400);
        let first = usize::try_from(day).unwrap_or(0) * SAMPLE;
        let chosen = (first..first + SAMPLE).map(|index| all[index % all.len()].clone());
        chosen.collect()
    };
    for (case, fast) in chosen.iter().zip(oracle.run(&chosen)) {
        let real = oracle.run_makepkg(case);
        assert_eq!(
            fast.success, real.success,
            "{}: {fast:?} {real:?}",
            case.name
        );
        assert_eq!(
            String::from_utf8_lossy(&fast.stdout),
            String::from_utf8_lossy(&real.stdout),
            "{}",
            case.name
        );
    }
}
