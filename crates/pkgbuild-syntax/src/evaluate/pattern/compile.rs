//! Pattern text to nodes.

use super::{CLASS_NAMES, ClassItem, GroupKind, Node};
use crate::evaluate::budget::Exhausted;

/// How deeply extended groups may nest.
const MAX_DEPTH: usize = 40;

pub(super) struct PatternParser<'a> {
    pub(super) chars: &'a [char],
    pub(super) at: usize,
    pub(super) extglob: bool,
}

impl PatternParser<'_> {
    /// Parses up to the end, or inside a group up to `|` or `)`.
    pub(super) fn sequence(
        &mut self,
        in_group: bool,
        depth: usize,
    ) -> Result<Vec<Node>, Exhausted> {
        if depth > MAX_DEPTH {
            return Err(Exhausted::Depth);
        }
        let mut nodes = Vec::new();
        while let Some(&c) = self.chars.get(self.at) {
            if in_group && (c == '|' || c == ')') {
                break;
            }
            if self.extglob
                && self.chars.get(self.at + 1) == Some(&'(')
                && let Some(kind) = group_kind(c)
                && let Some(group) = self.group(kind, depth)?
            {
                nodes.push(group);
                continue;
            }
            self.at += 1;
            match c {
                '\\' => match self.chars.get(self.at) {
                    Some(&next) => {
                        nodes.push(Node::Char(next));
                        self.at += 1;
                    }
                    None => nodes.push(Node::Char('\\')),
                },
                '?' => nodes.push(Node::Any),
                '*' => {
                    if nodes.last() != Some(&Node::Star) {
                        nodes.push(Node::Star);
                    }
                }
                '[' => match self.class() {
                    Some(class) => nodes.push(class),
                    None => nodes.push(Node::Char('[')),
                },
                _ => nodes.push(Node::Char(c)),
            }
        }
        Ok(nodes)
    }

    /// Parses a group at its kind character; restores the position when it is not closed.
    pub(super) fn group(
        &mut self,
        kind: GroupKind,
        depth: usize,
    ) -> Result<Option<Node>, Exhausted> {
        let start = self.at;
        self.at += 2;
        let mut choices = Vec::new();
        loop {
            choices.push(self.sequence(true, depth + 1)?);
            match self.chars.get(self.at) {
                Some('|') => self.at += 1,
                Some(')') => {
                    self.at += 1;
                    return Ok(Some(Node::Group { kind, choices }));
                }
                _ => {
                    self.at = start;
                    return Ok(None);
                }
            }
        }
    }

    /// Parses a bracket expression after its `[`; `None` leaves the position alone.
    pub(super) fn class(&mut self) -> Option<Node> {
        let mut at = self.at;
        let negated = matches!(self.chars.get(at), Some('!' | '^'));
        if negated {
            at += 1;
        }
        let first = at;
        let mut items = Vec::new();
        loop {
            let c = *self.chars.get(at)?;
            if c == ']' && at > first {
                self.at = at + 1;
                return Some(Node::Class { negated, items });
            }
            if c == '['
                && let Some(&mark @ (':' | '.' | '=')) = self.chars.get(at + 1)
                && let Some(end) = self.bracket_end(at + 2, mark)
            {
                let name: String = self.chars[at + 2..end].iter().collect();
                at = end + 2;
                if mark == ':' {
                    if let Some(known) = CLASS_NAMES.iter().find(|known| **known == name) {
                        items.push(ClassItem::Named(known));
                    }
                } else if let Some(symbol) = name.chars().next() {
                    items.push(ClassItem::Range(symbol, symbol));
                }
                continue;
            }
            let low = self.class_char(&mut at)?;
            if self.chars.get(at) == Some(&'-') && self.chars.get(at + 1).is_some_and(|c| *c != ']')
            {
                at += 1;
                let high = self.class_char(&mut at)?;
                items.push(ClassItem::Range(low, high));
            } else {
                items.push(ClassItem::Range(low, low));
            }
        }
    }

    fn class_char(&self, at: &mut usize) -> Option<char> {
        let mut c = *self.chars.get(*at)?;
        *at += 1;
        if c == '\\' {
            c = *self.chars.get(*at)?;
            *at += 1;
        }
        Some(c)
    }

    fn bracket_end(&self, from: usize, mark: char) -> Option<usize> {
        (from..self.chars.len().saturating_sub(1))
            .take(20)
            .find(|&at| self.chars[at] == mark && self.chars[at + 1] == ']')
    }
}

fn group_kind(c: char) -> Option<GroupKind> {
    Some(match c {
        '?' => GroupKind::Optional,
        '*' => GroupKind::Repeat,
        '+' => GroupKind::RepeatOnce,
        '@' => GroupKind::One,
        '!' => GroupKind::Not,
        _ => return None,
    })
}
