//! Words as patterns and regular expressions: what was quoted is literal.

use super::{Mode, Piece, Quote};
use crate::evaluate::dynamic::Stop;
use crate::evaluate::shell::Shell;
use crate::tree::{File, Word, WordPart};

impl Shell {
    /// Expands a word to a pattern: quoted characters are escaped with a backslash.
    pub(crate) fn pattern_text(&mut self, file: &File, word: &Word) -> Result<String, Stop> {
        self.fuel.spend(1)?;
        if let [WordPart::Literal(span)] = word.parts()
            && file.text(*span).first() != Some(&b'~')
        {
            return Ok(self.utf8(file.text(*span))?.to_owned());
        }
        let mut pieces = Vec::new();
        self.tilde_word(file, word.parts(), Mode::SINGLE, false, &mut pieces)?;
        escaped(pieces, |text, pattern| {
            for c in text.chars() {
                if !c.is_alphanumeric() {
                    pattern.push('\\');
                }
                pattern.push(c);
            }
        })
    }

    /// Expands a word to a regular expression: quoted characters stand for themselves.
    pub(crate) fn regex_text(&mut self, file: &File, word: &Word) -> Result<String, Stop> {
        let mut pieces = Vec::new();
        self.tilde_word(file, word.parts(), Mode::SINGLE, false, &mut pieces)?;
        escaped(pieces, |text, pattern| {
            for c in text.chars() {
                if c.is_ascii_punctuation() {
                    pattern.push('\\');
                }
                pattern.push(c);
            }
        })
    }
}

pub(super) fn escaped(
    pieces: Vec<Piece>,
    quote: impl Fn(&str, &mut String),
) -> Result<String, Stop> {
    let mut pattern = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text, Quote::Quoted) => quote(&text, &mut pattern),
            Piece::Text(text, _) => pattern.push_str(&text),
            Piece::Unknown(reason, _) => return Err(reason.into()),
            Piece::Break => pattern.push(' '),
        }
    }
    Ok(pattern)
}
