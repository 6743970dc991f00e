//! Array literals: `name=(…)` and `name+=(…)`.
//!
//! bash expands all words of a literal first, in order, while the variable still has its old
//! elements; then it assigns one element after the other, and a subscript sees those before it.

use super::assoc::Assoc;
use super::dynamic::{Field, Reason, Stop};
use super::scope::{Array, Attributes, Content};
use super::shell::Shell;
use crate::tree::{ArrayLiteral, File, Subscript};

/// The expanded words of an array literal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Elements {
    elements: Vec<Element>,
    /// Set when not even the number of elements is known.
    unknown: Option<Reason>,
}

#[derive(Debug, Clone)]
enum Element {
    Next(Field),
    At {
        /// Arithmetic text or a key.
        subscript: Field,
        value: Field,
        append: bool,
    },
}

impl Shell {
    /// Expands the words of a literal that is assigned to `name`.
    pub(crate) fn elements_of(
        &mut self,
        file: &File,
        name: &str,
        literal: &ArrayLiteral,
        is_assoc: bool,
    ) -> Result<Elements, Stop> {
        let mut expanded = Elements {
            elements: Vec::with_capacity(literal.elements.len()),
            unknown: None,
        };
        let mut fields = Vec::new();
        for element in &literal.elements {
            let Some(index) = &element.index else {
                if is_assoc {
                    let value = super::assign::known(self.text(file, &element.value))?;
                    expanded.elements.push(Element::Next(value));
                    continue;
                }
                match self.word_fields(file, &element.value, &mut fields) {
                    Ok(()) => {}
                    Err(Stop::Dynamic(reason)) => expanded.unknown = Some(reason),
                    Err(stop) => return Err(stop),
                }
                expanded
                    .elements
                    .extend(fields.drain(..).map(Element::Next));
                continue;
            };
            if !is_assoc && !self.state.options.no_braces && element.value.may_expand_braces(file) {
                // bash expands the braces first and then takes the element for a plain word.
                let stop = self.unsupported("[…]={…}", "braces");
                if let Stop::Dynamic(reason) = &stop {
                    self.forget_everything(reason);
                }
                return Err(stop);
            }
            let subscript = match &**index {
                Subscript::Index(word) if is_assoc => self.operand(file, word),
                index => self.subscript(file, name, index),
            };
            expanded.elements.push(Element::At {
                subscript: super::assign::known(subscript)?,
                value: super::assign::known(self.text(file, &element.value))?,
                append: element.append,
            });
        }
        Ok(expanded)
    }

    /// Assigns expanded elements to `name`, which is no reference; `append` keeps the old ones.
    pub(crate) fn assign_elements(
        &mut self,
        name: &str,
        elements: Elements,
        append: bool,
    ) -> Result<(), Stop> {
        self.check_writable(name)?;
        let variable = self.slot(name);
        let earlier = variable.origins().filter(|_| append);
        let attributes = variable.attributes;
        let content = match std::mem::take(&mut variable.content) {
            Content::Dynamic(reason) if append => {
                // The subscripts may assign.
                self.array_content(name, attributes, elements, Array::default())?;
                Content::Dynamic(reason)
            }
            Content::Assoc(old) => {
                let old = if append { old } else { Assoc::default() };
                self.assoc_content(attributes, elements, old)?
            }
            Content::Array(old) if append => self.array_content(name, attributes, elements, old)?,
            Content::Scalar(old) if append => {
                let old = [old].into_iter().collect();
                self.array_content(name, attributes, elements, old)?
            }
            unsure @ Content::Dynamic(_) if attributes.unsure => {
                self.array_content(name, attributes, elements, Array::default())?;
                unsure
            }
            _ => self.array_content(name, attributes, elements, Array::default())?,
        };
        if attributes.unsure {
            self.slot(name).content = content;
            return Ok(());
        }
        self.replace(name, content)?;
        if let Some(earlier) = earlier {
            self.slot(name).earlier = earlier;
        }
        Ok(())
    }

