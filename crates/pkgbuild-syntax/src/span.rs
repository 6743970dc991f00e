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
