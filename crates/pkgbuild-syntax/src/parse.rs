//! From bytes to a tree.

use crate::error::{Excerpt, SyntaxError, SyntaxErrorKind};
use crate::span::{Position, Span};
use crate::tree::{File, FileParts, LeafKind, LeafList, List, Parts, Word};

/// Longest text that is read, in bytes. Real recipes stay below 64 kB.
pub const MAX_LENGTH: usize = 32 << 20;

/// Deepest nesting of brackets, substitutions and compound commands.
pub const MAX_DEPTH: u32 = 200;

/// The outcome of [`parse`]: always a tree, and what was wrong on the way to it.
#[derive(Clone, Debug)]
pub struct Parse {
    /// The tree. Where the text was wrong, statements are missing from it, but never leaves.
    pub file: File,
    /// In the order of the text; empty when the text is well formed.
    pub errors: Vec<SyntaxError>,
}

/// The outcome of [`parse_word`].
#[derive(Clone, Debug)]
pub struct ParseWord {
    /// Holds the text that the word's spans refer to; has no commands.
    pub file: File,
    /// The word.
    pub word: Word,
    /// What was wrong.
    pub errors: Vec<SyntaxError>,
}

/// Parses a recipe, or any bash script, from a string or from bytes.
///
/// Total: whatever the bytes, there is a tree whose leaves concatenate to them. Bytes that are not
/// UTF-8 are kept as they are. The time is linear in the length. After a mistake it goes on behind
/// the statement, so that one mistake gives one error. A text longer than [`MAX_LENGTH`] is
/// refused: the tree is empty and the one error says so.
pub fn parse(input: impl AsRef<[u8]>) -> Parse {
    let (file, errors) = whole(input.as_ref());
    Parse { file, errors }
}

/// Parses a text that is one word, for example an outcome of brace expansion. Blanks and operators
/// in it, which a word in a command could not have, count as literal text.
pub fn parse_word(input: impl AsRef<[u8]>) -> ParseWord {
    let (file, errors) = whole(input.as_ref());
    ParseWord {
        file,
        word: Word {
            span: Span::empty(0),
            parts: Parts::None,
        },
        errors,
    }
}

fn whole(input: &[u8]) -> (File, Vec<SyntaxError>) {
    let mut leaves = LeafList::with_capacity(1);
    let mut errors = Vec::new();
    let mut source = input;
    match u32::try_from(input.len()) {
        Ok(length) if input.len() <= MAX_LENGTH => leaves.push(LeafKind::Invalid, length),
        _ => {
            source = &[];
            errors.push(SyntaxError {
                kind: SyntaxErrorKind::TooLong {
                    length: input.len() as u64,
                    limit: MAX_LENGTH as u64,
                },
                span: Span::empty(0),
                position: Position { line: 1, column: 1 },
                opened: None,
                help: None,
                excerpt: Excerpt::new(input, Span::empty(0)),
            });
        }
    }
    let file = File::new(FileParts {
        source: source.into(),
        commands: List::default(),
        here_documents: Vec::new(),
        leaves,
    });
    (file, errors)
}
