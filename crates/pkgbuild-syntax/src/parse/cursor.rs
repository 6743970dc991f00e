//! The input type of the parsers: the rest of the text, where it starts, and the shared state.

use std::cell::{Cell, RefCell};

use nom::{Input, Needed};

use super::failure::{Failure, Mistake, Step};
use super::{MAX_DEPTH, MAX_ERRORS, MAX_LEAVES, MAX_RULED_OUT};
use crate::error::SyntaxErrorKind;
use crate::span::Span;
use crate::tree::{HereDocument, HereDocumentId, LeafKind, LeafList};

/// What the parsers of one text write to beside their results.
#[derive(Debug)]
pub(super) struct State<'s> {
    pub(super) source: &'s [u8],
    leaves: RefCell<LeafList>,
    /// How many leaves there may be; fewer when files of their own hang in the tree.
    leaves_left: Cell<usize>,
    mistakes: RefCell<Vec<Mistake>>,
    pub(super) here_documents: RefCell<Vec<HereDocument>>,
    /// Here-documents whose bodies are still ahead.
    pub(super) pending: RefCell<Vec<HereDocumentId>>,
    depth: Cell<u32>,
    /// Set once the rest of the text shall not be read.
    stopped: Cell<bool>,
    /// Bits of the closing words and brackets that some open construct waits for.
    pub(super) closers: Cell<u16>,
    /// Substitutions around the current place.
    pub(super) substitutions: Cell<u32>,
    /// Offsets of doubtful constructs known not to be what they look like: `((` that is no
    /// arithmetic, `x[` that is no assignment.
    ruled_out: RefCell<Vec<u32>>,
    /// Quotes that are known to be never closed; see `quote`.
    pub(super) closed_at_line_end: &'s [u32],
    /// The quote to blame when one is not closed at the end of the text.
    pub(super) unclosed_quote: Cell<Option<u32>>,
    /// The first string that looks wrongly paired.
    pub(super) suspect: Cell<Option<u32>>,
    /// Bytes read for constructs that were then ruled out.
    read_twice: Cell<usize>,
}

impl<'s> State<'s> {
    pub(super) fn new(source: &'s [u8], depth: u32, closed_at_line_end: &'s [u32]) -> Self {
        Self {
            closed_at_line_end,
            unclosed_quote: Cell::new(None),
            suspect: Cell::new(None),
            source,
            leaves: RefCell::new(LeafList::with_capacity(source.len() / 3 + 1)),
            leaves_left: Cell::new(MAX_LEAVES as usize),
            mistakes: RefCell::default(),
            here_documents: RefCell::default(),
            pending: RefCell::default(),
            depth: Cell::new(depth),
            stopped: Cell::new(false),
            closers: Cell::new(0),
            substitutions: Cell::new(0),
            ruled_out: RefCell::default(),
            read_twice: Cell::new(0),
        }
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth.get()
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopped.get()
    }

