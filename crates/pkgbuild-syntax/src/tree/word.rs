use std::borrow::Cow;

use super::{Few, File, List};
use crate::span::Span;

/// One shell word, as written: a sequence of adjacent pieces.
///
/// Tildes, glob characters and extended globs are plain [`WordPart::Literal`] text: whether they
/// mean anything depends on where the word stands and on `shopt`. The same holds for brace
/// expansion, which bash does on the text of the word before anything else, so that `$x{a,b}`
/// reads the variables `xa` and `xb`: an interpreter expands the text ([`Word::span`]) when
/// [`Word::may_expand_braces`] and parses each result with [`parse_word`](crate::parse_word).
#[derive(Clone, Debug)]
pub struct Word {
    /// The whole word; empty for an absent one, as in `x=`.
    pub span: Span,
    pub(crate) parts: Few<WordPart>,
}

impl Word {
    /// The word that is not there.
    pub(crate) fn absent(offset: u32) -> Self {
        Self {
            span: Span::empty(offset),
            parts: Few::new(),
        }
    }

    /// The pieces in order, without line continuations.
    pub fn parts(&self) -> &[WordPart] {
        self.parts.as_slice()
    }

    /// Whether the word has no piece at all. `''` has one, hence is not empty.
    pub fn is_empty(&self) -> bool {
        self.parts().is_empty()
    }

    /// Whether an unquoted `{` stands in the word, the condition for brace expansion.
    pub fn may_expand_braces(&self, file: &File) -> bool {
        self.parts()
            .iter()
            .any(|part| matches!(part, WordPart::Literal(span) if file.text(*span).contains(&b'{')))
    }

    /// The text after quote removal when it is the same in every environment: no expansion occurs
    /// in the word. Tildes, braces and glob characters are given as they stand.
    pub fn static_text<'file>(&self, file: &'file File) -> Option<Cow<'file, [u8]>> {
        static_text(self.parts(), file)
    }
}

fn static_text<'file>(parts: &[WordPart], file: &'file File) -> Option<Cow<'file, [u8]>> {
    if let [part] = parts {
        return part.static_text(file);
    }
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&part.static_text(file)?);
    }
    Some(Cow::Owned(text))
}

/// A piece of a [`Word`], of a double-quoted string, of an arithmetic expression or of a
/// here-document's body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WordPart {
    /// Text that stands for itself. In a word it is unquoted, so `*`, `?`, `[`, `{`, `~` and
    /// extended globs in it are live; elsewhere it is quoted.
    Literal(Span),
    /// A backslash and the one byte that it quotes; in a double-quoted string only before `$`,
    /// `` ` ``, `"` and `\`, elsewhere the backslash belongs to a literal.
    Escaped(Span),
    /// `'…'`, with the quotes.
    SingleQuoted(Span),
    /// `$'…'`, with the quotes; [`ansi_c_text`](WordPart::static_text) decodes it.
    AnsiCQuoted(Span),
    /// `"…"` or `$"…"`.
    DoubleQuoted(DoubleQuoted),
    /// `$x`, `${x…}`.
    Parameter(Box<ParameterExpansion>),
    /// `$(…)`, `` `…` ``.
    Command(Box<CommandSubstitution>),
    /// `$((…))`, `$[…]`.
    Arithmetic(Box<ArithmeticExpansion>),
    /// `<(…)`, `>(…)`.
    Process(Box<ProcessSubstitution>),
}

impl WordPart {
    /// Where the piece is.
    pub fn span(&self) -> Span {
        match self {
            Self::Literal(span)
            | Self::Escaped(span)
            | Self::SingleQuoted(span)
            | Self::AnsiCQuoted(span) => *span,
            Self::DoubleQuoted(quoted) => quoted.span,
            Self::Parameter(expansion) => expansion.span,
            Self::Command(substitution) => substitution.span,
            Self::Arithmetic(expansion) => expansion.span,
            Self::Process(substitution) => substitution.span,
        }
    }

    /// The text after quote removal, escapes of `$'…'` decoded; `None` when something would have
    /// to be expanded.
    pub fn static_text<'file>(&self, file: &'file File) -> Option<Cow<'file, [u8]>> {
        match self {
            Self::Literal(span) => Some(Cow::Borrowed(file.text(*span))),
            Self::Escaped(span) => Some(Cow::Borrowed(
                file.text(Span::new(span.start + 1, span.end)),
            )),
            Self::SingleQuoted(span) => {
                let text = file.text(*span);
                let text = text.strip_prefix(b"'").unwrap_or(text);
                Some(Cow::Borrowed(text.strip_suffix(b"'").unwrap_or(text)))
            }
            Self::AnsiCQuoted(span) => {
                let text = file.text(*span);
                let text = text.strip_prefix(b"$'").unwrap_or(text);
                Some(crate::ansi_c::decode(
                    text.strip_suffix(b"'").unwrap_or(text),
                ))
            }
            Self::DoubleQuoted(quoted) => static_text(quoted.parts(), file),
            Self::Parameter(_) | Self::Command(_) | Self::Arithmetic(_) | Self::Process(_) => None,
        }
    }
}

