//! gitattributes(5) as git's `attr.c` reads them, from the files of a commit alone: what the person or the machine has
//! set up plays no part. Own code because the libraries for it go back and try again in patterns that `**` makes slow, and
//! because libgit2 can look up a path only through a checkout.

use std::collections::HashMap;
use std::sync::Arc;

mod pattern;

use pattern::Pattern;

/// git leaves longer lines out: `ATTR_MAX_LINE_LENGTH`.
const MAX_LINE: usize = 2048;
/// White space between the words of a line.
const BLANK: &[u8] = b" \t\r\n";

/// What an attribute is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `!attribute`, or nothing says anything.
    Unspecified,
    /// `attribute`
    True,
    /// `-attribute`
    False,
    /// `attribute=text`
    Text(Arc<[u8]>),
}

impl Value {
    pub(super) fn is(&self, text: &[u8]) -> bool {
        matches!(self, Self::Text(value) if **value == *text)
    }
}

/// The attributes that files are written by, in the order of [`Values`].
const NAMES: [&[u8]; 8] = [
    b"text",
    b"crlf",
    b"eol",
    b"ident",
    b"filter",
    b"working-tree-encoding",
    b"export-ignore",
    b"export-subst",
];

/// What a path has of each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) text: Value,
    pub(super) crlf: Value,
    pub(super) eol: Value,
    pub(super) ident: Value,
    pub(super) filter: Value,
    pub(super) encoding: Value,
    pub(super) export_ignore: Value,
    pub(super) export_subst: Value,
}

/// Which of the attributes that count, or of the macros, a line sets to what.
type State = (usize, Value);

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    states: Vec<State>,
}

/// The lines of one file that can make a difference.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the attribute files of one commit.
#[derive(Debug)]
pub(super) struct Reader {
    /// Numbers of the attributes that count and of the macros.
    numbers: HashMap<Vec<u8>, usize>,
    /// What the macro with this number stands for.
    macros: HashMap<usize, Vec<State>>,
}

impl Reader {
    /// Begins with the file at the top, where alone macros may be defined.
    pub(super) fn new(top: &[u8]) -> Self {
        let mut numbers: HashMap<Vec<u8>, usize> = NAMES
            .iter()
            .enumerate()
            .map(|(number, name)| (name.to_vec(), number))
            .collect();
        let mut number_of = |name: &[u8]| {
            let next = numbers.len();
            *numbers.entry(name.to_vec()).or_insert(next)
        };
        let mut found: Vec<(usize, &[u8])> = vec![(number_of(b"binary"), b"-diff -merge -text")];
        for line in lines(top) {
            if let Some((Word::Macro(name), states)) = split(line)
                && parse_states(states).is_some()
            {
                found.push((number_of(&name), states));
            }
        }
        let mut reader = Self {
            numbers,
            macros: HashMap::new(),
        };
        // The last definition of a name holds.
        for (number, states) in found {
            let states = reader.numbered(parse_states(states).unwrap_or_default());
            reader.macros.insert(number, states);
        }
        reader
    }

    /// Reads the lines of a file.
    pub(super) fn rules(&self, content: &[u8]) -> Rules {
        let rules = lines(content).filter_map(|line| {
            let (Word::Pattern(pattern), states) = split(line)? else {
                return None;
            };
            let states = self.numbered(parse_states(states)?);
            // What sets nothing that counts need not be compared.
            (!states.is_empty()).then_some(())?;
            Some(Rule {
                pattern: Pattern::parse(&pattern)?,
                states,
            })
        });
        Rules(rules.collect())
    }

    fn numbered(&self, states: Vec<(&[u8], Value)>) -> Vec<State> {
        states
            .into_iter()
            .filter_map(|(name, value)| Some((*self.numbers.get(name)?, value)))
            .collect()
    }

    /// What `path` has, by the rules of the directories above it, the deepest last. `spend` is given what each comparison
    /// has cost, and says whether to go on; nothing if it said no.
    pub(super) fn values(
        &self,
        path: &[u8],
        is_directory: bool,
        stack: &[(&[u8], Arc<Rules>)],
        spend: &mut dyn FnMut(u64) -> bool,
    ) -> Option<Values> {
        let mut known: Vec<Option<Value>> = vec![None; NAMES.len()];
        let mut macros: HashMap<usize, Value> = HashMap::new();
        let base = path.iter().rposition(|byte| *byte == b'/');
        let base = base.map_or(0, |slash| slash + 1);
        for (directory, rules) in stack.iter().rev() {
            let start = match directory.len() {
                0 => 0,
                length => length + 1,
            };
            let below = path.get(start..).unwrap_or_default();
            for rule in rules.0.iter().rev() {
                let base = base.saturating_sub(start);
                let (matches, steps) = rule.pattern.matches(below, base, is_directory);
                if !spend(steps) {
                    return None;
                }
                if matches {
                    self.fill(&rule.states, &mut known, &mut macros);
                }
            }
        }
        let mut known = known
            .into_iter()
            .map(|value| value.unwrap_or(Value::Unspecified));
        let mut next = || known.next().unwrap_or(Value::Unspecified);
        Some(Values {
            text: next(),
            crlf: next(),
            eol: next(),
            ident: next(),
            filter: next(),
            encoding: next(),
            export_ignore: next(),
            export_subst: next(),
        })
    }

