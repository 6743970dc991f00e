//! The pieces of a word, of a quoted string and of everything that is read like one.

use super::cursor::Cursor;
use super::expansion::{expansion, starts_expansion};
use super::failure::{Failure, Step};
use super::lexical::{class, is, run_without};
use super::quote::{Quote, double_quoted, single_quoted, unclosed};
use super::substitution::process_substitution;
use crate::span::Span;
use crate::tree::{Arithmetic, Few, LeafKind, Word, WordPart};

/// Where pieces are read: what ends them and which bytes are special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// An unquoted word: ends at a blank, a line feed or an operator.
    Word,
    /// The right side of `=~`: brackets group and `|` is text.
    Regex,
    /// The whole text, whatever stands in it.
    Whole,
    /// Between double quotes.
    Double,
    /// In a here-document; `<<-` removes leading tabs.
    HereDocument { strip_tabs: bool },
    /// An operand in `${…}`, up to `}`; up to `/` too when asked.
    Operand { slash: bool },
    /// An operand of `- = ? +` in a `${…}` between double quotes, where bash decodes `$'…'` and
    /// `$"…"`; in a here-document or an expression they are plain text.
    DoubleOperand { decodes: bool },
    /// Between `[` and `]`.
    Subscript,
    /// Between `((` and `))`.
    Arithmetic,
    /// A part of `for ((…;…;…))`.
    ArithmeticClause,
    /// Between `$[` and `]`.
    ArithmeticBracket,
    /// Offset or length in `${x:…:…}`.
    ArithmeticOperand,
}

impl Mode {
    /// The bytes that are not plain text.
    const fn special(self) -> u16 {
        const QUOTES: u16 = class::SINGLE | class::DOUBLE | class::EXPAND;
        const ARITHMETIC: u16 = class::DOUBLE | class::EXPAND;
        match self {
            Self::Word | Self::Regex => class::META | QUOTES,
            Self::Whole => QUOTES | class::ANGLE,
            Self::Double => class::DOUBLE | class::EXPAND,
            Self::HereDocument { strip_tabs: false } => class::EXPAND,
            Self::HereDocument { strip_tabs: true } => class::EXPAND | class::LINE,
            Self::Operand { slash: true } => QUOTES | class::BRACE | class::SLASH,
            Self::Operand { slash: false } | Self::DoubleOperand { .. } => QUOTES | class::BRACE,
            Self::Subscript => QUOTES | class::BRACKET,
            Self::Arithmetic => ARITHMETIC | class::PAREN,
            Self::ArithmeticClause => ARITHMETIC | class::PAREN | class::SEMICOLON,
            Self::ArithmeticBracket => ARITHMETIC | class::BRACKET,
            Self::ArithmeticOperand => ARITHMETIC | class::PAREN | class::TERNARY | class::BRACE,
        }
    }

    /// Whether backslashes and quotes work as between double quotes.
    pub(super) const fn quoted(self) -> bool {
        !matches!(
            self,
            Self::Word | Self::Regex | Self::Whole | Self::Operand { .. } | Self::Subscript
        )
    }

    /// Whether the backslash in front of `byte` quotes it.
    const fn escapes(self, byte: u8) -> bool {
        match self {
            Self::Double | Self::DoubleOperand { .. } if matches!(byte, b'"') => true,
            Self::DoubleOperand { .. } if matches!(byte, b'}') => true,
            _ if self.quoted() => matches!(byte, b'$' | b'`' | b'\\'),
            _ => true,
        }
    }
}

