use crate::span::Span;

/// What a [`Leaf`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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

/// Leaves in order. Each is its length and, in the lowest bits, its kind, so that gaps and overlaps
/// cannot be expressed and a leaf takes four bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeafList {
    packed: Vec<u32>,
    end: u32,
}

const KIND_BITS: u32 = 4;

/// In the order of their declaration.
const KINDS: [LeafKind; 15] = [
    LeafKind::Blank,
    LeafKind::Newline,
    LeafKind::Continuation,
    LeafKind::Comment,
    LeafKind::Keyword,
    LeafKind::Operator,
    LeafKind::Name,
    LeafKind::Text,
    LeafKind::Escape,
    LeafKind::Quoted,
    LeafKind::QuoteMark,
    LeafKind::Expansion,
    LeafKind::Backquoted,
    LeafKind::Delimiter,
    LeafKind::Invalid,
];

impl LeafList {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            packed: Vec::with_capacity(capacity),
            end: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.packed.len()
    }

    /// Where the next leaf starts.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// Appends the leaf that reaches to `end`; nothing when that is empty. Texts are limited to a
    /// length that leaves room for the kind.
    pub(crate) fn push(&mut self, kind: LeafKind, end: u32) {
        if end > self.end {
            self.packed
                .push((end - self.end) << KIND_BITS | kind as u32);
            self.end = end;
        }
    }

    /// Drops what lies beyond `start`; a leaf that reaches beyond it goes whole.
    pub(crate) fn rewind(&mut self, start: u32) {
        while self.end > start {
            match self.packed.pop() {
                Some(packed) => self.end -= packed >> KIND_BITS,
                None => self.end = 0,
            }
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Leaf> + '_ {
        let mut start = 0;
        self.packed.iter().map(move |&packed| {
            let span = Span {
                start,
                end: start + (packed >> KIND_BITS),
            };
            start = span.end;
            let kind = KINDS[(packed % (1 << KIND_BITS)) as usize % KINDS.len()];
            Leaf { kind, span }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_packing() {
        let mut leaves = LeafList::default();
        for (end, kind) in (1..).zip(KINDS) {
            leaves.push(kind, end * 7);
        }
        assert!(leaves.iter().map(|leaf| leaf.kind).eq(KINDS));
        assert!(leaves.iter().all(|leaf| leaf.span.len() == 7));
        leaves.rewind(10);
        assert_eq!((leaves.len(), leaves.end()), (1, 7));
    }
}
