//! `cut`.

use crate::evaluate::dynamic::Stop;
use crate::evaluate::shell::Shell;

/// Positions to keep, from 1; an open end is `usize::MAX`.
fn ranges(list: &str) -> Option<Vec<(usize, usize)>> {
    list.split([',', ' '])
        .map(|part| {
            let range = match part.split_once('-') {
                None => {
                    let at = part.parse().ok()?;
                    (at, at)
                }
                Some(("", "")) => return None,
                Some(("", end)) => (1, end.parse().ok()?),
                Some((start, "")) => (start.parse().ok()?, usize::MAX),
                Some((start, end)) => (start.parse().ok()?, end.parse().ok()?),
            };
            (range.0 >= 1 && range.0 <= range.1).then_some(range)
        })
        .collect()
}

pub(super) fn cut(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let mut delimiter = "\t".to_owned();
    let mut output = None;
    let (mut kind, mut list) = (' ', String::new());
    let (mut only_delimited, mut complement) = (false, false);
    let mut files = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let arg = *arg;
        if arg == "-" || !arg.starts_with('-') {
            files.push(arg);
        } else if let Some(value) = arg.strip_prefix("--delimiter=") {
            value.clone_into(&mut delimiter);
        } else if let Some(value) = arg.strip_prefix("--fields=") {
            (kind, list) = ('f', value.to_owned());
        } else if let Some(value) = arg.strip_prefix("--output-delimiter=") {
            output = Some(value.to_owned());
        } else if arg == "--complement" {
            complement = true;
        } else if arg == "--only-delimited" {
            only_delimited = true;
        } else if arg.starts_with("--") {
            return Err(shell.unsupported("cut", arg));
        } else {
            let letters = arg[1..].char_indices();
            for (at, letter) in letters {
                match letter {
                    's' => only_delimited = true,
                    'd' | 'f' | 'c' | 'b' => {
                        let joined = &arg[1 + at + 1..];
                        let value = if joined.is_empty() {
                            rest.next().copied().unwrap_or("")
                        } else {
                            joined
                        };
                        if letter == 'd' {
                            value.clone_into(&mut delimiter);
                        } else {
                            (kind, list) = (letter, value.to_owned());
                        }
                        break;
                    }
                    other => return Err(shell.unsupported("cut", format!("-{other}"))),
                }
            }
        }
    }
    let ranges = ranges(&list);
    let (Some(ranges), true) = (ranges, delimiter.len() == 1) else {
        if delimiter.len() <= 1 || delimiter.chars().count() > 1 {
            shell.complain();
            return Ok(1);
        }
        return Err(shell.unsupported("cut", "a delimiter that is not ASCII"));
    };
    let keeps =
        |at: usize| ranges.iter().any(|(from, to)| (*from..=*to).contains(&at)) != complement;
    let contents = shell.filter_input(&files)?;
    let text = &contents.text;
    shell.fuel.spend(text.len() as u64)?;
    if kind != 'f' && !text.is_ascii() {
        return Err(shell.unsupported("cut", "bytes of text that is not ASCII"));
    }
    let mut out = String::new();
    for line in text.lines() {
        if kind == 'f' {
            if !line.contains(&delimiter) {
                if !only_delimited {
                    out.push_str(line);
                    out.push('\n');
                }
                continue;
            }
            let kept: Vec<&str> = line
                .split(&delimiter)
                .enumerate()
                .filter(|(at, _)| keeps(at + 1))
                .map(|(_, field)| field)
                .collect();
            out.push_str(&kept.join(output.as_deref().unwrap_or(&delimiter)));
        } else {
            if output.is_some() {
                return Err(shell.unsupported("cut", "--output-delimiter of characters"));
            }
            out.extend(
                line.chars()
                    .enumerate()
                    .filter(|(at, _)| keeps(at + 1))
                    .map(|(_, c)| c),
            );
        }
        out.push('\n');
    }
    shell.write(&out)?;
    Ok(contents.status(0, 1))
}