/// `"…"`, or `$"…"` that asks for a translation (which recipes never have, so the text counts).
#[derive(Clone, Debug)]
pub struct DoubleQuoted {
    /// With the quotes.
    pub span: Span,
    pub(crate) parts: Vec<WordPart>,
}

impl DoubleQuoted {
    /// Literals, escapes and expansions in order.
    pub fn parts(&self) -> &[WordPart] {
        &self.parts
    }
}

/// What a parameter expansion reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A variable, by the span of its name.
    Variable(Span),
    /// `$1`, `${10}`; `$0` is 0.
    Positional(u32),
    /// `$@`, `$?` and so on.
    Special(Special),
    /// Nothing that can be read, as in `${}`; the operation is [`Operation::Bad`] then.
    Nothing,
}

/// A parameter that the shell sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `$@`: the positional parameters, each a word of its own.
    All,
    /// `$*`: the positional parameters, joined.
    Joined,
    /// `$#`: how many there are.
    Count,
    /// `$?`: how the last command ended.
    Status,
    /// `$-`: the options that are set.
    Flags,
    /// `$$`: the number of the process.
    Process,
    /// `$!`: the number of the last background process.
    Background,
    /// `$_`: the last word of the last command.
    LastWord,
}

impl Special {
    pub(crate) const fn of(symbol: u8) -> Option<Self> {
        Some(match symbol {
            b'@' => Self::All,
            b'*' => Self::Joined,
            b'#' => Self::Count,
            b'?' => Self::Status,
            b'-' => Self::Flags,
            b'$' => Self::Process,
            b'!' => Self::Background,
            b'_' => Self::LastWord,
            _ => return None,
        })
    }

    /// The character behind the dollar sign.
    pub const fn symbol(self) -> char {
        match self {
            Self::All => '@',
            Self::Joined => '*',
            Self::Count => '#',
            Self::Status => '?',
            Self::Flags => '-',
            Self::Process => '$',
            Self::Background => '!',
            Self::LastWord => '_',
        }
    }
}

/// `[…]` behind a name.
#[derive(Clone, Debug)]
pub enum Subscript {
    /// `[@]`.
    At,
    /// `[*]`.
    Star,
    /// An arithmetic expression or, in an associative array, a key. Quotes are pieces, blanks are
    /// literal text.
    Index(Word),
}

/// `$x`, `${x…}`, `${!x…}`, `${#x}`.
#[derive(Clone, Debug)]
pub struct ParameterExpansion {
    /// From the `$` to the end.
    pub span: Span,
    /// What is read.
    pub parameter: Parameter,
    /// `[…]` behind the name.
    pub subscript: Option<Subscript>,
    /// `${!x}`: the value names what is really read. Not set for [`Operation::Keys`] and
    /// [`Operation::Names`].
    pub indirect: bool,
    /// What is done to the value.
    pub operation: Operation,
}

/// What a parameter expansion does to the value.
///
/// Operands in a double-quoted expansion follow bash: in `- = ? +` they are parsed as
/// double-quoted text (single quotes are literal), in pattern operators as words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// `${x}`.
    Value,
    /// `${#x}`: characters, or elements with `[@]`.
    Length,
    /// `${!x[@]}` and `${!x[*]}` (the subscript says which).
    Keys,
    /// `${!prefix@}`, or `${!prefix*}` when `joined`.
    Names {
        /// Written with `*`.
        joined: bool,
    },
    /// `${x-word}`, `${x:-word}`.
    Default {
        /// With the colon: an empty value counts as unset.
        or_empty: bool,
        /// The operand.
        word: Word,
    },
    /// `${x=word}`, `${x:=word}`.
    Assign {
        /// With the colon: an empty value counts as unset.
        or_empty: bool,
        /// The operand.
        word: Word,
    },
    /// `${x?word}`, `${x:?word}`.
    Error {
        /// With the colon: an empty value counts as unset.
        or_empty: bool,
        /// The operand.
        word: Word,
    },
    /// `${x+word}`, `${x:+word}`.
    Alternative {
        /// With the colon: an empty value counts as unset.
        or_empty: bool,
        /// The operand.
        word: Word,
    },
    /// `${x#pattern}`, `${x##pattern}`.
    RemovePrefix {
        /// Doubled operator.
        longest: bool,
        /// The operand.
        pattern: Word,
    },
    /// `${x%pattern}`, `${x%%pattern}`.
    RemoveSuffix {
        /// Doubled operator.
        longest: bool,
        /// The operand.
        pattern: Word,
    },
    /// `${x/pattern/replacement}` and its kin.
    Replace {
        /// Which matches.
        anchor: Anchor,
        /// What is searched.
        pattern: Word,
        /// What takes its place; absent without the second slash.
        replacement: Option<Word>,
    },
    /// `${x:offset}`, `${x:offset:length}`.
    Substring {
        /// Arithmetic; may be negative.
        offset: Arithmetic,
        /// Arithmetic; absent without the second colon.
        length: Option<Arithmetic>,
    },
    /// `${x^}`, `${x,,pattern}` and their kin.
    Case {
        /// The direction.
        change: CaseChange,
        /// Doubled operator: every character, not only the first.
        all: bool,
        /// Which characters; all when the word is empty.
        pattern: Word,
    },
    /// `${x@Q}` and its kin.
    Transform(Transformation),
    /// Anything else between the braces: bash reports "bad substitution", but only when it runs.
    /// The span is the text behind the name.
    Bad(Span),
}

