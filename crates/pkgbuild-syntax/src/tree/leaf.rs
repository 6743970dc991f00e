use crate::span::Span;

/// What a [`Leaf`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// Spaces and tabs.
    Blank,
    /// One line feed.
    Newline,
    /// A backslash and the line feed it removes.
    Continuation,
    /// `#` up to, not including, the end of the line.
    Comment,
    /// A reserved word such as `if` or `{`.
    Keyword,
    /// An operator or bracket, also a redirection's with its descriptor (`2>`).
    Operator,
    /// The name of an assigned variable or of a function.
    Name,
    /// Text that stands for itself: a piece of a word, of a double-quoted string, of an
    /// arithmetic expression or of a here-document.
    Text,
    /// A backslash and the byte it quotes.
    Escape,
    /// A quoted string without structure: `'…'` or `$'…'`, with its quotes.
    Quoted,
    /// An opening or closing `"` or `$"`.
    QuoteMark,
    /// `$name`, or the punctuation and names inside `${…}`.
    Expansion,
    /// A whole `` `…` `` substitution; its commands have a [`File`](crate::File) of their own.
    Backquoted,
    /// The line that ends a here-document.
    Delimiter,
    /// Bytes that belong to no construct, skipped after an error.
    Invalid,
}

/// A piece of the input. The leaves of a file follow one another without a gap and cover it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// What it is.
    pub kind: LeafKind,
    /// Where it is; never empty.
    pub span: Span,
}

/// Leaves in order. Only their ends are kept, so that gaps and overlaps cannot be expressed.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeafList {
    ends: Vec<(u32, LeafKind)>,
}

impl LeafList {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            ends: Vec::with_capacity(capacity),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the next leaf starts.
    pub(crate) fn end(&self) -> u32 {
        self.ends.last().map_or(0, |&(end, _)| end)
    }

    /// Appends the leaf that reaches to `end`; nothing when that is empty.
    pub(crate) fn push(&mut self, kind: LeafKind, end: u32) {
        if end > self.end() {
            self.ends.push((end, kind));
        }
    }

    /// Drops what lies beyond `start`; a leaf that reaches beyond it goes whole.
    pub(crate) fn rewind(&mut self, start: u32) {
        while self.ends.last().is_some_and(|&(end, _)| end > start) {
            self.ends.pop();
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Leaf> + '_ {
        let mut start = 0;
        self.ends.iter().map(move |&(end, kind)| {
            let span = Span { start, end };
            start = end;
            Leaf { kind, span }
        })
    }
}
