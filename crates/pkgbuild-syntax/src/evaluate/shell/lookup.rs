//! How variables are found and read.

use super::{Shell, split_subscript};
use crate::evaluate::dynamic::{DynamicKind, DynamicReason, Field, Reason, Stop};
use crate::evaluate::host::{self, Inherited};
use crate::evaluate::scope::{Attributes, Content, Variable};

impl Shell {
    /// The innermost scope that has `name`; inherited variables appear in the global one when they
    /// are first looked for.
    pub(crate) fn locate(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.state.scopes.find(name) {
            return Some(at);
        }
        let variable = match host::inherited(name, &self.environment) {
            Some(Inherited::Text {
                value,
                exported,
                readonly,
            }) => Variable {
                content: Content::Scalar(Ok(value)),
                attributes: Attributes {
                    readonly,
                    exported,
                    // bash counts with it.
                    integer: name == "OPTIND",
                    ..Attributes::default()
                },
                ..Variable::default()
            },
            Some(Inherited::Unknown { kind, readonly }) => {
                let reason = DynamicReason {
                    kind,
                    span: self.place.here(),
                };
                Variable {
                    content: Content::Dynamic(reason.into()),
                    attributes: Attributes {
                        readonly,
                        ..Attributes::default()
                    },
                    inherited: true,
                    ..Variable::default()
                }
            }
            None => Variable {
                content: Content::Dynamic(self.state.unknown.clone()?),
                ..Variable::default()
            },
        };
        self.state.scopes.at_mut(0).variables.insert(
            name.into(),
            Variable {
                inherited: true,
                ..variable
            },
        );
        Some(0)
    }

    pub(crate) fn variable(&mut self, name: &str) -> Option<&Variable> {
        let at = self.locate(name)?;
        self.state.scopes.at(at).variables.get(name)
    }

    /// Follows `declare -n`; the name itself when it is no reference.
    pub(crate) fn referent(&mut self, name: &str) -> Result<String, Stop> {
        let mut name = name.to_owned();
        for _ in 0..8 {
            match self.variable(&name) {
                Some(Variable {
                    content,
                    attributes,
                    ..
                }) if attributes.reference => match content {
                    Content::Scalar(Ok(target)) if !target.is_empty() => name.clone_from(target),
                    Content::Scalar(Err(reason)) | Content::Dynamic(reason) => {
                        return Err(reason.clone().into());
                    }
                    _ => return Ok(name),
                },
                _ => return Ok(name),
            }
        }
        Err(Stop::failed(format!("{name}: circular name reference")))
    }

    pub(crate) fn is_reference(&mut self, name: &str) -> bool {
        self.variable(name)
            .is_some_and(|variable| variable.attributes.reference)
    }

    /// The text of `$name`: element 0 of an array. `None` when unset.
    /// The first element of `BASH_SOURCE` where the recipe's own text runs, not one from elsewhere.
    fn recipe_source(&self, name: &str) -> Option<String> {
        if name != "BASH_SOURCE" || self.place.anchor().is_some() {
            return None;
        }
        let directory = self.environment.facts.directory.as_ref()?;
        Some(format!("{directory}/PKGBUILD"))
    }

    pub(crate) fn scalar(&mut self, name: &str) -> Option<Field> {
        if let Some(path) = self.recipe_source(name) {
            return Some(Ok(path));
        }
        if host::is_volatile(name) {
            let reason = self.reason(DynamicKind::Host(name.to_owned()));
            return Some(Err(reason));
        }
        if name == "PIPESTATUS" {
            let first = self.statuses.pipe().into_iter().next();
            return first.map(|first| first.map(|status| status.to_string()));
        }
        if self.is_reference(name) {
            return match self.referent(name) {
                Ok(target) if target != name => match split_subscript(&target) {
                    Some((array, subscript)) => self.element(array, subscript).unwrap_or(None),
                    None => self.scalar(&target),
                },
                Err(Stop::Dynamic(reason)) => Some(Err(reason)),
                Ok(_) | Err(_) => None,
            };
        }
        match &self.variable(name)?.content {
            Content::Unset => None,
            Content::Scalar(value) => Some(value.clone()),
            Content::Array(array) => array.get(0).cloned(),
            Content::Assoc(assoc) => assoc.get("0").cloned(),
            Content::Dynamic(reason) => {
                let reason = reason.clone();
                self.note(&reason);
                Some(Err(reason))
            }
        }
    }

    /// Moves a reason that was made before its variable was read to where it is read.
    fn note(&mut self, reason: &Reason) {
        self.told.add_once(reason);
    }

    /// `${name[subscript]}`, the subscript expanded already.
    pub(crate) fn element(&mut self, name: &str, subscript: &str) -> Result<Option<Field>, Stop> {
        if name == "PIPESTATUS" {
            let index = self.index(subscript)?;
            let status = usize::try_from(index)
                .ok()
                .and_then(|at| self.statuses.pipe().get(at).cloned());
            return Ok(status.map(|status| status.map(|status| status.to_string())));
        }
        if self.recipe_source(name).is_some() && self.index(subscript)? != 0 {
            // The callers, which are makepkg's own functions.
            let reason = self.reason(DynamicKind::Host(name.to_owned()));
            return Ok(Some(Err(reason)));
        }
        if host::is_volatile(name) {
            return Ok(self.scalar(name));
        }
        let name = self.referent(name)?;
        match self.variable(&name).map(|variable| &variable.content) {
            None | Some(Content::Unset) => {
                // The subscript is evaluated all the same, and may assign.
                self.index(subscript)?;
                Ok(None)
            }
            Some(Content::Assoc(assoc)) => Ok(assoc.get(subscript).cloned()),
            Some(Content::Dynamic(reason)) => {
                let reason = reason.clone();
                self.note(&reason);
                Ok(Some(Err(reason)))
            }
            Some(Content::Scalar(_) | Content::Array(_)) => {
                let index = self.index(subscript)?;
                let scalar = matches!(
                    self.variable(&name).map(|variable| &variable.content),
                    Some(Content::Scalar(_))
                );
                if scalar && index < 0 {
                    return Err(self.unsupported("[-1]", "of a variable that is no array"));
                }
                let Some(variable) = self.variable(&name) else {
                    return Ok(None);
                };
                let found = match &variable.content {
                    Content::Array(array) => {
                        let index = array.counted(index);
                        if index < 0 {
                            // Reading outside an array is reported, and empty.
                            self.complain();
                            return Ok(None);
                        }
                        array.get(index).cloned()
                    }
                    Content::Scalar(value) if index == 0 => Some(value.clone()),
                    _ => None,
                };
                Ok(found)
            }
        }
    }
}