impl Operation {
    /// The operand of `- = ? +`, which is read as the word round the expansion is.
    pub(crate) fn operand(&self) -> Option<&Word> {
        match self {
            Self::Default { word, .. }
            | Self::Assign { word, .. }
            | Self::Error { word, .. }
            | Self::Alternative { word, .. } => Some(word),
            _ => None,
        }
    }
}

/// What `${x@…}` makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transformation {
    /// `@Q`: quoted so that the shell reads it back.
    Quote,
    /// `@E`: escapes decoded, as in `$'…'`.
    Escapes,
    /// `@P`: expanded as a prompt.
    Prompt,
    /// `@A`: an assignment that makes the variable again.
    Assignment,
    /// `@K`: keys and values, quoted, in one word.
    Pairs,
    /// `@k`: keys and values, each a word of its own.
    PairWords,
    /// `@a`: the letters of the variable's attributes.
    Attributes,
    /// `@u`: the first character in upper case.
    UpperFirst,
    /// `@U`: in upper case.
    Upper,
    /// `@L`: in lower case.
    Lower,
}

impl Transformation {
    const LETTERS: [(Self, u8); 10] = [
        (Self::Quote, b'Q'),
        (Self::Escapes, b'E'),
        (Self::Prompt, b'P'),
        (Self::Assignment, b'A'),
        (Self::Pairs, b'K'),
        (Self::PairWords, b'k'),
        (Self::Attributes, b'a'),
        (Self::UpperFirst, b'u'),
        (Self::Upper, b'U'),
        (Self::Lower, b'L'),
    ];

    pub(crate) fn of(letter: u8) -> Option<Self> {
        let known = Self::LETTERS.iter().find(|(_, known)| *known == letter);
        known.map(|(transformation, _)| *transformation)
    }

    /// The letter behind the `@`.
    pub fn letter(self) -> char {
        let known = Self::LETTERS.iter().find(|(known, _)| *known == self);
        known.map_or('Q', |(_, letter)| char::from(*letter))
    }
}

/// Which matches `${x/…}` replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// `/`: the first.
    First,
    /// `//`: every one.
    All,
    /// `/#`: one at the start.
    Start,
    /// `/%`: one at the end.
    End,
}

/// Direction of a case change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseChange {
    /// `^`.
    Upper,
    /// `,`.
    Lower,
    /// `~`.
    Toggle,
}

/// The text of an arithmetic expression. bash expands it like a double-quoted string, except that
/// `"` is dropped, and parses only the outcome; so does the tree: it has pieces, not operators.
#[derive(Clone, Debug)]
pub struct Arithmetic {
    /// The expression without its brackets.
    pub span: Span,
    pub(crate) parts: Few<WordPart>,
}

impl Arithmetic {
    /// Literals, escapes, quotes and expansions in order.
    pub fn parts(&self) -> &[WordPart] {
        self.parts.as_slice()
    }
}

/// `$((…))`, or the old `$[…]`.
#[derive(Clone, Debug)]
pub struct ArithmeticExpansion {
    /// With the brackets.
    pub span: Span,
    /// What is between them.
    pub expression: Arithmetic,
}

/// `$(…)` or `` `…` ``.
#[derive(Clone, Debug)]
pub struct CommandSubstitution {
    /// With the brackets.
    pub span: Span,
    /// The commands.
    pub body: SubstitutionBody,
}

/// Where the commands of a substitution are.
#[derive(Clone, Debug)]
pub enum SubstitutionBody {
    /// `$(…)`: spans refer to the enclosing file.
    Commands(List),
    /// `` `…` ``: the text between the backquotes with one level of backslashes removed, parsed as
    /// a file of its own. Spans refer to that file.
    Backquoted(File),
}

/// `<(…)` or `>(…)`.
#[derive(Clone, Debug)]
pub struct ProcessSubstitution {
    /// With the brackets.
    pub span: Span,
    /// `>(…)`: the commands read what is written to the name.
    pub output: bool,
    /// The commands.
    pub body: List,
}
