//! Assignments.

use super::dynamic::{Field, Stop};
use super::elements::Elements;
use super::scope::Content;
use super::shell::Shell;
use crate::tree::{Assignment, File, Subscript, Value};

/// An assignment whose words are expanded, as an argument of `declare` and its kin.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) subscript: Option<String>,
    pub(crate) append: bool,
    pub(crate) value: DeclaredValue,
}

impl Declaration {
    pub(crate) fn is_array(&self) -> bool {
        matches!(self.value, DeclaredValue::Array(_))
    }
}

#[derive(Debug, Clone)]
pub(crate) enum DeclaredValue {
    Scalar(Field),
    Array(Elements),
}

impl Shell {
    pub(crate) fn assignment(&mut self, file: &File, assignment: &Assignment) -> Result<(), Stop> {
        let name = self.utf8(file.text(assignment.name))?;
        match &assignment.value {
            Value::Scalar(word) => {
                let value = known(self.text(file, word))?;
                match &assignment.subscript {
                    None => self.assign(name, value, assignment.append),
                    Some(subscript) => {
                        let subscript = match &**subscript {
                            Subscript::At | Subscript::Star => {
                                return Err(Stop::failed(format!("{name}: bad array subscript")));
                            }
                            index @ Subscript::Index(_) => self.subscript(file, name, index),
                        };
                        let assigned = subscript.and_then(|subscript| {
                            self.assign_element(name, &subscript, value, assignment.append)
                        });
                        match assigned {
                            Err(Stop::Dynamic(reason)) => {
                                // Some element changes, which one is not known.
                                self.replace(name, Content::Dynamic(reason))
                            }
                            other => other,
                        }
                    }
                }
            }
            Value::Array(literal) => {
                let name = self.referent(name)?;
                self.check_writable(&name)?;
                // What the elements' expansions see of the variable is an array already.
                self.make_array(&name);
                let is_assoc = self.is_assoc(&name).unwrap_or(false);
                let elements = match self.elements_of(file, &name, literal, is_assoc) {
                    Err(Stop::Dynamic(reason)) => {
                        return self.replace(&name, Content::Dynamic(reason));
                    }
                    elements => elements?,
                };
                self.assign_elements(&name, elements, assignment.append)
            }
        }
    }

    /// Expands an assignment behind `declare` and its kin, whose words are all expanded before the
    /// command runs. Elements with keys are those of an associative array when `is_assoc`.
    pub(crate) fn declaration_argument(
        &mut self,
        file: &File,
        assignment: &Assignment,
        is_assoc: bool,
    ) -> Result<Declaration, Stop> {
        let name = self.utf8(file.text(assignment.name))?.to_owned();
        let subscript = match &assignment.subscript {
            None => None,
            Some(subscript) => Some(self.subscript(file, &name, subscript)?),
        };
        let value = match &assignment.value {
            Value::Scalar(word) => DeclaredValue::Scalar(known(self.text(file, word))?),
            Value::Array(literal) => {
                let is_assoc = is_assoc || self.is_assoc(&name).unwrap_or(false);
                DeclaredValue::Array(self.elements_of(file, &name, literal, is_assoc)?)
            }
        };
        Ok(Declaration {
            name,
            subscript,
            append: assignment.append,
            value,
        })
    }
}

/// Separates a value that is not known from an error.
pub(crate) fn known(result: Result<String, Stop>) -> Result<Field, Stop> {
    match result {
        Ok(text) => Ok(Ok(text)),
        Err(Stop::Dynamic(reason)) => Ok(Err(reason)),
        Err(stop) => Err(stop),
    }
}
