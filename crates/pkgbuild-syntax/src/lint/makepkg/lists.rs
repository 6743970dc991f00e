//! Rules for the elements of arrays.

use super::Lint;
use crate::package::{Array, ArrayField, Metadata};
use crate::span::Span;

impl<'recipe> Lint<'recipe> {
    /// Every list of a kind: common, suffixed and overridden.
    pub(super) fn all(&self, field: ArrayField) -> Vec<&'recipe Array> {
        let package = &self.recipe.package;
        let overrides = package
            .overrides
            .iter()
            .map(|overrides| &overrides.metadata);
        let layers = [&package.common].into_iter().chain(overrides);
        layers
            .flat_map(|metadata| listed(metadata, field, &self.arches))
            .collect()
    }

    pub(super) fn lists(&mut self) {
        for field in [
            ArrayField::Backup,
            ArrayField::Checkdepends,
            ArrayField::Conflicts,
            ArrayField::Depends,
            ArrayField::Makedepends,
            ArrayField::Optdepends,
            ArrayField::Options,
            ArrayField::Provides,
        ] {
            let mut seen = std::collections::HashSet::new();
            for array in self.all(field) {
                self.undecided(array.reasons());
                for (text, span) in array.known() {
                    // An override repeats the common elements that `+=` left in place.
                    if seen.insert(text) {
                        self.element(field, text, span);
                    }
                }
            }
        }
    }

    fn element(&mut self, field: ArrayField, text: &str, span: Option<Span>) {
        match field {
            ArrayField::Backup => self.backup(text, span),
            ArrayField::Options => self.option(text, span),
            ArrayField::Provides => self.provides(text, span),
            _ => self.dependency(field, text, span),
        }
    }
}

/// The lists of a kind in one section: the common one and those of the recipe's architectures.
fn listed<'metadata>(
    metadata: &'metadata Metadata,
    field: ArrayField,
    arches: &Array,
) -> Vec<&'metadata Array> {
    let lists = metadata.arrays.iter().filter(|(key, _)| {
        key.field == field
            && key
                .arch
                .as_ref()
                .is_none_or(|arch| arches.known().any(|(name, _)| name == arch.as_str()))
    });
    lists.map(|(_, array)| array).collect()
}
