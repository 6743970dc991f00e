//! Lists of sources with the checksums that belong to them.

use crate::package::{Algorithm, Array, ArrayField, ArrayKey, Package};
use crate::source_text::SourceText;
use crate::span::Span;

/// One list of sources and the lists of checksums for it.
pub(super) struct Group<'recipe> {
    pub(super) key: &'recipe ArrayKey,
    pub(super) sources: Vec<Proven<'recipe>>,
    /// Every list of checksums that is known, whatever its length.
    pub(super) sums: Vec<(ArrayKey, Algorithm, &'recipe Array)>,
    /// Whether every list of checksums is known.
    pub(super) complete: bool,
}

/// A source with its checksums.
pub(super) struct Proven<'recipe> {
    pub(super) source: SourceText<'recipe>,
    pub(super) span: Option<Span>,
    pub(super) checksums: Vec<(Algorithm, &'recipe str)>,
}

impl Proven<'_> {
    /// The checksums that are not skipped.
    pub(super) fn proofs(&self) -> impl Iterator<Item = Algorithm> {
        let given = self
            .checksums
            .iter()
            .filter(|(_, digest)| *digest != "SKIP");
        given.map(|(algorithm, _)| *algorithm)
    }
}

/// The lists of a recipe; one with elements that are not known is left out.
pub(super) fn groups(package: &Package) -> Vec<Group<'_>> {
    let lists = package.common.arrays.iter();
    lists
        .filter(|(key, _)| key.field == ArrayField::Source)
        .filter_map(|(key, sources)| group(package, key, sources))
        .collect()
}

fn group<'recipe>(
    package: &'recipe Package,
    key: &'recipe ArrayKey,
    sources: &'recipe Array,
) -> Option<Group<'recipe>> {
    sources.texts().ok()?;
    let proven = sources.known().map(|(text, span)| Proven {
        source: SourceText::parse(text),
        span,
        checksums: Vec::new(),
    });
    let mut group = Group {
        key,
        sources: proven.collect(),
        sums: Vec::new(),
        complete: true,
    };
    for algorithm in Algorithm::ALL {
        let sums_key = ArrayKey {
            field: ArrayField::Checksums(algorithm),
            arch: key.arch.clone(),
        };
        let Some(sums) = package.common.arrays.get(&sums_key) else {
            continue;
        };
        let Ok(digests) = sums.texts() else {
            group.complete = false;
            continue;
        };
        for (digest, source) in digests.into_iter().zip(&mut group.sources) {
            source.checksums.push((algorithm, digest));
        }
        group.sums.push((sums_key, algorithm, sums));
    }
    Some(group)
}
