//! Patterns of gitattributes(5), which are those of gitignore(5): git's `wildmatch.c`, in time that grows as the length of
//! the pattern times that of the path. git's own goes back and tries again, which a pattern can be made for.

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Byte(u8),
    /// `?`
    One,
    /// `[...]`
    Class(Box<Class>),
    /// `*`: anything without a slash.
    Star,
    /// `**` at the end or before `\/`: anything.
    Anything,
    /// `**/`: nothing, or anything that ends in a slash.
    Directories,
}

/// The bytes that a `[...]` stands for; never a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class([u64; 4]);

impl Class {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }
}

/// A pattern of one line.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// It ends in a slash and is for directories alone.
    directories_only: bool,
    /// It has no slash, so that the last part of a path is compared.
    base_only: bool,
    /// What precedes the first wildcard.
    literal: Vec<u8>,
    /// The rest; nothing at all when no path can match.
    steps: Option<Vec<Step>>,
}

impl Pattern {
    /// Reads a pattern: git's `parse_path_pattern`. Nothing for one that begins with `!`, which git leaves out.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.starts_with(b"!") {
            return None;
        }
        let (text, directories_only) = match text.strip_suffix(b"/") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let base_only = !text.contains(&b'/');
        let text = text.strip_prefix(b"/").unwrap_or(text);
        let plain = text
            .iter()
            .position(|byte| b"*?[\\".contains(byte))
            .unwrap_or(text.len());
        let (literal, rest) = text.split_at(plain);
        Some(Self {
            directories_only,
            base_only,
            literal: literal.to_vec(),
            steps: steps(literal.last().copied(), rest),
        })
    }

    /// Whether a path matches, and what finding out has cost, in comparisons of one byte. `path` is below the directory
    /// of the pattern; `base` is where its last part begins.
    pub(super) fn matches(&self, path: &[u8], base: usize, is_directory: bool) -> (bool, u64) {
        let Some(steps) = &self.steps else {
            return (false, 1);
        };
        if self.directories_only && !is_directory {
            return (false, 1);
        }
        let text = if self.base_only {
            path.get(base..).unwrap_or_default()
        } else {
            path
        };
        let Some(rest) = text.strip_prefix(self.literal.as_slice()) else {
            return (false, 1);
        };
        match steps.as_slice() {
            [] => (rest.is_empty() && !text.is_empty(), 1),
            [Step::Star, tail @ ..] if tail.iter().all(|step| matches!(step, Step::Byte(_))) => {
                (ends_with(rest, tail), 1 + tail.len() as u64 / 8)
            }
            steps => (run(steps, rest), 1 + (steps.len() * rest.len()) as u64),
        }
    }
}

/// `*` and bytes against what is left of the text: the commonest pattern.
fn ends_with(text: &[u8], tail: &[Step]) -> bool {
    let Some(start) = text.len().checked_sub(tail.len()) else {
        return false;
    };
    let (starred, end) = text.split_at(start);
    let same = end
        .iter()
        .zip(tail)
        .all(|(byte, step)| *step == Step::Byte(*byte));
    same && !starred.contains(&b'/')
}

/// All places in the pattern that the text so far can have led to, moved on byte by byte.
fn run(steps: &[Step], text: &[u8]) -> bool {
    let mut now = vec![false; steps.len() + 1];
    let mut next = now.clone();
    enter(steps, &mut now, 0);
    for byte in text {
        next.fill(false);
        let mut any = false;
        for at in (0..steps.len()).filter(|at| now[*at]) {
            let (stays, goes_on) = match &steps[at] {
                Step::Byte(wanted) => (false, wanted == byte),
                Step::One => (false, *byte != b'/'),
                Step::Class(class) => (false, class.holds(*byte)),
                Step::Star => (*byte != b'/', false),
                Step::Anything => (true, false),
                Step::Directories => (true, *byte == b'/'),
            };
            if goes_on {
                enter(steps, &mut next, at + 1);
            }
            if stays {
                next[at] = true;
                if !matches!(steps[at], Step::Directories) {
                    enter(steps, &mut next, at + 1);
                }
            }
            any |= stays || goes_on;
        }
        if !any {
            return false;
        }
        std::mem::swap(&mut now, &mut next);
    }
    now[steps.len()]
}

/// Marks a place, and those that nothing more has to be read for.
fn enter(steps: &[Step], places: &mut [bool], mut at: usize) {
    loop {
        places[at] = true;
        match steps.get(at) {
            Some(Step::Star | Step::Anything | Step::Directories) => at += 1,
            _ => return,
        }
    }
}

/// Reads what follows the literal beginning; nothing for what can match no path, such as a `[` without its `]`.
fn steps(before: Option<u8>, text: &[u8]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        let step = match byte {
            b'\\' => {
                let escaped = text.get(at)?;
                at += 1;
                Step::Byte(*escaped)
            }
            b'?' => Step::One,
            b'[' => Step::Class(Box::new(class(text, &mut at)?)),
            b'*' => {
                let first = at - 1;
                while text.get(at) == Some(&b'*') {
                    at += 1;
                }
                let preceding = match first {
                    0 => before,
                    first => Some(text[first - 1]),
                };
                let is_bounded = at - first > 1 && preceding.is_none_or(|byte| byte == b'/');
                match text.get(at..).unwrap_or_default() {
                    [] | [b'\\', b'/', ..] if is_bounded => Step::Anything,
                    [b'/', ..] if is_bounded => {
                        at += 1;
                        Step::Directories
                    }
                    _ => Step::Star,
                }
            }
            byte => Step::Byte(*byte),
        };
        steps.push(step);
    }
    Some(steps)
}

/// Reads a class; `at` is behind its `[` before and behind its `]` after.
fn class(text: &[u8], at: &mut usize) -> Option<Class> {
    let mut class = Class([0; 4]);
    let negated = matches!(text.get(*at)?, b'!' | b'^');
    if negated {
        *at += 1;
    }
    // What a `-` would begin a range with.
    let mut previous: Option<u8> = None;
    loop {
        let byte = *text.get(*at)?;
        *at += 1;
        match byte {
            b'\\' => {
                let escaped = *text.get(*at)?;
                *at += 1;
                class.add(escaped);
                previous = Some(escaped);
            }
            b'-' if previous.is_some() && text.get(*at).is_some_and(|next| *next != b']') => {
                let mut last = *text.get(*at)?;
                *at += 1;
                if last == b'\\' {
                    last = *text.get(*at)?;
                    *at += 1;
                }
                for byte in previous.unwrap_or(last)..=last {
                    class.add(byte);
                }
                previous = None;
            }
            b'[' if text.get(*at) == Some(&b':') => {
                let rest = text.get(*at + 1..)?;
                let end = rest.iter().position(|byte| *byte == b']')?;
                if let Some(name) = rest.get(..end).and_then(|name| name.strip_suffix(b":")) {
                    let holds = named(name)?;
                    (0..=u8::MAX).filter(holds).for_each(|byte| class.add(byte));
                    // Behind the `]` of the name; that of the class follows.
                    *at += 2 + end;
                    previous = None;
                } else {
                    class.add(b'[');
                    previous = Some(b'[');
                }
            }
            byte => {
                class.add(byte);
                previous = Some(byte);
            }
        }
        if *text.get(*at)? == b']' {
            *at += 1;
            break;
        }
    }
    if negated {
        class.0.iter_mut().for_each(|word| *word = !*word);
    }
    class.0[0] &= !(1 << b'/');
    Some(class)
}

fn named(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        // git's own tables leave out the vertical tab and the form feed.
        b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}
