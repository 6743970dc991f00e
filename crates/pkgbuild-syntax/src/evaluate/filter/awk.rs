//! `awk` for the programs that recipes use: a pattern, `print` and `printf` of fields.

mod parse;

use self::parse::Parser;
use crate::evaluate::dynamic::Stop;
use crate::evaluate::printf;
use crate::evaluate::regex::Regex;
use crate::evaluate::shell::Shell;

#[derive(Debug)]
enum Pattern {
    Always,
    Begin,
    End,
    Match(Regex),
    FieldMatch(usize, Regex, bool),
    Line(usize),
    FieldEqual(usize, String, bool),
}

#[derive(Debug, Clone)]
enum Term {
    Text(String),
    Field(usize),
    LastField(usize),
    Count,
    Line,
    Variable(String),
}

/// Terms side by side are joined.
type Joined = Vec<Term>;

#[derive(Debug)]
enum Action {
    Print(Vec<Joined>),
    Printf(Vec<Joined>),
    Exit,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    actions: Vec<Action>,
}

pub(super) fn awk(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let mut separator = " ".to_owned();
    let mut program = None;
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut files = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match *arg {
            "-F" => rest
                .next()
                .copied()
                .unwrap_or(" ")
                .clone_into(&mut separator),
            "-v" => match rest.next().and_then(|text| text.split_once('=')) {
                Some((name, value)) if !value.contains('\\') => match name {
                    "FS" => value.clone_into(&mut separator),
                    "OFS" | "ORS" | "RS" | "NF" | "NR" => {
                        return Err(shell.unsupported("awk", format!("-v {name}")));
                    }
                    _ => variables.push((name.to_owned(), value.to_owned())),
                },
                _ => return Err(shell.unsupported("awk", "-v")),
            },
            arg if program.is_none() && arg.starts_with("-F") => {
                arg[2..].clone_into(&mut separator);
            }
            arg if program.is_none() && arg.starts_with('-') => {
                return Err(shell.unsupported("awk", arg));
            }
            arg if program.is_none() => program = Some(arg),
            arg => files.push(arg),
        }
    }
    let Some(program) = program else {
        return Err(shell.unsupported("awk", "no program"));
    };
    let rules = Parser {
        chars: program.chars().collect(),
        at: 0,
    }
    .rules();
    let Some(rules) = rules else {
        return Err(shell.unsupported("awk", program));
    };
    let splitter = match separator.as_str() {
        " " => None,
        "\\t" | "t" => return Err(shell.unsupported("awk", "-F with a tab")),
        text if text.chars().count() == 1 && text != "\\" => Some(literal(text)),
        text => Some(text.to_owned()),
    };
    let splitter = match splitter {
        None => None,
        Some(pattern) => match Regex::extended(&pattern, false) {
            Some(regex) => Some(regex),
            None => return Err(shell.unsupported("awk", format!("-F {separator}"))),
        },
    };
    let only_begin = rules
        .iter()
        .all(|rule| matches!(rule.pattern, Pattern::Begin));
    let mut program = Program {
        variables,
        out: String::new(),
        exited: false,
    };
    for rule in rules
        .iter()
        .filter(|rule| matches!(rule.pattern, Pattern::Begin))
    {
        program.run(shell, rule, &Record::default())?;
    }
    if !only_begin {
        let text = shell.filter_input(&files)?;
        let mut record = Record::default();
        for (index, line) in text.lines().enumerate() {
            if program.exited {
                break;
            }
            shell.fuel.spend(1 + line.len() as u64)?;
            record = Record::new(shell, line, index + 1, splitter.as_ref())?;
            for rule in &rules {
                if !program.exited && rule.pattern.holds(&record, shell)? {
                    program.run(shell, rule, &record)?;
                }
            }
        }
        for rule in rules
            .iter()
            .filter(|rule| matches!(rule.pattern, Pattern::End))
        {
            program.run(shell, rule, &record)?;
        }
    }
    shell.write(&program.out)?;
    Ok(0)
}

fn literal(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_ascii_punctuation() {
                vec!['\\', c]
            } else {
                vec![c]
            }
        })
        .collect()
}

#[derive(Debug, Default)]
struct Record {
    line: String,
    number: usize,
    fields: Vec<String>,
}

