//! Rules for the elements of arrays.

use super::Lint;
use crate::lint::diagnostic::Code;
use crate::lint::rules::{self};
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

    pub(super) fn element(&mut self, field: ArrayField, text: &str, span: Option<Span>) {
        match field {
            ArrayField::Backup if text.starts_with('/') => self.report(
                Code::BackupAbsolute,
                span,
                format!("`{text}` in `backup` has a leading slash"),
                "drop the leading slash",
            ),
            ArrayField::Backup => {}
            ArrayField::Options if rules::is_option(text) => {}
            ArrayField::Options => self.report(
                Code::OptionUnknown,
                span,
                format!("makepkg does not know the option `{text}`"),
                "use one of strip, docs, libtool, staticlibs, emptydirs, zipman, purge, debug, \
                 lto, autodeps, ccache, distcc, buildflags, makeflags, or `!` and one of them",
            ),
            ArrayField::Provides => self.provides(text, span),
            _ => self.dependency(field, text, span),
        }
    }

    fn provides(&mut self, text: &str, span: Option<Span>) {
        if text.contains(['<', '>']) {
            self.report(
                Code::ProvidesComparison,
                span,
                format!("`{text}` in `provides` compares versions"),
                "use `=` and one version",
            );
            return;
        }
        let (name, version) = match text.rsplit_once('=') {
            None => (text, None),
            Some((name, version)) => (name, Some(version)),
        };
        self.verdict(Code::NameInvalid, span, rules::name("provides", name));
        if let Some(version) = version {
            self.verdict(
                Code::PkgverInvalid,
                span,
                rules::full_version("provides", version),
            );
        }
    }

    fn dependency(&mut self, field: ArrayField, text: &str, span: Option<Span>) {
        let text = match field {
            ArrayField::Optdepends => rules::without_description(text),
            _ => text,
        };
        let (name, version) = rules::constraint(text);
        self.verdict(Code::NameInvalid, span, rules::name(field.name(), name));
        // makepkg lets `depends` end in an operator (Arch bug 58776).
        if let Some(version) = version
            && !(version.is_empty() && field == ArrayField::Depends)
        {
            self.verdict(
                Code::PkgverInvalid,
                span,
                rules::full_version(field.name(), version),
            );
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
