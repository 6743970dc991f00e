use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Function, HereDocument, HereDocumentId, Leaf, LeafList, List};
use crate::span::{Position, Span};
use crate::tree::Command;

/// A parsed text: its bytes, the tree over them and the leaves.
///
/// Cloning copies a pointer. Spans in a tree refer to the file the tree came from; the commands of
/// a `` `…` `` substitution have a file of their own, because their text is the unescaped one.
#[derive(Clone)]
pub struct File(Arc<FileParts>);

pub(crate) struct FileParts {
    pub(crate) source: Box<[u8]>,
    pub(crate) commands: List,
    pub(crate) here_documents: Vec<HereDocument>,
    pub(crate) leaves: LeafList,
}

impl File {
    pub(crate) fn new(parts: FileParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The whole text, byte for byte as it was given.
    pub fn source(&self) -> &[u8] {
        &self.0.source
    }

    /// The top-level commands.
    pub fn commands(&self) -> &List {
        &self.0.commands
    }

    /// The exact bytes of a span; the part inside the text when the span reaches beyond it.
    pub fn text(&self, span: Span) -> &[u8] {
        let source = self.source();
        let end = source.len().min(span.end as usize);
        &source[end.min(span.start as usize)..end]
    }

    /// The text of a span with bytes that are not UTF-8 replaced by U+FFFD.
    pub fn text_lossy(&self, span: Span) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text(span))
    }

    /// The here-document that a redirection refers to.
    ///
    /// `None` only for an id that came from another file.
    pub fn here_document(&self, id: HereDocumentId) -> Option<&HereDocument> {
        self.0.here_documents.get(id.0 as usize)
    }

    /// Every piece of the input in order; their texts concatenate to [`source`](Self::source).
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = Leaf> + '_ {
        self.0.leaves.iter()
    }

    /// Line and column of a byte offset. Takes time in proportion to the offset.
    pub fn position(&self, offset: u32) -> Position {
        Position::of(self.source(), offset)
    }

    /// The functions defined by top-level statements, in order; a name may occur twice.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.commands()
            .statements
            .iter()
            .filter_map(|statement| match &statement.command {
                Command::Function(function) => Some(function),
                _ => None,
            })
    }
}

impl fmt::Debug for File {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("File")
            .field("source", &String::from_utf8_lossy(self.source()))
            .field("commands", self.commands())
            .field("here_documents", &self.0.here_documents)
            .finish_non_exhaustive()
    }
}
