//! What the operators of parameter expansion do to one string.

use super::dynamic::Stop;
use super::expand::{Mode, Piece, Quote};
use super::pattern::Pattern;
use super::quote;
use super::shell::Shell;
use crate::tree::{Anchor, CaseChange, File, Operation, Transformation, Word};

/// An operator with its operands expanded, ready for every element of an array.
pub(crate) enum Change {
    Keep,
    Prefix {
        pattern: Pattern,
        longest: bool,
    },
    Suffix {
        pattern: Pattern,
        longest: bool,
    },
    Replace {
        pattern: Option<Pattern>,
        anchor: Anchor,
        with: Vec<With>,
    },
    Substring {
        offset: i64,
        length: Option<i64>,
    },
    Case {
        change: CaseChange,
        all: bool,
        pattern: Option<Pattern>,
    },
}

/// A piece of a replacement.
pub(crate) enum With {
    Text(String),
    /// An unquoted `&`.
    Match,
}

impl Change {
    pub(crate) fn prepare(
        shell: &mut Shell,
        file: &File,
        operation: &Operation,
    ) -> Result<Self, Stop> {
        Ok(match operation {
            Operation::RemovePrefix { longest, pattern } => Self::Prefix {
                pattern: shell.compile(file, pattern)?,
                longest: *longest,
            },
            Operation::RemoveSuffix { longest, pattern } => Self::Suffix {
                pattern: shell.compile(file, pattern)?,
                longest: *longest,
            },
            Operation::Replace {
                anchor,
                pattern,
                replacement,
            } => {
                let text = shell.pattern_text(file, pattern)?;
                // An anchor may come out of an expansion; one that is quoted is escaped here.
                let (anchor, text) = match (anchor, text.as_bytes().first()) {
                    (Anchor::First, Some(b'#')) => (Anchor::Start, &text[1..]),
                    (Anchor::First, Some(b'%')) => (Anchor::End, &text[1..]),
                    (anchor, _) => (*anchor, text.as_str()),
                };
                let compiled = Pattern::compile(text, shell.state.options.extglob)?
                    .ignoring_case(shell.state.options.nocasematch);
                let with = match replacement {
                    Some(word) => shell.replacement(file, word)?,
                    None => Vec::new(),
                };
                // An empty pattern matches only where it is anchored.
                let empty = text.is_empty() && matches!(anchor, Anchor::First | Anchor::All);
                Self::Replace {
                    pattern: (!empty).then_some(compiled),
                    anchor,
                    with,
                }
            }
            Operation::Substring { offset, length } => {
                let offset = shell.evaluate_arithmetic(file, offset)?;
                let length = length
                    .as_ref()
                    .map(|l| shell.evaluate_arithmetic(file, l))
                    .transpose()?;
                Self::Substring { offset, length }
            }
            Operation::Case {
                change,
                all,
                pattern,
            } => {
                let pattern = if pattern.is_empty() {
                    None
                } else {
                    Some(shell.compile(file, pattern)?)
                };
                Self::Case {
                    change: *change,
                    all: *all,
                    pattern,
                }
            }
            _ => Self::Keep,
        })
    }

    pub(crate) fn apply(&self, shell: &mut Shell, text: String) -> Result<String, Stop> {
        let fuel = &mut shell.fuel;
        fuel.spend(1 + text.len() as u64 / 32)?;
        Ok(match self {
            Self::Prefix { pattern, longest } => match pattern.prefix(&text, *longest, fuel)? {
                Some(length) => text[length..].to_owned(),
                None => text,
            },
            Self::Suffix { pattern, longest } => match pattern.suffix(&text, *longest, fuel)? {
                Some(length) => text[..text.len() - length].to_owned(),
                None => text,
            },
            Self::Keep | Self::Replace { pattern: None, .. } => text,
            Self::Replace {
                pattern: Some(pattern),
                anchor,
                with,
            } => {
                let found = match anchor {
                    Anchor::First => pattern.find(&text, false, fuel)?,
                    Anchor::All => pattern.find(&text, true, fuel)?,
                    Anchor::Start => pattern
                        .prefix(&text, true, fuel)?
                        .map(|n| (0, n))
                        .into_iter()
                        .collect(),
                    Anchor::End => {
                        let length = pattern.suffix(&text, true, fuel)?;
                        length
                            .map(|n| (text.len() - n, text.len()))
                            .into_iter()
                            .collect()
                    }
                };
                replaced(shell, &text, &found, with)?
            }
            Self::Substring { offset, length } => substring(&text, *offset, *length)?,
            Self::Case {
                change,
                all,
                pattern,
            } => {
                let mut changed = String::with_capacity(text.len());
                for (index, c) in text.chars().enumerate() {
                    let applies = (*all || index == 0)
                        && match pattern {
                            None => true,
                            Some(pattern) => {
                                pattern.matches(c.encode_utf8(&mut [0; 4]), &mut shell.fuel)?
                            }
                        };
                    changed.push(if applies { recased(c, *change) } else { c });
                }
                changed
            }
        })
    }
}

