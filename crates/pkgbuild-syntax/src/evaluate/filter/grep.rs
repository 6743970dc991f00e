//! `grep` on standard input or files beside the recipe.

use crate::evaluate::dynamic::Stop;
use crate::evaluate::regex::{Groups, Regex};
use crate::evaluate::shell::Shell;

pub(super) fn grep(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    run(shell, args, 'G')
}

pub(super) fn egrep(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    run(shell, args, 'E')
}

pub(super) fn fgrep(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    run(shell, args, 'F')
}

#[expect(clippy::struct_excessive_bools, reason = "each is one flag of grep")]
#[derive(Default)]
struct Flags {
    invert: bool,
    quiet: bool,
    count: bool,
    only: bool,
    fold: bool,
    line: bool,
    limit: Option<usize>,
}

struct Request<'a> {
    flags: Flags,
    kind: char,
    patterns: Vec<&'a str>,
    files: Vec<&'a str>,
}

fn request<'a>(shell: &mut Shell, args: &[&'a str], kind: char) -> Result<Request<'a>, Stop> {
    let mut request = Request {
        flags: Flags::default(),
        kind,
        patterns: Vec::new(),
        files: Vec::new(),
    };
    let flags = &mut request.flags;
    let mut rest = args.iter();
    let mut more = true;
    while let Some(arg) = rest.next() {
        let arg = *arg;
        if !more || arg == "-" || !arg.starts_with('-') {
            request.files.push(arg);
            continue;
        }
        match arg {
            "--" => more = false,
            "--quiet" | "--silent" => flags.quiet = true,
            "--invert-match" => flags.invert = true,
            "--ignore-case" => flags.fold = true,
            "--only-matching" => flags.only = true,
            "--count" => flags.count = true,
            "--extended-regexp" => request.kind = 'E',
            "--fixed-strings" => request.kind = 'F',
            _ if arg.starts_with("--color") => {}
            _ if arg.starts_with("--") => return Err(shell.unsupported("grep", arg)),
            _ => {
                for (at, letter) in arg.char_indices().skip(1) {
                    match letter {
                        'E' | 'F' | 'G' => request.kind = letter,
                        'v' => flags.invert = true,
                        'q' => flags.quiet = true,
                        'c' => flags.count = true,
                        'o' => flags.only = true,
                        'i' | 'y' => flags.fold = true,
                        'x' => flags.line = true,
                        'h' | 's' => {}
                        'e' | 'm' => {
                            let joined = &arg[at + 1..];
                            let value = if joined.is_empty() {
                                rest.next().copied().unwrap_or("")
                            } else {
                                joined
                            };
                            if letter == 'e' {
                                request.patterns.push(value);
                            } else if let Ok(limit) = value.parse() {
                                flags.limit = Some(limit);
                            } else {
                                return Err(shell.unsupported("grep", format!("-m{value}")));
                            }
                            break;
                        }
                        other => return Err(shell.unsupported("grep", format!("-{other}"))),
                    }
                }
            }
        }
    }
    Ok(request)
}

fn run(shell: &mut Shell, args: &[&str], kind: char) -> Result<i32, Stop> {
    let Request {
        flags,
        kind,
        mut patterns,
        mut files,
    } = request(shell, args, kind)?;
    if patterns.is_empty() {
        if files.is_empty() {
            shell.complain();
            return Ok(2);
        }
        patterns.push(files.remove(0));
    }
    if files.len() > 1 {
        return Err(shell.unsupported("grep", "names of several files"));
    }
    let mut compiled = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| pattern.split('\n')) {
        let regex = match kind {
            'F' => Regex::extended(&escape(pattern), flags.fold),
            'E' => Regex::extended(pattern, flags.fold),
            _ => Regex::basic(pattern, flags.fold),
        };
        match regex {
            Some(regex) => compiled.push(regex),
            None => return Err(shell.unsupported("grep", format!("the expression {pattern}"))),
        }
    }
    let contents = shell.filter_input(&files)?;
    if contents.missing > 0 {
        return Ok(2);
    }
    let text = contents.text;
    let mut out = String::new();
    let mut found = 0_usize;
    for line in text.lines() {
        shell.fuel.spend(1 + line.len() as u64)?;
        let mut hit = false;
        for regex in &compiled {
            let matches = if flags.line {
                regex.is_whole(line)
            } else {
                regex.is_match(line)
            };
            hit |= matches.ok_or_else(|| shell.unsupported("grep", BEYOND_ASCII))?;
        }
        if hit == flags.invert {
            continue;
        }
        found += 1;
        if flags.only && !flags.invert {
            let [regex] = compiled.as_slice() else {
                return Err(shell.unsupported("grep", "-o with several expressions"));
            };
            let mut at = 0;
            while at <= line.len() {
                shell.fuel.spend(line.len() as u64 + 1)?;
                match regex.whole_match(line, at) {
                    Groups::None => break,
                    Groups::Ambiguous => {
                        return Err(
                            shell.unsupported("grep", "-o where several matches are possible")
                        );
                    }
                    Groups::Found(groups) => {
                        let Some(Some(range)) = groups.into_iter().next() else {
                            break;
                        };
                        if range.is_empty() {
                            at = range.end
                                + line[range.end..].chars().next().map_or(1, char::len_utf8);
                            continue;
                        }
                        out.push_str(&line[range.clone()]);
                        out.push('\n');
                        at = range.end;
                    }
                }
            }
        } else {
            out.push_str(line);
            out.push('\n');
        }
        if flags.limit == Some(found) {
            break;
        }
    }
    if flags.count {
        shell.write(&format!("{found}\n"))?;
    } else if !flags.quiet {
        shell.write(&out)?;
    }
    Ok(i32::from(found == 0))
}

const BEYOND_ASCII: &str = "a class or letter case beyond ASCII";

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
