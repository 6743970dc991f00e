//! `echo` and `printf`.

use super::{Arg, Call, Outcome};
use crate::evaluate::dynamic::Stop;
use crate::evaluate::printf::{self, escapes};
use crate::evaluate::shell::{Shell, is_name, split_subscript};
use crate::evaluate::stream::Target;

pub(super) fn echo(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let args = call.texts()?;
    let mut rest = args.as_slice();
    let (mut newline, mut interpret) = (true, false);
    while let Some((flag, tail)) = rest.split_first() {
        let Some(letters) = flag.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            break;
        };
        if !letters.chars().all(|c| matches!(c, 'n' | 'e' | 'E')) {
            break;
        }
        for letter in letters.chars() {
            match letter {
                'n' => newline = false,
                other => interpret = other == 'e',
            }
        }
        rest = tail;
    }
    let mut text = rest.join(" ");
    if interpret {
        let (decoded, stopped) = escapes(shell, &text, true)?;
        text = decoded;
        newline &= !stopped;
    }
    if newline {
        text.push('\n');
    }
    shell.write(&text)?;
    Ok(0.into())
}

pub(super) fn printf(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let mut args = call.args.as_slice();
    let mut variable = None;
    if let Some(Arg::Field(Ok(flag))) = args.first()
        && let Some(joined) = flag.strip_prefix("-v")
    {
        if let Some(reason) = &call.unknown
            && call.placed < 2
        {
            // The name may be among the words of unknown number.
            shell.forget_everything(reason);
            return Err(reason.clone().into());
        }
        if joined.is_empty() {
            match args.get(1) {
                Some(Arg::Field(Ok(name))) => variable = Some(name.clone()),
                Some(Arg::Field(Err(reason))) => {
                    let reason = reason.clone();
                    shell.forget_everything(&reason);
                    return Err(reason.into());
                }
                _ => return Ok(2.into()),
            }
            args = &args[2..];
        } else {
            variable = Some(joined.to_owned());
            args = &args[1..];
        }
    }
    if let Some(name) = &variable {
        let bare = split_subscript(name).map_or(name.as_str(), |(name, _)| name);
        if !is_name(bare) {
            shell.complain();
            return Ok(2.into());
        }
    }
    if let Some(Arg::Field(Ok(flag))) = args.first()
        && flag == "--"
    {
        args = &args[1..];
    }
    let call = Call {
        file: call.file,
        name: call.name,
        args: args.to_vec(),
        unknown: call.unknown.clone(),
        placed: 0,
    };
    let formatted = call.texts().and_then(|args| match args.split_first() {
        None => Ok((String::new(), 2)),
        Some((format, args)) => printf::format(shell, format, args),
    });
    let Some(name) = variable else {
        let (text, status) = formatted?;
        if status != 0 {
            shell.complain();
        }
        shell.write(&text)?;
        return Ok(status.into());
    };
    let (value, status) = match formatted {
        Ok((text, status)) => (Ok(text), Ok(status)),
        Err(Stop::Dynamic(reason)) => (Err(reason.clone()), Err(reason)),
        Err(stop) => return Err(stop),
    };
    shell.assign_named(&name, value)?;
    Ok(status.into())
}

/// Functions of makepkg that print to standard error, with colours that the terminal decides.
pub(super) fn message(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    if let Target::Capture(_) = shell.streams.target(2) {
        let stop = shell.unsupported(call.name, "makepkg decides how it prints");
        if let Stop::Dynamic(reason) = &stop {
            shell.taint(2, reason);
        }
        return Ok(0.into());
    }
    let text = call.texts().and_then(|args| match args.split_first() {
        None => Ok((String::new(), 0)),
        Some((format, args)) => printf::format(shell, format, args),
    });
    match text {
        Ok((text, _)) => shell.write_to(2, &format!("{text}\n"))?,
        Err(Stop::Exhausted(exhausted)) => return Err(exhausted.into()),
        Err(_) => {}
    }
    Ok(0.into())
}

/// Functions of makepkg that print with colours that the terminal decides.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of builtins fixes the signature"
)]
pub(super) fn stdout_unknown(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let stop = shell.unsupported(call.name, "makepkg decides how it prints");
    if let Stop::Dynamic(reason) = &stop {
        shell.taint_output(reason);
    }
    Ok(0.into())
}
