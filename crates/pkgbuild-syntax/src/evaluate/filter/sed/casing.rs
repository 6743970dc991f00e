//! `\U`, `\L`, `\E`, `\u` and `\l` in a replacement, as GNU sed has them.

/// A change of the letter case of what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Casing {
    /// All of it, until the next such change.
    Upper,
    Lower,
    /// Nothing any more.
    End,
    /// The next character alone.
    UpperNext,
    LowerNext,
}

impl Casing {
    /// The change that a letter behind a backslash asks for.
    pub(super) fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'U' => Self::Upper,
            'L' => Self::Lower,
            'E' => Self::End,
            'u' => Self::UpperNext,
            'l' => Self::LowerNext,
            _ => return None,
        })
    }
}

/// The case that one replacement is in, while its parts are put together.
#[derive(Debug, Default)]
pub(super) struct Cased {
    rest: Option<Casing>,
    next: Option<Casing>,
}

impl Cased {
    pub(super) fn change(&mut self, casing: Casing) {
        match casing {
            Casing::Upper | Casing::Lower | Casing::End => {
                self.rest = Some(casing).filter(|casing| *casing != Casing::End);
                self.next = None;
            }
            Casing::UpperNext | Casing::LowerNext => self.next = Some(casing),
        }
    }

    pub(super) fn push(&mut self, out: &mut String, text: &str) {
        if self.rest.is_none() && self.next.is_none() {
            out.push_str(text);
            return;
        }
        for c in text.chars() {
            out.push(match self.next.take().or(self.rest) {
                Some(Casing::Upper | Casing::UpperNext) => single(c, c.to_uppercase()),
                Some(Casing::Lower | Casing::LowerNext) => single(c, c.to_lowercase()),
                _ => c,
            });
        }
    }
}

/// C maps a character to one character or not at all.
fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}
