use super::{File, Word, WordPart};
use crate::span::Span;

/// A redirection.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// From the descriptor to the target; a here-document's body is not in it.
    pub span: Span,
    /// In front of the operator.
    pub descriptor: Option<Descriptor>,
    /// The operator.
    pub operator: RedirectOperator,
    /// What it points at.
    pub target: RedirectTarget,
}

impl Redirect {
    /// Whether it concerns standard input and opens or closes something there.
    pub(crate) fn takes_input(&self) -> bool {
        let input = matches!(self.descriptor, None | Some(Descriptor::Number(0)));
        let opens = matches!(
            self.operator,
            RedirectOperator::Read | RedirectOperator::ReadWrite | RedirectOperator::HereDocument
        );
        input && opens
    }
}

/// What a redirection redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// `2>`.
    Number(u32),
    /// `{name}>`: a new descriptor, stored in the variable.
    Variable(Span),
}

/// The redirection operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectOperator {
    /// `<`.
    Read,
    /// `>`.
    Write,
    /// `>>`.
    Append,
    /// `>|`.
    Clobber,
    /// `<>`.
    ReadWrite,
    /// `<&`.
    DuplicateInput,
    /// `>&`.
    DuplicateOutput,
    /// `&>`.
    WriteBoth,
    /// `&>>`.
    AppendBoth,
    /// `<<<`.
    HereString,
    /// `<<`, or `<<-` when the document says so.
    HereDocument,
}

/// What a redirection points at.
#[derive(Clone, Debug)]
pub enum RedirectTarget {
    /// A file name, a descriptor or a here-string.
    Word(Word),
    /// See [`File::here_document`].
    HereDocument(HereDocumentId),
}

/// Names a here-document of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HereDocumentId(pub(crate) u32);

/// The text of a here-document.
#[derive(Clone, Debug)]
pub struct HereDocument {
    /// The body, without the delimiter line.
    pub span: Span,
    /// The delimiter behind the operator, as written.
    pub delimiter: Word,
    /// Whether a part of the delimiter is quoted: nothing in the body is expanded then.
    pub quoted: bool,
    /// `<<-`: leading tabs are removed, and are in no piece of the body.
    pub strip_tabs: bool,
    pub(crate) parts: Vec<WordPart>,
}

impl HereDocument {
    /// The body's pieces in order, parsed like a double-quoted string in which `"` is plain text.
    pub fn parts(&self) -> &[WordPart] {
        &self.parts
    }

    /// The body when nothing in it would have to be expanded.
    pub fn static_text(&self, file: &File) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(self.span.len() as usize);
        for part in &self.parts {
            text.extend_from_slice(&part.static_text(file)?);
        }
        Some(text)
    }
}
