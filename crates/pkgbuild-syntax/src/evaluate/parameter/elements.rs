//! Reads variables for `${…}`: one value, all elements, keys and names.

use super::{Reading, Subject};
use crate::evaluate::dynamic::{DynamicKind, Field, Stop};
use crate::evaluate::expand::{Mode, Piece};
use crate::evaluate::host;
use crate::evaluate::scope::{Content, List};
use crate::evaluate::shell::{Shell, split_subscript};
use crate::tree::Special;

impl Shell {
    pub(super) fn read(&mut self, subject: &Subject) -> Result<Reading, Stop> {
        Ok(match subject {
            Subject::Variable { name, .. } if name.starts_with('=') => {
                Reading::One(Some(Ok(name[1..].to_owned())))
            }
            Subject::Variable {
                name,
                subscript: None,
            } => Reading::One(self.scalar(name)),
            Subject::Variable {
                name,
                subscript: Some(subscript),
            } => Reading::One(self.element(name, subscript)?),
            Subject::Elements { name, star } => {
                let items = self.elements(name)?;
                self.charge_fields(&items)?;
                Reading::Many { items, star: *star }
            }
            Subject::Positional(0) => {
                Reading::One(Some(Err(self.reason(DynamicKind::Host("$0".to_owned())))))
            }
            Subject::Positional(number) => match self.positional() {
                List::Known(fields) => Reading::One(fields.get(number - 1).cloned()),
                List::Dynamic(reason) => Reading::One(Some(Err(reason))),
            },
            Subject::Positionals { star } => match self.positional() {
                List::Known(items) => {
                    self.charge_fields(&items)?;
                    Reading::Many { items, star: *star }
                }
                List::Dynamic(reason) => return Err(reason.into()),
            },
            Subject::Nothing => {
                return Err(self.unsupported("${", "nothing that could be read"));
            }
            Subject::Special(special) => Reading::One(match special {
                Special::Status => Some(self.statuses.last().map(|status| status.to_string())),
                Special::Count => Some(match &self.state.positional {
                    List::Known(fields) => Ok(fields.len().to_string()),
                    List::Dynamic(reason) => Err(reason.clone()),
                }),
                Special::Background => None,
                other => {
                    let name = format!("${}", other.symbol());
                    Some(Err(self.reason(DynamicKind::Host(name))))
                }
            }),
        })
    }

    pub(super) fn charge_fields(&mut self, fields: &[Field]) -> Result<(), Stop> {
        self.fuel.spend(fields.len() as u64)?;
        let bytes = fields
            .iter()
            .map(|field| field.as_ref().map_or(0, String::len) + 24)
            .sum();
        Ok(self.fuel.store(bytes)?)
    }

    /// The elements of an array in order; a scalar is an array of one.
    pub(crate) fn elements(&mut self, name: &str) -> Result<Vec<Field>, Stop> {
        if name == "PIPESTATUS" {
            let all = self.statuses.pipe().into_iter();
            return Ok(all
                .map(|status| status.map(|status| status.to_string()))
                .collect());
        }
        if host::is_volatile(name) {
            return Err(self.reason(DynamicKind::Host(name.to_owned())).into());
        }
        let name = self.referent(name)?;
        if let Some((array, subscript)) = split_subscript(&name) {
            let (array, subscript) = (array.to_owned(), subscript.to_owned());
            return Ok(self.element(&array, &subscript)?.into_iter().collect());
        }
        Ok(
            match self.variable(&name).map(|variable| &variable.content) {
                None | Some(Content::Unset) => Vec::new(),
                // An unknown scalar may be unset, which makes no field at all.
                Some(Content::Scalar(Err(reason)) | Content::Dynamic(reason)) => {
                    return Err(reason.clone().into());
                }
                Some(Content::Scalar(value)) => vec![value.clone()],
                Some(Content::Array(array)) => {
                    array.iter().map(|(_, value)| value.clone()).collect()
                }
                Some(Content::Assoc(assoc)) => {
                    assoc.iter().map(|(_, value)| value.clone()).collect()
                }
            },
        )
    }

    pub(crate) fn is_assoc(&mut self, name: &str) -> Result<bool, Stop> {
        let name = self.referent(name)?;
        match self.variable(&name).map(|variable| &variable.content) {
            Some(Content::Assoc(_)) => Ok(true),
            _ => Ok(false),
        }
    }

    pub(super) fn names(
        &mut self,
        subject: &Subject,
        joined: bool,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let Subject::Variable { name: prefix, .. } = subject else {
            return Ok(());
        };
        let (mut names, uncertain) = host::inherited_names(prefix, &self.environment);
        if uncertain.is_ok_and(|prefix| !prefix.is_empty()) || self.state.unknown.is_some() {
            let kind = DynamicKind::Host(format!("{prefix}*"));
            return Err(self.reason(kind).into());
        }
        for scope in self.state.scopes.iter() {
            names.extend(
                scope
                    .variables
                    .keys()
                    .filter(|n| n.starts_with(&**prefix))
                    .map(std::string::ToString::to_string),
            );
        }
        names.sort();
        names.dedup();
        let mut set = Vec::new();
        for name in names {
            match self.variable(&name).map(|variable| &variable.content) {
                None | Some(Content::Unset) => {}
                Some(Content::Dynamic(reason) | Content::Scalar(Err(reason))) => {
                    return Err(reason.clone().into());
                }
                Some(_) => set.push(Ok(name)),
            }
        }
        self.emit_many(set, joined, mode, pieces)
    }

    pub(super) fn keys(
        &mut self,
        subject: Subject,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let Subject::Elements { name, star } = subject else {
            return Ok(());
        };
        let keys = self.array_keys(&name)?;
        self.emit_many(keys.into_iter().map(Ok).collect(), star, mode, pieces)
    }

    /// The subscripts of an array, in bash's order.
    pub(crate) fn array_keys(&mut self, name: &str) -> Result<Vec<String>, Stop> {
        let name = self.referent(name)?;
        let keys: Vec<String> = match self.variable(&name).map(|variable| &variable.content) {
            None | Some(Content::Unset) => Vec::new(),
            Some(Content::Scalar(Err(reason)) | Content::Dynamic(reason)) => {
                return Err(reason.clone().into());
            }
            Some(Content::Scalar(Ok(_))) => vec!["0".to_owned()],
            Some(Content::Array(array)) => {
                array.iter().map(|(index, _)| index.to_string()).collect()
            }
            Some(Content::Assoc(assoc)) => assoc.iter().map(|(key, _)| key.to_owned()).collect(),
        };
        self.fuel
            .store(keys.iter().map(|key| key.len() + 24).sum())?;
        Ok(keys)
    }
}
