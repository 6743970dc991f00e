//! `tr`.

use crate::evaluate::dynamic::Stop;
use crate::evaluate::pattern::in_class;
use crate::evaluate::shell::Shell;

/// The characters of a set in order; `None` for what is not interpreted.
fn set(text: &str) -> Option<Vec<char>> {
    let chars: Vec<char> = text.chars().collect();
    let mut set = Vec::new();
    let mut at = 0;
    let unescaped = |at: &mut usize| -> Option<char> {
        let c = *chars.get(*at)?;
        *at += 1;
        if c != '\\' {
            return Some(c);
        }
        let Some(&escape) = chars.get(*at) else {
            return Some('\\');
        };
        *at += 1;
        Some(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '0'..='7' => return None,
            other => other,
        })
    };
    while at < chars.len() {
        if chars[at] == '[' && chars.get(at + 1) == Some(&':') {
            let close = (at + 2..chars.len().checked_sub(1)?)
                .find(|&i| chars[i] == ':' && chars[i + 1] == ']');
            if let Some(close) = close {
                let name: String = chars[at + 2..close].iter().collect();
                set.extend((0_u8..128).map(char::from).filter(|c| in_class(&name, *c)));
                at = close + 2;
                continue;
            }
        }
        if chars[at] == '[' && (chars.get(at + 1) == Some(&'=') || chars.get(at + 2) == Some(&'*'))
        {
            return None;
        }
        let low = unescaped(&mut at)?;
        if chars.get(at) == Some(&'-') && at + 1 < chars.len() {
            at += 1;
            let high = unescaped(&mut at)?;
            if high < low || u32::from(high) > 127 {
                return None;
            }
            set.extend(low..=high);
        } else {
            set.push(low);
        }
    }
    Some(set)
}

pub(super) fn tr(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let (mut delete, mut squeeze, mut complement, mut truncate) = (false, false, false, false);
    let mut sets = Vec::new();
    let mut flags = true;
    for arg in args {
        match *arg {
            "--delete" if flags => delete = true,
            "--squeeze-repeats" if flags => squeeze = true,
            "--complement" if flags => complement = true,
            "--" if flags => flags = false,
            arg if flags && sets.is_empty() && arg.starts_with('-') && arg.len() > 1 => {
                for letter in arg[1..].chars() {
                    match letter {
                        'd' => delete = true,
                        's' => squeeze = true,
                        'c' | 'C' => complement = true,
                        't' => truncate = true,
                        other => return Err(shell.unsupported("tr", format!("-{other}"))),
                    }
                }
            }
            arg => sets.push(arg),
        }
    }
    let parsed: Option<Vec<Vec<char>>> = sets.iter().map(|text| set(text)).collect();
    let Some(parsed) = parsed else {
        return Err(shell.unsupported("tr", sets.join(" ")));
    };
    let text = shell.read_all()?;
    shell.fuel.spend(text.len() as u64)?;
    // GNU tr works on bytes.
    if !text.is_ascii() || parsed.iter().flatten().any(|c| !c.is_ascii()) {
        return Err(shell.unsupported("tr", "text that is not ASCII"));
    }
    let inside = |set: &[char], c: char| set.contains(&c);
    let squeezed = |text: String, set: &[char], complement: bool| -> String {
        let mut last = None;
        text.chars()
            .filter(|&c| {
                let repeated = last == Some(c) && inside(set, c) != complement;
                last = Some(c);
                !repeated
            })
            .collect()
    };
    let out = match parsed.as_slice() {
        [first] if delete && !squeeze => text
            .chars()
            .filter(|&c| inside(first, c) == complement)
            .collect(),
        [first, second] if delete && squeeze => {
            let kept: String = text
                .chars()
                .filter(|&c| inside(first, c) == complement)
                .collect();
            squeezed(kept, second, false)
        }
        [first] if squeeze && !delete => squeezed(text, first, complement),
        [first, second] if !delete => {
            let Some(&last) = second.last() else {
                shell.complain();
                return Ok(1);
            };
            let mapped: String = text
                .chars()
                .map(|c| {
                    if complement {
                        return if inside(first, c) { c } else { last };
                    }
                    match first.iter().rposition(|known| *known == c) {
                        None => c,
                        Some(at) => match second.get(at) {
                            Some(to) => *to,
                            None if truncate => c,
                            None => last,
                        },
                    }
                })
                .collect();
            if squeeze {
                squeezed(mapped, second, false)
            } else {
                mapped
            }
        }
        _ => {
            shell.complain();
            return Ok(1);
        }
    };
    shell.write(&out)?;
    Ok(0)
}