fn replaced(
    shell: &mut Shell,
    text: &str,
    found: &[(usize, usize)],
    with: &[With],
) -> Result<String, Stop> {
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for &(start, end) in found {
        result.push_str(&text[at..start]);
        for piece in with {
            let piece = match piece {
                With::Text(piece) => piece,
                With::Match => &text[start..end],
            };
            shell.fuel.store(piece.len())?;
            result.push_str(piece);
        }
        at = end;
    }
    result.push_str(&text[at..]);
    shell.fuel.store(result.len())?;
    Ok(result)
}

fn substring(text: &str, offset: i64, length: Option<i64>) -> Result<String, Stop> {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let start = if offset < 0 {
        offset.wrapping_add(count)
    } else {
        offset
    };
    if start < 0 || start > count {
        return Ok(String::new());
    }
    let end = match length {
        None => count,
        Some(length) if length < 0 => {
            let end = count.wrapping_add(length);
            if end < start {
                return Err(Stop::failed(format!("{length}: substring expression < 0")));
            }
            end
        }
        Some(length) => start.saturating_add(length).min(count),
    };
    let skip = usize::try_from(start).unwrap_or(usize::MAX);
    let take = usize::try_from(end - start).unwrap_or(0);
    Ok(text.chars().skip(skip).take(take).collect())
}

/// Changes the case of every character, as C does: one to one.
pub(crate) fn recased_text(text: &str, change: CaseChange) -> String {
    text.chars().map(|c| recased(c, change)).collect()
}

/// Changes the case of one character; one whose other case is several characters stays.
fn recased(c: char, change: CaseChange) -> char {
    let one = |mut chars: Box<dyn Iterator<Item = char>>| {
        let first = chars.next();
        if chars.next().is_none() {
            first.unwrap_or(c)
        } else {
            c
        }
    };
    let upper = || one(Box::new(c.to_uppercase()));
    let lower = || one(Box::new(c.to_lowercase()));
    match change {
        CaseChange::Lower => lower(),
        CaseChange::Toggle if c.is_uppercase() => lower(),
        CaseChange::Upper | CaseChange::Toggle => upper(),
    }
}

/// `${x@Q}`, `${x@E}`, `${x@U}`, `${x@u}`, `${x@L}`; `None` for what is not interpreted.
pub(crate) fn transformed(text: &str, transformation: Transformation) -> Option<String> {
    let recase = |change, all: bool| -> String {
        let changed = text.chars().enumerate();
        changed
            .map(|(at, c)| {
                if all || at == 0 {
                    recased(c, change)
                } else {
                    c
                }
            })
            .collect()
    };
    Some(match transformation {
        Transformation::Quote => quote::reusable(text),
        Transformation::Upper => recase(CaseChange::Upper, true),
        Transformation::UpperFirst => recase(CaseChange::Upper, false),
        Transformation::Lower => recase(CaseChange::Lower, true),
        Transformation::Escapes => {
            String::from_utf8(crate::ansi_c::decode(text.as_bytes()).into_owned()).ok()?
        }
        _ => return None,
    })
}

impl Shell {
    /// Expands and compiles a pattern under the current `shopt` settings.
    pub(crate) fn compile(&mut self, file: &File, word: &Word) -> Result<Pattern, Stop> {
        let text = self.pattern_text(file, word)?;
        Ok(Pattern::compile(&text, self.state.options.extglob)?)
    }

    /// Expands a replacement, in which an unquoted `&` stands for the match (bash 5.2).
    fn replacement(&mut self, file: &File, word: &Word) -> Result<Vec<With>, Stop> {
        let mut pieces = Vec::new();
        let tilde = word.parts().first().and_then(|part| part.static_text(file));
        if tilde.is_some_and(|text| text.first() == Some(&b'~'))
            && matches!(word.parts(), [crate::tree::WordPart::Literal(_), ..])
        {
            let text = self.text(file, word)?;
            return Ok(vec![With::Text(text)]);
        }
        self.parts(file, word.parts(), Mode::SINGLE, &mut pieces)?;
        let live = |piece: &Piece| {
            matches!(piece, Piece::Text(text, quote)
            if *quote != Quote::Quoted && text.contains('&'))
        };
        let expands = !self.state.options.no_patsub && pieces.iter().any(live);
        let mut with = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Text(text, quote) if quote == Quote::Quoted || !expands => {
                    with.push(With::Text(text));
                }
                Piece::Text(text, _) => {
                    let mut plain = String::new();
                    let mut chars = text.chars().peekable();
                    while let Some(c) = chars.next() {
                        match c {
                            '\\' if matches!(chars.peek(), Some('&' | '\\')) => {
                                plain.extend(chars.next());
                            }
                            '&' => {
                                with.push(With::Text(std::mem::take(&mut plain)));
                                with.push(With::Match);
                            }
                            c => plain.push(c),
                        }
                    }
                    with.push(With::Text(plain));
                }
                Piece::Unknown(reason, _) => return Err(reason.into()),
                Piece::Break => with.push(With::Text(" ".to_owned())),
            }
        }
        Ok(with)
    }
}
