//! `test` and `[`, and the tests they share with `[[ … ]]`.

use super::{Call, Outcome};
use crate::evaluate::arithmetic;
use crate::evaluate::dynamic::{DynamicKind, Stop};
use crate::evaluate::shell::{Shell, split_subscript};

pub(super) fn bracket(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let mut args = call.texts()?;
    if args.pop() != Some("]") {
        shell.complain();
        return Ok(2.into());
    }
    evaluate(shell, &args)
}

pub(super) fn test(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let args = call.texts()?;
    evaluate(shell, &args)
}

fn evaluate(shell: &mut Shell, args: &[&str]) -> Result<Outcome, Stop> {
    if args.len() > 1000 {
        return Err(shell.unsupported("test", "more than 1000 arguments"));
    }
    match expression(shell, args) {
        Ok(holds) => Ok(i32::from(!holds).into()),
        Err(Stop::Failed { .. }) => {
            shell.complain();
            Ok(2.into())
        }
        Err(stop) => Err(stop),
    }
}

/// Expressions by the number of arguments, as POSIX has it; longer ones by precedence.
fn expression(shell: &mut Shell, args: &[&str]) -> Result<bool, Stop> {
    match args {
        [] => Ok(false),
        [one] => Ok(!one.is_empty()),
        ["!", one] => Ok(one.is_empty()),
        [operator, operand] => unary(shell, operator, operand),
        [left, operator, right] if is_binary(operator) => binary(shell, left, operator, right),
        ["!", rest @ ..] if rest.len() <= 3 => Ok(!expression(shell, rest)?),
        ["(", one, ")"] => Ok(!one.is_empty()),
        [_, _, _] => Err(Stop::failed("binary operator expected")),
        ["(", inner @ .., ")"] if args.len() == 4 => expression(shell, inner),
        _ => {
            let mut at = 0;
            let value = disjunction(shell, args, &mut at)?;
            if at < args.len() {
                return Err(Stop::failed("too many arguments"));
            }
            Ok(value)
        }
    }
}

fn disjunction(shell: &mut Shell, args: &[&str], at: &mut usize) -> Result<bool, Stop> {
    let mut value = conjunction(shell, args, at)?;
    while args.get(*at) == Some(&"-o") {
        *at += 1;
        value |= conjunction(shell, args, at)?;
    }
    Ok(value)
}

fn conjunction(shell: &mut Shell, args: &[&str], at: &mut usize) -> Result<bool, Stop> {
    let mut value = term(shell, args, at)?;
    while args.get(*at) == Some(&"-a") {
        *at += 1;
        value &= term(shell, args, at)?;
    }
    Ok(value)
}

fn term(shell: &mut Shell, args: &[&str], at: &mut usize) -> Result<bool, Stop> {
    let mut negated = false;
    while args.get(*at) == Some(&"!") {
        negated = !negated;
        *at += 1;
    }
    let rest = &args[*at..];
    let value = match rest {
        [] => return Err(Stop::failed("argument expected")),
        [left, operator, right, ..] if is_binary(operator) => {
            *at += 3;
            binary(shell, left, operator, right)?
        }
        ["(", ..] => {
            *at += 1;
            let value = shell.deeper(|shell| disjunction(shell, args, at))?;
            if args.get(*at) != Some(&")") {
                return Err(Stop::failed("`)' expected"));
            }
            *at += 1;
            value
        }
        [operator, operand, ..] if is_unary(operator) => {
            *at += 2;
            unary(shell, operator, operand)?
        }
        [one, ..] => {
            *at += 1;
            !one.is_empty()
        }
    };
    Ok(value != negated)
}

fn is_binary(operator: &str) -> bool {
    matches!(
        operator,
        "=" | "=="
            | "!="
            | "<"
            | ">"
            | "-eq"
            | "-ne"
            | "-lt"
            | "-le"
            | "-gt"
            | "-ge"
            | "-nt"
            | "-ot"
            | "-ef"
            | "-a"
            | "-o"
    )
}

