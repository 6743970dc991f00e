//! Where in the recipe an evaluation is.

use crate::span::Span;

/// The command that runs, as a place in the evaluated file. While a text from elsewhere runs, such as
/// that of an `eval`, the place is the one that the text came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    span: Span,
    anchor: Option<Span>,
}

/// What [`Place::pin`] changed.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(crate) struct Pinned(Option<Span>);

impl Place {
    /// The place of what happens now.
    pub(crate) fn here(&self) -> Span {
        self.anchor.unwrap_or(self.span)
    }

    /// The place of the last command, also of one that has ended.
    pub(crate) fn last(&self) -> Span {
        self.span
    }

    /// Goes on to a command of the text that runs.
    pub(crate) fn go_to(&mut self, span: Span) {
        self.span = self.anchor.unwrap_or(span);
    }

    /// Goes back to where [`last`](Self::last) was.
    pub(crate) fn go_back(&mut self, span: Span) {
        self.span = span;
    }

    /// Stays at one place for a text that comes from it, unless it does so already.
    pub(crate) fn pin(&mut self, span: Span) -> Pinned {
        let outer = self.anchor;
        self.anchor = Some(outer.unwrap_or(span));
        Pinned(outer)
    }

    /// The same at the current place.
    pub(crate) fn pin_here(&mut self) -> Pinned {
        self.pin(self.span)
    }

    /// Goes to a text of which the place is known, or to the file itself.
    pub(crate) fn enter(&mut self, anchor: Option<Span>) -> Pinned {
        Pinned(std::mem::replace(&mut self.anchor, anchor))
    }

    pub(crate) fn unpin(&mut self, pinned: Pinned) {
        self.anchor = pinned.0;
    }

    /// The place that a text from elsewhere came from; nothing in the file's own text.
    pub(crate) fn anchor(&self) -> Option<Span> {
        self.anchor
    }
}
