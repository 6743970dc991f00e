//! Assignments, array literals among them.

use super::assoc::Assoc;
use super::dynamic::{Field, Reason, Stop};
use super::scope::{Array, Content};
use super::shell::Shell;
use crate::tree::{ArrayLiteral, Assignment, File, Subscript, Value};

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
            Value::Array(literal) => self.assign_array(file, name, literal, assignment.append),
        }
    }

    /// `name=(…)` or `name+=(…)`.
    pub(crate) fn assign_array(
        &mut self,
        file: &File,
        name: &str,
        literal: &ArrayLiteral,
        append: bool,
    ) -> Result<(), Stop> {
        let name = self.referent(name)?;
        let content = match self.array_content(file, &name, literal, append) {
            Ok(content) => content,
            Err(Stop::Dynamic(reason)) => Content::Dynamic(reason),
            Err(stop) => return Err(stop),
        };
        self.replace(&name, content)
    }

    fn array_content(
        &mut self,
        file: &File,
        name: &str,
        literal: &ArrayLiteral,
        append: bool,
    ) -> Result<Content, Stop> {
        let (old, attributes) = match self.variable(name) {
            Some(variable) => (Some(&variable.content), variable.attributes),
            None => (None, super::scope::Attributes::default()),
        };
        let is_assoc = matches!(old, Some(Content::Assoc(_)));
        let start = match (append, old) {
            (true, Some(old)) => old.clone(),
            _ if is_assoc => Content::Assoc(Assoc::default()),
            _ => Content::Array(Array::default()),
        };
        let mut unknown: Option<Reason> = None;
        match start {
            Content::Dynamic(reason) => {
                // The elements are expanded for their side effects alone.
                self.array_elements(
                    file,
                    name,
                    literal,
                    attributes,
                    Array::default(),
                    &mut unknown,
                )?;
                Ok(Content::Dynamic(reason))
            }
            Content::Assoc(assoc) => {
                let assoc = self.assoc_elements(file, literal, attributes, assoc, &mut unknown)?;
                Ok(unknown.map_or(Content::Assoc(assoc), Content::Dynamic))
            }
            Content::Array(array) => {
                let array =
                    self.array_elements(file, name, literal, attributes, array, &mut unknown)?;
                Ok(unknown.map_or(Content::Array(array), Content::Dynamic))
            }
            Content::Scalar(value) => {
                let array = [value].into_iter().collect();
                let array =
                    self.array_elements(file, name, literal, attributes, array, &mut unknown)?;
                Ok(unknown.map_or(Content::Array(array), Content::Dynamic))
            }
            Content::Unset => {
                let array = Array::default();
                let array =
                    self.array_elements(file, name, literal, attributes, array, &mut unknown)?;
                Ok(unknown.map_or(Content::Array(array), Content::Dynamic))
            }
        }
    }

    fn array_elements(
        &mut self,
        file: &File,
        name: &str,
        literal: &ArrayLiteral,
        attributes: super::scope::Attributes,
        mut array: Array,
        unknown: &mut Option<Reason>,
    ) -> Result<Array, Stop> {
        let mut next = array.end();
        let mut fields = Vec::new();
        for element in &literal.elements {
            let Some(index) = &element.index else {
                match self.word_fields(file, &element.value, &mut fields) {
                    Ok(()) => {}
                    Err(Stop::Dynamic(reason)) => *unknown = Some(reason),
                    Err(stop) => return Err(stop),
                }
                for field in fields.drain(..) {
                    let field = self.shape(attributes, field)?;
                    array.insert(next, field);
                    next = next.wrapping_add(1);
                }
                continue;
            };
            let value = known(self.text(file, &element.value))?;
            let value = self.shape(attributes, value)?;
            let index = self
                .subscript(file, name, index)
                .and_then(|text| self.arithmetic(&text));
            let index = match index {
                Ok(index) if index < 0 => index.wrapping_add(array.end()),
                Ok(index) => index,
                Err(Stop::Dynamic(reason)) => {
                    *unknown = Some(reason);
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            if index < 0 {
                return Err(Stop::failed("bad array subscript"));
            }
            let value = match array.get(index) {
                Some(Ok(old)) if element.append => value.map(|value| format!("{old}{value}")),
                Some(Err(reason)) if element.append => Err(reason.clone()),
                _ => value,
            };
            array.insert(index, value);
            next = index.wrapping_add(1);
        }
        Ok(array)
    }

    fn assoc_elements(
        &mut self,
        file: &File,
        literal: &ArrayLiteral,
        attributes: super::scope::Attributes,
        mut assoc: Assoc,
        unknown: &mut Option<Reason>,
    ) -> Result<Assoc, Stop> {
        if literal
            .elements
            .first()
            .is_some_and(|element| element.index.is_none())
        {
            // Without subscripts the elements are keys and values in turn.
            let mut fields = Vec::new();
            for element in &literal.elements {
                match known(self.text(file, &element.value))? {
                    Ok(text) => fields.push(text),
                    Err(reason) => *unknown = Some(reason),
                }
            }
            let mut fields = fields.into_iter();
            while let Some(key) = fields.next() {
                let value = self.shape(attributes, Ok(fields.next().unwrap_or_default()))?;
                assoc.insert(key, value);
            }
            return Ok(assoc);
        }
        for element in &literal.elements {
            let Some(index) = &element.index else {
                continue;
            };
            let value = known(self.text(file, &element.value))?;
            let value = self.shape(attributes, value)?;
            let key = match &**index {
                Subscript::At => Ok("@".to_owned()),
                Subscript::Star => Ok("*".to_owned()),
                Subscript::Index(word) => self.operand(file, word),
            };
            let key = match key {
                Ok(key) if key.is_empty() => return Err(Stop::failed("bad array subscript")),
                Ok(key) => key,
                Err(Stop::Dynamic(reason)) => {
                    *unknown = Some(reason);
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            let value = match assoc.get(&key) {
                Some(Ok(old)) if element.append => value.map(|value| format!("{old}{value}")),
                Some(Err(reason)) if element.append => Err(reason.clone()),
                _ => value,
            };
            assoc.insert(key, value);
        }
        Ok(assoc)
    }

    fn shape(&mut self, attributes: super::scope::Attributes, value: Field) -> Result<Field, Stop> {
        self.charge(&value)?;
        self.conform(attributes, value)
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