fn is_unary(operator: &str) -> bool {
    operator.len() == 2
        && operator.starts_with('-')
        && "abcdefghknoprstuvwxzGLNORS".contains(&operator[1..])
}

fn binary(shell: &mut Shell, left: &str, operator: &str, right: &str) -> Result<bool, Stop> {
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-a" => !left.is_empty() && !right.is_empty(),
        "-o" => !left.is_empty() || !right.is_empty(),
        "-nt" | "-ot" | "-ef" => {
            return Err(shell.reason(DynamicKind::File(left.to_owned())).into());
        }
        _ => {
            let (left, right) = (integer(left)?, integer(right)?);
            match operator {
                "-eq" => left == right,
                "-ne" => left != right,
                "-lt" => left < right,
                "-le" => left <= right,
                "-gt" => left > right,
                _ => left >= right,
            }
        }
    })
}

/// `test` takes decimal numbers only, unlike `[[`.
fn integer(text: &str) -> Result<i64, Stop> {
    let text = text.trim_matches([' ', '\t', '\n']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Stop::failed(format!("{text}: integer expression expected")));
    }
    text.trim_start_matches('+')
        .parse()
        .map_err(|_| Stop::failed(format!("{text}: integer expression expected")))
}

fn unary(shell: &mut Shell, operator: &str, operand: &str) -> Result<bool, Stop> {
    if !is_unary(operator) {
        return Err(Stop::failed(format!("{operator}: unary operator expected")));
    }
    file_test(shell, char::from(operator.as_bytes()[1]), operand)
}

/// A test of one operand, by its letter.
pub(crate) fn file_test(shell: &mut Shell, letter: char, operand: &str) -> Result<bool, Stop> {
    match letter {
        'n' => Ok(!operand.is_empty()),
        'z' => Ok(operand.is_empty()),
        'v' => is_set(shell, operand),
        'R' => Ok(shell.is_reference(operand)),
        'o' => Err(shell.unsupported("-o", "a shell option")),
        't' => match arithmetic::number(operand) {
            Some(_) => Err(shell
                .reason(DynamicKind::Host("the terminal".to_owned()))
                .into()),
            None => Ok(false),
        },
        _ if operand.is_empty() => Ok(false),
        _ => {
            if operand == "/dev/null" {
                return Ok(matches!(letter, 'a' | 'e' | 'c' | 'r' | 'w'));
            }
            if operand.starts_with('/') && shell.environment.facts.directory.is_none() {
                return Err(shell.reason(DynamicKind::File(operand.to_owned())).into());
            }
            let path = shell.recipe_path(operand)?;
            let facts = shell.environment.facts.clone();
            let inside = format!("{path}/");
            let directory =
                path.is_empty() || facts.files.keys().any(|name| name.starts_with(&inside));
            let file = path == "PKGBUILD" || facts.files.contains_key(&path);
            Ok(match letter {
                'a' | 'e' | 'r' => file || directory,
                'f' => file,
                'd' => directory,
                's' if path == "PKGBUILD" || directory => true,
                's' => facts
                    .files
                    .get(&path)
                    .is_some_and(|bytes| !bytes.is_empty()),
                _ if !file && !directory => false,
                _ => return Err(shell.reason(DynamicKind::File(operand.to_owned())).into()),
            })
        }
    }
}

fn is_set(shell: &mut Shell, operand: &str) -> Result<bool, Stop> {
    let value = match split_subscript(operand) {
        Some((name, "@" | "*")) => return Ok(!shell.elements(name)?.is_empty()),
        Some((name, subscript)) => {
            let subscript = shell.expand_subscript(name, subscript)?;
            shell.element(name, &subscript)?
        }
        None => match operand.parse::<usize>() {
            Ok(_) => return Err(shell.unsupported("-v", "a positional parameter")),
            Err(_) => shell.scalar(operand),
        },
    };
    match value {
        None => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(reason)) => Err(reason.into()),
    }
}
