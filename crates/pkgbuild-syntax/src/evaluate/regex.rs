//! POSIX regular expressions on top of a regular expression engine with other rules.
//!
//! The engine takes the first alternative that matches, POSIX the longest match. Where the two can
//! differ the answer is [`Groups::Ambiguous`], never a guess.

use std::ops::Range;

/// A compiled POSIX expression.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one way in which the two engines may differ"
)]
#[derive(Debug)]
pub(crate) struct Regex {
    search: regex_lite::Regex,
    /// Matches only as a whole, to look for longer matches.
    whole: regex_lite::Regex,
    alternatives: bool,
    /// A group that may be left out or repeated, whose extent POSIX chooses by its own rules.
    optional_groups: bool,
    groups: bool,
    /// Classes and letter case of characters beyond ASCII are the engine's, not the C library's.
    ascii_only: bool,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Groups {
    None,
    /// The whole match, then the groups.
    Found(Vec<Option<Range<usize>>>),
    Ambiguous,
}

impl Regex {
    /// Compiles an extended expression; `None` when it is invalid or not interpreted.
    pub(crate) fn extended(pattern: &str, fold: bool) -> Option<Self> {
        Self::compile(&translate(pattern, true)?, fold)
    }

    /// Compiles a basic expression as GNU tools read it.
    pub(crate) fn basic(pattern: &str, fold: bool) -> Option<Self> {
        Self::compile(&translate(pattern, false)?, fold)
    }

    fn compile(translated: &Translated, fold: bool) -> Option<Self> {
        // The engine holds the bounds of every group for each state of the compiled expression, so
        // many groups leave room for few states.
        let brackets = translated.text.bytes().filter(|&byte| byte == b'(').count();
        let size_limit = (1 << 20) / (1 + brackets);
        let build = |pattern: &str| {
            regex_lite::RegexBuilder::new(pattern)
                .case_insensitive(fold)
                .dot_matches_new_line(true)
                .size_limit(size_limit)
                .nest_limit(40)
                .build()
                .ok()
        };
        Some(Self {
            search: build(&translated.text)?,
            whole: build(&format!("^(?:{})$", translated.text))?,
            alternatives: translated.alternatives,
            optional_groups: translated.optional_groups,
            groups: translated.groups,
            ascii_only: translated.classes || fold,
        })
    }

    /// Whether what the text matches is not known.
    fn is_uncertain(&self, text: &str) -> bool {
        self.ascii_only && !text.is_ascii()
    }

    /// Whether some of the text matches; `None` where that is not known.
    pub(crate) fn is_match(&self, text: &str) -> Option<bool> {
        (!self.is_uncertain(text)).then(|| self.search.is_match(text))
    }

    /// Whether the whole text matches; `None` where that is not known.
    pub(crate) fn is_whole(&self, text: &str) -> Option<bool> {
        (!self.is_uncertain(text)).then(|| self.whole.is_match(text))
    }

    /// The longest match from a byte offset on, groups left aside.
    pub(crate) fn whole_match(&self, text: &str, at: usize) -> Groups {
        if self.is_uncertain(text) {
            return Groups::Ambiguous;
        }
        let Some(found) = self.search.find_at(text, at).map(|found| found.range()) else {
            return Groups::None;
        };
        if (self.alternatives || self.optional_groups) && !self.unique(text, &found) {
            return Groups::Ambiguous;
        }
        Groups::Found(vec![Some(found)])
    }

    /// How many groups the expression has.
    pub(crate) fn group_count(&self) -> usize {
        self.search.captures_len() - 1
    }

    pub(crate) fn groups(&self, text: &str) -> Groups {
        self.groups_at(text, 0)
    }

    /// Searches from a byte offset on.
    pub(crate) fn groups_at(&self, text: &str, at: usize) -> Groups {
        if self.is_uncertain(text) {
            return Groups::Ambiguous;
        }
        let Some(captures) = self.search.captures_at(text, at) else {
            return Groups::None;
        };
        let ranges: Vec<_> = (0..captures.len())
            .map(|index| captures.get(index).map(|m| m.range()))
            .collect();
        let risky = self.alternatives || self.optional_groups;
        if risky && let Some(Some(found)) = ranges.first() {
            if self.groups {
                // Which way the groups divide the match may differ too.
                return if self.alternatives && !self.optional_groups && self.unique(text, found) {
                    Groups::Found(ranges)
                } else {
                    Groups::Ambiguous
                };
            }
            if !self.unique(text, found) {
                return Groups::Ambiguous;
            }
        }
        Groups::Found(ranges)
    }

