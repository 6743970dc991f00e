//! `sed` for the scripts that recipes use: `s`, `y`, `d`, `p`, `q`, with addresses.

mod casing;
mod parser;

use self::casing::{Cased, Casing};
use self::parser::Parser;
use crate::evaluate::dynamic::Stop;
use crate::evaluate::regex::{Groups, Regex};
use crate::evaluate::shell::Shell;

enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

enum Action {
    Substitute {
        regex: Regex,
        with: Vec<Part>,
        all: bool,
        print: bool,
        nth: usize,
    },
    Translate(Vec<(char, char)>),
    Delete,
    Print,
    Quit,
}

enum Part {
    Text(String),
    Group(usize),
    Case(Casing),
}

struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    action: Action,
    inside: bool,
}

#[derive(Default)]
struct Options<'a> {
    quiet: bool,
    extended: bool,
    scripts: Vec<&'a str>,
    files: Vec<&'a str>,
}

fn options<'a>(shell: &mut Shell, args: &[&'a str]) -> Result<Options<'a>, Stop> {
    let mut options = Options::default();
    let Options {
        quiet,
        extended,
        scripts,
        files,
    } = &mut options;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match *arg {
            "-n" | "--quiet" | "--silent" => *quiet = true,
            "-E" | "-r" | "--regexp-extended" => *extended = true,
            "-e" | "--expression" => scripts.extend(rest.next()),
            "-ne" | "-en" => {
                *quiet = true;
                scripts.extend(rest.next());
            }
            "-re" | "-Ee" => {
                *extended = true;
                scripts.extend(rest.next());
            }
            "-nr" | "-nE" | "-rn" | "-En" => (*quiet, *extended) = (true, true),
            "-" => files.push("-"),
            arg if arg.starts_with("--expression=") => scripts.push(&arg[13..]),
            arg if arg.starts_with("-e") => scripts.push(&arg[2..]),
            arg if arg.starts_with('-') => return Err(shell.unsupported("sed", arg)),
            arg => files.push(arg),
        }
    }
    Ok(options)
}

pub(super) fn sed(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let Options {
        quiet,
        extended,
        mut scripts,
        mut files,
    } = options(shell, args)?;
    if scripts.is_empty() {
        if files.is_empty() {
            shell.complain();
            return Ok(1);
        }
        scripts.push(files.remove(0));
    }
    let script = scripts.join("\n");
    let Some(mut commands) = Parser::new(&script, extended).commands() else {
        return Err(shell.unsupported("sed", script));
    };
    if commands.iter().any(Command::refers_to_no_group) {
        shell.complain();
        return Ok(1);
    }
    let contents = shell.filter_input(&files)?;
    let text = &contents.text;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let (content, end) = line
            .strip_suffix('\n')
            .map_or((*line, ""), |line| (line, "\n"));
        let last = index + 1 == lines.len();
        let mut space = content.to_owned();
        let (mut deleted, mut quits) = (false, false);
        for command in &mut commands {
            shell.fuel.spend(1 + space.len() as u64)?;
            match command.applies(index + 1, last, &space) {
                Some(true) => {}
                Some(false) => continue,
                None => return Err(shell.unsupported("sed", "a class beyond ASCII")),
            }
            match &command.action {
                Action::Delete => {
                    deleted = true;
                    break;
                }
                Action::Print => {
                    out.push_str(&space);
                    out.push('\n');
                }
                Action::Quit => {
                    quits = true;
                    break;
                }
                Action::Translate(map) => {
                    space = translated(&space, map);
                }
                Action::Substitute {
                    regex,
                    with,
                    all,
                    print,
                    nth,
                } => match substituted(shell, &space, regex, with, *all, *nth)? {
                    Substituted::Changed(changed) => {
                        space = changed;
                        if *print {
                            out.push_str(&space);
                            out.push('\n');
                        }
                    }
                    Substituted::Unchanged => {}
                    Substituted::Ambiguous => {
                        return Err(
                            shell.unsupported("sed", "an expression with several possible matches")
                        );
                    }
                },
            }
        }
        if !quiet && !deleted {
            out.push_str(&space);
            out.push_str(end);
        }
        if quits {
            break;
        }
    }
    shell.write(&out)?;
    Ok(contents.status(0, 2))
}

fn translated(text: &str, map: &[(char, char)]) -> String {
    text.chars()
        .map(|c| {
            map.iter()
                .find(|(from, _)| *from == c)
                .map_or(c, |(_, to)| *to)
        })
        .collect()
}

enum Substituted {
    Changed(String),
    Unchanged,
    Ambiguous,
}

fn substituted(
    shell: &mut Shell,
    text: &str,
    regex: &Regex,
    with: &[Part],
    all: bool,
    nth: usize,
) -> Result<Substituted, Stop> {
    let mut out = String::new();
    let (mut at, mut copied, mut count, mut changed) = (0, 0, 0, false);
    let mut last_end = None;
    while at <= text.len() {
        shell.fuel.spend(1 + (text.len() - at) as u64)?;
        let groups = match regex.groups_at(text, at) {
            Groups::None => break,
            Groups::Ambiguous => return Ok(Substituted::Ambiguous),
            Groups::Found(groups) => groups,
        };
        let Some(Some(range)) = groups.first().cloned() else {
            break;
        };
        // An empty match right behind the last one does not count.
        let empty_behind = range.is_empty() && last_end == Some(range.start);
        last_end = Some(range.end);
        if !empty_behind {
            count += 1;
            if count >= nth {
                out.push_str(&text[copied..range.start]);
                let mut cased = Cased::default();
                for part in with {
                    match part {
                        Part::Text(part) => cased.push(&mut out, part),
                        Part::Group(group) => {
                            if let Some(Some(range)) = groups.get(*group) {
                                cased.push(&mut out, &text[range.clone()]);
                            }
                        }
                        Part::Case(casing) => cased.change(*casing),
                    }
                }
                shell.fuel.store(out.len())?;
                copied = range.end;
                changed = true;
                if !all {
                    break;
                }
            }
        }
        at = if range.is_empty() {
            range.end + text[range.end..].chars().next().map_or(1, char::len_utf8)
        } else {
            range.end
        };
    }
    if !changed {
        return Ok(Substituted::Unchanged);
    }
    out.push_str(&text[copied..]);
    Ok(Substituted::Changed(out))
}

impl Command {
    /// Whether the replacement refers to a group that the expression has not, which sed refuses
    /// before it reads anything.
    fn refers_to_no_group(&self) -> bool {
        let Action::Substitute { regex, with, .. } = &self.action else {
            return false;
        };
        let groups = regex.group_count();
        with.iter()
            .any(|part| matches!(part, Part::Group(group) if *group > groups))
    }

    /// Whether the command is for this line; `None` where that is not known.
    fn applies(&mut self, line: usize, last: bool, space: &str) -> Option<bool> {
        let matches = |address: &Address| match address {
            Address::Line(number) => Some(*number == line),
            Address::Last => Some(last),
            Address::Match(regex) => regex.is_match(space),
        };
        let chosen = match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => matches(from)?,
            (Some(from), Some(to)) => {
                if self.inside {
                    self.inside = match to {
                        Address::Line(number) => line < *number,
                        other => !matches(other)?,
                    };
                    true
                } else if matches(from)? {
                    self.inside = match to {
                        Address::Line(number) => line < *number,
                        Address::Last => !last,
                        Address::Match(_) => true,
                    };
                    true
                } else {
                    false
                }
            }
        };
        Some(chosen != self.negated)
    }
}
