//! `set`, `shopt`, `shift`, `trap`, `cd` and `pwd`.

use super::{Arg, Call, Outcome};
use crate::evaluate::dynamic::{DynamicKind, Stop};
use crate::evaluate::scope::{List, Options};
use crate::evaluate::shell::Shell;

/// Reads or changes a `shopt` setting; `None` when it has no meaning here.
fn shopt_slot<'a>(options: &'a mut Options, name: &str) -> Option<&'a mut bool> {
    Some(match name {
        "extglob" => &mut options.extglob,
        "nullglob" => &mut options.nullglob,
        "failglob" => &mut options.failglob,
        "nocasematch" => &mut options.nocasematch,
        "nocaseglob" => &mut options.nocaseglob,
        "dotglob" => &mut options.dotglob,
        "lastpipe" => &mut options.lastpipe,
        _ => return None,
    })
}

/// Settings that change nothing that is interpreted, with bash's default in a script.
const HARMLESS: &[(&str, bool)] = &[
    ("autocd", false),
    ("cdspell", false),
    ("checkwinsize", true),
    ("cmdhist", true),
    ("extquote", true),
    ("globasciiranges", true),
    ("globstar", false),
    ("inherit_errexit", false),
    ("interactive_comments", true),
    ("sourcepath", true),
];

/// Settings of bash 5.2 that are not interpreted; any other name is none.
const OTHERS: &[&str] = &[
    "assoc_expand_once",
    "cdable_vars",
    "checkhash",
    "checkjobs",
    "compat31",
    "compat32",
    "compat40",
    "compat41",
    "compat42",
    "compat43",
    "compat44",
    "complete_fullquote",
    "direxpand",
    "dirspell",
    "execfail",
    "expand_aliases",
    "extdebug",
    "force_fignore",
    "globskipdots",
    "gnu_errfmt",
    "histappend",
    "histreedit",
    "histverify",
    "hostcomplete",
    "huponexit",
    "lithist",
    "localvar_inherit",
    "localvar_unset",
    "login_shell",
    "mailwarn",
    "no_empty_cmd_completion",
    "noexpand_translation",
    "progcomp",
    "progcomp_alias",
    "promptvars",
    "restricted_shell",
    "shift_verbose",
    "varredir_close",
    "xpg_echo",
];