    /// Whether no longer match begins at the same place.
    fn unique(&self, text: &str, found: &Range<usize>) -> bool {
        let longer = text[found.end..]
            .char_indices()
            .map(|(at, c)| found.end + at + c.len_utf8());
        // Anchors inside would see another end of text; few texts are longer than a version.
        text.len() - found.end <= 400
            && !longer
                .into_iter()
                .any(|end| self.whole.is_match(&text[found.start..end]))
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one way in which the two engines may differ"
)]
struct Translated {
    text: String,
    alternatives: bool,
    optional_groups: bool,
    groups: bool,
    /// A class such as `[:alpha:]` or `\w` is in it.
    classes: bool,
}

/// Rewrites a POSIX expression in the engine's syntax.
#[expect(
    clippy::too_many_lines,
    reason = "one match over the special characters, whose arms share the state"
)]
fn translate(pattern: &str, extended: bool) -> Option<Translated> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = Translated {
        text: String::new(),
        alternatives: false,
        optional_groups: false,
        groups: false,
        classes: false,
    };
    let mut at = 0;
    let mut open = 0_u32;
    // Whether something that can be repeated precedes.
    let mut atom = false;
    let mut after_group = false;
    while at < chars.len() {
        let c = chars[at];
        at += 1;
        let (special, c) = match c {
            '\\' => {
                let next = *chars.get(at)?;
                at += 1;
                match next {
                    '(' | ')' | '{' | '}' | '|' | '+' | '?' => (!extended, next),
                    'w' | 'W' | 's' | 'S' | 'b' | 'B' => {
                        out.classes = true;
                        out.text.push('\\');
                        out.text.push(next);
                        atom = true;
                        after_group = false;
                        continue;
                    }
                    'n' => (false, '\n'),
                    't' => (false, '\t'),
                    '<' | '>' | '`' | '\'' => return None,
                    c if c.is_ascii_alphanumeric() => return None,
                    c => (false, c),
                }
            }
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => (extended, c),
            '*' | '.' | '[' | '^' | '$' => (true, c),
            c => (false, c),
        };
        if !special {
            if matches!(
                c,
                '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$'
            ) {
                out.text.push('\\');
            }
            out.text.push(c);
            (atom, after_group) = (true, false);
            continue;
        }
        match c {
            '.' => {
                out.text.push('.');
                (atom, after_group) = (true, false);
            }
            '[' => {
                at = bracket(&chars, at, &mut out)?;
                (atom, after_group) = (true, false);
            }
            '(' => {
                open += 1;
                out.groups = true;
                out.text.push('(');
                (atom, after_group) = (false, false);
            }
            ')' => {
                open = open.checked_sub(1)?;
                out.text.push(')');
                (atom, after_group) = (true, true);
            }
            '|' => {
                out.alternatives = true;
                out.text.push('|');
                (atom, after_group) = (false, false);
            }
            '^' => {
                // In a basic expression `^` is an anchor only at a start.
                if !extended && atom {
                    out.text.push('\\');
                    out.text.push('^');
                } else {
                    out.text.push('^');
                    atom = false;
                    after_group = false;
                    continue;
                }
                (atom, after_group) = (true, false);
            }
            '$' => {
                let end = at == chars.len()
                    || (chars[at] == '\\' && matches!(chars.get(at + 1), Some(')' | '|')));
                if extended || end {
                    out.text.push('$');
                } else {
                    out.text.push_str("\\$");
                }
                (atom, after_group) = (true, false);
            }
            '*' | '+' | '?' => {
                if !atom {
                    if extended || c != '*' {
                        return None;
                    }
                    out.text.push_str("\\*");
                    (atom, after_group) = (true, false);
                    continue;
                }
                if out.text.ends_with(['*', '+', '?'])
                    && !out.text.ends_with("\\*")
                    && !out.text.ends_with("\\+")
                    && !out.text.ends_with("\\?")
                {
                    // `a*?` would mean a lazy match to the engine.
                    return None;
                }
                out.optional_groups |= after_group;
                out.text.push(c);
                after_group = false;
            }
            '{' => {
                let close = (at..chars.len()).find(|&i| chars[i] == '}')?;
                let inner_end = if extended {
                    close
                } else {
                    close.checked_sub(1)?
                };
                let inner: String = chars.get(at..inner_end)?.iter().collect();
                let valid =
                    !inner.is_empty() && inner.chars().all(|c| c.is_ascii_digit() || c == ',');
                if !valid || !atom || inner.starts_with(',') {
                    return None;
                }
                out.optional_groups |= after_group;
                out.text.push('{');
                out.text.push_str(&inner);
                out.text.push('}');
                at = close + 1;
                after_group = false;
            }
            _ => return None,
        }
    }
    (open == 0).then_some(out)
}

/// Copies a bracket expression, of which the opening is read already.
fn bracket(chars: &[char], from: usize, out: &mut Translated) -> Option<usize> {
    let Translated {
        text: out, classes, ..
    } = out;
    let mut at = from;
    out.push('[');
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let c = *chars.get(at)?;
        if c == ']' && at > first {
            out.push(']');
            return Some(at + 1);
        }
        if c == '[' && matches!(chars.get(at + 1), Some(':')) {
            let close = (at + 2..chars.len().checked_sub(1)?)
                .find(|&i| chars[i] == ':' && chars[i + 1] == ']')?;
            *classes = true;
            out.extend(&chars[at..close + 2]);
            at = close + 2;
            continue;
        }
        if c == '[' && matches!(chars.get(at + 1), Some('.' | '=')) {
            return None;
        }
        if matches!(c, '[' | ']' | '\\' | '&' | '~' | '^')
            || c == '-' && (at == first || chars.get(at + 1) == Some(&']'))
        {
            out.push('\\');
        }
        out.push(c);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_do_not_multiply_the_memory() {
        assert!(Regex::extended(&"(a|b)".repeat(20), false).is_some());
        assert!(Regex::extended(&"(a|b)".repeat(3_000), false).is_none());
    }
}
