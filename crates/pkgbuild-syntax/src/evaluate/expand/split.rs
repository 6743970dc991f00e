//! Word splitting and file names.

use super::{Piece, Quote};
use crate::evaluate::dynamic::{Field, Reason, Stop};
use crate::evaluate::glob;
use crate::evaluate::shell::Shell;

impl Shell {
    /// The separators of word splitting; `None` when `IFS` is unset, which means the default.
    pub(crate) fn separators(&mut self) -> Result<String, Stop> {
        match self.scalar("IFS") {
            None => Ok(" \t\n".to_owned()),
            Some(value) => Ok(value?),
        }
    }

    /// Splits expanded pieces into fields and expands file names.
    pub(super) fn split(
        &mut self,
        pieces: Vec<Piece>,
        fields: &mut Vec<Field>,
    ) -> Result<(), Stop> {
        let splits = pieces.iter().any(|piece| match piece {
            Piece::Text(text, Quote::Split) => !text.is_empty(),
            _ => false,
        });
        let separators = if splits {
            self.separators()?
        } else {
            String::new()
        };
        let mut builder = Builder::default();
        for piece in pieces {
            match piece {
                Piece::Text(text, Quote::Quoted) => builder.quoted(&text),
                Piece::Text(text, Quote::Literal) => builder.live(&text),
                Piece::Text(text, Quote::Split) => {
                    self.fuel.spend(text.len() as u64 / 8)?;
                    for c in text.chars() {
                        if !separators.contains(c) {
                            builder.live_char(c);
                        } else if matches!(c, ' ' | '\t' | '\n') {
                            builder.blank();
                        } else {
                            builder.separator();
                        }
                    }
                }
                Piece::Unknown(reason, Quote::Quoted) => builder.unknown(reason),
                Piece::Unknown(reason, _) => return Err(reason.into()),
                Piece::Break => builder.end(),
            }
        }
        builder.end();
        for built in builder.done {
            match built {
                Built {
                    unknown: Some(reason),
                    ..
                } => fields.push(Err(reason)),
                Built {
                    text,
                    pattern,
                    live: true,
                    ..
                } if !self.state.options.noglob => {
                    if let Some(names) = glob::expand(self, &pattern)? {
                        fields.extend(names.into_iter().map(Ok));
                    } else {
                        self.fuel.store(text.len())?;
                        fields.push(Ok(text));
                    }
                }
                Built { text, .. } => {
                    self.fuel.store(text.len())?;
                    fields.push(Ok(text));
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Built {
    text: String,
    /// The same with quoted characters escaped, for file name expansion.
    pattern: String,
    /// An unquoted `*`, `?` or `[` is in it.
    live: bool,
    /// The field exists even when it is empty.
    begun: bool,
    unknown: Option<Reason>,
}

#[derive(Debug, Default)]
struct Builder {
    done: Vec<Built>,
    current: Built,
    /// Blanks ended the last field, so that one other separator belongs to the same gap.
    after_blank: bool,
}

impl Builder {
    pub(super) fn quoted(&mut self, text: &str) {
        self.current.begun = true;
        self.after_blank = false;
        self.current.text.push_str(text);
        for c in text.chars() {
            if !c.is_alphanumeric() {
                self.current.pattern.push('\\');
            }
            self.current.pattern.push(c);
        }
    }

    pub(super) fn live(&mut self, text: &str) {
        text.chars().for_each(|c| self.live_char(c));
    }

    fn live_char(&mut self, c: char) {
        self.current.begun = true;
        self.after_blank = false;
        self.current.live |= matches!(c, '*' | '?' | '[' | '(');
        self.current.text.push(c);
        self.current.pattern.push(c);
    }

    pub(super) fn unknown(&mut self, reason: Reason) {
        self.current.begun = true;
        self.after_blank = false;
        self.current.unknown.get_or_insert(reason);
    }

    fn end(&mut self) {
        if self.current.begun {
            self.done.push(std::mem::take(&mut self.current));
        }
        self.after_blank = false;
    }

    fn blank(&mut self) {
        if self.current.begun {
            self.end();
            self.after_blank = true;
        }
    }

    fn separator(&mut self) {
        if self.current.begun || !self.after_blank {
            self.current.begun = true;
            self.end();
        } else {
            self.after_blank = false;
        }
    }
}
