//! `read` and `mapfile`.

use super::{Call, Outcome};
use crate::evaluate::dynamic::{Field, Reason, Stop};
use crate::evaluate::scope::{Array, Content};
use crate::evaluate::shell::{Shell, is_name};

#[derive(Default)]
struct ReadOptions {
    raw: bool,
    array: Option<String>,
    delimiter: Option<String>,
    descriptor: u32,
    unsupported: Option<char>,
}

pub(super) fn read(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let args = match call.texts() {
        Ok(args) => args,
        Err(Stop::Dynamic(reason)) => {
            // Which variables are assigned is not known.
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let mut options = ReadOptions::default();
    let mut rest = args.as_slice();
    while let Some((flag, tail)) = rest.split_first() {
        let Some(letters) = flag.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            break;
        };
        rest = tail;
        if letters == "-" {
            break;
        }
        let letters = letters.char_indices();
        for (at, letter) in letters {
            match letter {
                'r' => options.raw = true,
                's' | 'e' => {}
                'a' | 'd' | 'u' | 'p' | 'n' | 'N' | 't' | 'i' => {
                    let joined = &flag[at + 2..];
                    let value = if joined.is_empty() {
                        let Some((value, tail)) = rest.split_first() else {
                            return Ok(2.into());
                        };
                        rest = tail;
                        *value
                    } else {
                        joined
                    };
                    match letter {
                        'a' => options.array = Some(value.to_owned()),
                        'd' => options.delimiter = Some(value.chars().take(1).collect()),
                        'u' => options.descriptor = value.parse().unwrap_or(0),
                        'n' | 'N' => options.unsupported = Some(letter),
                        _ => {}
                    }
                    break;
                }
                _ => return Ok(2.into()),
            }
        }
    }
    let mut names: Vec<String> = rest.iter().map(|name| (*name).to_owned()).collect();
    let line = match options.unsupported {
        Some(letter) => Err(shell.unsupported("read", format!("-{letter}"))),
        None => next_line(shell, &options),
    };
    let (line, ended) = match line {
        Ok(found) => found,
        Err(Stop::Dynamic(reason)) => {
            assign_unknown(shell, &options, &names, &reason)?;
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let status = i32::from(!ended);
    let separators = shell.separators();
    let separators = match separators {
        Ok(separators) => separators,
        Err(Stop::Dynamic(reason)) => {
            assign_unknown(shell, &options, &names, &reason)?;
            return Ok(Err(reason).into());
        }
        Err(stop) => return Err(stop),
    };
    if let Some(array) = &options.array {
        let fields = split(&line, &separators, usize::MAX);
        shell.fuel.store(line.len() + fields.len() * 32)?;
        let array_content: Array = fields.into_iter().map(|(text, _)| Ok(text)).collect();
        let name = shell.referent(array)?;
        shell.replace(&name, Content::Array(array_content))?;
        return Ok(status.into());
    }
    if names.is_empty() {
        let text: String = line.iter().map(|(c, _)| *c).collect();
        shell.assign("REPLY", Ok(text), false)?;
        return Ok(status.into());
    }
    let fields = split(&line, &separators, names.len());
    let mut fields = fields.into_iter().map(|(text, _)| text);
    for name in names.drain(..) {
        let value = fields.next().unwrap_or_default();
        shell.assign_named(&name, Ok(value))?;
    }
    Ok(status.into())
}

fn assign_unknown(
    shell: &mut Shell,
    options: &ReadOptions,
    names: &[String],
    reason: &Reason,
) -> Result<(), Stop> {
    if let Some(array) = &options.array {
        return shell.replace(array, Content::Dynamic(reason.clone()));
    }
    if names.is_empty() {
        return shell.assign("REPLY", Err(reason.clone()), false);
    }
    for name in names {
        shell.assign_named(name, Err(reason.clone()))?;
    }
    Ok(())
}

/// Characters of a line and whether a backslash quotes them; whether the delimiter was found.
type Line = Vec<(char, bool)>;

fn next_line(shell: &mut Shell, options: &ReadOptions) -> Result<(Line, bool), Stop> {
    let delimiter = match &options.delimiter {
        None => '\n',
        Some(text) => text.chars().next().unwrap_or('\0'),
    };
    let input = shell.input(options.descriptor)?;
    let mut line = Vec::new();
    let mut ended = false;
    let mut at = input.at;
    let text = &input.text[input.at..];
    let mut chars = text.char_indices();
    at += text.len();
    while let Some((offset, c)) = chars.next() {
        if c == '\\' && !options.raw {
            match chars.next() {
                Some((_, '\n')) | None => {}
                Some((_, quoted)) => line.push((quoted, true)),
            }
            continue;
        }
        if c == delimiter {
            ended = true;
            at = input.at + offset + c.len_utf8();
            break;
        }
        line.push((c, false));
    }
    input.at = at;
    let used = line.len() as u64;
    shell.fuel.spend(used / 8 + 1)?;
    shell.fuel.store(line.len() * 8)?;
    Ok((line, ended))
}

/// Splits as `read` does: at most `limit` fields, the last one takes the rest of the line.
fn split(line: &Line, separators: &str, limit: usize) -> Vec<(String, bool)> {
    let is_separator = |(c, quoted): (char, bool)| !quoted && separators.contains(c);
    let is_blank =
        |piece: (char, bool)| is_separator(piece) && matches!(piece.0, ' ' | '\t' | '\n');
    let mut fields = Vec::new();
    let mut at = 0;
    while at < line.len() && is_blank(line[at]) {
        at += 1;
    }
    let mut end = line.len();
    while end > at && is_blank(line[end - 1]) {
        end -= 1;
    }
    while at < end {
        if fields.len() + 1 == limit {
            let mut last = end;
            // One separator that ends the only field left is dropped with it.
            let rest = &line[at..end];
            let solid = rest
                .iter()
                .filter(|piece| is_separator(**piece) && !is_blank(**piece));
            if solid.count() == 1 && is_separator(line[end - 1]) && !is_blank(line[end - 1]) {
                last = end - 1;
                while last > at && is_blank(line[last - 1]) {
                    last -= 1;
                }
                if line[at..last].iter().any(|piece| is_separator(*piece)) {
                    last = end;
                }
            }
            fields.push((line[at..last].iter().map(|(c, _)| *c).collect(), true));
            return fields;
        }
        let start = at;
        while at < end && !is_separator(line[at]) {
            at += 1;
        }
        fields.push((line[start..at].iter().map(|(c, _)| *c).collect(), true));
        while at < end && is_blank(line[at]) {
            at += 1;
        }
        if at < end && is_separator(line[at]) && !is_blank(line[at]) {
            at += 1;
            while at < end && is_blank(line[at]) {
                at += 1;
            }
        }
    }
    fields
}

pub(super) fn mapfile(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let args = match call.texts() {
        Ok(args) => args,
        Err(Stop::Dynamic(reason)) => {
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let (mut trim, mut delimiter, mut name) = (false, '\n', "MAPFILE");
    let mut unsupported = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match *arg {
            "-t" => trim = true,
            "-d" => delimiter = rest.next().and_then(|d| d.chars().next()).unwrap_or('\0'),
            "-td" => {
                trim = true;
                delimiter = rest.next().and_then(|d| d.chars().next()).unwrap_or('\0');
            }
            "--" => {}
            flag if flag.starts_with('-') => {
                unsupported = Some(flag.to_owned());
                if flag.len() == 2 {
                    rest.next();
                }
            }
            other => name = other,
        }
    }
    if !is_name(name) {
        return Err(Stop::failed(format!("`{name}': not a valid identifier")));
    }
    let text: Result<String, Stop> = match unsupported {
        Some(flag) => Err(shell.unsupported("mapfile", flag)),
        None => shell.read_all(),
    };
    let text: Field = super::super::assign::known(text)?;
    let name = shell.referent(name)?;
    match text {
        Err(reason) => {
            shell.replace(&name, Content::Dynamic(reason.clone()))?;
            Err(reason.into())
        }
        Ok(text) => {
            let lines = text.split_inclusive(delimiter).map(|line| {
                Ok(if trim {
                    line.strip_suffix(delimiter).unwrap_or(line)
                } else {
                    line
                }
                .to_owned())
            });
            let array: Array = lines.collect();
            shell.fuel.store(text.len() + array.len() * 32)?;
            shell.replace(&name, Content::Array(array))?;
            Ok(0.into())
        }
    }
}