    /// How many mistakes were reported.
    pub(super) fn mistakes(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Reports a mistake, unless a graver one has ended the reading.
    pub(super) fn report(&self, mistake: Mistake) {
        if self.stopped.get() {
            return;
        }
        let mut mistakes = self.mistakes.borrow_mut();
        // What is unclosed because of a mistake inside is not a mistake of its own.
        if let Some(opened) = mistake.opened
            && mistakes
                .iter()
                .any(|earlier| earlier.span.start > opened.start)
        {
            return;
        }
        if mistakes
            .last()
            .is_some_and(|last| last.span == mistake.span)
        {
            return;
        }
        let span = mistake.span;
        mistakes.push(mistake);
        if mistakes.len() >= MAX_ERRORS as usize {
            mistakes.push(too_many("errors", MAX_ERRORS, span));
            self.stopped.set(true);
        }
    }

    /// Reports a mistake after which nothing more is read.
    pub(super) fn stop(&self, mistake: Mistake) {
        self.report(mistake);
        self.stopped.set(true);
    }

    /// Makes room for a file with so many leaves inside this one.
    pub(super) fn charge(&self, leaves: usize) {
        // What a file takes beside its leaves is worth about four of them.
        self.leaves_left
            .set(self.leaves_left.get().saturating_sub(leaves + 4));
    }

    /// Records that the bytes `start..end` are a leaf. Leaves recorded beyond `start` by an
    /// alternative that was given up are dropped.
    #[inline]
    pub(super) fn leaf(&self, kind: LeafKind, start: usize, end: usize) {
        let (start, end) = (offset(start), offset(end));
        let mut leaves = self.leaves.borrow_mut();
        if leaves.end() != start || leaves.len() >= self.leaves_left.get() {
            drop(leaves);
            return self.leaf_out_of_order(kind, start, end);
        }
        leaves.push(kind, end);
    }

    #[cold]
    fn leaf_out_of_order(&self, kind: LeafKind, start: u32, end: u32) {
        let mut leaves = self.leaves.borrow_mut();
        leaves.rewind(start);
        if leaves.len() >= self.leaves_left.get() {
            drop(leaves);
            self.stop(too_many("pieces", MAX_LEAVES, Span::new(start, end)));
            return;
        }
        leaves.push(LeafKind::Invalid, start);
        leaves.push(kind, end);
    }

    /// Whether the doubtful construct at the cursor was not yet tried in vain.
    pub(super) fn may_be(&self, input: Cursor<'_>) -> bool {
        let offsets = self.ruled_out.borrow();
        offsets.is_empty() || offsets.binary_search(&input.offset()).is_err()
    }

    /// Notes that a doubtful construct at `input` turned out to be something else at `failed`, so
    /// that it is tried once only. The text read in vain is limited: that keeps the time linear.
    pub(super) fn rule_out(
        &self,
        input: Cursor<'s>,
        failed: Cursor<'s>,
    ) -> Result<(), nom::Err<Failure>> {
        let mut offsets = self.ruled_out.borrow_mut();
        if let Err(at) = offsets.binary_search(&input.offset()) {
            offsets.insert(at, input.offset());
        }
        self.read_twice
            .set(self.read_twice.get() + failed.at() - input.at());
        let limit = 4 * self.source.len() + 4096;
        if self.read_twice.get() > limit || offsets.len() > MAX_RULED_OUT as usize {
            self.stop(too_many(
                "ambiguous brackets",
                MAX_RULED_OUT,
                input.span_of(1),
            ));
            return Err(nom::Err::Failure(Failure::Stopped));
        }
        Ok(())
    }

    /// Hands out what was collected; what no leaf covers yet is invalid.
    pub(super) fn finish(self) -> (LeafList, Vec<HereDocument>, Vec<Mistake>) {
        let mut leaves = self.leaves.into_inner();
        leaves.push(LeafKind::Invalid, offset(self.source.len()));
        (
            leaves,
            self.here_documents.into_inner(),
            self.mistakes.into_inner(),
        )
    }
}

fn too_many(what: &'static str, limit: u32, span: Span) -> Mistake {
    Mistake {
        kind: SyntaxErrorKind::TooMany { what, limit },
        span,
        opened: None,
        help: None,
    }
}

/// Offsets fit because longer texts are refused.
#[inline]
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

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
            end: offset(state.source.len()),
        }
    }

    /// The text from here to the end.
    #[inline]
    pub(super) fn rest(self) -> &'s [u8] {
        &self.state.source[self.at as usize..self.end as usize]
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
            self.state.source.get(self.at as usize).copied()
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn byte(self, ahead: usize) -> Option<u8> {
        let at = self.at as usize + ahead;
        if at < self.end as usize {
            self.state.source.get(at).copied()
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
            .and_then(|at| self.state.source.get(at).copied())
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
        let depth = state.depth.get();
        if depth >= MAX_DEPTH {
            state.stop(Mistake {
                kind: SyntaxErrorKind::TooDeep { limit: MAX_DEPTH },
                span: self.span_of(1),
                opened: None,
                help: None,
            });
            return Err(nom::Err::Failure(Failure::Stopped));
        }
        state.depth.set(depth + 1);
        let outcome = parser(self);
        state.depth.set(depth);
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
