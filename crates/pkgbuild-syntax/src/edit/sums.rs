//! New checksums for all sources.

use super::document::Document;
use super::error::EditError;
use crate::evaluate::DynamicReason;
use crate::package::{Algorithm, Array, ArrayField, ArrayKey, Package};
use crate::source_text::SourceText;

impl Document {
    /// Sets every checksum that is not `SKIP`, of every kind that the recipe states, for the common list
    /// of sources and those of single architectures. A source that had none gets one; version control
    /// keeps its `SKIP`. Returns the lists that changed.
    ///
    /// `digest` is asked with the list of sources, the place in it and the kind.
    ///
    /// # Errors
    /// [`EditError::Missing`] when `digest` has none, [`EditError::NotReadBack`] when sources or
    /// checksums are not known without running the recipe; else as [`set_array`](Self::set_array).
    /// The text is as it was then.
    pub fn renew_sums(
        &mut self,
        digest: &mut dyn FnMut(&ArrayKey, usize, Algorithm) -> Option<String>,
    ) -> Result<Vec<ArrayKey>, EditError> {
        let package = Package::from_evaluation(&self.evaluation());
        let package = package.map_err(|error| EditError::NotReadBack {
            name: "source".to_owned(),
            why: error.to_string(),
        })?;
        let mut changed = self.clone();
        let mut lists = Vec::new();
        for (key, sums) in &package.common.arrays {
            let ArrayField::Checksums(algorithm) = key.field else {
                continue;
            };
            let list = ArrayKey {
                field: ArrayField::Source,
                arch: key.arch.clone(),
            };
            let unknown = |reasons: Vec<&DynamicReason>| EditError::NotReadBack {
                name: key.to_string(),
                why: reasons
                    .first()
                    .map_or_else(String::new, |reason| reason.describe(self.text())),
            };
            let old = sums.texts().map_err(unknown)?;
            let sources = package.common.arrays.get(&list);
            let sources = match sources.map(Array::texts) {
                Some(texts) => texts.map_err(unknown)?,
                None => Vec::new(),
            };
            let mut new = Vec::with_capacity(sources.len());
            for (at, source) in sources.iter().enumerate() {
                let version_control = SourceText::parse(source).version_control.is_some();
                let skips = match old.get(at) {
                    Some(digest) => *digest == "SKIP",
                    None => version_control,
                };
                new.push(if skips {
                    "SKIP".to_owned()
                } else {
                    digest(&list, at, algorithm).ok_or_else(|| EditError::Missing {
                        what: format!("`{algorithm}` digest of `{source}`"),
                    })?
                });
            }
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            if new != old {
                changed.set_sums(key, &new)?;
                lists.push(key.clone());
            }
        }
        *self = changed;
        Ok(lists)
    }
}
