//! The operators of `${name…}` applied to what was read.

use super::{Reading, Subject, describe};
use crate::evaluate::dynamic::Stop;
use crate::evaluate::expand::{Mode, Piece, Quote, single};
use crate::evaluate::operation;
use crate::evaluate::scope::Content;
use crate::evaluate::shell::Shell;
use crate::tree::{File, Operation, Word};

impl Shell {
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
    pub(super) fn operate(
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
        if let Operation::Transform(transformation) = operation {
            return self.transform(&subject, *transformation, mode, pieces);
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
                let no_field =
                    matches!(&reading, Reading::Many { star: false, items } if items.is_empty());
                if mode.quoted && !no_field {
                    pieces.push(Piece::Text(String::new(), Quote::Quoted));
                }
                return Ok(());
            }
            Operation::Assign { or_empty, word } => {
                if Self::is_set(&reading, *or_empty)? {
                    return self.emit(reading, mode, pieces);
                }
                let value = crate::evaluate::assign::known(self.operand_text(file, word, mode))?;
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
                    self.doubt.stick(reason);
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
}
