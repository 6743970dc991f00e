//! Words to strings: quoting, expansions, splitting and file names.

mod escape;
mod split;

use super::brace;
use super::dynamic::{DynamicKind, Field, Reason, Stop};
use super::scope::List;
use super::shell::Shell;
use crate::tree::{
    Arithmetic, File, Operation, Parameter, Special, Subscript, SubstitutionBody, Word, WordPart,
};

/// How a piece of an expanded word takes part in splitting and file name expansion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// Kept as it is.
    Quoted,
    /// Written without quotes: `*` and `?` are live, blanks were never there.
    Literal,
    /// Came out of an unquoted expansion: split, and `*` and `?` are live.
    Split,
}

/// A piece of an expanded word.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String, Quote),
    Unknown(Reason, Quote),
    /// Between two elements of `"$@"` or `${array[@]}`.
    Break,
}

/// In what surroundings a word is expanded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    /// Inside double quotes or a here-document.
    pub(crate) quoted: bool,
    /// The outcome is one string: `$*` is joined even without quotes.
    pub(crate) single: bool,
}

impl Mode {
    pub(crate) const FIELDS: Self = Self {
        quoted: false,
        single: false,
    };
    pub(crate) const SINGLE: Self = Self {
        quoted: false,
        single: true,
    };
    pub(crate) const QUOTED: Self = Self {
        quoted: true,
        single: true,
    };

    pub(crate) fn quote(self) -> Quote {
        if self.quoted {
            Quote::Quoted
        } else {
            Quote::Split
        }
    }

    fn literal(self) -> Quote {
        if self.quoted {
            Quote::Quoted
        } else {
            Quote::Literal
        }
    }
}

impl Shell {
    /// Text of the file as a string; bytes that are not UTF-8 make it unknown.
    pub(crate) fn utf8<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a str, Reason> {
        std::str::from_utf8(bytes).map_err(|_| self.reason(DynamicKind::Encoding))
    }

    /// Expands a word to one string, as on the right side of an assignment.
    pub(crate) fn text(&mut self, file: &File, word: &Word) -> Result<String, Stop> {
        self.fuel.spend(1)?;
        match word.parts() {
            [] => Ok(String::new()),
            [part @ (WordPart::Literal(_) | WordPart::SingleQuoted(_))]
                if !part_has_tilde(file, part) =>
            {
                let text = part.static_text(file).unwrap_or_default();
                Ok(self.utf8(&text)?.to_owned())
            }
            parts => {
                let mut pieces = Vec::with_capacity(parts.len());
                self.tilde_word(file, parts, Mode::SINGLE, true, &mut pieces)?;
                single(pieces)
            }
        }
    }

    /// Expands a word to one string without tilde expansion behind colons, as in `[[ … ]]`.
    pub(crate) fn operand(&mut self, file: &File, word: &Word) -> Result<String, Stop> {
        let mut pieces = Vec::new();
        self.tilde_word(file, word.parts(), Mode::SINGLE, false, &mut pieces)?;
        single(pieces)
    }

    /// Expands pieces as in double quotes to one string.
    pub(crate) fn quoted_text(&mut self, file: &File, parts: &[WordPart]) -> Result<String, Stop> {
        let mut pieces = Vec::with_capacity(parts.len());
        self.parts(file, parts, Mode::QUOTED, &mut pieces)?;
        single(pieces)
    }

    /// Expands the text of an arithmetic expression and evaluates it.
    pub(crate) fn evaluate_arithmetic(
        &mut self,
        file: &File,
        expression: &Arithmetic,
    ) -> Result<i64, Stop> {
        self.fuel.spend(1)?;
        match self.arithmetic_text(file, expression.parts()) {
            Ok(text) => self.arithmetic(&text),
            Err(Stop::Dynamic(reason)) => {
                let text = file.text_lossy(expression.span).into_owned();
                self.unknown_results(&text, &reason)?;
                Err(reason.into())
            }
            Err(stop) => Err(stop),
        }
    }

