//! The set of positions a pattern reaches in a text.

use super::{ClassItem, GroupKind, Node};
use crate::evaluate::budget::{Exhausted, Fuel};

pub(super) struct Run<'a> {
    pub(super) text: &'a [char],
    pub(super) fold: bool,
    pub(super) fuel: &'a mut Fuel,
}

impl Run<'_> {
    /// Where the nodes can end when they begin at any of `from`; both ascending.
    pub(super) fn sequence(
        &mut self,
        nodes: &[Node],
        from: Vec<usize>,
    ) -> Result<Vec<usize>, Exhausted> {
        let mut positions = from;
        for node in nodes {
            if positions.is_empty() {
                break;
            }
            self.fuel.spend(1 + positions.len() as u64)?;
            positions = match node {
                Node::Star => {
                    let n = self.text.len();
                    self.fuel.spend((n - positions[0]) as u64)?;
                    (positions[0]..=n).collect()
                }
                Node::Group { kind, choices } => self.group(*kind, choices, positions)?,
                single => self.step(single, positions),
            };
        }
        Ok(positions)
    }

    pub(super) fn step(&self, node: &Node, mut positions: Vec<usize>) -> Vec<usize> {
        positions.retain(|&at| self.text.get(at).is_some_and(|&c| self.one(node, c)));
        for at in &mut positions {
            *at += 1;
        }
        positions
    }

    fn one(&self, node: &Node, c: char) -> bool {
        match node {
            Node::Any => true,
            Node::Char(wanted) => *wanted == c || (self.fold && folded(*wanted) == folded(c)),
            Node::Class { negated, items } => {
                let mut inside = items.iter().any(|item| item.contains(c));
                if self.fold && !inside {
                    inside = items.iter().any(|item| {
                        item.contains(folded(c))
                            || c.to_uppercase().any(|upper| item.contains(upper))
                    });
                }
                inside != *negated
            }
            Node::Star | Node::Group { .. } => false,
        }
    }

    pub(super) fn choices(
        &mut self,
        choices: &[Vec<Node>],
        from: &[usize],
    ) -> Result<Vec<usize>, Exhausted> {
        let mut ends = Vec::new();
        for choice in choices {
            ends.extend(self.sequence(choice, from.to_vec())?);
        }
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }

    pub(super) fn group(
        &mut self,
        kind: GroupKind,
        choices: &[Vec<Node>],
        from: Vec<usize>,
    ) -> Result<Vec<usize>, Exhausted> {
        match kind {
            GroupKind::One => self.choices(choices, &from),
            GroupKind::Optional => {
                let mut ends = self.choices(choices, &from)?;
                ends.extend(from);
                ends.sort_unstable();
                ends.dedup();
                Ok(ends)
            }
            GroupKind::Repeat | GroupKind::RepeatOnce => {
                let mut seen = vec![false; self.text.len() + 1];
                self.fuel.spend(seen.len() as u64 / 8)?;
                if kind == GroupKind::Repeat {
                    for &at in &from {
                        seen[at] = true;
                    }
                }
                let mut frontier = from;
                while !frontier.is_empty() {
                    frontier = self.choices(choices, &frontier)?;
                    frontier.retain(|&at| !std::mem::replace(&mut seen[at], true));
                }
                Ok((0..seen.len()).filter(|&at| seen[at]).collect())
            }
            GroupKind::Not => {
                let n = self.text.len();
                let mut ends = vec![false; n + 1];
                for start in from {
                    self.fuel.spend((n - start) as u64 + 1)?;
                    let excluded = self.choices(choices, &[start])?;
                    let mut excluded = excluded.iter().peekable();
                    for (end, slot) in ends.iter_mut().enumerate().skip(start) {
                        if excluded.peek() == Some(&&end) {
                            excluded.next();
                        } else {
                            *slot = true;
                        }
                    }
                }
                Ok((0..=n).filter(|&at| ends[at]).collect())
            }
        }
    }
}

fn folded(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

impl ClassItem {
    fn contains(&self, c: char) -> bool {
        match self {
            Self::Range(low, high) => (*low..=*high).contains(&c),
            Self::Named(name) => in_class(name, c),
        }
    }
}

/// Blanks that glibc counts as graphic characters, and a control character that is no space to it.
fn is_fixed_space(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}')
}

/// Whether `c` is in the POSIX character class `name`, in the `C.UTF-8` locale.
pub(crate) fn in_class(name: &str, c: char) -> bool {
    match name {
        "alnum" => c.is_alphanumeric(),
        "alpha" => c.is_alphabetic(),
        "ascii" => c.is_ascii(),
        "blank" => {
            c == '\t'
                || (c.is_whitespace()
                    && !c.is_control()
                    && !is_fixed_space(c)
                    && !matches!(c, '\u{2028}' | '\u{2029}'))
        }
        "cntrl" => c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'),
        "digit" => c.is_ascii_digit(),
        "graph" => !c.is_control() && !c.is_whitespace(),
        "lower" => c.is_lowercase(),
        "print" => !c.is_control(),
        "punct" => {
            if c.is_ascii() {
                c.is_ascii_punctuation()
            } else {
                !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control()
            }
        }
        "space" => c.is_whitespace() && !is_fixed_space(c),
        "upper" => c.is_uppercase(),
        "word" => c.is_alphanumeric() || c == '_',
        "xdigit" => c.is_ascii_hexdigit(),
        _ => false,
    }
}
