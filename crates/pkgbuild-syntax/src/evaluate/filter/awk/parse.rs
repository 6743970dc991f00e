//! The text of an awk program to rules.

use super::{Action, Joined, Pattern, Rule, Term};
use crate::evaluate::regex::Regex;

pub(super) struct Parser {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
}

impl Parser {
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

    fn eat(&mut self, text: &str) -> bool {
        self.blanks("");
        let found = text
            .chars()
            .enumerate()
            .all(|(i, c)| self.chars.get(self.at + i) == Some(&c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    pub(super) fn rules(mut self) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        loop {
            self.blanks("\n;");
            if self.peek().is_none() {
                return (!rules.is_empty()).then_some(rules);
            }
            let pattern = self.pattern()?;
            self.blanks("");
            let actions = if self.eat("{") {
                self.actions()?
            } else {
                vec![Action::Print(Vec::new())]
            };
            rules.push(Rule { pattern, actions });
        }
    }

    fn pattern(&mut self) -> Option<Pattern> {
        if self.peek() == Some('{') {
            return Some(Pattern::Always);
        }
        if self.eat("BEGIN") {
            return Some(Pattern::Begin);
        }
        if self.eat("END") {
            return Some(Pattern::End);
        }
        if self.peek() == Some('/') {
            return Some(Pattern::Match(self.regex()?));
        }
        if self.eat("NR") {
            if !self.eat("==") {
                return None;
            }
            return Some(Pattern::Line(self.number()?));
        }
        if self.eat("$") {
            let field = self.number()?;
            self.blanks("");
            if self.eat("~") {
                self.blanks("");
                return Some(Pattern::FieldMatch(field, self.regex()?, false));
            }
            if self.eat("!~") {
                self.blanks("");
                return Some(Pattern::FieldMatch(field, self.regex()?, true));
            }
            let negated = if self.eat("==") {
                false
            } else if self.eat("!=") {
                true
            } else {
                return None;
            };
            self.blanks("");
            return Some(Pattern::FieldEqual(field, self.string()?, negated));
        }
        None
    }

    fn number(&mut self) -> Option<usize> {
        self.blanks("");
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars[start..self.at]
            .iter()
            .collect::<String>()
            .parse()
            .ok()
    }

    fn regex(&mut self) -> Option<Regex> {
        if self.peek() != Some('/') {
            return None;
        }
        self.at += 1;
        let mut pattern = String::new();
        loop {
            let c = self.peek()?;
            self.at += 1;
            match c {
                '/' => break,
                '\\' => {
                    let next = self.peek()?;
                    self.at += 1;
                    if next != '/' {
                        pattern.push('\\');
                    }
                    pattern.push(next);
                }
                c => pattern.push(c),
            }
        }
        Regex::extended(&pattern, false)
    }

    fn string(&mut self) -> Option<String> {
        if self.peek() != Some('"') {
            return None;
        }
        self.at += 1;
        let mut text = String::new();
        loop {
            let c = self.peek()?;
            self.at += 1;
            match c {
                '"' => return Some(text),
                '\\' => {
                    let next = self.peek()?;
                    self.at += 1;
                    text.push(match next {
                        'n' => '\n',
                        't' => '\t',
                        '"' | '\\' | '/' => next,
                        _ => return None,
                    });
                }
                '\n' => return None,
                c => text.push(c),
            }
        }
    }

    fn actions(&mut self) -> Option<Vec<Action>> {
        let mut actions = Vec::new();
        loop {
            self.blanks("\n;");
            if self.eat("}") {
                return Some(actions);
            }
            if self.eat("printf") {
                let parenthesised = self.eat("(");
                let items = self.items()?;
                if parenthesised && !self.eat(")") {
                    return None;
                }
                actions.push(Action::Printf(items));
            } else if self.eat("print") {
                actions.push(Action::Print(self.items()?));
            } else if self.eat("exit") {
                actions.push(Action::Exit);
            } else {
                return None;
            }
            self.blanks("");
            if !matches!(self.peek(), Some(';' | '\n' | '}')) {
                return None;
            }
        }
    }

    fn items(&mut self) -> Option<Vec<Joined>> {
        let mut items = Vec::new();
        loop {
            let mut joined = Vec::new();
            loop {
                self.blanks("");
                match self.peek()? {
                    '"' => joined.push(Term::Text(self.string()?)),
                    '$' => {
                        self.at += 1;
                        if self.eat("(NF") {
                            let back = if self.eat("-") { self.number()? } else { 0 };
                            if !self.eat(")") {
                                return None;
                            }
                            joined.push(Term::LastField(back));
                        } else if self.eat("NF") {
                            joined.push(Term::LastField(0));
                        } else {
                            joined.push(Term::Field(self.number()?));
                        }
                    }
                    c if c.is_ascii_digit() => {
                        let number = self.number()?;
                        joined.push(Term::Text(number.to_string()));
                    }
                    c if c.is_ascii_alphabetic() || c == '_' => {
                        let start = self.at;
                        while self
                            .peek()
                            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
                        {
                            self.at += 1;
                        }
                        let name: String = self.chars[start..self.at].iter().collect();
                        if self.peek() == Some('(') {
                            return None;
                        }
                        joined.push(match name.as_str() {
                            "NF" => Term::Count,
                            "NR" => Term::Line,
                            name if name.chars().all(|c| c.is_ascii_uppercase()) => return None,
                            _ => Term::Variable(name),
                        });
                    }
                    _ => break,
                }
            }
            if joined.is_empty() {
                return items.is_empty().then_some(items);
            }
            items.push(joined);
            self.blanks("");
            if self.peek() != Some(',') {
                // Any operator left over is not interpreted.
                return matches!(self.peek(), Some(';' | '\n' | '}' | ')')).then_some(items);
            }
            self.at += 1;
        }
    }
}
