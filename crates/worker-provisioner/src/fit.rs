//! Whether what a recipe gives is for the backend that was asked for.

use std::collections::{BTreeMap, BTreeSet};

use catalog_client::{Flavor, WorkerType};

use crate::accelerator::Accelerators;
use crate::package::EvaluatedPackage;

/// Endings of sources that are no builds.
const NO_BUILDS: [&str; 9] = [
    ".asc", ".diff", ".json", ".md", ".patch", ".service", ".sig", ".sign", ".txt",
];

/// What does not fit, or may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nothing speaks against it.
    Fits,
    /// It may be meant so; a line for people.
    Doubtful(String),
    /// It is for another backend: what the sources and the program say.
    Wrong {
        sources: Vec<String>,
        program: String,
    },
}

/// The names of a recipe's sources that name a backend, each with those it names.
pub(crate) fn named_sources(package: &EvaluatedPackage) -> BTreeMap<String, BTreeSet<WorkerType>> {
    let names = package.resolved.sources.iter().map(|declared| {
        let source = declared
            .source
            .split_once("::")
            .map_or((None, declared.source.as_str()), |(name, location)| {
                (Some(name), location)
            });
        let location = source.1.split(['#', '?']).next().unwrap_or(source.1);
        let last = location.rsplit('/').next().unwrap_or(location);
        [source.0, Some(last)]
    });
    let mut named = BTreeMap::new();
    for name in names.flatten().flatten() {
        let lower = name.to_lowercase();
        let backends = backends_in(&lower);
        if !backends.is_empty() && !NO_BUILDS.iter().any(|ending| lower.ends_with(ending)) {
            named.insert(name.to_owned(), backends);
        }
    }
    named
}

/// The backends that the words of a lower-case name mean: `cuda`, `cu121`, `rocm6`, `hip`.
fn backends_in(name: &str) -> BTreeSet<WorkerType> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let backend = |word: &str| {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        match stem {
            "cu" if word.len() > stem.len() => Some(WorkerType::Cuda),
            "hip" => Some(WorkerType::Rocm),
            stem => WorkerType::from_wire(stem),
        }
    };
    words.filter_map(backend).collect()
}

/// Judges the sources before anything is fetched.
///
/// Of a prebuilt worker they are the builds: when some name other backends and none names the one
/// that was asked for, they are another's. Of one that is built they are parts, and only told.
pub(crate) fn judge_sources(
    backend: WorkerType,
    flavor: Flavor,
    named: &BTreeMap<String, BTreeSet<WorkerType>>,
) -> Fit {
    if named.is_empty() || named.values().any(|backends| backends.contains(&backend)) {
        return Fit::Fits;
    }
    let sources: Vec<String> = named.keys().cloned().collect();
    if flavor == Flavor::Source {
        return Fit::Doubtful(format!(
            "the sources {} are named after another backend than `{backend}`",
            sources.join(" and ")
        ));
    }
    Fit::Wrong {
        sources,
        program: "was not fetched".to_owned(),
    }
}

/// Judges the built or unpacked program.
///
/// Refused are a program that cannot start without another backend, or has its code, and nothing of
/// the one asked for; and one asked for with a GPU that shows nothing of it anywhere in the tree. A
/// program that may load another backend's libraries by itself is only told, and so is one that
/// cannot be read: a script, or one that unpacks itself.
pub(crate) fn judge_program(
    backend: WorkerType,
    named: &BTreeMap<String, BTreeSet<WorkerType>>,
    found: &Accelerators,
) -> Fit {
    let of_others = |signs: &BTreeMap<WorkerType, BTreeSet<String>>| -> Vec<String> {
        let others = signs.iter().filter(|(other, _)| **other != backend);
        others
            .map(|(other, signs)| {
                let signs: Vec<_> = signs.iter().map(|sign| format!("`{sign}`")).collect();
                format!("`{other}` ({})", signs.join(", "))
            })
            .collect()
    };
    let has_own = found.may_use.contains_key(&backend);
    let wrong = |program: String| Fit::Wrong {
        sources: named.keys().cloned().collect(),
        program,
    };
    let others = of_others(&found.built_for);
    if !others.is_empty() && !has_own {
        return wrong(format!("is built for {}", others.join(" and ")));
    }
    if backend == WorkerType::Cpu {
        let others = of_others(&found.may_use);
        return if others.is_empty() {
            Fit::Fits
        } else {
            Fit::Doubtful(format!(
                "the program for backend `cpu` may also use {}",
                others.join(" and ")
            ))
        };
    }
    if has_own {
        return Fit::Fits;
    }
    if found.is_readable {
        return wrong(format!("holds nothing of `{backend}`: this is a CPU build"));
    }
    Fit::Doubtful(format!(
        "whether the program is for backend `{backend}` cannot be read from it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use WorkerType::{Cpu, Cuda, Metal, Rocm};

    #[test]
    fn words_of_a_name_mean_backends_and_parts_of_words_do_not() {
        let cases: [(&str, &[WorkerType]); 10] = [
            ("w-linux-x86_64-cuda-1.0.tar.gz", &[Cuda]),
            ("w-cu121.zip", &[Cuda]),
            ("w_cuda12.4.tar.zst", &[Cuda]),
            ("w-rocm6.tar.gz", &[Rocm]),
            ("w-hip.tar.gz", &[Rocm]),
            ("w-metal-cpu.tar.gz", &[Cpu, Metal]),
            ("w-cpu", &[Cpu]),
            ("barracuda-1.0.tar.gz", &[]),
            ("copper-cu.tar.gz", &[]),
            ("metallurgy.tar.gz", &[]),
        ];
        for (name, expected) in cases {
            let expected: BTreeSet<_> = expected.iter().copied().collect();
            assert_eq!(backends_in(name), expected, "{name}");
        }
    }

    fn signs(backends: &[WorkerType]) -> BTreeMap<WorkerType, BTreeSet<String>> {
        let sign = |backend: &WorkerType| (*backend, BTreeSet::from(["lib".to_owned()]));
        backends.iter().map(sign).collect()
    }

    /// Asked for; built for; may use; readable; refused; told.
    type Case = (
        WorkerType,
        &'static [WorkerType],
        &'static [WorkerType],
        bool,
        bool,
        bool,
    );

    #[test]
    fn programs_are_refused_for_what_they_need_and_not_for_what_they_may_load() {
        let cases: [Case; 10] = [
            (Cpu, &[], &[], true, false, false),
            (Cpu, &[Cuda], &[Cuda], true, true, false),
            (Cpu, &[], &[Cuda], true, false, true),
            (Cuda, &[], &[], true, true, false),
            (Cuda, &[], &[], false, false, true),
            // Looked for by the program itself, without the loader.
            (Cuda, &[], &[Cuda], true, false, false),
            (Cuda, &[Rocm], &[Rocm], true, true, false),
            (Cuda, &[Rocm], &[Cuda, Rocm], true, false, false),
            (Rocm, &[], &[Cuda], true, true, false),
            (Metal, &[Metal], &[Metal], true, false, false),
        ];
        for (asked, built_for, may_use, is_readable, refused, told) in cases {
            let found = Accelerators {
                built_for: signs(built_for),
                may_use: signs(may_use),
                is_readable,
            };
            let fit = judge_program(asked, &BTreeMap::new(), &found);
            assert_eq!(
                (
                    matches!(fit, Fit::Wrong { .. }),
                    matches!(fit, Fit::Doubtful(_))
                ),
                (refused, told),
                "{asked} {found:?}"
            );
        }
    }
}
