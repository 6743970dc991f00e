//! The interpreter's state and how it is read and changed.

use super::EvaluateError;
use super::budget::{Exhausted, Fuel};
use super::doubt::Doubt;
use super::dynamic::{DynamicKind, DynamicReason, Field, Reason, Stop};
use super::environment::Environment;
use super::host::{self, Inherited};
use super::scope::{Array, Attributes, Content, Scope, State, Variable};
use super::stream::{Output, Streams};
use crate::span::Span;

/// An exit status that is known or not.
pub(crate) type Status = Result<i32, Reason>;

/// How many reasons are kept for the caller.
const MAX_REASONS: usize = 200;

/// How control leaves a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    Break(u32),
    Continue(u32),
    Return,
    Exit,
}

/// A running evaluation.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) environment: Environment,
    pub(crate) state: State,
    pub(crate) fuel: Fuel,
    pub(crate) depth: u32,
    /// What is captured, innermost last; the first is standard output.
    pub(crate) outputs: Vec<Output>,
    pub(crate) streams: Streams,
    pub(crate) status: Status,
    pub(crate) pipe_status: Vec<Status>,
    /// Of the last command substitution in the current simple command.
    pub(crate) substitution_status: Option<Status>,
    pub(crate) doubt: Doubt,
    /// Loops that are running in the current function.
    pub(crate) loops: u32,
    pub(crate) reasons: Vec<DynamicReason>,
    /// A file beside the recipe was looked for.
    pub(crate) looks_at_files: bool,
    /// The current command in the evaluated file.
    pub(crate) span: Span,
    /// Overrides `span` while a text from elsewhere runs.
    pub(crate) anchor: Option<Span>,
    pub(crate) failure: Option<EvaluateError>,
}

impl Shell {
    pub(crate) fn new(environment: &Environment) -> Self {
        let budget = environment.facts.budget;
        Self {
            environment: environment.clone(),
            state: State {
                scopes: vec![Scope::default()],
                ..State::default()
            },
            fuel: Fuel {
                steps: budget.steps,
                bytes: budget.bytes,
            },
            depth: 0,
            outputs: vec![Output::default()],
            streams: Streams::default(),
            status: Ok(0),
            pipe_status: Vec::new(),
            substitution_status: None,
            doubt: Doubt::default(),
            loops: 0,
            reasons: Vec::new(),
            looks_at_files: false,
            span: Span::default(),
            anchor: None,
            failure: None,
        }
    }

    /// A reason at the current command, noted for the caller.
    pub(crate) fn reason(&mut self, kind: DynamicKind) -> Reason {
        let reason = DynamicReason {
            kind,
            span: self.anchor.unwrap_or(self.span),
        };
        if self.reasons.len() < MAX_REASONS && self.reasons.last() != Some(&reason) {
            self.reasons.push(reason.clone());
        }
        reason.into()
    }

    pub(crate) fn unsupported(&mut self, what: &str, detail: impl Into<String>) -> Stop {
        let kind = DynamicKind::Unsupported {
            what: what.to_owned(),
            detail: detail.into(),
        };
        Stop::Dynamic(self.reason(kind))
    }