    /// git's `fill_one`: the last word of a line first, and what a macro stands for right after it. What is known stays.
    fn fill(
        &self,
        states: &[State],
        known: &mut [Option<Value>],
        macros: &mut HashMap<usize, Value>,
    ) {
        let mut open: Vec<&State> = states.iter().collect();
        while let Some((number, value)) = open.pop() {
            let is_new = match known.get_mut(*number) {
                Some(slot @ None) => {
                    *slot = Some(value.clone());
                    true
                }
                Some(Some(_)) => false,
                None => macros.insert(*number, value.clone()).is_none(),
            };
            if is_new
                && *value == Value::True
                && let Some(states) = self.macros.get(number)
            {
                open.extend(states);
            }
        }
    }
}

/// The lines of a file; git stops at the first NUL.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = content.iter().position(|byte| *byte == 0);
    content[..end.unwrap_or(content.len())].split(|byte| *byte == b'\n')
}

/// What a line is about.
enum Word {
    Pattern(Vec<u8>),
    Macro(Vec<u8>),
}

/// Splits a line into its first word and the rest.
fn split(line: &[u8]) -> Option<(Word, &[u8])> {
    let text = trimmed(line);
    if text.is_empty() || text[0] == b'#' || line.len() >= MAX_LINE {
        return None;
    }
    let (name, states) = unquoted(text).unwrap_or_else(|| {
        let (name, rest) = text.split_at(word_end(text));
        (name.to_vec(), rest)
    });
    let is_macro = name.len() > 6 && name.starts_with(b"[attr]");
    let word = if is_macro {
        let name = trimmed(&name[6..]);
        let name = &name[..word_end(name)];
        is_name(name).then(|| Word::Macro(name.to_vec()))?
    } else {
        Word::Pattern(name)
    };
    Some((word, states))
}

/// The words behind a pattern; nothing if one of them is not valid, which makes the line count for nothing.
fn parse_states(text: &[u8]) -> Option<Vec<(&[u8], Value)>> {
    let mut states = Vec::new();
    let mut rest = trimmed(text);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(word_end(rest));
        rest = trimmed(after);
        let mut halves = word.splitn(2, |byte| *byte == b'=');
        let (name, text) = (halves.next().unwrap_or_default(), halves.next());
        let (name, value) = match (name, text) {
            ([b'-', name @ ..], _) => (name, Value::False),
            ([b'!', name @ ..], _) => (name, Value::Unspecified),
            (name, None) => (name, Value::True),
            (name, Some(text)) => (name, Value::Text(text.into())),
        };
        if !is_name(name) {
            return None;
        }
        states.push((name, value));
    }
    Some(states)
}

fn is_name(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    !name.is_empty() && name[0] != b'-' && name.iter().all(plain) && !name.starts_with(b"builtin_")
}

fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !BLANK.contains(byte));
    start.map_or(b"", |start| &text[start..])
}

fn word_end(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| BLANK.contains(byte));
    end.unwrap_or(text.len())
}

/// A pattern in quotes, as C has them, and what follows.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => {
                let (escape, after) = rest.split_first()?;
                rest = after;
                name.push(match escape {
                    b'a' => 7,
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    b'\\' | b'"' => *escape,
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_at_checked(2)?;
                        rest = after;
                        let [second, third] = digits else { return None };
                        let digit = |byte: &u8| matches!(byte, b'0'..=b'7').then(|| byte - b'0');
                        ((escape - b'0') << 6) | (digit(second)? << 3) | digit(third)?
                    }
                    _ => return None,
                });
            }
            byte => name.push(*byte),
        }
    }
    // git goes on with the pattern as text of C.
    let end = name.iter().position(|byte| *byte == 0);
    name.truncate(end.unwrap_or(name.len()));
    Some((name, rest))
}

#[cfg(test)]
mod tests;
