//! Subshells and `$(…)`.

use crate::evaluate::dynamic::{Field, Stop};
use crate::evaluate::shell::{Flow, Shell};
use crate::tree::{Command, File, List};

impl Shell {
    /// Runs in a copy of the state, which is then dropped; `exit` and errors end only the copy.
    pub(crate) fn subshell(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<Flow, Stop>,
    ) -> Result<(), Stop> {
        self.fuel
            .spend(self.state.scopes.global().variables.len() as u64)?;
        let state = self.state.clone();
        let doubt = self.doubt.clone();
        let routes = self.streams.routes();
        self.state.subshell = true;
        let result = run(self);
        self.streams.reroute(routes);
        let changed = self.state.files_changed.take();
        self.state = state;
        if changed.is_some() {
            self.state.files_changed = changed;
        }
        let stuck = std::mem::replace(&mut self.doubt, doubt);
        match result {
            Ok(_) => {}
            Err(Stop::Failed { .. }) => {
                self.complain();
                self.statuses.set(Ok(1));
            }
            Err(Stop::Dynamic(reason)) => self.statuses.set(Err(reason)),
            Err(stop) => return Err(stop),
        }
        if self.doubt.reason().is_none()
            && let Some(reason) = stuck.reason()
        {
            self.statuses.set(Err(reason.clone()));
        }
        Ok(())
    }

    /// `$(…)`: what the commands print, without the line feeds at its end.
    pub(crate) fn substitute(&mut self, file: &File, list: &List) -> Result<Field, Stop> {
        let span = self.place.last();
        let ((text, ()), status) = self.deeper(|shell| {
            let outcome = shell.capture(|shell| {
                if shell.print_file(file, list)? {
                    return Ok(());
                }
                shell.statuses.set(Ok(0));
                shell.subshell(|shell| shell.list(file, list))
            })?;
            Ok((outcome, shell.statuses.last()))
        })?;
        self.place.go_back(span);
        self.statuses.substituted(status);
        Ok(text.map(|mut text| {
            if text.contains('\0') {
                text.retain(|c| c != '\0');
            }
            text.truncate(text.trim_end_matches('\n').len());
            text
        }))
    }

    /// `$(< file)`, which runs no command.
    fn print_file(&mut self, file: &File, list: &List) -> Result<bool, Stop> {
        let [statement] = list.statements.as_slice() else {
            return Ok(false);
        };
        let Command::Simple(simple) = &statement.command else {
            return Ok(false);
        };
        if !simple.assignments.is_empty() || !simple.arguments.is_empty() {
            return Ok(false);
        }
        let [redirect] = simple.redirects.as_slice() else {
            return Ok(false);
        };
        if redirect.operator != crate::tree::RedirectOperator::Read {
            return Ok(false);
        }
        self.set_span(simple.span);
        let text = self.with_redirects(file, &simple.redirects, |shell| {
            match shell.read_all() {
                Ok(text) => shell.write(&text)?,
                Err(Stop::Dynamic(reason)) => shell.taint_output(&reason),
                Err(stop) => return Err(stop),
            }
            shell.statuses.set(Ok(0));
            Ok(Flow::Next)
        });
        text.map(|_| true)
    }
}
