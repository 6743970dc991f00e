//! What can be wrong with a text, shown where it is.

use std::fmt;

use thiserror::Error;

use crate::span::{Position, Span};

/// What is wrong, without the place.
///
/// `found` is the offending text as written, cut to a few characters; empty at the end of input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SyntaxErrorKind {
    /// A quote, bracket or compound command is still open at the end of the text.
    #[error("{what} is not closed: expected `{closing}`")]
    Unclosed {
        /// What was opened, with its article: "the array", "the function body".
        what: &'static str,
        /// What would close it.
        closing: &'static str,
    },
    /// Something stands where it cannot.
    #[error("expected {expected}, found {}", Found(found))]
    Unexpected {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A here-document reaches to the end of the text.
    #[error("the here-document has no line `{delimiter}` that ends it")]
    UnclosedHereDocument {
        /// The line that was looked for.
        delimiter: String,
    },
    /// Brackets, substitutions or compound commands are nested too deeply.
    #[error("nested more than {limit} levels deep")]
    TooDeep {
        /// See [`MAX_DEPTH`](crate::MAX_DEPTH).
        limit: u32,
    },
    /// The text is too long.
    #[error("the text has {length} bytes, more than the {limit} that are read")]
    TooLong {
        /// Bytes given.
        length: u64,
        /// See [`MAX_LENGTH`](crate::MAX_LENGTH).
        limit: u64,
    },
    /// The text has too many pieces, or too many errors; the rest of it was not read.
    #[error("the text has more than {limit} {what}, the rest was not read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: u32,
    },
}

struct Found<'text>(&'text str);

impl fmt::Display for Found<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => formatter.write_str("the end of the text"),
            "\n" => formatter.write_str("the end of the line"),
            text => write!(formatter, "`{text}`"),
        }
    }
}

/// One mistake in a text.
///
/// [`Display`](fmt::Display) gives one line, `line:column: message`; the alternate form (`{:#}`)
/// adds the line itself with a caret, where the unclosed thing was opened, and the likely fix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// Where it was noticed.
    pub span: Span,
    /// Line and column of the start of `span`.
    pub position: Position,
    /// Where the unclosed thing was opened.
    pub opened: Option<Opened>,
    /// The likely fix.
    pub help: Option<&'static str>,
    pub(crate) excerpt: Excerpt,
}

/// Where something that was never closed began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The opening bracket, quote or word.
    pub span: Span,
    /// Line and column of its start.
    pub position: Position,
    pub(crate) excerpt: Excerpt,
}

/// A source line cut to a readable width, and where in it the marked text is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    line: String,
    before: usize,
    width: usize,
}

/// Characters kept on each side of the marked place of a long line.
const CONTEXT: usize = 60;

impl Excerpt {
    pub(crate) fn new(source: &[u8], span: Span) -> Self {
        let start = source.len().min(span.start as usize);
        let floor = start.saturating_sub(CONTEXT * 4);
        let line_start = source[floor..start]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(floor, |at| floor + at + 1);
        let ceiling = source.len().min(start + CONTEXT * 4);
        let line_end = source[start..ceiling]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(ceiling, |at| start + at);
        let printable = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            text.replace(|character: char| character.is_control(), " ")
        };
        let before = printable(&source[line_start..start]);
        let after = printable(&source[start..line_end]);
        let marked = source.len().min(span.end as usize).min(line_end).max(start);
        let width = printable(&source[start..marked])
            .chars()
            .count()
            .clamp(1, CONTEXT);
        let skipped = before.chars().count().saturating_sub(CONTEXT);
        let mut line = String::new();
        if skipped > 0 || (line_start == floor && floor > 0) {
            line.push('…');
        }
        line.extend(before.chars().skip(skipped));
        let before = line.chars().count();
        line.extend(after.chars().take(CONTEXT));
        if after.chars().count() > CONTEXT || line_end == ceiling && ceiling < source.len() {
            line.push('…');
        }
        Self {
            line,
            before,
            width,
        }
    }

    fn write(&self, formatter: &mut fmt::Formatter<'_>, line: u32, gutter: usize) -> fmt::Result {
        writeln!(formatter, "\n{line:>gutter$} | {}", self.line.trim_end())?;
        write!(
            formatter,
            "{:gutter$} | {:before$}",
            "",
            "",
            before = self.before
        )?;
        (0..self.width).try_for_each(|_| formatter.write_str("^"))
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.position, self.kind)?;
        if !formatter.alternate() {
            if let Some(opened) = &self.opened {
                write!(formatter, " (opened at {})", opened.position)?;
            }
            return Ok(());
        }
        let widest = self
            .opened
            .as_ref()
            .map_or(0, |opened| opened.position.line);
        let gutter = widest.max(self.position.line).to_string().len();
        if let Some(opened) = &self.opened {
            opened
                .excerpt
                .write(formatter, opened.position.line, gutter)?;
            formatter.write_str(" opened here")?;
        }
        let told = self.opened.as_ref().is_some_and(|opened| {
            opened.position.line == self.position.line || self.excerpt.line.trim().is_empty()
        });
        if !told {
            self.excerpt.write(formatter, self.position.line, gutter)?;
        }
        if let Some(help) = self.help {
            write!(formatter, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}
