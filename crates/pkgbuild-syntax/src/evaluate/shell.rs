//! The interpreter's state and how it is read and changed.

mod lookup;
mod store;

use super::budget::Fuel;
use super::doubt::Doubt;
use super::dynamic::{DynamicKind, DynamicReason, Reason, Stop};
use super::environment::Environment;
use super::place::Place;
use super::scope::{Content, List, State};
use super::statuses::Statuses;
use super::stream::Streams;
use super::told::Told;
use crate::span::Span;

pub(crate) use super::statuses::Status;

/// How the message ends that a negative subscript before the first element causes.
const BAD_SUBSCRIPT: &str = "bad array subscript";

/// How control leaves a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    Break(u32),
    Continue(u32),
    Return,
    Exit,
}

/// A running evaluation: each part keeps its own invariants.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) environment: Environment,
    pub(crate) state: State,
    pub(crate) fuel: Fuel,
    pub(crate) streams: Streams,
    pub(crate) statuses: Statuses,
    pub(crate) doubt: Doubt,
    pub(crate) told: Told,
    pub(crate) place: Place,
}

impl Shell {
    pub(crate) fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            state: State::default(),
            fuel: Fuel::new(environment.facts.budget),
            streams: Streams::default(),
            statuses: Statuses::default(),
            doubt: Doubt::default(),
            told: Told::default(),
            place: Place::default(),
        }
    }

    /// A reason at the current command, noted for the caller.
    pub(crate) fn reason(&mut self, kind: DynamicKind) -> Reason {
        let reason = DynamicReason {
            kind,
            span: self.place.here(),
        };
        self.told.add(&reason);
        reason.into()
    }

    /// `$1` and on. What the file itself was given is told where it is used.
    pub(crate) fn positional(&mut self) -> List {
        let mut list = self.state.positional.clone();
        if let List::Known(fields) = &mut list {
            for field in fields {
                if let Err(reason) = field
                    && reason.span == Span::default()
                {
                    *reason = self.reason(reason.kind.clone());
                }
            }
        }
        list
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
        self.fuel.deepen()?;
        let result = run(self);
        self.fuel.rise();
        result
    }

    /// After text that is not known has run: nothing can be relied on any more.
    pub(crate) fn forget_everything(&mut self, reason: &Reason) {
        for scope in self.state.scopes.iter_mut() {
            for variable in scope.variables.values_mut() {
                variable.content = Content::Dynamic(reason.clone());
            }
        }
        for function in self.state.functions.values_mut() {
            *function = Err(reason.clone());
        }
        self.state.unknown = Some(reason.clone());
        self.doubt.replace(reason.clone());
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

    /// Evaluates a subscript. One that is no expression makes bash leave the file at once and go on
    /// behind it with what has been assigned so far, which is not reproduced.
    pub(crate) fn index(&mut self, text: &str) -> Result<i64, Stop> {
        match self.arithmetic(text) {
            Err(Stop::Failed { .. }) => {
                let stop = self.unsupported("[…]", format!("the subscript `{text}`"));
                if let Stop::Dynamic(reason) = &stop {
                    self.forget_everything(reason);
                }
                Err(stop)
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
        let Some(subscript) = subscript else {
            return Shell::assign(self, name, Ok(value.to_string()), false);
        };
        let subscript = self.expand_subscript(name, subscript)?;
        match self.assign_element(name, &subscript, Ok(value.to_string()), false) {
            // Reported, and the expression goes on.
            Err(Stop::Failed {
                message,
                fatal: false,
            }) if message.ends_with(BAD_SUBSCRIPT) => {
                self.complain();
                Ok(())
            }
            other => other,
        }
    }

    fn settle(&mut self, name: &str, subscript: &str) -> Result<String, Stop> {
        if self.is_assoc(name)? {
            return Ok(subscript.to_owned());
        }
        let subscript = self.expand_subscript(name, subscript)?;
        let index = self.index(&subscript)?;
        let index = match self.variable(name).map(|variable| &variable.content) {
            Some(Content::Array(array)) => array.counted(index),
            _ => index,
        };
        if index < 0 {
            // bash evaluates the subscript a second time then.
            return Err(self.unsupported("[…]", "a negative subscript outside the array"));
        }
        Ok(index.to_string())
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