    fn arithmetic_text(&mut self, file: &File, parts: &[WordPart]) -> Result<String, Stop> {
        if let [WordPart::Literal(span)] = parts {
            return Ok(self.utf8(file.text(*span))?.to_owned());
        }
        let text = self.quoted_text(file, parts)?;
        Ok(text.replace(['"', '\''], ""))
    }

    /// Expands a subscript: a key of an associative array, else arithmetic text.
    pub(crate) fn subscript(
        &mut self,
        file: &File,
        name: &str,
        subscript: &Subscript,
    ) -> Result<String, Stop> {
        match subscript {
            Subscript::At => Ok("@".to_owned()),
            Subscript::Star => Ok("*".to_owned()),
            Subscript::Index(word) => {
                if self.is_assoc(name)? {
                    self.operand(file, word)
                } else {
                    let mut pieces = Vec::new();
                    self.parts(file, word.parts(), Mode::SINGLE, &mut pieces)?;
                    single(pieces)
                }
            }
        }
    }

    /// Expands a subscript found in the text of an arithmetic expression.
    pub(crate) fn expand_subscript(&mut self, name: &str, text: &str) -> Result<String, Stop> {
        if !text.contains(['$', '`', '"', '\'', '\\']) {
            return Ok(text.to_owned());
        }
        let parsed = crate::parse_word(text);
        let assoc = self.is_assoc(name)?;
        self.deeper(|shell| {
            if assoc {
                shell.operand(&parsed.file, &parsed.word)
            } else {
                shell.text(&parsed.file, &parsed.word)
            }
        })
    }

