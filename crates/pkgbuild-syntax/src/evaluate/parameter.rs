//! Parameter expansion: what is read, and what is done to it.

mod elements;
mod operate;
mod transform;

use super::dynamic::{Field, Stop};
use super::expand::{Mode, Piece};
use super::shell::{Shell, is_name, split_subscript};
use crate::tree::{File, Operation, Parameter, ParameterExpansion, Special, Subscript};

/// What a parameter expansion reads, resolved.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    Variable {
        name: String,
        subscript: Option<String>,
    },
    Elements {
        name: String,
        star: bool,
    },
    Positional(usize),
    Positionals {
        star: bool,
    },
    Special(Special),
    /// As in `${}`.
    Nothing,
}

/// What it holds.
#[derive(Debug, Clone)]
enum Reading {
    One(Option<Field>),
    Many { items: Vec<Field>, star: bool },
}

impl Shell {
    pub(crate) fn parameter(
        &mut self,
        file: &File,
        expansion: &ParameterExpansion,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let subject = match expansion.parameter {
            Parameter::Variable(span) => {
                let name = self.utf8(file.text(span))?;
                if expansion.subscript.is_none()
                    && !expansion.indirect
                    && matches!(expansion.operation, Operation::Value)
                {
                    // The everyday case.
                    let value = match self.scalar(name) {
                        Some(value) => value?,
                        None => self.unset_value(name)?,
                    };
                    self.fuel.store(value.len())?;
                    pieces.push(Piece::Text(value, mode.quote()));
                    return Ok(());
                }
                let name = name.to_owned();
                match &expansion.subscript {
                    None => Subject::Variable {
                        name,
                        subscript: None,
                    },
                    Some(Subscript::At) => Subject::Elements { name, star: false },
                    Some(Subscript::Star) => Subject::Elements { name, star: true },
                    Some(subscript @ Subscript::Index(_)) => {
                        let subscript = self.subscript(file, &name, subscript)?;
                        Subject::Variable {
                            name,
                            subscript: Some(subscript),
                        }
                    }
                }
            }
            Parameter::Positional(number) => Subject::Positional(number as usize),
            Parameter::Special(Special::All) => Subject::Positionals { star: false },
            Parameter::Special(Special::Joined) => Subject::Positionals { star: true },
            Parameter::Special(special) => Subject::Special(special),
            Parameter::Nothing => Subject::Nothing,
        };
        match &expansion.operation {
            Operation::Names { joined } => return self.names(&subject, *joined, mode, pieces),
            Operation::Keys => return self.keys(subject, mode, pieces),
            Operation::Bad(span) => {
                let text = String::from_utf8_lossy(file.text(*span)).into_owned();
                return Err(Stop::failed(format!("{text}: bad substitution")));
            }
            _ => {}
        }
        let subject = if expansion.indirect {
            self.indirect(&subject)?
        } else {
            subject
        };
        self.operate(file, subject, &expansion.operation, mode, pieces)
    }

    fn unset_value(&mut self, name: &str) -> Result<String, Stop> {
        if self.state.options.nounset {
            return Err(Stop::Failed {
                message: format!("{name}: unbound variable"),
                fatal: true,
            });
        }
        Ok(String::new())
    }

    /// What `${!x}` reads.
    fn indirect(&mut self, subject: &Subject) -> Result<Subject, Stop> {
        if let Subject::Variable {
            name,
            subscript: None,
        } = subject
            && self.is_reference(name)
        {
            // For a name reference `${!x}` is the name itself.
            let target = self.referent(name)?;
            return Ok(Subject::Variable {
                name: format!("={target}"),
                subscript: None,
            });
        }
        let target = match self.read(subject)? {
            Reading::One(Some(value)) => value?,
            Reading::One(None) => return Err(Stop::failed("invalid indirect expansion")),
            Reading::Many { items, .. } => {
                let items: Vec<String> = items.into_iter().collect::<Result<_, _>>()?;
                items.join(" ")
            }
        };
        if let Some((name, subscript)) = split_subscript(&target) {
            let name = name.to_owned();
            return Ok(match subscript {
                "@" => Subject::Elements { name, star: false },
                "*" => Subject::Elements { name, star: true },
                subscript => {
                    let subscript = self.expand_subscript(&name, subscript)?;
                    Subject::Variable {
                        name,
                        subscript: Some(subscript),
                    }
                }
            });
        }
        if let Ok(number) = target.parse::<usize>() {
            return Ok(Subject::Positional(number));
        }
        Ok(match target.as_str() {
            "@" => Subject::Positionals { star: false },
            "*" => Subject::Positionals { star: true },
            "#" | "?" | "-" | "$" | "!" => {
                let special = Special::of(target.as_bytes()[0]);
                special.map_or(Subject::Nothing, Subject::Special)
            }
            _ if is_name(&target) => Subject::Variable {
                name: target,
                subscript: None,
            },
            _ => return Err(Stop::failed(format!("{target}: invalid variable name"))),
        })
    }

    fn emit_many(
        &mut self,
        items: Vec<Field>,
        star: bool,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        if star && (mode.quoted || mode.single) {
            let separator = match self.scalar("IFS") {
                None => " ".to_owned(),
                Some(ifs) => ifs?.chars().take(1).collect(),
            };
            let items: Vec<String> = items.into_iter().collect::<Result<_, _>>()?;
            pieces.push(Piece::Text(items.join(&separator), mode.quote()));
            return Ok(());
        }
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                pieces.push(Piece::Break);
            }
            pieces.push(match item {
                Ok(text) => Piece::Text(text, mode.quote()),
                Err(reason) => Piece::Unknown(reason, mode.quote()),
            });
        }
        Ok(())
    }

    fn emit(&mut self, reading: Reading, mode: Mode, pieces: &mut Vec<Piece>) -> Result<(), Stop> {
        match reading {
            Reading::One(value) => {
                let value = value.transpose()?.unwrap_or_default();
                self.fuel.store(value.len())?;
                pieces.push(Piece::Text(value, mode.quote()));
                Ok(())
            }
            Reading::Many { items, star } => self.emit_many(items, star, mode, pieces),
        }
    }
}

fn describe(subject: &Subject) -> String {
    match subject {
        Subject::Variable {
            name,
            subscript: None,
        } => name.clone(),
        Subject::Variable {
            name,
            subscript: Some(subscript),
        } => format!("{name}[{subscript}]"),
        Subject::Elements { name, .. } => format!("{name}[@]"),
        Subject::Positional(number) => number.to_string(),
        Subject::Positionals { .. } => "@".to_owned(),
        Subject::Special(special) => special.symbol().to_string(),
        Subject::Nothing => String::new(),
    }
}
