//! Filters that pass whole lines on.

use crate::evaluate::dynamic::Stop;
use crate::evaluate::shell::Shell;

pub(super) fn cat(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let files: Vec<&str> = args.iter().copied().filter(|arg| *arg != "--").collect();
    if let Some(flag) = files
        .iter()
        .find(|arg| arg.starts_with('-') && arg.len() > 1)
    {
        return Err(shell.unsupported("cat", *flag));
    }
    let contents = shell.filter_input(&files)?;
    shell.write(&contents.text)?;
    Ok(contents.status(0, 1))
}

/// Splits `-n 3`, `-n3`, `-3` and `-c 3` from the files.
fn count<'a>(
    shell: &mut Shell,
    name: &str,
    args: &[&'a str],
) -> Result<(bool, String, Vec<&'a str>), Stop> {
    let (mut bytes, mut number, mut files) = (false, "10".to_owned(), Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let arg = *arg;
        match arg {
            "-n" | "-c" => {
                bytes = arg == "-c";
                rest.next().copied().unwrap_or("").clone_into(&mut number);
            }
            _ if arg.starts_with("-n") || arg.starts_with("-c") => {
                bytes = arg.starts_with("-c");
                arg[2..].clone_into(&mut number);
            }
            _ if arg.starts_with("--lines=") => arg[8..].clone_into(&mut number),
            _ if arg.starts_with("--bytes=") => {
                bytes = true;
                arg[8..].clone_into(&mut number);
            }
            "-" => files.push(arg),
            _ if arg.starts_with('-') => {
                if !arg[1..].bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(shell.unsupported(name, arg));
                }
                arg[1..].clone_into(&mut number);
            }
            _ if name == "tail" && arg.starts_with('+') => arg.clone_into(&mut number),
            _ => files.push(arg),
        }
    }
    if files.len() > 1 {
        return Err(shell.unsupported(name, "headers between several files"));
    }
    Ok((bytes, number, files))
}

pub(super) fn head(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let (bytes, number, files) = count(shell, "head", args)?;
    let Ok(count) = number.parse::<i64>() else {
        return Err(shell.unsupported("head", number));
    };
    let contents = shell.filter_input(&files)?;
    let text = &contents.text;
    if bytes {
        let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
        let end = if number.starts_with('-') {
            (length + count).max(0)
        } else {
            count.min(length)
        };
        let end = usize::try_from(end).unwrap_or(0);
        let Some(part) = text.get(..end) else {
            return Err(shell.unsupported("head", "it cuts inside a character"));
        };
        shell.write(part)?;
        return Ok(contents.status(0, 1));
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let total = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let keep = if number.starts_with('-') {
        (total + count).max(0)
    } else {
        count
    };
    let part: String = lines
        .into_iter()
        .take(usize::try_from(keep).unwrap_or(0))
        .collect();
    shell.write(&part)?;
    Ok(contents.status(0, 1))
}

pub(super) fn tail(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let (bytes, number, files) = count(shell, "tail", args)?;
    let from_start = number.starts_with('+');
    let digits = number.trim_start_matches(['+', '-']);
    let Ok(count) = digits.parse::<usize>() else {
        return Err(shell.unsupported("tail", number));
    };
    let contents = shell.filter_input(&files)?;
    let text = &contents.text;
    if bytes {
        let start = if from_start {
            count.saturating_sub(1)
        } else {
            text.len().saturating_sub(count)
        };
        let Some(part) = text.get(start.min(text.len())..) else {
            return Err(shell.unsupported("tail", "it cuts inside a character"));
        };
        shell.write(part)?;
        return Ok(contents.status(0, 1));
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let start = if from_start {
        count.saturating_sub(1)
    } else {
        lines.len().saturating_sub(count)
    };
    let part: String = lines.into_iter().skip(start).collect();
    shell.write(&part)?;
    Ok(contents.status(0, 1))
}
