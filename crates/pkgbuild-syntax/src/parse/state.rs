//! What the parsers of one text share: the one place that changes while they run.

use std::cell::{Cell, RefCell};

use super::cursor::Cursor;
use super::failure::{Failure, Mistake};
use super::{MAX_DEPTH, MAX_ERRORS, MAX_LEAVES, MAX_RULED_OUT};
use crate::error::SyntaxErrorKind;
use crate::span::Span;
use crate::tree::{HereDocument, HereDocumentId, LeafKind, LeafList, WordPart};

/// What the parsers of one text write to beside their results.
#[derive(Debug)]
pub(super) struct State<'s> {
    source: &'s [u8],
    leaves: RefCell<LeafList>,
    /// How many leaves there may be; fewer when files of their own hang in the tree.
    leaves_left: Cell<usize>,
    mistakes: RefCell<Vec<Mistake>>,
    here_documents: RefCell<Vec<HereDocument>>,
    /// Here-documents whose bodies are still ahead.
    pending: RefCell<Vec<HereDocumentId>>,
    depth: Cell<u32>,
    /// Set once the rest of the text shall not be read.
    stopped: Cell<bool>,
    /// Bits of the closing words and brackets that some open construct waits for.
    closers: Cell<u16>,
    /// Substitutions around the current place.
    substitutions: Cell<u32>,
    /// Offsets of doubtful constructs known not to be what they look like: `((` that is no
    /// arithmetic, `x[` that is no assignment.
    ruled_out: RefCell<Vec<u32>>,
    /// Quotes that are known to be never closed; see `quote`.
    closed_at_line_end: &'s [u32],
    /// The quote to blame when one is not closed at the end of the text.
    unclosed_quote: Cell<Option<u32>>,
    /// The first string that looks wrongly paired.
    suspect: Cell<Option<u32>>,
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

    #[inline]
    pub(super) fn source(&self) -> &'s [u8] {
        self.source
    }

    /// Goes one level deeper; false when that is too deep.
    pub(super) fn deepen(&self) -> bool {
        let depth = self.depth.get();
        self.depth.set(depth + 1);
        if depth >= MAX_DEPTH {
            self.depth.set(depth);
            return false;
        }
        true
    }

    pub(super) fn rise(&self) {
        self.depth.set(self.depth.get() - 1);
    }

    /// Whether an open construct waits for the closing word or bracket of this bit.
    pub(super) fn waits_for(&self, bit: u16) -> bool {
        self.closers.get() & bit != 0
    }

    /// Runs a parser of commands that may also end at these closers.
    pub(super) fn also_until<T>(&self, closers: u16, parser: impl FnOnce() -> T) -> T {
        let outer = self.closers.get();
        self.closers.set(outer | closers);
        let outcome = parser();
        self.closers.set(outer);
        outcome
    }

    /// Runs the parser of a substitution: what is open outside cannot be closed inside, and
    /// here-documents announced outside have their bodies outside.
    pub(super) fn substitution<T>(&self, closer: u16, parser: impl FnOnce() -> T) -> T {
        let closers = self.closers.replace(closer);
        let pending = self.pending.take();
        self.substitutions.set(self.substitutions.get() + 1);
        let outcome = parser();
        self.substitutions.set(self.substitutions.get() - 1);
        self.pending.borrow_mut().splice(0..0, pending);
        self.closers.set(closers);
        outcome
    }

    /// Whether the place is inside a substitution.
    pub(super) fn in_substitution(&self) -> bool {
        self.substitutions.get() > 0
    }

    /// Registers a here-document whose body begins behind the next line feed.
    pub(super) fn announce(&self, document: HereDocument) -> HereDocumentId {
        let mut documents = self.here_documents.borrow_mut();
        let id = HereDocumentId(offset(documents.len()));
        documents.push(document);
        self.pending.borrow_mut().push(id);
        id
    }

    /// Whether bodies of here-documents follow the next line feed.
    #[inline]
    pub(super) fn awaits_bodies(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// The here-documents whose bodies begin now.
    pub(super) fn take_announced(&self) -> Vec<HereDocumentId> {
        self.pending.take()
    }

    /// Looks at a here-document.
    pub(super) fn document<T>(
        &self,
        id: HereDocumentId,
        look: impl FnOnce(&HereDocument) -> T,
    ) -> Option<T> {
        let documents = self.here_documents.borrow();
        documents.get(id.0 as usize).map(look)
    }

    /// Gives a here-document its body.
    pub(super) fn fill(&self, id: HereDocumentId, span: Span, parts: Vec<WordPart>) {
        if let Some(document) = self.here_documents.borrow_mut().get_mut(id.0 as usize) {
            document.span = span;
            document.parts = parts;
        }
    }

    /// Whether the quote at the offset is known to be never closed.
    pub(super) fn ends_with_its_line(&self, quote: u32) -> bool {
        self.closed_at_line_end.contains(&quote)
    }

    /// A quote is not closed at the end of the text: the first string that looked wrongly paired is
    /// to blame, or else this one.
    pub(super) fn blame(&self, quote: u32) {
        if !self.stopped() && self.unclosed_quote.get().is_none() {
            let culprit = self.suspect.get().unwrap_or(quote);
            self.unclosed_quote.set(Some(culprit));
        }
    }

    /// The quote to blame.
    pub(super) fn blamed(&self) -> Option<u32> {
        self.unclosed_quote.get()
    }

    /// The quote of the first string that looks wrongly paired.
    pub(super) fn suspect(&self) -> Option<u32> {
        self.suspect.get()
    }

    pub(super) fn suspects(&self, quote: u32) {
        self.suspect.set(Some(quote));
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
