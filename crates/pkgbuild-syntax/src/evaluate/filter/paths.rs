//! `basename` and `dirname`.

use crate::evaluate::dynamic::Stop;
use crate::evaluate::shell::Shell;

fn base(path: &str) -> &str {
    if path.is_empty() {
        return "";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/";
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

pub(super) fn basename(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let mut suffix = "";
    let mut multiple = false;
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match *arg {
            "-a" | "--multiple" => multiple = true,
            "-s" => {
                multiple = true;
                suffix = rest.next().copied().unwrap_or("");
            }
            "--" => {
                names.extend(rest.by_ref().copied());
            }
            arg if arg.starts_with("--suffix=") => {
                multiple = true;
                suffix = &arg[9..];
            }
            arg if arg.starts_with('-') && arg.len() > 1 && names.is_empty() => {
                return Err(shell.unsupported("basename", arg));
            }
            arg => names.push(arg),
        }
    }
    match names.len() {
        0 => {
            shell.complain();
            return Ok(1);
        }
        1 => {}
        2 if !multiple => {
            suffix = names[1];
            names.truncate(1);
        }
        _ if multiple => {}
        _ => {
            shell.complain();
            return Ok(1);
        }
    }
    for name in names {
        let base = base(name);
        let base = match base.strip_suffix(suffix) {
            Some(stem) if !stem.is_empty() => stem,
            _ => base,
        };
        shell.write(&format!("{base}\n"))?;
    }
    Ok(0)
}

pub(super) fn dirname(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    if args.is_empty() {
        shell.complain();
        return Ok(1);
    }
    for path in args {
        if path.starts_with('-') && path.len() > 1 {
            return Err(shell.unsupported("dirname", *path));
        }
        let trimmed = path.trim_end_matches('/');
        let directory = match trimmed.rfind('/') {
            Some(at) => {
                let directory = trimmed[..at].trim_end_matches('/');
                if directory.is_empty() { "/" } else { directory }
            }
            None if trimmed.is_empty() && path.starts_with('/') => "/",
            None => ".",
        };
        shell.write(&format!("{directory}\n"))?;
    }
    Ok(0)
}
