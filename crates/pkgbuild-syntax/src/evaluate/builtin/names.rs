//! Which commands exist: `command`, `type`, `hash`, `builtin`.

use super::{Arg, Call, Outcome};
use crate::evaluate::dynamic::{DynamicKind, Stop};
use crate::evaluate::shell::{Flow, Shell};
use crate::evaluate::{declare_f, filter};

/// What a name would run.
enum Found {
    Function,
    Builtin,
    Keyword,
    Program,
    Nothing,
}

const KEYWORDS: &[&str] = &[
    "!", "[[", "]]", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for",
    "function", "if", "in", "select", "then", "time", "until", "while", "{", "}",
];

fn find(shell: &mut Shell, name: &str) -> Result<Found, Stop> {
    if KEYWORDS.contains(&name) {
        return Ok(Found::Keyword);
    }
    match shell.state.functions.get(name) {
        Some(Ok(_)) => return Ok(Found::Function),
        Some(Err(reason)) => return Err(reason.clone().into()),
        None => {}
    }
    if super::exists(name) {
        return Ok(Found::Builtin);
    }
    if super::MAKEPKG_FUNCTIONS.contains(&name) {
        return Ok(Found::Function);
    }
    if name.contains('/') {
        return Err(shell.reason(DynamicKind::File(name.to_owned())).into());
    }
    if let Some(reason) = shell.state.files_changed.clone() {
        return Err(reason.into());
    }
    Ok(if shell.environment.facts.commands.contains(name) {
        Found::Program
    } else {
        Found::Nothing
    })
}

pub(super) fn command(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let mut args = call.args.as_slice();
    let (mut asks, mut verbose) = (false, false);
    while let Some((Arg::Field(Ok(flag)), rest)) = args.split_first() {
        match flag.as_str() {
            "-v" => asks = true,
            "-V" => (asks, verbose) = (true, true),
            "-p" | "--" => {}
            _ => break,
        }
        args = rest;
    }
    if !asks {
        return run_without_functions(shell, call, args);
    }
    let names = Call {
        file: call.file,
        name: call.name,
        args: args.to_vec(),
        unknown: call.unknown.clone(),
        placed: 0,
    };
    let mut status = 1;
    for name in names.texts()? {
        let found = find(shell, name)?;
        match found {
            Found::Nothing => {
                if verbose {
                    shell.complain();
                }
                continue;
            }
            Found::Function | Found::Builtin | Found::Keyword if !verbose => {
                shell.write(&format!("{name}\n"))?;
            }
            _ => {
                let kind = DynamicKind::Host(format!("the path of {name}"));
                let reason = shell.reason(kind);
                shell.taint_output(&reason);
            }
        }
        status = 0;
    }
    Ok(status.into())
}

pub(super) fn builtin(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    run_without_functions(shell, call, &call.args)
}

fn run_without_functions(
    shell: &mut Shell,
    call: &Call<'_>,
    args: &[Arg<'_>],
) -> Result<Outcome, Stop> {
    let (name, rest) = match args.split_first() {
        None if call.unknown.is_none() => return Ok(0.into()),
        Some((Arg::Field(Ok(name)), rest)) => (name, rest),
        _ => {
            let Stop::Dynamic(reason) = shell.unsupported(call.name, "an unknown command name")
            else {
                return Ok(1.into());
            };
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
    };
    let inner = Call {
        file: call.file,
        name,
        args: rest.to_vec(),
        unknown: call.unknown.clone(),
        placed: call.placed.saturating_sub(call.args.len() - rest.len()),
    };
    let flow = shell.deeper(|shell| shell.call_builtin(&inner))?;
    Ok(Outcome {
        status: shell.statuses.last(),
        flow,
    })
}

pub(super) fn hash(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let mut status = 0;
    let names = call.texts()?;
    if names.is_empty() {
        return Err(shell.unsupported("hash", "it lists what was found"));
    }
    for name in names {
        if name == "-r" {
            continue;
        }
        if name.starts_with('-') {
            return Err(shell.unsupported("hash", name));
        }
        if matches!(find(shell, name)?, Found::Nothing | Found::Keyword) {
            shell.complain();
            status = 1;
        }
    }
    Ok(status.into())
}

pub(super) fn type_of(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let mut word = false;
    let mut path = false;
    let mut status = 0;
    for name in call.texts()? {
        match name {
            "-t" => {
                word = true;
                continue;
            }
            "-p" | "-P" => {
                path = true;
                continue;
            }
            flag if flag.starts_with('-') => return Err(shell.unsupported("type", flag)),
            _ => {}
        }
        let found = find(shell, name)?;
        let kind = match found {
            Found::Nothing => {
                if !word && !path {
                    shell.complain();
                }
                status = 1;
                continue;
            }
            Found::Function => "function",
            Found::Builtin => "builtin",
            Found::Keyword => "keyword",
            Found::Program => "file",
        };
        if word {
            shell.write(&format!("{kind}\n"))?;
        } else if matches!(found, Found::Program) || path {
            let reason = shell.reason(DynamicKind::Host(format!("the path of {name}")));
            shell.taint_output(&reason);
        } else if let Some(Ok(function)) = shell.state.functions.get(name).cloned() {
            let text = declare_f::print(&function);
            shell.write(&format!("{name} is a function\n{text}"))?;
        } else {
            shell.write(&format!("{name} is a shell {kind}\n"))?;
        }
    }
    Ok(Outcome {
        status: Ok(status),
        flow: Flow::Next,
    })
}

/// `which`, in the table of filters: only programs count.
pub(crate) fn which(shell: &mut Shell, args: &[&str]) -> Result<i32, Stop> {
    let mut status = 0;
    for name in args.iter().filter(|arg| !arg.starts_with('-')) {
        if let Some(reason) = shell.state.files_changed.clone() {
            return Err(reason.into());
        }
        let known = shell.environment.facts.commands.contains(*name);
        let both = super::exists(name) && filter::find(name).is_some();
        if known || both {
            let reason = shell.reason(DynamicKind::Host(format!("the path of {name}")));
            shell.taint_output(&reason);
        } else if super::exists(name) {
            let kind = DynamicKind::Host(format!("the path of {name}"));
            return Err(shell.reason(kind).into());
        } else {
            shell.complain();
            status = 1;
        }
    }
    Ok(status)
}
