//! Builtins that change where control goes, and those that do nothing.

use super::{Arg, Call, Outcome};
use crate::evaluate::dynamic::Stop;
use crate::evaluate::scope::List;
use crate::evaluate::shell::{Flow, Shell, is_name};
use crate::tree::{Assignment, File, Value};

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of builtins fixes the signature"
)]
pub(super) fn succeed(_: &mut Shell, _: &Call<'_>) -> Result<Outcome, Stop> {
    Ok(0.into())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of builtins fixes the signature"
)]
pub(super) fn fail(_: &mut Shell, _: &Call<'_>) -> Result<Outcome, Stop> {
    Ok(1.into())
}

pub(super) fn unsupported(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let stop = shell.unsupported(call.name, "the builtin depends on a running shell");
    if call.name == "getopts"
        && let Stop::Dynamic(reason) = &stop
    {
        let name = match call.args.get(1) {
            Some(Arg::Field(Ok(name))) if is_name(name) => name.as_str(),
            Some(Arg::Field(Ok(_))) | None => "OPTIND",
            Some(_) => {
                shell.forget_everything(reason);
                return Err(stop);
            }
        };
        for name in [name, "OPTIND", "OPTARG"] {
            shell.assign(name, Err(reason.clone()), false)?;
        }
    }
    Err(stop)
}

/// `alias` and `unalias`.
pub(super) fn alias(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    // Aliases are not expanded in scripts unless `shopt -s expand_aliases`, which is refused.
    let defines = |arg: &&str| {
        arg.split_once('=')
            .is_some_and(|(name, _)| !name.is_empty())
    };
    let fields = call.fields(shell)?;
    let mut texts = fields.iter().map(|field| field.as_deref().unwrap_or(""));
    if call.name == "alias" && texts.all(|text| defines(&text)) {
        return Ok(0.into());
    }
    Err(shell.unsupported(call.name, "aliases are not kept"))
}

/// `wait` without a process is known to succeed.
pub(super) fn wait(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    if call.texts()?.is_empty() {
        return Ok(0.into());
    }
    Err(shell.unsupported("wait", "the status of a process"))
}

fn levels(shell: &mut Shell, call: &Call<'_>) -> Result<u32, Stop> {
    let args = call.texts()?;
    let wanted = match args.first() {
        None => 1,
        Some(text) => text.parse::<u32>().unwrap_or(1).max(1),
    };
    Ok(wanted.min(shell.doubt.loops()))
}

pub(super) fn break_loop(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let levels = levels(shell, call)?;
    let flow = if levels == 0 {
        Flow::Next
    } else {
        shell.leave_loop(Flow::Break(levels))
    };
    Ok(Outcome {
        status: Ok(0),
        flow,
    })
}

pub(super) fn continue_loop(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let levels = levels(shell, call)?;
    let flow = if levels == 0 {
        Flow::Next
    } else {
        shell.leave_loop(Flow::Continue(levels))
    };
    Ok(Outcome {
        status: Ok(0),
        flow,
    })
}

