//! Reads a sed script.

use super::casing::Casing;
use super::{Action, Address, Command, Part};
use crate::evaluate::regex::Regex;

pub(super) struct Parser {
    chars: Vec<char>,
    at: usize,
    extended: bool,
}

impl Parser {
    pub(super) fn new(script: &str, extended: bool) -> Self {
        Self {
            chars: script.chars().collect(),
            at: 0,
            extended,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn blanks(&mut self, also: &str) {
        while self
            .peek()
            .is_some_and(|c| c == ' ' || c == '\t' || also.contains(c))
        {
            self.at += 1;
        }
    }

    pub(super) fn commands(mut self) -> Option<Vec<Command>> {
        let mut commands = Vec::new();
        loop {
            self.blanks("\n;");
            if self.peek().is_none() {
                return Some(commands);
            }
            let from = self.address()?;
            let mut to = None;
            if from.is_some() && self.peek() == Some(',') {
                self.at += 1;
                to = Some(self.address()??);
            }
            self.blanks("");
            let negated = self.peek() == Some('!');
            if negated {
                self.at += 1;
                self.blanks("");
            }
            let letter = self.peek()?;
            self.at += 1;
            let action = match letter {
                'd' => Action::Delete,
                'p' => Action::Print,
                'q' => Action::Quit,
                's' => self.substitute()?,
                'y' => self.translate()?,
                _ => return None,
            };
            self.blanks("");
            if !matches!(self.peek(), None | Some(';' | '\n')) {
                return None;
            }
            commands.push(Command {
                from,
                to,
                negated,
                action,
                inside: false,
            });
        }
    }

    /// The outer `None` means that the script is not interpreted.
    #[expect(clippy::option_option, reason = "an absent address is no failure")]
    fn address(&mut self) -> Option<Option<Address>> {
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                let start = self.at;
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.at += 1;
                }
                let digits: String = self.chars[start..self.at].iter().collect();
                let number: usize = digits.parse().ok()?;
                if number == 0 || matches!(self.peek(), Some('~')) {
                    return None;
                }
                Some(Some(Address::Line(number)))
            }
            Some('$') => {
                self.at += 1;
                Some(Some(Address::Last))
            }
            Some('/') => {
                self.at += 1;
                let pattern = self.until('/')?;
                Some(Some(Address::Match(self.regex(&pattern, false)?)))
            }
            Some('\\') => None,
            _ => Some(None),
        }
    }

    fn regex(&self, pattern: &str, fold: bool) -> Option<Regex> {
        if pattern.is_empty() {
            return None;
        }
        if self.extended {
            Regex::extended(pattern, fold)
        } else {
            Regex::basic(pattern, fold)
        }
    }

    /// Text up to the delimiter, in which an escaped delimiter stands for itself.
    fn until(&mut self, delimiter: char) -> Option<String> {
        let mut text = String::new();
        let mut bracket = false;
        loop {
            let c = self.peek()?;
            self.at += 1;
            match c {
                '\\' => {
                    let next = self.peek()?;
                    self.at += 1;
                    if next == delimiter {
                        // Whether the freed delimiter is special again differs between seds.
                        if !matches!(
                            next,
                            '/' | ',' | '#' | ':' | '@' | '!' | '%' | '_' | '~' | ';'
                        ) {
                            return None;
                        }
                    } else {
                        text.push('\\');
                    }
                    text.push(next);
                }
                c if c == delimiter && !bracket => return Some(text),
                '\n' => return None,
                c => {
                    if c == '[' {
                        bracket = true;
                    } else if c == ']' && bracket && !text.ends_with('[') && !text.ends_with("[^") {
                        bracket = false;
                    }
                    text.push(c);
                }
            }
        }
    }

    fn substitute(&mut self) -> Option<Action> {
        let delimiter = self.peek()?;
        self.at += 1;
        let pattern = self.until(delimiter)?;
        let mut with = Vec::new();
        let mut text = String::new();
        loop {
            let c = self.peek()?;
            self.at += 1;
            match c {
                '\\' => {
                    let next = self.peek()?;
                    self.at += 1;
                    match next {
                        '0'..='9' => {
                            with.push(Part::Text(std::mem::take(&mut text)));
                            with.push(Part::Group(next.to_digit(10)? as usize));
                        }
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        c if c == delimiter || !c.is_ascii_alphanumeric() => text.push(c),
                        c => {
                            let casing = Casing::of(c)?;
                            with.push(Part::Text(std::mem::take(&mut text)));
                            with.push(Part::Case(casing));
                        }
                    }
                }
                '&' if delimiter != '&' => {
                    with.push(Part::Text(std::mem::take(&mut text)));
                    with.push(Part::Group(0));
                }
                c if c == delimiter => break,
                c => text.push(c),
            }
        }
        with.push(Part::Text(text));
        let (mut all, mut print, mut nth, mut fold) = (false, false, 1, false);
        while let Some(c) = self.peek() {
            match c {
                'g' => all = true,
                'p' => print = true,
                'I' | 'i' => fold = true,
                '1'..='9' => nth = c.to_digit(10)? as usize,
                ';' | '\n' | ' ' => break,
                _ => return None,
            }
            self.at += 1;
        }
        let regex = self.regex(&pattern, fold)?;
        Some(Action::Substitute {
            regex,
            with,
            all,
            print,
            nth,
        })
    }

    fn translate(&mut self) -> Option<Action> {
        let delimiter = self.peek()?;
        self.at += 1;
        let from: Vec<char> = self.until(delimiter)?.chars().collect();
        let to: Vec<char> = self.until(delimiter)?.chars().collect();
        if from.len() != to.len() || from.contains(&'\\') || to.contains(&'\\') {
            return None;
        }
        Some(Action::Translate(from.into_iter().zip(to).collect()))
    }
}