impl Record {
    fn new(
        shell: &mut Shell,
        line: &str,
        number: usize,
        splitter: Option<&Regex>,
    ) -> Result<Self, Stop> {
        let fields = match splitter {
            _ if line.is_empty() => Vec::new(),
            None => line
                .split([' ', '\t', '\n'])
                .filter(|field| !field.is_empty())
                .map(str::to_owned)
                .collect(),
            Some(regex) => match regex.split(line) {
                Some(fields) => fields.into_iter().map(str::to_owned).collect(),
                None => return Err(shell.unsupported("awk", "an ambiguous separator")),
            },
        };
        Ok(Self {
            line: line.to_owned(),
            number,
            fields,
        })
    }

    fn field(&self, index: usize) -> &str {
        match index {
            0 => &self.line,
            index => self.fields.get(index - 1).map_or("", String::as_str),
        }
    }
}

impl Pattern {
    fn holds(&self, record: &Record, shell: &mut Shell) -> Result<bool, Stop> {
        Ok(match self {
            Self::Always => true,
            Self::Begin | Self::End => false,
            Self::Match(regex) => regex.is_match(&record.line),
            Self::FieldMatch(field, regex, negated) => {
                regex.is_match(record.field(*field)) != *negated
            }
            Self::Line(number) => record.number == *number,
            Self::FieldEqual(field, text, negated) => {
                let value = record.field(*field);
                // Two numbers would be compared as numbers.
                if value.trim().parse::<f64>().is_ok() && text.trim().parse::<f64>().is_ok() {
                    return Err(shell.unsupported("awk", "a comparison of numbers"));
                }
                (value == text) != *negated
            }
        })
    }
}

struct Program {
    variables: Vec<(String, String)>,
    out: String,
    exited: bool,
}

impl Program {
    fn text(&self, joined: &Joined, record: &Record) -> String {
        joined
            .iter()
            .map(|term| match term {
                Term::Text(text) => text.clone(),
                Term::Field(index) => record.field(*index).to_owned(),
                Term::LastField(back) => match record.fields.len().checked_sub(*back) {
                    Some(index) => record.field(index).to_owned(),
                    None => String::new(),
                },
                Term::Count => record.fields.len().to_string(),
                Term::Line => record.number.to_string(),
                Term::Variable(name) => self
                    .variables
                    .iter()
                    .rfind(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
                    .unwrap_or_default(),
            })
            .collect()
    }

    fn run(&mut self, shell: &mut Shell, rule: &Rule, record: &Record) -> Result<(), Stop> {
        for action in &rule.actions {
            match action {
                Action::Print(items) => {
                    let items: Vec<String> =
                        items.iter().map(|item| self.text(item, record)).collect();
                    let text = if items.is_empty() {
                        record.line.clone()
                    } else {
                        items.join(" ")
                    };
                    self.out.push_str(&text);
                    self.out.push('\n');
                }
                Action::Printf(items) => {
                    let items: Vec<String> =
                        items.iter().map(|item| self.text(item, record)).collect();
                    let Some((format, args)) = items.split_first() else {
                        continue;
                    };
                    let (simple, wanted) = simple_format(format);
                    // awk formats once and reads numbers in its own way.
                    let numbers = format.contains("%d") || format.contains("%i");
                    let plain = |arg: &String| {
                        !arg.is_empty()
                            && arg.len() < 16
                            && arg.bytes().all(|b| b.is_ascii_digit())
                            && (arg == "0" || !arg.starts_with('0'))
                    };
                    if !simple || wanted > args.len() || (numbers && !args.iter().all(plain)) {
                        return Err(shell.unsupported("awk", format!("printf {format}")));
                    }
                    let args: Vec<&str> = args.iter().take(wanted).map(String::as_str).collect();
                    let (text, _) = printf::format(shell, format, &args)?;
                    self.out.push_str(&text);
                }
                Action::Exit => {
                    self.exited = true;
                    break;
                }
            }
        }
        shell.fuel.store(record.line.len())?;
        Ok(())
    }
}

/// Whether a format has only `%s`, `%d` and their widths, and how many arguments it takes.
fn simple_format(format: &str) -> (bool, usize) {
    let mut count = 0;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            return (false, 0);
        }
        if c != '%' {
            continue;
        }
        while chars
            .peek()
            .is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '.'))
        {
            chars.next();
        }
        match chars.next() {
            Some('%') => {}
            Some('s' | 'd' | 'i') => count += 1,
            _ => return (false, 0),
        }
    }
    (true, count)
}