    /// Runs one level deeper, so that no input can exhaust the stack.
    pub(crate) fn deeper<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        if self.depth >= self.environment.facts.budget.depth {
            return Err(Exhausted::Depth.into());
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    /// The innermost scope that has `name`; inherited variables appear in the global one when they
    /// are first looked for.
    pub(crate) fn locate(&mut self, name: &str) -> Option<usize> {
        for (at, scope) in self.state.scopes.iter().enumerate().rev() {
            if scope.variables.contains_key(name) {
                return Some(at);
            }
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
                    ..Attributes::default()
                },
                ..Variable::default()
            },
            Some(Inherited::Unknown { kind, readonly }) => {
                let reason = DynamicReason {
                    kind,
                    span: self.anchor.unwrap_or(self.span),
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
        self.state.scopes[0].variables.insert(
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
        self.state.scopes[at].variables.get(name)
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
    pub(crate) fn scalar(&mut self, name: &str) -> Option<Field> {
        if host::is_volatile(name) {
            let reason = self.reason(DynamicKind::Host(name.to_owned()));
            return Some(Err(reason));
        }
        if name == "PIPESTATUS" {
            let first = self
                .pipe_status
                .first()
                .cloned()
                .unwrap_or_else(|| self.status.clone());
            return Some(first.map(|status| status.to_string()));
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
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(reason) {
            self.reasons.push((**reason).clone());
        }
    }

    /// `${name[subscript]}`, the subscript expanded already.
    pub(crate) fn element(&mut self, name: &str, subscript: &str) -> Result<Option<Field>, Stop> {
        if name == "PIPESTATUS" {
            let index = self.arithmetic(subscript)?;
            let status = usize::try_from(index)
                .ok()
                .and_then(|at| self.pipe_status.get(at).cloned());
            return Ok(status.map(|status| status.map(|status| status.to_string())));
        }
        if host::is_volatile(name) {
            return Ok(self.scalar(name));
        }
        let name = self.referent(name)?;
        match self.variable(&name).map(|variable| &variable.content) {
            None | Some(Content::Unset) => {
                // The subscript is evaluated all the same, and may assign.
                self.arithmetic(subscript)?;
                Ok(None)
            }
            Some(Content::Assoc(assoc)) => Ok(assoc.get(subscript).cloned()),
            Some(Content::Dynamic(reason)) => {
                let reason = reason.clone();
                self.note(&reason);
                Ok(Some(Err(reason)))
            }
            Some(Content::Scalar(_) | Content::Array(_)) => {
                let index = self.arithmetic(subscript)?;
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
                        let index = if index < 0 {
                            index.wrapping_add(array.end())
                        } else {
                            index
                        };
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

    /// Where an assignment to `name` goes: the innermost scope that has it, else the global one.
    pub(crate) fn slot(&mut self, name: &str) -> &mut Variable {
        let at = self.locate(name).unwrap_or(0);
        self.state.scopes[at]
            .variables
            .entry(name.into())
            .or_default()
    }

    fn check_writable(&mut self, name: &str) -> Result<(), Stop> {
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
                    Err(stop) => Err(stop),
                },
                Err(reason) => Ok(Err(reason)),
            };
        }
        if attributes.lower {
            return Ok(value.map(|text| text.to_lowercase()));
        }
        if attributes.upper {
            return Ok(value.map(|text| text.to_uppercase()));
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
    fn joined(
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
        let span = self.anchor.unwrap_or(self.span);
        let variable = self.slot(&name);
        variable.span = span;
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
        let index = if assoc {
            0
        } else {
            self.arithmetic(subscript)?
        };
        let old = if append {
            self.element(&name, subscript)?
        } else {
            None
        };
        let value = if append {
            self.joined(attributes, old, value)?
        } else {
            self.conform(attributes, value)?
        };
        self.make_array(&name);
        let doubt = self.doubt.reason().cloned();
        let span = self.anchor.unwrap_or(self.span);
        let variable = self.slot(&name);
        variable.span = span;
        variable.inherited = false;
        if let Some(reason) = doubt {
            variable.content = Content::Dynamic(reason);
            return Ok(());
        }
        match &mut variable.content {
            Content::Assoc(assoc) => assoc.insert(subscript.to_owned(), value),
            Content::Array(array) => {
                let index = if index < 0 {
                    index.wrapping_add(array.end())
                } else {
                    index
                };
                if index < 0 {
                    return Err(Stop::failed(format!(
                        "{name}[{subscript}]: bad array subscript"
                    )));
                }
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
        let span = self.anchor.unwrap_or(self.span);
        let variable = self.slot(name);
        variable.span = span;
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
        let variables = &mut self.state.scopes[at].variables;
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
        self.state
            .scopes
            .iter()
            .rposition(|scope| !scope.temporary)
            .unwrap_or(0)
    }

    /// After text that is not known has run: nothing can be relied on any more.
    pub(crate) fn forget_everything(&mut self, reason: &Reason) {
        for scope in &mut self.state.scopes {
            for variable in scope.variables.values_mut() {
                variable.content = Content::Dynamic(reason.clone());
            }
        }
        for function in self.state.functions.values_mut() {
            *function = Err(reason.clone());
        }
        self.state.unknown = Some(reason.clone());
        self.doubt.stuck_file = Some(reason.clone());
        self.taint_output(reason);
    }

    /// Evaluates an expression whose expansions are done.
    pub(crate) fn arithmetic(&mut self, text: &str) -> Result<i64, Stop> {
        match super::arithmetic::evaluate(text, self) {
            Err(Stop::Dynamic(reason)) => {
                self.unknown_results(text, &reason)?;
                Err(reason.into())
            }
            other => other,
        }
    }

    /// An expression with an unknown value in it was evaluated: what it assigns is unknown.
    pub(crate) fn unknown_results(&mut self, text: &str, reason: &Reason) -> Result<(), Stop> {
        for name in super::arithmetic::assigned(text) {
            let name = self.referent(name)?;
            let array = matches!(
                self.variable(&name).map(|variable| &variable.content),
                Some(Content::Array(_) | Content::Assoc(_) | Content::Dynamic(_))
            );
            if array {
                self.replace(&name, Content::Dynamic(reason.clone()))?;
            } else {
                let integer = std::mem::take(&mut self.slot(&name).attributes.integer);
                self.assign(&name, Err(reason.clone()), false)?;
                self.slot(&name).attributes.integer = integer;
            }
        }
        Ok(())
    }
}

impl super::arithmetic::Variables for Shell {
    fn read(&mut self, name: &str, subscript: Option<&str>) -> Result<Option<String>, Stop> {
        let found = match subscript {
            None => self.scalar(name),
            Some(subscript) => {
                let subscript = self.expand_subscript(name, subscript)?;
                self.element(name, &subscript)?
            }
        };
        match found {
            None if self.state.options.nounset => Err(Stop::Failed {
                message: format!("{name}: unbound variable"),
                fatal: true,
            }),
            None => Ok(None),
            Some(value) => Ok(Some(value?)),
        }
    }

    fn assign(&mut self, name: &str, subscript: Option<&str>, value: i64) -> Result<(), Stop> {
        match subscript {
            None => Shell::assign(self, name, Ok(value.to_string()), false),
            Some(subscript) => {
                let subscript = self.expand_subscript(name, subscript)?;
                self.assign_element(name, &subscript, Ok(value.to_string()), false)
            }
        }
    }

    fn step(&mut self) -> Result<(), Stop> {
        Ok(self.fuel.spend(1)?)
    }
}

/// Splits `name[subscript]`.
pub(crate) fn split_subscript(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('[')?;
    let subscript = rest.strip_suffix(']')?;
    is_name(name).then_some((name, subscript))
}

/// Whether `text` can name a variable.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