/// A word; empty when none starts here.
pub(super) fn word(input: Cursor<'_>, mode: Mode) -> Step<'_, Word> {
    if input.state.stopped() {
        return Err(nom::Err::Failure(Failure::Stopped));
    }
    let (rest, parts) = if mode == Mode::Word {
        unquoted(input)?
    } else {
        parts(input, mode)?
    };
    let span = input.span_to(rest);
    Ok((rest, Word { span, parts }))
}

/// The pieces of a word in a command. Most words are plain text or one quoted string, up to a blank
/// or a line feed; those are read without the bookkeeping of the others.
fn unquoted(input: Cursor<'_>) -> Step<'_, Few<WordPart>> {
    let plain = input.advance(run_without(input.rest(), Mode::Word.special()));
    if plain.at() > input.at() {
        return match plain.peek() {
            None | Some(b' ' | b'\n') => {
                input.state.leaf(LeafKind::Text, input.at(), plain.at());
                let part = WordPart::Literal(input.span_to(plain));
                Ok((plain, Few::one(part)))
            }
            _ => pieces(input, plain, Mode::Word, Few::new()),
        };
    }
    let (rest, part) = match input.peek() {
        Some(b'\'') => {
            let rest = single_quoted(input);
            (rest, WordPart::SingleQuoted(input.span_to(rest)))
        }
        Some(b'"') => {
            let (rest, quoted) = input.nested(|input| double_quoted(input, 1))?;
            (rest, WordPart::DoubleQuoted(quoted))
        }
        _ => return pieces(input, input, Mode::Word, Few::new()),
    };
    match rest.peek() {
        None | Some(b' ' | b'\n' | b')') => Ok((rest, Few::one(part))),
        _ => pieces(rest, rest, Mode::Word, Few::one(part)),
    }
}

/// A word that must be there.
pub(super) fn required_word<'s>(
    input: Cursor<'s>,
    mode: Mode,
    expected: &'static str,
) -> Step<'s, Word> {
    let (rest, word) = word(input, mode)?;
    if word.is_empty() {
        return Err(Failure::unexpected(rest, expected));
    }
    Ok((rest, word))
}

/// The pieces of an arithmetic expression.
pub(super) fn arithmetic(input: Cursor<'_>, mode: Mode) -> Step<'_, Arithmetic> {
    let (rest, parts) = parts(input, mode)?;
    Ok((
        rest,
        Arithmetic {
            span: input.span_to(rest),
            parts,
        },
    ))
}

/// Reads pieces until something ends them.
pub(super) fn parts(input: Cursor<'_>, mode: Mode) -> Step<'_, Few<WordPart>> {
    pieces(input, input, mode, Few::new())
}

/// Goes on reading pieces at `input`. What lies between `text` and there is plain text, and what
/// comes before it is in `parts`.
fn pieces<'s>(
    text: Cursor<'s>,
    mut input: Cursor<'s>,
    mode: Mode,
    parts: Few<WordPart>,
) -> Step<'s, Few<WordPart>> {
    let mut reader = Reader {
        parts,
        text,
        special: mode.special(),
        mode,
        nesting: 0,
        ternaries: 0,
        plain_until: 0,
        group: Span::empty(0),
    };
    loop {
        input = input.advance(run_without(input.rest(), reader.special));
        let Some(byte) = input.peek() else { break };
        if input.state.stopped() {
            return Err(nom::Err::Failure(Failure::Stopped));
        }
        input = match byte {
            b'\\' => reader.backslash(input),
            b'$' | b'`' if starts_expansion(input, mode) => {
                reader.flush(input);
                let (rest, part) = expansion(input, mode)?;
                reader.resume(rest, part)
            }
            b'$' | b'`' => input.advance(1),
            _ => match reader.special_byte(input, byte)? {
                Some(rest) => rest,
                None => break,
            },
        };
    }
    reader.flush(input);
    if reader.nesting > 0 && reader.in_group() {
        input.report_unclosed(reader.group, "the group of a pattern", ")", None);
    }
    Ok((input, reader.parts))
}

struct Reader<'s> {
    parts: Few<WordPart>,
    /// Start of the text that is not yet a piece.
    text: Cursor<'s>,
    special: u16,
    mode: Mode,
    /// Open brackets of the kind the mode counts.
    nesting: u32,
    /// `?` still waiting for its `:`.
    ternaries: u32,
    /// Up to this offset `}` and `"` are plain; see [`Mode::DoubleOperand`].
    plain_until: usize,
    /// The outermost open group.
    group: Span,
}

impl<'s> Reader<'s> {
    /// Makes a piece of the text before `input`.
    fn flush(&mut self, input: Cursor<'s>) {
        if self.text.at() < input.at() {
            input.state.leaf(LeafKind::Text, self.text.at(), input.at());
            self.parts.push(WordPart::Literal(self.text.span_to(input)));
        }
    }

