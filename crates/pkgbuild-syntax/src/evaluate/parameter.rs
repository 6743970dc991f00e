//! Parameter expansion: what is read, and what is done to it.

use super::dynamic::{DynamicKind, Field, Stop};
use super::expand::{Mode, Piece, Quote, single};
use super::host;
use super::operation;
use super::scope::{Content, List};
use super::shell::{Shell, is_name, split_subscript};
use crate::tree::{File, Operation, Parameter, ParameterExpansion, Subscript, Word};

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
    Special(u8),
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
            Parameter::Special(b'@') => Subject::Positionals { star: false },
            Parameter::Special(b'*') => Subject::Positionals { star: true },
            Parameter::Special(special) => Subject::Special(special),
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
            "#" | "?" | "-" | "$" | "!" => Subject::Special(target.as_bytes()[0]),
            _ if is_name(&target) => Subject::Variable {
                name: target,
                subscript: None,
            },
            _ => return Err(Stop::failed(format!("{target}: invalid variable name"))),
        })
    }

    fn read(&mut self, subject: &Subject) -> Result<Reading, Stop> {
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
            Subject::Positional(number) => match &self.state.positional {
                List::Known(fields) => Reading::One(fields.get(number - 1).cloned()),
                List::Dynamic(reason) => Reading::One(Some(Err(reason.clone()))),
            },
            Subject::Positionals { star } => match self.state.positional.clone() {
                List::Known(items) => {
                    self.charge_fields(&items)?;
                    Reading::Many { items, star: *star }
                }
                List::Dynamic(reason) => return Err(reason.into()),
            },
            Subject::Special(special) => Reading::One(match special {
                b'?' => Some(self.status.clone().map(|status| status.to_string())),
                b'#' => Some(match &self.state.positional {
                    List::Known(fields) => Ok(fields.len().to_string()),
                    List::Dynamic(reason) => Err(reason.clone()),
                }),
                b'!' => None,
                other => {
                    let name = format!("${}", char::from(*other));
                    Some(Err(self.reason(DynamicKind::Host(name))))
                }
            }),
        })
    }

    fn charge_fields(&mut self, fields: &[Field]) -> Result<(), Stop> {
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
            let all = self.pipe_status.iter();
            return Ok(all
                .map(|status| status.clone().map(|s| s.to_string()))
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

    fn names(
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
        for scope in &self.state.scopes {
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

    fn keys(&mut self, subject: Subject, mode: Mode, pieces: &mut Vec<Piece>) -> Result<(), Stop> {
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

    /// Expands the operand of `:-` and its kin; its literal text is split like any expansion.
    fn operand_pieces(
        &mut self,
        file: &File,
        word: &Word,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let first = pieces.len();
        self.parts(file, word.parts(), mode, pieces)?;
        if mode.quoted && pieces.len() == first {
            pieces.push(Piece::Text(String::new(), Quote::Quoted));
        }
        for piece in &mut pieces[first..] {
            if let Piece::Text(text, quote @ Quote::Literal) = piece {
                if text.starts_with('~') {
                    return Err(self.unsupported("~", "inside a parameter expansion"));
                }
                *quote = Quote::Split;
            }
        }
        Ok(())
    }

    fn operand_text(&mut self, file: &File, word: &Word, mode: Mode) -> Result<String, Stop> {
        let mut pieces = Vec::new();
        self.operand_pieces(
            file,
            word,
            Mode {
                single: true,
                ..mode
            },
            &mut pieces,
        )?;
        single(pieces)
    }

    #[expect(clippy::too_many_lines, reason = "one match over the operators")]
    fn operate(
        &mut self,
        file: &File,
        subject: Subject,
        operation: &Operation,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        if let Operation::Length = operation {
            let reading = self.read(&subject)?;
            let length = match reading {
                Reading::One(Some(value)) => value?.chars().count(),
                Reading::One(None) => {
                    self.unset_value(&describe(&subject))?;
                    0
                }
                Reading::Many { items, .. } => items.len(),
            };
            pieces.push(Piece::Text(length.to_string(), mode.quote()));
            return Ok(());
        }
        if let Operation::Transform(letter) = operation {
            return self.transform(&subject, *letter, mode, pieces);
        }
        // Of a scalar even `${x[@]:1:2}` is a piece of its text.
        let elements = matches!(subject, Subject::Elements { .. });
        let subject = match subject {
            Subject::Elements { name, .. }
                if matches!(operation, Operation::Substring { .. })
                    && matches!(
                        self.variable(&name).map(|variable| &variable.content),
                        Some(Content::Scalar(_))
                    ) =>
            {
                Subject::Variable {
                    name,
                    subscript: None,
                }
            }
            other => other,
        };
        if let Operation::Substring { offset, length } = operation
            && let Subject::Elements { .. } | Subject::Positionals { .. } = subject
        {
            let offset = self.evaluate_arithmetic(file, offset)?;
            let length = length
                .as_ref()
                .map(|l| self.evaluate_arithmetic(file, l))
                .transpose()?;
            return self.slice(&subject, offset, length, mode, pieces);
        }
        let reading = self.read(&subject)?;
        match operation {
            Operation::Default { or_empty, word } => {
                if Self::is_set(&reading, *or_empty)? {
                    return self.emit(reading, mode, pieces);
                }
                return self.operand_pieces(file, word, mode, pieces);
            }
            Operation::Alternative { or_empty, word } => {
                if Self::is_set(&reading, *or_empty)? {
                    return self.operand_pieces(file, word, mode, pieces);
                }
                // An unset array gives no field at all, an unset scalar an empty one.
                if mode.quoted && !matches!(reading, Reading::Many { star: false, .. }) {
                    pieces.push(Piece::Text(String::new(), Quote::Quoted));
                }
                return Ok(());
            }
            Operation::Assign { or_empty, word } => {
                if Self::is_set(&reading, *or_empty)? {
                    return self.emit(reading, mode, pieces);
                }
                let value = super::assign::known(self.operand_text(file, word, mode))?;
                match subject {
                    Subject::Variable {
                        name,
                        subscript: None,
                    } => {
                        self.assign(&name, value.clone(), false)?;
                    }
                    Subject::Variable {
                        name,
                        subscript: Some(subscript),
                    } => {
                        self.assign_element(&name, &subscript, value.clone(), false)?;
                    }
                    other => {
                        let message = format!("{}: cannot assign in this way", describe(&other));
                        return Err(Stop::Failed {
                            message,
                            fatal: true,
                        });
                    }
                }
                pieces.push(Piece::Text(value?, mode.quote()));
                return Ok(());
            }
            Operation::Error { or_empty, word } => {
                let set = Self::is_set(&reading, *or_empty);
                if let Err(Stop::Dynamic(reason)) = &set {
                    // Whether the shell survives this is as unknown as the value.
                    self.doubt.stuck_file.get_or_insert_with(|| reason.clone());
                }
                if set? {
                    return self.emit(reading, mode, pieces);
                }
                let text = self.operand_text(file, word, mode)?;
                let text = if text.is_empty() {
                    "parameter not set".to_owned()
                } else {
                    text
                };
                let message = format!("{}: {text}", describe(&subject));
                return Err(Stop::Failed {
                    message,
                    fatal: true,
                });
            }
            _ => {}
        }
        if let Reading::One(None) = reading
            && (!matches!(operation, Operation::Value) || self.state.options.nounset)
        {
            self.unset_value(&describe(&subject))?;
        }
        let change = operation::Change::prepare(self, file, operation)?;
        if elements && matches!(change, operation::Change::Substring { offset, .. } if offset < 0) {
            return Err(self.unsupported("[@]:", "a negative offset into a string"));
        }
        let reading = match reading {
            // An unset parameter stays empty, even where an empty value would be replaced.
            Reading::One(None) => Reading::One(None),
            Reading::One(Some(value)) => {
                let changed = change.apply(self, value?)?;
                if changed.is_empty() && elements && mode.quoted {
                    // Whether a field is left depends on how far the offset is off.
                    return Err(self.unsupported("[@]:", "an empty piece of a string"));
                }
                Reading::One(Some(Ok(changed)))
            }
            Reading::Many { items, star } => {
                let mut changed = Vec::with_capacity(items.len());
                for item in items {
                    changed.push(match item {
                        Ok(text) => Ok(change.apply(self, text)?),
                        Err(reason) => Err(reason),
                    });
                }
                Reading::Many {
                    items: changed,
                    star,
                }
            }
        };
        self.emit(reading, mode, pieces)
    }

    /// Whether a parameter counts as set, or as set and not empty.
    fn is_set(reading: &Reading, or_empty: bool) -> Result<bool, Stop> {
        match reading {
            Reading::One(None) => Ok(false),
            Reading::One(Some(Err(reason))) => Err(reason.clone().into()),
            Reading::One(Some(Ok(text))) => Ok(!or_empty || !text.is_empty()),
            Reading::Many { items, .. } if items.is_empty() => Ok(false),
            Reading::Many { items, .. } => {
                if !or_empty || items.len() > 1 {
                    // Two empty elements are joined by a separator, which is not empty.
                    return Ok(true);
                }
                match &items[0] {
                    Ok(text) => Ok(!text.is_empty()),
                    Err(reason) => Err(reason.clone().into()),
                }
            }
        }
    }

    /// `${array[@]:offset:length}`: the offset counts subscripts, the length elements.
    fn slice(
        &mut self,
        subject: &Subject,
        offset: i64,
        length: Option<i64>,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let (keyed, star): (Vec<(i64, Field)>, bool) = match subject {
            Subject::Positionals { star } => {
                let List::Known(fields) = self.state.positional.clone() else {
                    return match &self.state.positional {
                        List::Dynamic(reason) => Err(reason.clone().into()),
                        List::Known(_) => Ok(()),
                    };
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
    fn transform(
        &mut self,
        subject: &Subject,
        letter: u8,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        if matches!(letter, b'A' | b'a' | b'K' | b'k') {
            let (Subject::Variable { name, .. } | Subject::Elements { name, .. }) = subject else {
                return Err(self.unsupported("@", "of a special parameter"));
            };
            let text = match letter {
                b'a' if matches!(subject, Subject::Variable { .. }) => {
                    let flags = self.attribute_letters(name)?;
                    match self.read(subject)? {
                        Reading::One(None) if flags.is_empty() => self.unset_value(name)?,
                        _ => flags,
                    }
                }
                b'A' => match self.declaration(name, true)? {
                    Some(text) => text,
                    None => self.unset_value(name)?,
                },
                _ => return Err(self.unsupported("@K", "listing keys and values")),
            };
            pieces.push(Piece::Text(text, mode.quote()));
            return Ok(());
        }
        let reading = self.read(subject)?;
        let change = |text: String| operation::transformed(&text, letter);
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
        Subject::Special(special) => char::from(*special).to_string(),
    }
}
