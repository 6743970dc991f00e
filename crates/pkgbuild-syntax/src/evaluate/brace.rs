//! Brace expansion on the text of a word. Source: bash(1), "Brace Expansion".

use super::budget::{Exhausted, Fuel};

const MAX_DEPTH: u32 = 40;

/// Expands the braces of a word; `None` when none of them is an expansion.
pub(crate) fn expand(text: &str, fuel: &mut Fuel) -> Result<Option<Vec<String>>, Exhausted> {
    let expanded = words(text, fuel, 0)?;
    Ok(if expanded.len() == 1 && expanded[0] == text {
        None
    } else {
        Some(expanded)
    })
}

fn words(text: &str, fuel: &mut Fuel, depth: u32) -> Result<Vec<String>, Exhausted> {
    if depth > MAX_DEPTH {
        return Err(Exhausted::Depth);
    }
    let mut prefixes = vec![String::new()];
    let mut rest = text;
    // Each round handles one opening brace that turns out to be an expansion.
    'text: loop {
        let mut from = 0;
        loop {
            fuel.spend(1 + rest.len() as u64 / 32)?;
            let Some(open) = next_open(rest, from) else {
                append(&mut prefixes, &[rest.to_owned()], fuel)?;
                return Ok(prefixes);
            };
            let Some((close, commas)) = matching(rest, open) else {
                from = open + 1;
                continue;
            };
            let inner = &rest[open + 1..close];
            let choices = if commas.is_empty() {
                if let Some(sequence) = sequence(inner, fuel)? {
                    sequence
                } else {
                    from = open + 1;
                    continue;
                }
            } else {
                let mut choices = Vec::new();
                let mut start = open + 1;
                for &end in commas.iter().chain([&close]) {
                    choices.extend(words(&rest[start..end], fuel, depth + 1)?);
                    start = end + 1;
                }
                choices
            };
            append(&mut prefixes, &[rest[..open].to_owned()], fuel)?;
            append(&mut prefixes, &choices, fuel)?;
            rest = &rest[close + 1..];
            continue 'text;
        }
    }
}

/// Every prefix followed by every choice.
fn append(
    prefixes: &mut Vec<String>,
    choices: &[String],
    fuel: &mut Fuel,
) -> Result<(), Exhausted> {
    if let ([prefix], [choice]) = (prefixes.as_mut_slice(), choices) {
        prefix.push_str(choice);
        return Ok(());
    }
    fuel.spend(prefixes.len() as u64 * choices.len() as u64)?;
    let mut products = Vec::with_capacity(prefixes.len() * choices.len());
    for prefix in prefixes.iter() {
        for choice in choices {
            fuel.store(prefix.len() + choice.len() + 24)?;
            products.push(format!("{prefix}{choice}"));
        }
    }
    *prefixes = products;
    Ok(())
}

/// The byte behind a quoted stretch, a `$…` construct or a single character at `at`.
fn skip(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    match bytes[at] {
        b'\\' => at + 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        b'\'' => text[at + 1..]
            .find('\'')
            .map_or(text.len(), |end| at + end + 2),
        quote @ (b'"' | b'`') => {
            let mut next = at + 1;
            while next < text.len() && bytes[next] != quote {
                next = match bytes[next] {
                    b'\\' => skip(text, next),
                    b'$' if quote == b'"' => skip(text, next),
                    _ => next + text[next..].chars().next().map_or(1, char::len_utf8),
                };
            }
            (next + 1).min(text.len())
        }
        b'$' => match bytes.get(at + 1) {
            Some(b'{') => skip_bracket(text, at + 1, b'{', b'}'),
            Some(b'(') => skip_bracket(text, at + 1, b'(', b')'),
            Some(b'\'') => {
                let mut next = at + 2;
                while next < text.len() && bytes[next] != b'\'' {
                    next = if bytes[next] == b'\\' {
                        skip(text, next)
                    } else {
                        next + 1
                    };
                }
                (next + 1).min(text.len())
            }
            _ => at + 1,
        },
        _ => at + text[at..].chars().next().map_or(1, char::len_utf8),
    }
}

