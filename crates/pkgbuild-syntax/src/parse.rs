//! From bytes to a tree.

mod array;
mod compound;
mod condition;
mod cursor;
mod expansion;
mod failure;
mod lexical;
mod quote;
mod redirect;
mod state;
mod statement;
mod substitution;
mod word;

use crate::error::{Excerpt, Opened, SyntaxError, SyntaxErrorKind};
use crate::span::{Position, Span};
use crate::tree::{File, FileParts, List, Word};
use cursor::Cursor;
use failure::{Failure, Mistake};
use state::State;
use word::Mode;

/// Longest text that is read, in bytes. Real recipes stay below 64 kB.
pub const MAX_LENGTH: usize = 32 << 20;

/// Deepest nesting of quotes, brackets, substitutions and compound commands. An unoptimised build
/// needs up to 15 kB of stack for each level, so a thread of 2 MiB is enough.
pub const MAX_DEPTH: u32 = 100;

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

/// Most leaves of a file. With the nodes over them that is at most about 256 MB.
const MAX_LEAVES: u32 = 1_000_000;

/// Most mistakes that are reported.
const MAX_ERRORS: u32 = 100;

/// Most constructs that may turn out to be other than they look.
const MAX_RULED_OUT: u32 = 10_000;

/// Parses a recipe, or any bash script, from a string or from bytes.
///
/// Total: whatever the bytes, there is a tree whose leaves concatenate to them. Bytes that are not
/// UTF-8 are kept as they are. The time is linear in the length. After a mistake it goes on behind
/// the statement, so that one mistake gives one error. A text longer than [`MAX_LENGTH`] is
/// refused: the tree is empty and the one error says so.
pub fn parse(input: impl AsRef<[u8]>) -> Parse {
    let (file, _, errors) = run(input.as_ref(), |input| {
        (statement::script(input), Word::absent(0))
    });
    Parse { file, errors }
}

/// Parses a text that is one word, for example an outcome of brace expansion. Blanks and operators
/// in it, which a word in a command could not have, count as literal text.
pub fn parse_word(input: impl AsRef<[u8]>) -> ParseWord {
    let (file, word, errors) = run(input.as_ref(), |input| (List::default(), whole_word(input)));
    ParseWord { file, word, errors }
}

/// How often a text is read again with one more quote taken as closed, and up to which length.
const MAX_READINGS: usize = 10;
const MAX_READ_AGAIN: usize = 1 << 20;

fn run(
    input: &[u8],
    parser: impl Fn(Cursor<'_>) -> (List, Word),
) -> (File, Word, Vec<SyntaxError>) {
    let too_long = input.len() > MAX_LENGTH;
    let source = if too_long { &[] } else { input };
    let mut quotes = Vec::new();
    loop {
        let state = State::new(source, 0, &quotes);
        if too_long {
            let (length, limit) = (input.len() as u64, MAX_LENGTH as u64);
            let kind = SyntaxErrorKind::TooLong { length, limit };
            state.stop(Mistake {
                kind,
                span: Span::empty(0),
                opened: None,
                help: None,
            });
        }
        let (commands, word) = parser(Cursor::new(&state));
        if let Some(quote) = state.blamed()
            && quotes.len() < MAX_READINGS
            && source.len() <= MAX_READ_AGAIN
            && !quotes.contains(&quote)
        {
            drop(state);
            quotes.push(quote);
            continue;
        }
        let (leaves, here_documents, mistakes) = state.finish();
        let errors = located(mistakes, source);
        let source = source.into();
        return (
            File::new(FileParts {
                source,
                commands,
                here_documents,
                leaves,
            }),
            word,
            errors,
        );
    }
}

/// The file of a `` `…` `` substitution that is met at the given depth.
fn nested_file(text: &[u8], depth: u32) -> (File, Vec<Mistake>) {
    let state = State::new(text, depth, &[]);
    let commands = statement::script(Cursor::new(&state));
    let (leaves, here_documents, mistakes) = state.finish();
    let source = text.into();
    (
        File::new(FileParts {
            source,
            commands,
            here_documents,
            leaves,
        }),
        mistakes,
    )
}

fn whole_word(input: Cursor<'_>) -> Word {
    match word::word(input, Mode::Whole) {
        Ok((_, word)) => word,
        Err(failure) => {
            if let nom::Err::Failure(Failure::Mistake(mistake)) = failure {
                input.state.report(*mistake);
            }
            Word::absent(0)
        }
    }
}

/// Adds lines, columns and excerpts. There are at most [`MAX_ERRORS`], so each may cost a pass.
fn located(mut mistakes: Vec<Mistake>, source: &[u8]) -> Vec<SyntaxError> {
    mistakes.sort_by_key(|mistake| mistake.span.start);
    mistakes
        .into_iter()
        .map(
            |Mistake {
                 kind,
                 span,
                 opened,
                 help,
             }| SyntaxError {
                position: Position::of(source, span.start),
                excerpt: Excerpt::new(source, span),
                opened: opened.map(|span| Opened {
                    span,
                    position: Position::of(source, span.start),
                    excerpt: Excerpt::new(source, span),
                }),
                kind,
                span,
                help,
            },
        )
        .collect()
}
