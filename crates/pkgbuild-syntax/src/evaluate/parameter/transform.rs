//! `${name:offset:length}` and `${name@operator}`.

use super::{Reading, Subject, describe};
use crate::evaluate::dynamic::{DynamicKind, Field, Stop};
use crate::evaluate::expand::{Mode, Piece};
use crate::evaluate::operation;
use crate::evaluate::quote;
use crate::evaluate::scope::{Content, List};
use crate::evaluate::shell::Shell;
use crate::tree::Transformation;

impl Shell {
    /// `${array[@]:offset:length}`: the offset counts subscripts, the length elements.
    pub(super) fn slice(
        &mut self,
        subject: &Subject,
        offset: i64,
        length: Option<i64>,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let (keyed, star): (Vec<(i64, Field)>, bool) = match subject {
            Subject::Positionals { star } => {
                let fields = match self.positional() {
                    List::Known(fields) => fields,
                    List::Dynamic(reason) => return Err(reason.into()),
                };
                let zero = self.reason(DynamicKind::Host("$0".to_owned()));
                (
                    (0..)
                        .zip(std::iter::once(Err(zero)).chain(fields))
                        .collect(),
                    *star,
                )
            }
            Subject::Elements { name, star } => {
                let name = self.referent(name)?;
                let items = self.elements(&name)?;
                let keyed = match self.variable(&name).map(|variable| &variable.content) {
                    Some(Content::Array(array)) => array
                        .iter()
                        .map(|(index, value)| (index, value.clone()))
                        .collect(),
                    Some(Content::Assoc(_)) => (1..).zip(items).collect(),
                    _ => (0..).zip(items).collect(),
                };
                (keyed, *star)
            }
            _ => return Ok(()),
        };
        let end = keyed.last().map_or(0, |(last, _)| last + 1);
        let offset = if offset < 0 {
            offset.wrapping_add(end)
        } else {
            offset
        };
        if let Some(length) = length
            && length < 0
            && !keyed.is_empty()
        {
            return Err(Stop::failed(format!("{length}: substring expression < 0")));
        }
        let items: Vec<Field> = if offset < 0 {
            Vec::new()
        } else {
            let count = length.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
            let from = keyed.into_iter().filter(|(index, _)| *index >= offset);
            from.take(count).map(|(_, value)| value).collect()
        };
        self.charge_fields(&items)?;
        self.emit_many(items, star, mode, pieces)
    }

    /// `${x@Q}` and its kin.
    pub(super) fn transform(
        &mut self,
        subject: &Subject,
        transformation: Transformation,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        if matches!(
            transformation,
            Transformation::Assignment
                | Transformation::Attributes
                | Transformation::Pairs
                | Transformation::PairWords
        ) {
            let (Subject::Variable { name, .. } | Subject::Elements { name, .. }) = subject else {
                return Err(self.unsupported("@", "of a special parameter"));
            };
            let text = match transformation {
                Transformation::Attributes if matches!(subject, Subject::Variable { .. }) => {
                    let flags = self.attribute_letters(name)?;
                    match self.read(subject)? {
                        Reading::One(None) if flags.is_empty() => self.unset_value(name)?,
                        _ => flags,
                    }
                }
                Transformation::Assignment if matches!(subject, Subject::Variable { .. }) => {
                    let name = self.referent(name)?;
                    match self.element_declaration(subject, &name)? {
                        Some(text) => text,
                        None => self.unset_value(&name)?,
                    }
                }
                Transformation::Assignment => {
                    let name = self.referent(name)?;
                    return self.whole_declaration(&name, subject, mode, pieces);
                }
                _ => return Err(self.unsupported("@K", "listing keys and values")),
            };
            pieces.push(Piece::Text(text, mode.quote()));
            return Ok(());
        }
        let reading = self.read(subject)?;
        let change = |text: String| operation::transformed(&text, transformation);
        let reading = match reading {
            Reading::One(None) => {
                self.unset_value(&describe(subject))?;
                Reading::One(None)
            }
            Reading::One(Some(value)) => {
                let Some(text) = change(value?) else {
                    return Err(self.unsupported("@P", "prompt expansion"));
                };
                Reading::One(Some(Ok(text)))
            }
            Reading::Many { items, star } => {
                let mut changed = Vec::with_capacity(items.len());
                for item in items {
                    let Some(text) = change(item?) else {
                        return Err(self.unsupported("@P", "prompt expansion"));
                    };
                    changed.push(Ok(text));
                }
                Reading::Many {
                    items: changed,
                    star,
                }
            }
        };
        self.emit(reading, mode, pieces)
    }

    /// `${x@A}` and `${x[1]@A}`: an assignment of that value, with the variable's attributes.
    fn element_declaration(
        &mut self,
        subject: &Subject,
        name: &str,
    ) -> Result<Option<String>, Stop> {
        let letters = self.attribute_letters(name)?;
        let value = match self.read(subject)? {
            Reading::One(Some(value)) => Some(quote::reusable(&value?)),
            _ => None,
        };
        Ok(match (value, letters.is_empty()) {
            (Some(value), true) => Some(format!("{name}={value}")),
            (Some(value), false) => Some(format!("declare -{letters} {name}={value}")),
            (None, true) => None,
            (None, false) => Some(format!("declare -{letters} {name}")),
        })
    }

    /// `${x[@]@A}`, which between quotes gives `declare`, its options and the assignment as fields.
    fn whole_declaration(
        &mut self,
        name: &str,
        subject: &Subject,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let fields = matches!(subject, Subject::Elements { star: false, .. });
        let content = self.variable(name).map(|variable| &variable.content);
        if !matches!(content, Some(Content::Array(_) | Content::Assoc(_))) {
            let scalar = Subject::Variable {
                name: name.to_owned(),
                subscript: None,
            };
            if let Some(text) = self.element_declaration(&scalar, name)? {
                pieces.push(Piece::Text(text, mode.quote()));
            } else {
                self.unset_value(name)?;
                if !fields {
                    pieces.push(Piece::Text(String::new(), mode.quote()));
                }
            }
            return Ok(());
        }
        let Some(text) = self.declaration(name)? else {
            return Ok(());
        };
        if !(fields && mode.quoted) {
            pieces.push(Piece::Text(text, mode.quote()));
            return Ok(());
        }
        for (index, field) in text.splitn(3, ' ').enumerate() {
            if index > 0 {
                pieces.push(Piece::Break);
            }
            pieces.push(Piece::Text(field.to_owned(), mode.quote()));
        }
        Ok(())
    }
}