    /// Expands words to fields: braces, expansions, splitting, file names.
    pub(crate) fn fields<'a>(
        &mut self,
        file: &File,
        words: impl IntoIterator<Item = &'a Word>,
    ) -> Result<List, Stop> {
        let mut fields = Vec::new();
        let mut unknown = None;
        for word in words {
            match self.word_fields(file, word, &mut fields) {
                Ok(()) => {}
                Err(Stop::Dynamic(reason)) => unknown = unknown.or(Some(reason)),
                Err(stop) => return Err(stop),
            }
        }
        Ok(match unknown {
            Some(reason) => List::Dynamic(reason),
            None => List::Known(fields),
        })
    }

    /// Expands one word and appends its fields; `Dynamic` when their number is not known.
    pub(crate) fn word_fields(
        &mut self,
        file: &File,
        word: &Word,
        fields: &mut Vec<Field>,
    ) -> Result<(), Stop> {
        self.fuel.spend(1)?;
        if !self.state.options.no_braces && nests_braces(file, word) {
            return Err(self.unsupported("{", "braces where quotes nest"));
        }
        if !self.state.options.no_braces && word.may_expand_braces(file) {
            let text = self.utf8(file.text(word.span))?;
            if let Some(words) = brace::expand(text, &mut self.fuel)? {
                let anchored = self.place.pin_here();
                let result = words.iter().try_for_each(|text| {
                    let parsed = crate::parse_word(text);
                    self.deeper(|shell| shell.unbraced_fields(&parsed.file, &parsed.word, fields))
                });
                self.place.unpin(anchored);
                return result;
            }
        }
        self.unbraced_fields(file, word, fields)
    }

    fn unbraced_fields(
        &mut self,
        file: &File,
        word: &Word,
        fields: &mut Vec<Field>,
    ) -> Result<(), Stop> {
        if let [part] = word.parts() {
            match part {
                WordPart::SingleQuoted(_) => {
                    let text = part.static_text(file).unwrap_or_default();
                    fields.push(self.utf8(&text).map(str::to_owned));
                    return Ok(());
                }
                WordPart::Literal(span) => {
                    let bytes = file.text(*span);
                    if !bytes
                        .iter()
                        .any(|b| matches!(b, b'*' | b'?' | b'[' | b'~' | b'\\' | b'('))
                    {
                        fields.push(self.utf8(bytes).map(str::to_owned));
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
        let mut pieces = Vec::with_capacity(word.parts().len());
        self.tilde_word(file, word.parts(), Mode::FIELDS, false, &mut pieces)?;
        self.split(pieces, fields)
    }

    /// Expands the parts of a whole word, tildes included.
    fn tilde_word(
        &mut self,
        file: &File,
        parts: &[WordPart],
        mode: Mode,
        assignment: bool,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        let Some((WordPart::Literal(span), rest)) = parts.split_first() else {
            return self.parts(file, parts, mode, pieces);
        };
        let text = self.utf8(file.text(*span))?;
        let tilde = text.starts_with('~') || (assignment && text.contains(":~"));
        if !tilde {
            return self.parts(file, parts, mode, pieces);
        }
        let mut expanded = String::new();
        for (index, segment) in text.split(':').enumerate() {
            if index > 0 {
                expanded.push(':');
            }
            let Some(after) = segment
                .strip_prefix('~')
                .filter(|_| index == 0 || assignment)
            else {
                expanded.push_str(segment);
                continue;
            };
            let (user, tail) = after.split_at(after.find('/').unwrap_or(after.len()));
            let whole = index + 1 < text.split(':').count() || !tail.is_empty() || rest.is_empty();
            if user.is_empty() && whole {
                match self.scalar("HOME") {
                    Some(Ok(home)) => expanded.push_str(&home),
                    Some(Err(reason)) => return Err(reason.into()),
                    None => return Err(self.unsupported("~", "`HOME` is unset")),
                }
            } else if whole && !may_be_user(user) {
                expanded.push('~');
                expanded.push_str(user);
            } else if whole {
                let kind = DynamicKind::Host(format!("~{user}"));
                return Err(self.reason(kind).into());
            } else {
                // A quoted or expanded part follows at once, which keeps the tilde.
                expanded.push('~');
                expanded.push_str(user);
            }
            expanded.push_str(tail);
        }
        pieces.push(Piece::Text(expanded, mode.literal()));
        self.parts(file, rest, mode, pieces)
    }

    /// Expands parts in order. What follows an unknown part is expanded too, for its side effects.
    pub(crate) fn parts(
        &mut self,
        file: &File,
        parts: &[WordPart],
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        for part in parts {
            match self.part(file, part, mode, pieces) {
                Ok(()) => {}
                Err(Stop::Dynamic(reason)) => {
                    let quote = if makes_fields(part) {
                        Quote::Split
                    } else {
                        mode.quote()
                    };
                    pieces.push(Piece::Unknown(reason, quote));
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        file: &File,
        part: &WordPart,
        mode: Mode,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Stop> {
        self.fuel.spend(1)?;
        match part {
            WordPart::Literal(span) => {
                let text = self.utf8(file.text(*span))?;
                self.fuel.store(text.len())?;
                pieces.push(Piece::Text(text.to_owned(), mode.literal()));
            }
            WordPart::Escaped(_) | WordPart::SingleQuoted(_) | WordPart::AnsiCQuoted(_) => {
                let text = part.static_text(file).unwrap_or_default();
                let text = self.utf8(&text)?.to_owned();
                if mode.quoted
                    && matches!(part, WordPart::AnsiCQuoted(_))
                    && text.contains(['$', '`', '"', '\\', '\'', '}'])
                {
                    // Between double quotes bash reads what it decoded once more.
                    return Err(self.unsupported("$'…'", "special characters in double quotes"));
                }
                self.fuel.store(text.len())?;
                pieces.push(Piece::Text(text, Quote::Quoted));
            }
            WordPart::DoubleQuoted(quoted) => {
                if joins_and_parts(quoted.parts()) {
                    return Err(self.unsupported("[*]", "beside `[@]` in the same quotes"));
                }
                if quoted.parts().is_empty() {
                    pieces.push(Piece::Text(String::new(), Quote::Quoted));
                }
                let mode = Mode {
                    quoted: true,
                    ..mode
                };
                self.parts(file, quoted.parts(), mode, pieces)?;
            }
            WordPart::Parameter(expansion) => {
                self.deeper(|shell| shell.parameter(file, expansion, mode, pieces))?;
            }
            WordPart::Command(substitution) => {
                let text = match &substitution.body {
                    SubstitutionBody::Commands(list) => self.substitute(file, list)?,
                    SubstitutionBody::Backquoted(inner) => {
                        let anchored = self.place.pin(substitution.span);
                        let text = self.substitute(inner, inner.commands());
                        self.place.unpin(anchored);
                        text?
                    }
                };
                pieces.push(match text {
                    Ok(text) => Piece::Text(text, mode.quote()),
                    Err(reason) => Piece::Unknown(reason, mode.quote()),
                });
            }
            WordPart::Arithmetic(expansion) => {
                let value = self.deeper(|s| s.evaluate_arithmetic(file, &expansion.expression))?;
                pieces.push(Piece::Text(value.to_string(), mode.quote()));
            }
            WordPart::Process(_) => {
                return Err(self.unsupported("<(…)", "process substitution"));
            }
        }
        Ok(())
    }
}

/// Whether a part can make any number of fields even inside double quotes.
fn makes_fields(part: &WordPart) -> bool {
    let WordPart::Parameter(expansion) = part else {
        return false;
    };
    expansion.indirect
        || matches!(expansion.parameter, Parameter::Special(Special::All))
        || matches!(expansion.subscript, Some(Subscript::At))
        || matches!(
            expansion.operation,
            Operation::Names { .. }
                | Operation::Keys
                | Operation::Default { .. }
                | Operation::Alternative { .. }
        )
}

/// Whether bash may expand braces in the word that the syntax says are quoted: it takes each quote
/// in `"${x:+"{a,b}"}"` for the end of a string or the beginning of one. After `{…}` it also loses
/// count at `\{`.
fn nests_braces(file: &File, word: &Word) -> bool {
    let text = |span| file.text(span);
    let mut opened = false;
    word.parts().iter().any(|part| match part {
        WordPart::DoubleQuoted(quoted) => quoted.parts().iter().any(|inner| match inner {
            WordPart::Parameter(expansion) => {
                expansion.operation.operand().is_some_and(|operand| {
                    operand.parts().iter().any(|part| {
                        matches!(part, WordPart::DoubleQuoted(quoted)
                        if text(quoted.span).contains(&b'{'))
                    })
                })
            }
            _ => false,
        }),
        WordPart::Literal(span) => {
            opened |= text(*span).contains(&b'{');
            false
        }
        WordPart::Escaped(span) => opened && text(*span) == b"\\{",
        _ => false,
    })
}

/// Whether an operator on `[*]` or `$*` stands beside `[@]` or `$@` between the same quotes, where
/// bash does not join.
fn joins_and_parts(parts: &[WordPart]) -> bool {
    let (mut joins, mut breaks) = (false, false);
    for part in parts {
        if let WordPart::Parameter(expansion) = part {
            joins |= !matches!(expansion.operation, Operation::Value)
                && (matches!(expansion.parameter, Parameter::Special(Special::Joined))
                    || matches!(expansion.subscript, Some(Subscript::Star)));
            breaks |= matches!(expansion.parameter, Parameter::Special(Special::All))
                || matches!(expansion.subscript, Some(Subscript::At))
                || matches!(expansion.operation, Operation::Names { joined: false });
        }
    }
    joins && breaks
}

/// Whether an account can have this name; bash leaves the tilde before any other.
fn may_be_user(name: &str) -> bool {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "._-+$@\\".contains(c) || !c.is_ascii());
    !name.contains(odd)
}

fn part_has_tilde(file: &File, part: &WordPart) -> bool {
    matches!(part, WordPart::Literal(span) if file.text(*span).contains(&b'~'))
}

/// Joins pieces to the one string they make where no splitting happens.
pub(crate) fn single(pieces: Vec<Piece>) -> Result<String, Stop> {
    let mut pieces = pieces.into_iter();
    let mut text = match pieces.next() {
        None => return Ok(String::new()),
        Some(Piece::Text(text, _)) => text,
        Some(Piece::Unknown(reason, _)) => return Err(reason.into()),
        Some(Piece::Break) => String::from(' '),
    };
    for piece in pieces {
        match piece {
            Piece::Text(more, _) => text.push_str(&more),
            Piece::Unknown(reason, _) => return Err(reason.into()),
            Piece::Break => text.push(' '),
        }
    }
    Ok(text)
}
