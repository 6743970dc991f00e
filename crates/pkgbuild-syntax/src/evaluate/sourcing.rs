//! Sources a recipe as makepkg does.

use super::Evaluation;
use super::budget::{Exhausted, Fuel};
pub(super) use super::dynamic::DynamicKind;
use super::dynamic::Stop;
use super::error::EvaluateError;
use super::scope::{Content, List, Scope, Variable};
use super::shell::{Flow, Shell};
use crate::span::Span;

impl Evaluation {
    pub(super) fn source(&mut self) {
        if let Some(at) = self.file.source().iter().position(|&byte| byte == b'\r') {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let span = Span::new(at, at + 1);
            let failure = EvaluateError::CarriageReturn { span };
            self.shell.told.end(Some(failure));
            return;
        }
        let shell = &mut self.shell;
        shell.told.end(None);
        let _ = shell.place.enter(None);
        shell.place.go_back(Span::default());
        shell.statuses.set(Ok(0));
        shell.renew();
        // makepkg sources from inside a function, hence `declare` and `local` are local to it.
        let mut local = Scope::default();
        let restores = Variable {
            content: Content::Scalar(Ok("shopt -s extglob".to_owned())),
            inherited: true,
            ..Variable::default()
        };
        local.variables.insert("shellopts".into(), restores);
        shell.state.scopes.close(1);
        shell.state.scopes.open(local);
        let path = match &shell.environment.facts.directory {
            Some(directory) => Ok(format!("{directory}/PKGBUILD")),
            None => Err(shell.reason(DynamicKind::Host("$1".to_owned()))),
        };
        shell.told.begin();
        shell.state.positional = List::Known(vec![path]);
        shell.state.options.extglob = false;
        let result = shell.source(&self.file);
        shell.state.scopes.close(1);
        shell.state.calls.clear();
        shell.doubt.leave_loops();
        let span = shell.place.last();
        let said = || shell.streams.said(&shell.streams.stdout().text);
        let failure = match result {
            Ok(Flow::Exit) => shell.statuses.last().map_or(None, |status| {
                let said = said();
                Some(EvaluateError::Exit { status, said, span })
            }),
            Ok(_) => match shell.statuses.last() {
                Ok(0) | Err(_) => None,
                Ok(status) => {
                    let said = said();
                    Some(EvaluateError::Status { status, said, span })
                }
            },
            Err(Stop::Failed { message, .. }) => Some(EvaluateError::Expansion { message, span }),
            Err(Stop::Dynamic(reason)) => {
                shell.statuses.set(Err(reason));
                None
            }
            Err(Stop::Exhausted(exhausted)) => Some(shell.exhausted(exhausted)),
        };
        shell.told.end(failure);
        if let Err(reason) = &shell.statuses.last()
            && !shell.environment.facts.read_to_end
        {
            shell.doubt.stick(reason);
        }
        shell.check_left_over();
        shell.run_exit_trap();
    }
}

impl Shell {
    pub(super) fn renew(&mut self) {
        self.fuel = Fuel::new(self.environment.facts.budget);
    }

    pub(super) fn exhausted(&self, exhausted: Exhausted) -> EvaluateError {
        let (budget, span) = (self.environment.facts.budget, self.place.last());
        match exhausted {
            Exhausted::Steps => EvaluateError::Steps {
                limit: budget.steps,
                span,
            },
            Exhausted::Memory => EvaluateError::Memory {
                limit: budget.bytes,
                span,
            },
            Exhausted::Depth => EvaluateError::Depth {
                limit: budget.depth,
                span,
            },
        }
    }

    /// Settings that outlive the recipe change how makepkg's own code runs.
    fn check_left_over(&mut self) {
        let options = &self.state.options;
        let left = [
            (options.nounset, "set -u"),
            (options.noglob, "set -f"),
            (options.nocasematch, "shopt -s nocasematch"),
            (options.failglob, "shopt -s failglob"),
            (options.no_patsub, "shopt -u patsub_replacement"),
            (options.no_braces, "set +B"),
        ];
        let left = left.iter().find(|(on, _)| *on).map(|(_, name)| *name);
        let separators = match self.variable("IFS").map(|variable| &variable.content) {
            Some(Content::Scalar(Ok(text))) => text == " \t\n",
            _ => false,
        };
        let left = left.or((!separators).then_some("IFS"));
        if let Some(name) = left
            && let Stop::Dynamic(reason) =
                self.unsupported(name, "left behind, it changes how makepkg itself works")
        {
            self.doubt.stick(&reason);
        }
    }

    /// A trap on `EXIT` runs when makepkg ends; what it prints would stand behind the `.SRCINFO`.
    fn run_exit_trap(&mut self) {
        let Some(action) = self.state.traps.get("EXIT").cloned() else {
            return;
        };
        let mut copy = self.clone();
        copy.streams.forget_stdout();
        let harmless = match action {
            Ok(text) => {
                let ended = copy.eval_text(&text);
                ended.is_ok()
                    && copy.streams.stdout().text.is_empty()
                    && copy.streams.stdout().unknown.is_none()
            }
            Err(_) => false,
        };
        if !harmless {
            let kind = DynamicKind::Unsupported {
                what: "trap".to_owned(),
                detail: "what it prints when makepkg ends".to_owned(),
            };
            let reason = self.reason(kind);
            self.streams.taint_stdout(&reason);
        }
    }
}