    fn array_content(
        &mut self,
        name: &str,
        attributes: Attributes,
        elements: Elements,
        mut array: Array,
    ) -> Result<Content, Stop> {
        let mut unknown = elements.unknown;
        let mut next = array.end();
        for element in elements.elements {
            let (subscript, value, append) = match element {
                Element::Next(value) => {
                    let value = self.shape(attributes, value)?;
                    array.insert(next, value);
                    next = next.wrapping_add(1);
                    continue;
                }
                Element::At {
                    subscript,
                    value,
                    append,
                } => (subscript, value, append),
            };
            let index = match subscript {
                Ok(text) if plain_index(&text) => text.parse().unwrap_or(0),
                Ok(text) => {
                    // The expression may look at the elements that are assigned already.
                    self.slot(name).content = Content::Array(array);
                    let index = self.index(&text);
                    array = match std::mem::take(&mut self.slot(name).content) {
                        Content::Array(array) => array,
                        Content::Dynamic(reason) => return Ok(Content::Dynamic(reason)),
                        _ => Array::default(),
                    };
                    match index {
                        Ok(index) => index,
                        Err(Stop::Dynamic(reason)) => {
                            unknown = Some(reason);
                            continue;
                        }
                        Err(stop) => return Err(stop),
                    }
                }
                Err(reason) => {
                    unknown = Some(reason);
                    continue;
                }
            };
            let index = array.counted(index);
            if index < 0 {
                // Reported, and the element left out.
                self.complain();
                continue;
            }
            let value = if append {
                self.charge(&value)?;
                self.joined(attributes, array.get(index).cloned(), value)?
            } else {
                self.shape(attributes, value)?
            };
            array.insert(index, value);
            next = index.wrapping_add(1);
        }
        Ok(unknown.map_or(Content::Array(array), Content::Dynamic))
    }

    fn assoc_content(
        &mut self,
        attributes: Attributes,
        elements: Elements,
        mut assoc: Assoc,
    ) -> Result<Content, Stop> {
        let mut unknown = elements.unknown;
        let in_pairs = matches!(elements.elements.first(), Some(Element::Next(_)));
        let mut rest = elements.elements.into_iter();
        while let Some(element) = rest.next() {
            let (key, value, append) = match element {
                Element::At {
                    subscript,
                    value,
                    append,
                } if !in_pairs => (subscript, value, append),
                // Without subscripts the elements are keys and values in turn.
                Element::Next(key) if in_pairs => match rest.next() {
                    Some(Element::Next(value)) => (key, value, false),
                    None => (key, Ok(String::new()), false),
                    Some(Element::At { .. }) => {
                        let stop = self.unsupported("=(…)", "keys and values mixed with `[key]=`");
                        let Stop::Dynamic(reason) = stop else {
                            return Err(stop);
                        };
                        unknown = Some(reason);
                        continue;
                    }
                },
                // Reported, and left out.
                _ => {
                    self.complain();
                    continue;
                }
            };
            let key = match key {
                Ok(key) if key.is_empty() => {
                    self.complain();
                    continue;
                }
                Ok(key) => key,
                Err(reason) => {
                    unknown = Some(reason);
                    continue;
                }
            };
            let value = if append {
                self.charge(&value)?;
                self.joined(attributes, assoc.get(&key).cloned(), value)?
            } else {
                self.shape(attributes, value)?
            };
            assoc.insert(key, value);
        }
        Ok(unknown.map_or(Content::Assoc(assoc), Content::Dynamic))
    }

    fn shape(&mut self, attributes: Attributes, value: Field) -> Result<Field, Stop> {
        self.charge(&value)?;
        self.conform(attributes, value)
    }
}

/// A subscript that needs no evaluation: decimal digits, not octal and not too many.
fn plain_index(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || (!text.starts_with('0') && (1..18).contains(&text.len())))
}
