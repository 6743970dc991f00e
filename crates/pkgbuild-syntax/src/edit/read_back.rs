//! A change stands only where the recipe then holds what was set.

use super::document::Document;
use super::error::EditError;
use crate::evaluate::Evaluated;
use crate::package::Package;

/// A line of a package function that makepkg evaluates with more in it than one field changes the
/// fields of every package.
fn surprise(new: &Document) -> Option<String> {
    let evaluation = new.evaluation();
    let package = Package::from_evaluation(&evaluation).ok()?;
    let reason = package
        .uncertain
        .filter(|_| evaluation.uncertain().is_none())?;
    Some(reason.describe(new.text()))
}

impl Document {
    pub(super) fn keep_scalar(
        &mut self,
        new: Self,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let why = match new.evaluation().scalar(name) {
            Some(Evaluated::Known(text)) if text == value => None,
            Some(Evaluated::Known(text)) => Some(format!("it would be `{text}`")),
            Some(Evaluated::Dynamic(reason)) => Some(reason.describe(new.text())),
            None => Some("it would not be set".to_owned()),
        };
        self.keep(new, name, why)
    }

    pub(super) fn keep_array(
        &mut self,
        new: Self,
        name: &str,
        values: impl Iterator<Item = Option<String>>,
    ) -> Result<(), EditError> {
        let why = match new.values(name) {
            Ok(found) if found.iter().cloned().eq(values) => None,
            Ok(found) => {
                let found: Vec<String> = found.into_iter().map(Option::unwrap_or_default).collect();
                Some(format!("it would hold `{}`", found.join("`, `")))
            }
            Err(error) => return Err(error),
        };
        self.keep(new, name, why)
    }

    fn keep(&mut self, new: Self, name: &str, why: Option<String>) -> Result<(), EditError> {
        let why = why.or_else(|| {
            let failure = new.evaluation().failure()?.to_string();
            self.evaluation().failure().is_none().then_some(failure)
        });
        let why = why.or_else(|| surprise(&new));
        match why {
            None => {
                *self = new;
                Ok(())
            }
            Some(why) => Err(EditError::NotReadBack {
                name: name.to_owned(),
                why,
            }),
        }
    }
}
