//! How variables are assigned, declared and unset.

use super::{BAD_SUBSCRIPT, Shell, is_name, split_subscript};
use crate::evaluate::dynamic::{Field, Stop};
use crate::evaluate::operation::recased_text;
use crate::evaluate::scope::{Array, Attributes, Content, Variable};
use crate::tree::CaseChange;

impl Shell {
    /// Where an assignment to `name` goes: the innermost scope that has it, else the global one.
    pub(crate) fn slot(&mut self, name: &str) -> &mut Variable {
        let at = self.locate(name).unwrap_or(0);
        self.state
            .scopes
            .at_mut(at)
            .variables
            .entry(name.into())
            .or_default()
    }

    pub(crate) fn check_writable(&mut self, name: &str) -> Result<(), Stop> {
        if self
            .variable(name)
            .is_some_and(|variable| variable.attributes.readonly)
        {
            return Err(Stop::failed(format!("{name}: readonly variable")));
        }
        Ok(())
    }

    /// Case changes and arithmetic that the variable's attributes ask for.
    pub(crate) fn conform(&mut self, attributes: Attributes, value: Field) -> Result<Field, Stop> {
        if attributes.integer {
            return match value {
                Ok(text) => match self.arithmetic(&text) {
                    Ok(number) => Ok(Ok(number.to_string())),
                    Err(Stop::Dynamic(reason)) => Ok(Err(reason)),
                    // bash does not survive an expression that fails here.
                    Err(Stop::Failed { message, .. }) => Err(Stop::Failed {
                        message,
                        fatal: true,
                    }),
                    Err(stop) => Err(stop),
                },
                Err(reason) => Ok(Err(reason)),
            };
        }
        if attributes.lower {
            return Ok(value.map(|text| recased_text(&text, CaseChange::Lower)));
        }
        if attributes.upper {
            return Ok(value.map(|text| recased_text(&text, CaseChange::Upper)));
        }
        Ok(value)
    }

    pub(crate) fn charge(&mut self, value: &Field) -> Result<(), Stop> {
        self.fuel.spend(1)?;
        if let Ok(text) = value {
            self.fuel.store(text.len() + 32)?;
        }
        Ok(())
    }