fn skip_bracket(text: &str, open: usize, opening: u8, closing: u8) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    let mut at = open;
    while at < text.len() {
        if bytes[at] == opening {
            depth += 1;
            at += 1;
        } else if bytes[at] == closing {
            depth -= 1;
            at += 1;
            if depth == 0 {
                return at;
            }
        } else if bytes[at] == b'$' && bytes.get(at + 1) != Some(&b'\'') {
            at += 1;
        } else {
            at = skip(text, at);
        }
    }
    text.len()
}

fn next_open(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while at < text.len() {
        if text.as_bytes()[at] == b'{' {
            return Some(at);
        }
        at = skip(text, at);
    }
    None
}

/// The brace that closes the one at `open`, and the commas between them on the same level.
fn matching(text: &str, open: usize) -> Option<(usize, Vec<usize>)> {
    let bytes = text.as_bytes();
    let mut commas = Vec::new();
    let mut depth = 0_u32;
    let mut at = open;
    while at < text.len() {
        match bytes[at] {
            b'{' => {
                depth += 1;
                at += 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some((at, commas));
                }
                at += 1;
            }
            b',' if depth == 1 => {
                commas.push(at);
                at += 1;
            }
            _ => at = skip(text, at),
        }
    }
    None
}

/// `{a..e}`, `{1..10..2}`; `None` when the text is no sequence.
fn sequence(inner: &str, fuel: &mut Fuel) -> Result<Option<Vec<String>>, Exhausted> {
    let parts: Vec<&str> = inner.split("..").collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, None),
        [first, last, step] => match step.parse::<i64>() {
            Ok(step) => (*first, *last, Some(step)),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    let letter = |text: &str| {
        let mut chars = text.chars();
        let first = chars.next().filter(char::is_ascii_alphabetic)?;
        chars.next().is_none().then_some(first)
    };
    if let (Some(from), Some(to)) = (letter(first), letter(last)) {
        let numbers = range(i64::from(from as u32), i64::from(to as u32), step, fuel)?;
        return Ok(Some(
            numbers
                .into_iter()
                .filter_map(|code| u8::try_from(code).ok())
                .map(|code| match char::from(code) {
                    // Between `Z` and `a` lie characters that mean something in a word; of the
                    // backslash bash leaves nothing.
                    c if c.is_ascii_alphabetic() => c.to_string(),
                    '\\' => "\"\"".to_owned(),
                    c => format!("\\{c}"),
                })
                .collect(),
        ));
    }
    let (Some(from), Some(to)) = (integer(first), integer(last)) else {
        return Ok(None);
    };
    let padded = |text: &str| {
        let digits = text.trim_start_matches(['-', '+']);
        digits.len() > 1 && digits.starts_with('0')
    };
    let width = if padded(first) || padded(last) {
        first.len().max(last.len())
    } else {
        0
    };
    let numbers = range(from, to, step, fuel)?;
    Ok(Some(
        numbers
            .into_iter()
            .map(|number| format!("{number:0width$}"))
            .collect(),
    ))
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn range(from: i64, to: i64, step: Option<i64>, fuel: &mut Fuel) -> Result<Vec<i64>, Exhausted> {
    let step = step.unwrap_or(1).unsigned_abs().max(1);
    let count = from.abs_diff(to) / step + 1;
    fuel.spend(count)?;
    fuel.store(usize::try_from(count.saturating_mul(32)).unwrap_or(usize::MAX))?;
    let mut numbers = Vec::new();
    let mut current = i128::from(from);
    for _ in 0..count {
        numbers.push(i64::try_from(current).unwrap_or(to));
        current += if to >= from {
            i128::from(step)
        } else {
            -i128::from(step)
        };
    }
    Ok(numbers)
}
