//! Calls of functions, builtins, filters and commands that would have to run.

use crate::evaluate::builtin::{self, Arg, Call, Outcome};
use crate::evaluate::dynamic::{DynamicKind, Reason, Stop};
use crate::evaluate::filter;
use crate::evaluate::scope::{FunctionValue, List as Fields, Scope};
use crate::evaluate::shell::{Flow, Shell};

impl Shell {
    /// Runs a function, a builtin or a filter, or says that the command would have to run.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Flow, Stop> {
        match self.state.functions.get(call.name) {
            Some(Ok(function)) => {
                let function = function.clone();
                return self.call_function(&function, call);
            }
            Some(Err(reason)) => {
                let reason = reason.clone();
                self.forget_everything(&reason);
                self.statuses.set(Err(reason));
                return Ok(Flow::Next);
            }
            None => {}
        }
        self.call_builtin(call)
    }

    /// As [`call`](Self::call), functions left aside (`command`, `builtin`).
    pub(crate) fn call_builtin(&mut self, call: &Call<'_>) -> Result<Flow, Stop> {
        if let Some(entry) = builtin::find(call.name) {
            return match (entry.run)(self, call) {
                Ok(Outcome { status, flow }) => {
                    self.statuses.set(status);
                    Ok(flow)
                }
                Err(Stop::Dynamic(reason)) => {
                    if entry.writes {
                        self.taint_output(&reason);
                    }
                    self.statuses.set(Err(reason));
                    Ok(Flow::Next)
                }
                Err(Stop::Failed { fatal: false, .. }) if fails_alone(call.name) => {
                    self.complain();
                    self.statuses.set(Ok(1));
                    Ok(Flow::Next)
                }
                Err(stop) => Err(stop),
            };
        }
        if let Some(entry) = filter::find(call.name) {
            let outcome = call.texts().and_then(|args| {
                let args: Vec<&str> = args;
                (entry.run)(self, &args)
            });
            return match outcome {
                Ok(status) => {
                    self.statuses.set(Ok(status));
                    Ok(Flow::Next)
                }
                Err(Stop::Dynamic(reason)) => {
                    self.taint_output(&reason);
                    self.statuses.set(Err(reason));
                    Ok(Flow::Next)
                }
                Err(stop) => Err(stop),
            };
        }
        let reason = self.reason(DynamicKind::Command(call.name.to_owned()));
        if !is_silent(call) {
            self.taint_output(&reason);
            self.taint(2, &reason);
        }
        self.state.files_changed = Some(reason.clone());
        self.statuses.set(Err(reason));
        Ok(Flow::Next)
    }

    pub(super) fn unknown_command(&mut self, reason: &Reason) -> Flow {
        self.forget_everything(reason);
        self.statuses.set(Err(reason.clone()));
        Flow::Next
    }

    fn call_function(&mut self, function: &FunctionValue, call: &Call<'_>) -> Result<Flow, Stop> {
        let positional = match &call.unknown {
            Some(reason) => Fields::Dynamic(reason.clone()),
            None => Fields::Known(call.fields(self)?),
        };
        self.deeper(|shell| {
            let positional = std::mem::replace(&mut shell.state.positional, positional);
            let anchor = shell.place.enter(function.anchor);
            let span = shell.place.last();
            let depth = shell.state.scopes.depth();
            shell.state.scopes.open(Scope::default());
            shell.state.calls.push(call.name.into());
            let result =
                shell.in_function(|shell| shell.compound(&function.file, &function.function.body));
            shell.state.calls.pop();
            shell.state.scopes.close(depth);
            shell.place.unpin(anchor);
            // An `exit` is told where it stands.
            if !matches!(result, Ok(Flow::Exit)) {
                shell.place.go_back(span);
            }
            shell.state.positional = positional;
            Ok(match result? {
                Flow::Exit => Flow::Exit,
                _ => Flow::Next,
            })
        })
    }
}

/// Builtins whose assignments fail with a status, not with the whole command line.
fn fails_alone(name: &str) -> bool {
    matches!(name, "mapfile" | "printf" | "read" | "readarray")
}

/// Commands that are not interpreted here and print nothing unless asked to.
fn is_silent(call: &Call<'_>) -> bool {
    let quiet = matches!(
        call.name,
        "mkdir"
            | "rm"
            | "rmdir"
            | "cp"
            | "mv"
            | "ln"
            | "touch"
            | "chmod"
            | "chown"
            | "install"
            | "sleep"
            // makepkg's own, which tell by their status.
            | "check_buildenv"
            | "check_buildoption"
            | "check_option"
            | "have_function"
            | "in_array"
            | "in_opt_array"
    );
    quiet
        && call.unknown.is_none()
        && call.args.iter().all(|arg| match arg {
            Arg::Field(Ok(text)) => {
                !(text.starts_with("--v")
                    || text == "--help"
                    || text == "--debug"
                    || (text.starts_with('-') && !text.starts_with("--") && text.contains('v')))
            }
            _ => false,
        })
}