    /// `old + new` as `+=` joins them.
    pub(crate) fn joined(
        &mut self,
        attributes: Attributes,
        old: Option<Field>,
        new: Field,
    ) -> Result<Field, Stop> {
        let Some(old) = old else {
            return self.conform(attributes, new);
        };
        let (old, new) = match (old, self.conform(attributes, new)?) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(reason), _) | (_, Err(reason)) => return Ok(Err(reason)),
        };
        if attributes.integer {
            let left = self.arithmetic(&old);
            let right = new.parse::<i64>().unwrap_or(0);
            return match left {
                Ok(left) => Ok(Ok(left.wrapping_add(right).to_string())),
                Err(Stop::Dynamic(reason)) => Ok(Err(reason)),
                Err(stop) => Err(stop),
            };
        }
        self.fuel.store(old.len() + new.len())?;
        self.fuel.spend((old.len() + new.len()) as u64 / 64)?;
        self.conform(attributes, Ok(old + &new))
    }

    /// `name=value` or `name+=value`.
    pub(crate) fn assign(&mut self, name: &str, value: Field, append: bool) -> Result<(), Stop> {
        let name = if self.is_reference(name) {
            self.referent(name)?
        } else {
            name.to_owned()
        };
        if let Some((array, subscript)) = split_subscript(&name) {
            let (array, subscript) = (array.to_owned(), subscript.to_owned());
            return self.assign_element(&array, &subscript, value, append);
        }
        self.check_writable(&name)?;
        self.charge(&value)?;
        if self.state.scopes.holds_unfinished(&name) {
            let unfinished = self.state.scopes.take();
            let outside = self.assign(&name, value.clone(), append);
            self.state.scopes.show(unfinished.into_iter().collect());
            outside?;
        }
        let attributes = self
            .variable(&name)
            .map_or_else(Attributes::default, |v| v.attributes);
        let value = if append {
            let old = match self.variable(&name).map(|variable| &variable.content) {
                Some(Content::Dynamic(reason)) => Some(Err(reason.clone())),
                _ => self.scalar(&name),
            };
            self.joined(attributes, old, value)?
        } else {
            self.conform(attributes, value)?
        };
        let doubt = self.doubt.reason().cloned();
        let span = self.place.here();
        let variable = self.slot(&name);
        variable.assigned_at(span, append);
        let inherited = std::mem::take(&mut variable.inherited);
        if let Some(reason) = doubt {
            variable.content = match variable.content {
                Content::Unset | Content::Scalar(_) => Content::Scalar(Err(reason)),
                _ => Content::Dynamic(reason),
            };
            return Ok(());
        }
        match &mut variable.content {
            Content::Array(array) => array.insert(0, value),
            Content::Assoc(assoc) => assoc.insert("0".to_owned(), value),
            // A variable of unknown kind stays so: it may be an array with more elements. One that
            // the host gives is a plain string.
            Content::Dynamic(_) if !inherited || attributes.unsure => {}
            content => *content = Content::Scalar(value),
        }
        Ok(())
    }

    /// `name[subscript]=value`, the subscript expanded already.
    pub(crate) fn assign_element(
        &mut self,
        name: &str,
        subscript: &str,
        value: Field,
        append: bool,
    ) -> Result<(), Stop> {
        let name = self.referent(name)?;
        self.check_writable(&name)?;
        self.charge(&value)?;
        let attributes = self
            .variable(&name)
            .map_or_else(Attributes::default, |v| v.attributes);
        let assoc = matches!(
            self.variable(&name).map(|variable| &variable.content),
            Some(Content::Assoc(_))
        );
        let index = if assoc { 0 } else { self.index(subscript)? };
        if index < 0 {
            let end = match self.variable(&name).map(|variable| &variable.content) {
                Some(Content::Array(array)) => array.end(),
                Some(Content::Scalar(_)) => 1,
                Some(Content::Dynamic(_)) => i64::MAX,
                _ => 0,
            };
            if index.wrapping_add(end) < 0 {
                return Err(Stop::failed(format!(
                    "{name}[{subscript}]: {BAD_SUBSCRIPT}"
                )));
            }
        }
        self.make_array(&name);
        let value = if append {
            let old = match self.variable(&name).map(|variable| &variable.content) {
                Some(Content::Assoc(assoc)) => assoc.get(subscript).cloned(),
                Some(Content::Array(array)) => array.get(array.counted(index)).cloned(),
                Some(Content::Dynamic(reason)) => Some(Err(reason.clone())),
                _ => None,
            };
            self.joined(attributes, old, value)?
        } else {
            self.conform(attributes, value)?
        };
        let doubt = self.doubt.reason().cloned();
        let span = self.place.here();
        let variable = self.slot(&name);
        variable.assigned_at(span, true);
        variable.inherited = false;
        if let Some(reason) = doubt {
            variable.content = Content::Dynamic(reason);
            return Ok(());
        }
        match &mut variable.content {
            Content::Assoc(assoc) => assoc.insert(subscript.to_owned(), value),
            Content::Array(array) => {
                let index = array.counted(index);
                array.insert(index, value);
            }
            _ => {}
        }
        Ok(())
    }

    /// Assigns to `name` or `name[subscript]` as builtins such as `read` are told.
    pub(crate) fn assign_named(&mut self, target: &str, value: Field) -> Result<(), Stop> {
        if let Some((name, subscript)) = split_subscript(target) {
            let subscript = self.expand_subscript(name, subscript)?;
            return self.assign_element(name, &subscript, value, false);
        }
        if !is_name(target) {
            return Err(Stop::failed(format!("`{target}': not a valid identifier")));
        }
        self.assign(target, value, false)
    }

    /// Turns an unset or scalar variable into an indexed array.
    pub(crate) fn make_array(&mut self, name: &str) {
        let variable = self.slot(name);
        match std::mem::take(&mut variable.content) {
            Content::Unset => variable.content = Content::Array(Array::default()),
            Content::Scalar(value) => {
                variable.content = Content::Array([value].into_iter().collect());
            }
            other => variable.content = other,
        }
    }

    /// Replaces the content of a variable, as `name=(…)` does once its elements are expanded.
    pub(crate) fn replace(&mut self, name: &str, content: Content) -> Result<(), Stop> {
        self.check_writable(name)?;
        let doubt = self.doubt.reason().cloned();
        let span = self.place.here();
        let variable = self.slot(name);
        variable.assigned_at(span, false);
        variable.inherited = false;
        variable.content = match doubt {
            Some(reason) => Content::Dynamic(reason),
            None if variable.attributes.unsure => return Ok(()),
            None => content,
        };
        Ok(())
    }

    /// `unset name`: a local one stays as a hole in its own function.
    pub(crate) fn unset(&mut self, name: &str) -> Result<(), Stop> {
        let Some(at) = self.locate(name) else {
            return Ok(());
        };
        self.check_writable(name)?;
        let doubt = self.doubt.reason().cloned();
        let innermost = self.function_scope();
        let variables = &mut self.state.scopes.at_mut(at).variables;
        match doubt {
            Some(reason) => {
                if let Some(variable) = variables.get_mut(name) {
                    variable.content = match variable.content {
                        Content::Scalar(_) | Content::Unset => Content::Scalar(Err(reason)),
                        _ => Content::Dynamic(reason),
                    };
                }
            }
            None if at == innermost || at == 0 => {
                variables.insert(name.into(), Variable::default());
            }
            None => {
                variables.remove(name);
            }
        }
        Ok(())
    }

    /// Where `local` declares: the innermost scope that is a function's.
    pub(crate) fn function_scope(&self) -> usize {
        self.state.scopes.function_level()
    }
}
