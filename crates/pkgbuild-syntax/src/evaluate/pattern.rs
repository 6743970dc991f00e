//! Shell patterns: globs and extended globs, without backtracking.
//!
//! A pattern is matched by carrying the set of positions reached so far through its nodes, so the
//! cost is bounded by pattern length times text length (squared under `!(…)`), never exponential.
//! Every step is charged to a [`Fuel`], which ends hostile matches.
//!
//! Source of the rules: bash(1), "Pattern Matching".

mod compile;
mod run;

use self::compile::PatternParser;
use self::run::Run;
pub(crate) use self::run::in_class;
use super::budget::{Exhausted, Fuel};

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