    fn resume(&mut self, rest: Cursor<'s>, part: WordPart) -> Cursor<'s> {
        self.parts.push(part);
        self.text = rest;
        rest
    }

    fn backslash(&mut self, input: Cursor<'s>) -> Cursor<'s> {
        match input.byte(1) {
            None => input.advance(1),
            Some(b'\n') => {
                self.flush(input);
                self.text = input.take_leaf(LeafKind::Continuation, 2);
                self.text
            }
            Some(byte) if self.mode.escapes(byte) => {
                self.flush(input);
                let part = WordPart::Escaped(input.span_of(2));
                self.resume(input.take_leaf(LeafKind::Escape, 2), part)
            }
            Some(_) => input.advance(2),
        }
    }

    fn in_group(&self) -> bool {
        matches!(self.mode, Mode::Word | Mode::Regex)
    }

    /// Handles a byte that may end the pieces; `None` when it does.
    fn special_byte(
        &mut self,
        input: Cursor<'s>,
        byte: u8,
    ) -> Result<Option<Cursor<'s>>, nom::Err<Failure>> {
        let next = input.advance(1);
        Ok(match byte {
            b'\'' if matches!(self.mode, Mode::DoubleOperand { .. }) => {
                if input.at() >= self.plain_until {
                    match memchr::memchr(b'\'', next.rest()) {
                        Some(length) => self.plain_until = next.at() + length + 1,
                        None => return Ok(Some(unclosed(input, Quote::Single))),
                    }
                }
                Some(next)
            }
            b'\'' => {
                self.flush(input);
                let rest = single_quoted(input);
                Some(self.resume(rest, WordPart::SingleQuoted(input.span_to(rest))))
            }
            b'"' if self.mode == Mode::Double => None,
            b'"' if input.at() < self.plain_until => Some(next),
            b'"' => {
                self.flush(input);
                let (rest, quoted) = input.nested(|input| double_quoted(input, 1))?;
                Some(self.resume(rest, WordPart::DoubleQuoted(quoted)))
            }
            b'}' => (input.at() < self.plain_until).then_some(next),
            b'\n' if self.mode == (Mode::HereDocument { strip_tabs: true }) => {
                Some(self.strip_tabs(next))
            }
            // The pattern of `${x//…}` may begin with the byte that ends it elsewhere.
            b'/' if self.text.at() == input.at()
                && self.parts.is_empty()
                && input.previous() == Some(b'/') =>
            {
                Some(next)
            }
            b'<' | b'>' if input.byte(1) == Some(b'(') && self.nesting == 0 => {
                self.flush(input);
                let (rest, part) = process_substitution(input)?;
                Some(self.resume(rest, part))
            }
            b'<' | b'>' if self.mode == Mode::Whole => Some(next),
            b'[' => Some(self.open(input, self.special)),
            b']' | b')' => self.close(next),
            b'(' if !self.in_group() => Some(self.open(input, self.special)),
            b'(' if self.nesting > 0 || self.opens_group(input) => {
                const GROUP: u16 = class::SINGLE | class::DOUBLE | class::EXPAND | class::PAREN;
                Some(self.open(input, GROUP))
            }
            b'|' if self.mode == Mode::Regex => Some(next),
            b'?' => {
                self.ternaries += 1;
                Some(next)
            }
            b':' if self.ternaries > 0 || self.nesting > 0 => {
                self.ternaries = self.ternaries.saturating_sub(1);
                Some(next)
            }
            b';' if self.nesting > 0 => Some(next),
            _ => None,
        })
    }

    fn open(&mut self, input: Cursor<'s>, special: u16) -> Cursor<'s> {
        if self.nesting == 0 {
            self.group = input.span_of(1);
        }
        self.nesting += 1;
        self.special = special;
        input.advance(1)
    }

    fn close(&mut self, next: Cursor<'s>) -> Option<Cursor<'s>> {
        if self.nesting == 0 {
            return None;
        }
        self.nesting -= 1;
        if self.nesting == 0 {
            self.special = self.mode.special();
        }
        Some(next)
    }

    /// Whether the `(` at the cursor opens a group instead of ending the word. An extended glob is
    /// taken as one even while `extglob` is off, where it would be a mistake; `x?()` and the like
    /// are left to be function definitions.
    fn opens_group(&self, input: Cursor<'s>) -> bool {
        match self.mode {
            Mode::Regex => true,
            _ => {
                self.text.at() < input.at()
                    && input
                        .previous()
                        .is_some_and(|byte| b"?*+@!".contains(&byte))
                    && input.byte(1) != Some(b')')
            }
        }
    }

    fn strip_tabs(&mut self, next: Cursor<'s>) -> Cursor<'s> {
        let tabs = next
            .rest()
            .iter()
            .take_while(|&&byte| byte == b'\t')
            .count();
        if tabs == 0 {
            return next;
        }
        self.flush(next);
        self.text = next.take_leaf(LeafKind::Blank, tabs);
        self.text
    }
}

/// Whether the word at the cursor would be empty.
#[inline]
pub(super) fn no_word(input: Cursor<'_>) -> bool {
    match input.peek() {
        Some(b'<' | b'>') => input.byte(1) != Some(b'('),
        Some(byte) => is(byte, class::META),
        None => true,
    }
}
