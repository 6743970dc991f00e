//! Byte ranges and the lines and columns people read.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A half-open range of bytes in the text of one [`File`](crate::File).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// Covers `start..end`; an inverted range becomes the empty one at `start`.
    pub const fn new(start: u32, end: u32) -> Self {
        Self {
            start,
            end: if end < start { start } else { end },
        }
    }

    /// The empty span at `offset`.
    pub const fn empty(offset: u32) -> Self {
        Self {
            start: offset,
            end: offset,
        }
    }

    /// Number of bytes covered.
    pub const fn len(self) -> u32 {
        self.end - self.start
    }

    /// Whether no byte is covered.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The smallest span that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// Whether every byte of `other` lies in this span.
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The same range as slice indices.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}..{}", self.start, self.end)
    }
}

/// A place in a text as an editor shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1; a byte that is not UTF-8 counts as one character.
    pub column: u32,
}

impl Position {
    /// Finds the position of byte `offset` of `text`; an offset past the end means the end.
    pub fn of(text: &[u8], offset: u32) -> Self {
        let before = &text[..text.len().min(offset as usize)];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = before[..line_start]
            .split_inclusive(|&byte| byte == b'\n')
            .count();
        let column = String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count();
        Self {
            line: saturate(lines + 1),
            column: saturate(column + 1),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// A place in a text in every way that editors count, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Bytes from the start of the text.
    pub byte: u32,
    /// Lines.
    pub line: u32,
    /// Characters from the start of the line; a byte that is not UTF-8 counts as one.
    pub character: u32,
    /// UTF-16 code units from the start of the line, as the Language Server Protocol counts.
    pub utf16: u32,
}

/// Finds places in one text, each in time of the length of its line.
///
/// ```
/// use pkgbuild_syntax::{LineIndex, Span};
///
/// let index = LineIndex::new("a=1\nb='𝄞x'\n".as_bytes());
/// let range = index.range(Span::new(11, 12));
/// assert_eq!((range.start.line, range.start.character, range.start.utf16), (1, 4, 5));
/// assert_eq!((range.end.byte, range.end.utf16), (12, 6));
/// ```
#[derive(Clone, Debug)]
pub struct LineIndex<'text> {
    text: &'text [u8],
    /// Where each line begins.
    starts: Vec<u32>,
}

impl<'text> LineIndex<'text> {
    /// Looks for the lines of `text`.
    pub fn new(text: &'text [u8]) -> Self {
        let ends = memchr::memchr_iter(b'\n', text).map(|at| saturate(at + 1));
        Self {
            text,
            starts: [0].into_iter().chain(ends).collect(),
        }
    }

    /// Where byte `offset` is; an offset past the end means the end.
    pub fn place(&self, offset: u32) -> Place {
        let byte = offset.min(saturate(self.text.len()));
        let line = self.starts.partition_point(|&start| start <= byte) - 1;
        let before = &self.text[self.starts[line] as usize..byte as usize];
        let before = String::from_utf8_lossy(before);
        Place {
            byte,
            line: saturate(line),
            character: saturate(before.chars().count()),
            utf16: saturate(before.encode_utf16().count()),
        }
    }

    /// Where a span begins and ends.
    pub fn range(&self, span: Span) -> Range<Place> {
        self.place(span.start)..self.place(span.end)
    }

    pub(crate) fn start_of(&self, line: u32) -> u32 {
        self.starts.get(line as usize).copied().unwrap_or_default()
    }

    /// The line with that number, counted from 0, without its line feed.
    pub fn line(&self, line: u32) -> Option<&'text [u8]> {
        let start = *self.starts.get(line as usize)? as usize;
        let rest = &self.text[start..];
        Some(&rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())])
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let text = "a=1\nné=2\n".as_bytes();
        for (offset, line, column) in [
            (0, 1, 1),
            (3, 1, 4),
            (4, 2, 1),
            (7, 2, 3),
            (10, 3, 1),
            (99, 3, 1),
        ] {
            assert_eq!(
                Position::of(text, offset),
                Position { line, column },
                "offset {offset}"
            );
        }
    }

    #[test]
    fn positions_survive_invalid_utf8() {
        assert_eq!(
            Position::of(b"\xff\xffx", 2),
            Position { line: 1, column: 3 }
        );
    }

    #[test]
    fn spans_join() {
        let joined = Span::new(4, 6).to(Span::new(1, 2));
        assert_eq!(joined, Span::new(1, 6));
        assert!(joined.contains(Span::new(4, 6)));
        assert_eq!(Span::new(9, 3), Span::empty(9));
    }
}
