//! The input type of the parsers: the rest of the text, where it starts, and the shared state.

use nom::{Input, Needed};

use super::MAX_DEPTH;
use super::failure::{Failure, Mistake, Step};
use super::state::{State, offset};
use crate::error::SyntaxErrorKind;
use crate::span::Span;
use crate::tree::LeafKind;

/// A place in the text. Kept small, for it is part of every result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'s> {
    pub(super) state: &'s State<'s>,
    at: u32,
    end: u32,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(state: &'s State<'s>) -> Self {
        Self {
            state,
            at: 0,
            end: offset(state.source().len()),
        }
    }

    /// The text from here to the end.
    #[inline]
    pub(super) fn rest(self) -> &'s [u8] {
        &self.state.source()[self.at as usize..self.end as usize]
    }

    #[inline]
    pub(super) fn at(self) -> usize {
        self.at as usize
    }

    #[inline]
    pub(super) fn offset(self) -> u32 {
        self.at
    }

    #[inline]
    pub(super) fn peek(self) -> Option<u8> {
        if self.at < self.end {
            self.state.source().get(self.at as usize).copied()
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn byte(self, ahead: usize) -> Option<u8> {
        let at = self.at as usize + ahead;
        if at < self.end as usize {
            self.state.source().get(at).copied()
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn starts_with(self, text: &[u8]) -> bool {
        self.rest().starts_with(text)
    }

    #[inline]
    pub(super) fn at_end(self) -> bool {
        self.at == self.end
    }

    /// The byte before the cursor.
    pub(super) fn previous(self) -> Option<u8> {
        self.at()
            .checked_sub(1)
            .and_then(|at| self.state.source().get(at).copied())
    }

    /// Moves on by `count` bytes, at most to the end.
    #[inline]
    pub(super) fn advance(self, count: usize) -> Self {
        let left = self.end - self.at;
        Self {
            at: self.at + offset(count).min(left),
            ..self
        }
    }

    /// Moves to the end.
    pub(super) fn to_end(self) -> Self {
        Self {
            at: self.end,
            ..self
        }
    }

    /// The same place in a text that ends at offset `end`.
    pub(super) fn until(self, end: usize) -> Self {
        Self {
            end: offset(end).clamp(self.at, self.end),
            ..self
        }
    }

    /// Moves on by `count` bytes and records them as a leaf.
    #[inline]
    pub(super) fn take_leaf(self, kind: LeafKind, count: usize) -> Self {
        let next = self.advance(count);
        self.state.leaf(kind, self.at(), next.at());
        next
    }

    /// From this place to a later one.
    #[inline]
    pub(super) fn span_to(self, later: Self) -> Span {
        Span::new(self.at, later.at)
    }

    /// The next `count` bytes.
    #[inline]
    pub(super) fn span_of(self, count: usize) -> Span {
        self.span_to(self.advance(count))
    }

    /// Runs a parser one level deeper, or stops when that is too deep.
    pub(super) fn nested<T>(self, parser: impl FnOnce(Self) -> Step<'s, T>) -> Step<'s, T> {
        let state = self.state;
        if state.stopped() {
            return Err(nom::Err::Failure(Failure::Stopped));
        }
        if !state.deepen() {
            state.stop(Mistake {
                kind: SyntaxErrorKind::TooDeep { limit: MAX_DEPTH },
                span: self.span_of(1),
                opened: None,
                help: None,
            });
            return Err(nom::Err::Failure(Failure::Stopped));
        }
        let outcome = parser(self);
        state.rise();
        outcome
    }

    /// Reports that what was opened at `opened` is not closed here. At the end of the text that
    /// ends the reading; elsewhere the caller goes on as if it were closed.
    pub(super) fn report_unclosed(
        self,
        opened: Span,
        what: &'static str,
        closing: &'static str,
        help: Option<&'static str>,
    ) {
        let mistake = Mistake {
            kind: SyntaxErrorKind::Unclosed { what, closing },
            span: if self.at_end() {
                Span::empty(self.offset())
            } else {
                self.span_of(1)
            },
            opened: Some(opened),
            help,
        };
        if self.at_end() {
            self.state.stop(mistake);
        } else {
            self.state.report(mistake);
        }
    }
}

impl<'s> Input for Cursor<'s> {
    type Item = u8;
    type Iter = std::iter::Copied<std::slice::Iter<'s, u8>>;
    type IterIndices = std::iter::Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.rest().len()
    }

    fn take(&self, index: usize) -> Self {
        self.until(self.at() + index)
    }

    fn take_from(&self, index: usize) -> Self {
        self.advance(index)
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P>(&self, predicate: P) -> Option<usize>
    where
        P: Fn(Self::Item) -> bool,
    {
        self.rest().iter().position(|&byte| predicate(byte))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.rest().iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.rest().iter().copied().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        if count <= self.rest().len() {
            Ok(count)
        } else {
            Err(Needed::new(count - self.rest().len()))
        }
    }
}