pub(super) fn shopt(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let args = match call.texts() {
        Ok(args) => args,
        Err(Stop::Dynamic(reason)) => {
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let (mut on, mut off, mut quiet, mut print) = (false, false, false, false);
    let mut names = Vec::new();
    for arg in args {
        match arg.strip_prefix('-') {
            Some(letters) => {
                for letter in letters.chars() {
                    match letter {
                        's' => on = true,
                        'u' => off = true,
                        'q' => quiet = true,
                        'p' => print = true,
                        _ => return Err(shell.unsupported("shopt", format!("-{letter}"))),
                    }
                }
            }
            None => names.push(arg.to_owned()),
        }
    }
    if names.is_empty() {
        return Err(shell.unsupported("shopt", "it lists all settings"));
    }
    let doubt = shell.doubt.reason().cloned();
    let mut status = 0;
    for name in names {
        if on || off {
            if let Some(reason) = &doubt {
                shell.forget_everything(reason);
                return Err(reason.clone().into());
            }
            if !is_setting(&name) {
                shell.complain();
                status = 1;
            } else if name == "patsub_replacement" {
                shell.state.options.no_patsub = off;
            } else if let Some(slot) = shopt_slot(&mut shell.state.options, &name) {
                *slot = on;
            } else if !HARMLESS.iter().any(|(known, _)| *known == name) {
                let stop = shell.unsupported("shopt", name);
                if let Stop::Dynamic(reason) = &stop {
                    shell.forget_everything(reason);
                }
                return Err(stop);
            }
            continue;
        }
        if !is_setting(&name) {
            shell.complain();
            status = 1;
            continue;
        }
        let value = match shopt_slot(&mut shell.state.options, &name) {
            Some(slot) => *slot,
            None => match HARMLESS.iter().find(|(known, _)| *known == name) {
                Some((_, default)) => *default,
                None => return Err(shell.unsupported("shopt", name)),
            },
        };
        if !value {
            status = 1;
        }
        if print {
            let flag = if value { "-s" } else { "-u" };
            shell.write(&format!("shopt {flag} {name}\n"))?;
        } else if !quiet {
            let word = if value { "on" } else { "off" };
            shell.write(&format!("{name:<15}\t{word}\n"))?;
        }
    }
    Ok(status.into())
}

/// What `set -o` knows.
const SET_OPTIONS: &[&str] = &[
    "allexport",
    "braceexpand",
    "emacs",
    "errexit",
    "errtrace",
    "functrace",
    "hashall",
    "histexpand",
    "history",
    "ignoreeof",
    "interactive-comments",
    "keyword",
    "monitor",
    "noclobber",
    "noexec",
    "noglob",
    "nolog",
    "notify",
    "nounset",
    "onecmd",
    "physical",
    "pipefail",
    "posix",
    "privileged",
    "verbose",
    "vi",
    "xtrace",
];

fn is_setting(name: &str) -> bool {
    name == "patsub_replacement"
        || OTHERS.contains(&name)
        || HARMLESS.iter().any(|(known, _)| *known == name)
        || shopt_slot(&mut Options::default(), name).is_some()
}

pub(super) fn set(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    if call.args.is_empty() && call.unknown.is_none() {
        return Err(shell.unsupported("set", "it lists all variables"));
    }
    let mut args = call.args.as_slice();
    let mut positional = false;
    while let Some((first, rest)) = args.split_first() {
        let Arg::Field(Ok(text)) = first else { break };
        if text == "--" {
            positional = true;
            args = rest;
            break;
        }
        if text == "-" {
            args = rest;
            break;
        }
        let on = text.starts_with('-');
        if !(on || text.starts_with('+')) || text.len() < 2 {
            break;
        }
        args = rest;
        for letter in text[1..].chars() {
            if letter == 'o' {
                let Some((Arg::Field(Ok(name)), rest)) = args.split_first() else {
                    return Err(shell.unsupported("set", "-o lists all options"));
                };
                args = rest;
                let name = name.clone();
                if !SET_OPTIONS.contains(&name.as_str()) {
                    shell.complain();
                    return Ok(2.into());
                }
                option(shell, &name, on)?;
                continue;
            }
            let name = match letter {
                'u' => "nounset",
                'e' => "errexit",
                'f' => "noglob",
                'B' => "braceexpand",
                'a' | 'b' | 'h' | 'm' | 'v' | 'x' | 'C' | 'E' | 'H' | 'P' | 'T' => "harmless",
                other => {
                    let stop = shell.unsupported("set", format!("-{other}"));
                    if let Stop::Dynamic(reason) = &stop {
                        shell.forget_everything(reason);
                    }
                    return Err(stop);
                }
            };
            option(shell, name, on)?;
        }
    }
    if positional || !args.is_empty() || call.unknown.is_some() {
        let reason = call
            .unknown
            .clone()
            .or_else(|| shell.doubt.reason().cloned());
        shell.state.positional = if let Some(reason) = reason {
            List::Dynamic(reason)
        } else {
            let inner = Call {
                file: call.file,
                name: call.name,
                args: args.to_vec(),
                unknown: None,
                placed: args.len(),
            };
            List::Known(inner.fields(shell)?)
        };
    }
    Ok(0.into())
}

fn option(shell: &mut Shell, name: &str, on: bool) -> Result<(), Stop> {
    if let Some(reason) = shell.doubt.reason().cloned() {
        shell.forget_everything(&reason);
        return Ok(());
    }
    let options = &mut shell.state.options;
    match name {
        "nounset" => options.nounset = on,
        "errexit" => options.errexit = on,
        "noglob" => options.noglob = on,
        "braceexpand" => options.no_braces = !on,
        "pipefail" => options.pipefail = on,
        "harmless" | "errtrace" | "functrace" | "xtrace" | "verbose" | "noclobber"
        | "allexport" | "monitor" | "hashall" | "histexpand" | "history" | "notify"
        | "physical" => {}
        _ => {
            let stop = shell.unsupported("set -o", name);
            if let Stop::Dynamic(reason) = &stop {
                shell.forget_everything(reason);
            }
            return Err(stop);
        }
    }
    Ok(())
}

pub(super) fn shift(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let count = match call.texts() {
        Ok(args) => args.first().map_or(Ok(1), |text| text.parse::<usize>()),
        Err(Stop::Dynamic(reason)) => {
            shell.state.positional = List::Dynamic(reason.clone());
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let Ok(count) = count else {
        return Ok(1.into());
    };
    if let Some(reason) = shell.doubt.reason().cloned() {
        shell.state.positional = List::Dynamic(reason);
        return Ok(0.into());
    }
    match &mut shell.state.positional {
        List::Known(fields) if count <= fields.len() => {
            fields.drain(..count);
            Ok(0.into())
        }
        List::Known(_) => Ok(1.into()),
        List::Dynamic(reason) => Err(reason.clone().into()),
    }
}

pub(super) fn trap(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let fields = call.fields(shell)?;
    let mut fields = fields.into_iter().peekable();
    if fields.peek() == Some(&Ok("--".to_owned())) {
        fields.next();
    }
    let Some(action) = fields.next() else {
        return Err(shell.unsupported("trap", "it lists makepkg's traps"));
    };
    if matches!(&action, Ok(text) if text.starts_with('-') && text.len() > 1) {
        return Err(shell.unsupported("trap", "it lists makepkg's traps"));
    }
    let mut status = 0;
    for signal in fields {
        let signal = signal?;
        let name = signal.trim_start_matches("SIG").to_uppercase();
        match name.as_str() {
            "EXIT" | "0" => {
                let action = match shell.doubt.reason() {
                    Some(reason) => Err(reason.clone()),
                    None => action.clone(),
                };
                shell.state.traps.insert("EXIT".to_owned(), action);
            }
            "DEBUG" | "RETURN" => {
                let stop = shell.unsupported("trap", format!("on {name}"));
                if let Stop::Dynamic(reason) = &stop {
                    shell.forget_everything(reason);
                }
                return Err(stop);
            }
            "ERR" => {}
            name if is_signal(name) => {}
            _ => {
                shell.complain();
                status = 1;
            }
        }
    }
    Ok(status.into())
}

/// Source: bash 5.2 on Linux, `trap -l`.
fn is_signal(name: &str) -> bool {
    const NAMES: &str = " HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM \
                         STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO \
                         PWR SYS IOT CLD POLL ";
    let number = name.parse::<u32>().is_ok_and(|number| number <= 64);
    number || name.starts_with("RTM") || NAMES.contains(&format!(" {name} "))
}

pub(super) fn cd(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let target = call
        .texts()?
        .iter()
        .copied()
        .find(|arg| !arg.starts_with('-'))
        .map(str::to_owned);
    let directory = shell.environment.facts.directory.clone();
    if target.as_deref() == Some("") {
        return Ok(0.into());
    }
    if shell.state.moved.is_none()
        && target.is_some()
        && (target == directory || target.as_deref() == Some("."))
    {
        return Ok(0.into());
    }
    let path = target.unwrap_or_default();
    let reason = shell.reason(DynamicKind::File(path));
    shell.state.moved = Some(reason.clone());
    for name in ["PWD", "OLDPWD"] {
        shell.assign(name, Err(reason.clone()), false)?;
    }
    Err(reason.into())
}

pub(super) fn pwd(shell: &mut Shell, _: &Call<'_>) -> Result<Outcome, Stop> {
    let text = match shell.scalar("PWD") {
        Some(text) => text?,
        None => return Err(shell.reason(DynamicKind::Host("PWD".to_owned())).into()),
    };
    shell.write(&format!("{text}\n"))?;
    Ok(0.into())
}

/// `umask` and `ulimit` set what only running commands feel; asking is another matter.
pub(super) fn limit(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let sets = |last: &str| match call.name {
        "umask" => last.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) && last.len() <= 4,
        _ => last.parse::<u64>().is_ok() || matches!(last, "unlimited" | "hard" | "soft"),
    };
    match call.texts()?.last() {
        Some(last) if sets(last) => Ok(0.into()),
        _ => {
            let reason = shell.reason(DynamicKind::Host(call.name.to_owned()));
            shell.taint_output(&reason);
            Err(reason.into())
        }
    }
}