fn wanted_status(shell: &mut Shell, call: &Call<'_>) -> crate::evaluate::shell::Status {
    match call.texts() {
        Err(Stop::Dynamic(reason)) => Err(reason),
        Err(_) => Ok(2),
        Ok(args) => match args.first() {
            None => shell.statuses.last(),
            Some(text) => match text.trim().parse::<i64>() {
                Ok(number) => Ok(i32::from(number.to_le_bytes()[0])),
                Err(_) => Ok(2),
            },
        },
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of builtins fixes the signature"
)]
pub(super) fn return_function(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let status = wanted_status(shell, call);
    Ok(Outcome {
        status,
        flow: shell.leave_function(),
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of builtins fixes the signature"
)]
pub(super) fn exit(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let status = wanted_status(shell, call);
    Ok(Outcome {
        status,
        flow: shell.leave_file(),
    })
}

pub(super) fn exec(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    if call.args.is_empty() && call.unknown.is_none() {
        // Only redirections: of standard output they would change what makepkg prints.
        let stop = shell.unsupported("exec", "it redirects the shell itself");
        if let Stop::Dynamic(reason) = &stop {
            shell.streams.taint_stdout(reason);
        }
        return Err(stop);
    }
    let stop = shell.unsupported("exec", "it replaces the shell");
    if let Stop::Dynamic(reason) = &stop {
        shell.forget_everything(reason);
    }
    Err(stop)
}

pub(super) fn arithmetic(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let mut last = 0;
    let fields = match call.fields(shell) {
        Ok(fields) => fields,
        Err(Stop::Dynamic(reason)) => {
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    for field in fields {
        let text = match field {
            Ok(text) => text,
            Err(reason) => {
                // Which variable is assigned stands in the unknown text.
                shell.forget_everything(&reason);
                return Err(reason.into());
            }
        };
        match shell.arithmetic(&text) {
            Ok(value) => last = value,
            Err(Stop::Failed { fatal: false, .. }) => {
                shell.complain();
                return Ok(1.into());
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(i32::from(last == 0).into())
}

pub(super) fn eval(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let text: Result<Vec<String>, Stop> = match call.fields(shell) {
        Ok(fields) => fields
            .into_iter()
            .map(|field| field.map_err(Stop::from))
            .collect(),
        Err(stop) => Err(stop),
    };
    match text {
        Ok(words) => {
            let flow = shell.eval_text(&words.join(" "))?;
            Ok(Outcome {
                status: shell.statuses.last(),
                flow,
            })
        }
        Err(Stop::Dynamic(reason)) => {
            shell.forget_everything(&reason);
            Err(reason.into())
        }
        Err(stop) => Err(stop),
    }
}

pub(super) fn source(shell: &mut Shell, call: &Call<'_>) -> Result<Outcome, Stop> {
    let text = call
        .texts()
        .map(|args| args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
    let text = text.and_then(|args| match args.as_slice() {
        [] => Err(Stop::failed("source: filename argument required")),
        [path, rest @ ..] => Ok((shell.read_file(path)?, rest.to_vec())),
    });
    let (text, args) = match text {
        Ok((Some(text), args)) => (text, args),
        Ok((None, _)) => {
            shell.complain();
            return Ok(1.into());
        }
        Err(Stop::Dynamic(reason)) => {
            shell.forget_everything(&reason);
            return Err(reason.into());
        }
        Err(stop) => return Err(stop),
    };
    let parse = crate::parse(&text);
    if !parse.errors.is_empty() {
        let stop = shell.unsupported("source", "the file has a syntax error");
        if let Stop::Dynamic(reason) = &stop {
            shell.forget_everything(reason);
        }
        return Err(stop);
    }
    let anchor = shell.place.pin_here();
    let positional = (!args.is_empty()).then(|| {
        let args = List::Known(args.into_iter().map(Ok).collect());
        std::mem::replace(&mut shell.state.positional, args)
    });
    shell.statuses.set(Ok(0));
    let result = shell.deeper(|shell| shell.in_function(|shell| shell.source(&parse.file)));
    if let Some(positional) = positional {
        shell.state.positional = positional;
    }
    shell.place.unpin(anchor);
    let flow = match result? {
        Flow::Return => Flow::Next,
        flow => flow,
    };
    Ok(Outcome {
        status: shell.statuses.last(),
        flow,
    })
}

impl Shell {
    /// `name=value` as the text that a builtin such as `let` or `eval` sees.
    pub(super) fn assignment_text(
        &mut self,
        file: &File,
        assignment: &Assignment,
    ) -> Result<String, Stop> {
        let head_end = match &assignment.value {
            Value::Scalar(word) => word.span.start,
            Value::Array(_) => {
                return Ok(self.utf8(file.text(assignment.span))?.to_owned());
            }
        };
        let head = crate::span::Span::new(assignment.span.start, head_end);
        let head = self.utf8(file.text(head))?.to_owned();
        let Value::Scalar(word) = &assignment.value else {
            return Ok(head);
        };
        Ok(head + &self.text(file, word)?)
    }
}
