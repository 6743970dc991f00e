//! Shell patterns: globs and extended globs, without backtracking.
//!
//! A pattern is matched by carrying the set of positions reached so far through its nodes, so the
//! cost is bounded by pattern length times text length (squared under `!(…)`), never exponential.
//! Every step is charged to a [`Fuel`], which ends hostile matches.
//!
//! Source of the rules: bash(1), "Pattern Matching".

use super::budget::{Exhausted, Fuel};

/// How deeply extended groups may nest.
const MAX_DEPTH: usize = 40;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    nodes: Vec<Node>,
    fold_case: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Char(char),
    Any,
    Star,
    Class {
        negated: bool,
        items: Vec<ClassItem>,
    },
    Group {
        kind: GroupKind,
        choices: Vec<Vec<Node>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum GroupKind {
    Optional,
    Repeat,
    RepeatOnce,
    One,
    Not,
}

#[derive(Debug, Clone, PartialEq)]
enum ClassItem {
    Range(char, char),
    Named(&'static str),
}

const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

impl Pattern {
    /// Compiles `text`, in which a backslash makes the next character literal.
    pub(crate) fn compile(text: &str, extglob: bool) -> Result<Self, Exhausted> {
        let chars: Vec<char> = text.chars().collect();
        let mut parser = PatternParser {
            chars: &chars,
            at: 0,
            extglob,
        };
        let nodes = parser.sequence(false, 0)?;
        Ok(Self {
            nodes,
            fold_case: false,
        })
    }

    /// The same pattern without regard to letter case (`shopt -s nocasematch`).
    pub(crate) fn ignoring_case(mut self, on: bool) -> Self {
        self.fold_case = on;
        self
    }

    /// The text that the pattern matches when it has no special character.
    pub(crate) fn literal(&self) -> Option<String> {
        if self.fold_case {
            return None;
        }
        self.nodes
            .iter()
            .map(|node| match node {
                Node::Char(c) => Some(*c),
                _ => None,
            })
            .collect()
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str, fuel: &mut Fuel) -> Result<bool, Exhausted> {
        if let Some(literal) = self.literal() {
            fuel.spend(1 + text.len() as u64 / 16)?;
            return Ok(literal == text);
        }
        let chars: Vec<char> = text.chars().collect();
        let ends = Run {
            text: &chars,
            fold: self.fold_case,
            fuel,
        }
        .sequence(&self.nodes, vec![0])?;
        Ok(ends.last() == Some(&chars.len()))
    }

    /// The byte length of the shortest or longest matching prefix of `text`.
    pub(crate) fn prefix(
        &self,
        text: &str,
        longest: bool,
        fuel: &mut Fuel,
    ) -> Result<Option<usize>, Exhausted> {
        if let Some(literal) = self.literal() {
            fuel.spend(1)?;
            return Ok(text.starts_with(literal.as_str()).then_some(literal.len()));
        }
        let chars: Vec<char> = text.chars().collect();
        let ends = Run {
            text: &chars,
            fold: self.fold_case,
            fuel,
        }
        .sequence(&self.nodes, vec![0])?;
        let end = if longest { ends.last() } else { ends.first() };
        Ok(end.map(|&end| chars[..end].iter().map(|c| c.len_utf8()).sum()))
    }

    /// The byte length of the shortest or longest matching suffix of `text`.
    pub(crate) fn suffix(
        &self,
        text: &str,
        longest: bool,
        fuel: &mut Fuel,
    ) -> Result<Option<usize>, Exhausted> {
        if let Some(literal) = self.literal() {
            fuel.spend(1)?;
            return Ok(text.ends_with(literal.as_str()).then_some(literal.len()));
        }
        let chars: Vec<char> = text.chars().rev().collect();
        let nodes = reversed(&self.nodes);
        let ends = Run {
            text: &chars,
            fold: self.fold_case,
            fuel,
        }
        .sequence(&nodes, vec![0])?;
        let end = if longest { ends.last() } else { ends.first() };
        Ok(end.map(|&end| chars[..end].iter().map(|c| c.len_utf8()).sum()))
    }

    /// The byte ranges that `${text/pattern}` (first only) or `${text//pattern}` replaces:
    /// leftmost, longest, not overlapping.
    pub(crate) fn find(
        &self,
        text: &str,
        all: bool,
        fuel: &mut Fuel,
    ) -> Result<Vec<(usize, usize)>, Exhausted> {
        if let Some(literal) = self.literal() {
            fuel.spend(1 + text.len() as u64 / 16)?;
            if literal.is_empty() {
                return Ok(Vec::new());
            }
            let found = text
                .match_indices(&literal)
                .map(|(at, part)| (at, at + part.len()));
            return Ok(if all {
                found.collect()
            } else {
                found.take(1).collect()
            });
        }
        let chars: Vec<char> = text.chars().collect();
        let offsets = byte_offsets(&chars);
        let starts = self.starts(&chars, fuel)?;
        let mut found = Vec::new();
        let mut next = 0;
        for start in starts {
            if start < next {
                continue;
            }
            let mut run = Run {
                text: &chars,
                fold: self.fold_case,
                fuel,
            };
            let Some(end) = run.sequence(&self.nodes, vec![start])?.pop() else {
                continue;
            };
            if end == start {
                // bash replaces an empty match only in an empty string or by stepping over a
                // character; its loop ends at the end of the text.
                if start < chars.len() || (chars.is_empty() && found.is_empty()) {
                    found.push((offsets[start], offsets[start]));
                    next = start + 1;
                }
            } else {
                found.push((offsets[start], offsets[end]));
                next = end;
            }
            if !all && !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Every position from which some match begins, ascending: the pattern runs backwards once.
    fn starts(&self, chars: &[char], fuel: &mut Fuel) -> Result<Vec<usize>, Exhausted> {
        let n = chars.len();
        let back: Vec<char> = chars.iter().rev().copied().collect();
        let nodes = reversed(&self.nodes);
        let all: Vec<usize> = (0..=n).collect();
        let ends = Run {
            text: &back,
            fold: self.fold_case,
            fuel,
        }
        .sequence(&nodes, all)?;
        Ok(ends.into_iter().rev().map(|end| n - end).collect())
    }
}

fn byte_offsets(chars: &[char]) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(chars.len() + 1);
    let mut at = 0;
    offsets.push(0);
    for c in chars {
        at += c.len_utf8();
        offsets.push(at);
    }
    offsets
}

fn reversed(nodes: &[Node]) -> Vec<Node> {
    nodes
        .iter()
        .rev()
        .map(|node| match node {
            Node::Group { kind, choices } => Node::Group {
                kind: *kind,
                choices: choices.iter().map(|choice| reversed(choice)).collect(),
            },
            other => other.clone(),
        })
        .collect()
}

struct PatternParser<'a> {
    chars: &'a [char],
    at: usize,
    extglob: bool,
}

impl PatternParser<'_> {
    /// Parses up to the end, or inside a group up to `|` or `)`.
    fn sequence(&mut self, in_group: bool, depth: usize) -> Result<Vec<Node>, Exhausted> {
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
    fn group(&mut self, kind: GroupKind, depth: usize) -> Result<Option<Node>, Exhausted> {
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
    fn class(&mut self) -> Option<Node> {
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

struct Run<'a> {
    text: &'a [char],
    fold: bool,
    fuel: &'a mut Fuel,
}

impl Run<'_> {
    /// Where the nodes can end when they begin at any of `from`; both ascending.
    fn sequence(&mut self, nodes: &[Node], from: Vec<usize>) -> Result<Vec<usize>, Exhausted> {
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

    fn step(&self, node: &Node, mut positions: Vec<usize>) -> Vec<usize> {
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

    fn choices(&mut self, choices: &[Vec<Node>], from: &[usize]) -> Result<Vec<usize>, Exhausted> {
        let mut ends = Vec::new();
        for choice in choices {
            ends.extend(self.sequence(choice, from.to_vec())?);
        }
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }

    fn group(
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

/// Whether `c` is in the POSIX character class `name`, in the `C.UTF-8` locale.
pub(crate) fn in_class(name: &str, c: char) -> bool {
    match name {
        "alnum" => c.is_alphanumeric(),
        "alpha" => c.is_alphabetic(),
        "ascii" => c.is_ascii(),
        "blank" => c == ' ' || c == '\t',
        "cntrl" => c.is_control(),
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
        "space" => c.is_ascii_whitespace() || c == '\x0b' || (!c.is_ascii() && c.is_whitespace()),
        "upper" => c.is_uppercase(),
        "word" => c.is_alphanumeric() || c == '_',
        "xdigit" => c.is_ascii_hexdigit(),
        _ => false,
    }
}
