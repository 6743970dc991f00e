//! Commands of which it is not known whether they run.

use super::dynamic::{DynamicReason, Reason, Stop};
use super::shell::{Flow, Shell};

/// What makes it uncertain whether the commands that follow run at all.
///
/// A `break`, `return` or `exit` that depends on an unknown value leaves everything behind it
/// uncertain, up to the end of the loop, the function or the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doubt {
    /// Inside a branch that an unknown status guards.
    branch: Option<Reason>,
    /// That branch began in the current function.
    branch_in_function: bool,
    /// That branch began in the current loop.
    branch_in_loop: bool,
    stuck_loop: Option<Reason>,
    stuck_function: Option<Reason>,
    stuck_file: Option<Reason>,
    /// Loops that are running in the current function.
    loops: u32,
}

impl Doubt {
    pub(crate) fn reason(&self) -> Option<&Reason> {
        self.branch
            .as_ref()
            .or(self.stuck_loop.as_ref())
            .or(self.stuck_function.as_ref())
            .or(self.stuck_file.as_ref())
    }

    /// From here on it is not known whether the file is read to its end; the first reason stays.
    pub(crate) fn stick(&mut self, reason: &Reason) {
        self.stuck_file.get_or_insert_with(|| reason.clone());
    }

    /// The same, with this reason in any case.
    pub(crate) fn replace(&mut self, reason: Reason) {
        self.stuck_file = Some(reason);
    }

    /// Why it is not known whether the file is read to its end.
    pub(crate) fn about_file(&self) -> Option<&DynamicReason> {
        self.stuck_file.as_deref()
    }

    /// Loops that are running in the current function.
    pub(crate) fn loops(&self) -> u32 {
        self.loops
    }

    /// The file is read from its beginning.
    pub(crate) fn leave_loops(&mut self) {
        self.loops = 0;
    }

    fn stuck_outside_loop(&self) -> bool {
        self.stuck_function.is_some() || self.stuck_file.is_some()
    }

    /// Whether a `break` here may not happen although it is reached.
    pub(crate) fn about_loop(&self) -> bool {
        self.branch_in_loop || self.stuck_loop.is_some() || self.stuck_outside_loop()
    }

    fn about_function(&self) -> bool {
        self.branch_in_function || self.stuck_loop.is_some() || self.stuck_outside_loop()
    }
}

impl Shell {
    /// Runs what may or may not run: all it assigns becomes unknown.
    pub(crate) fn guarded(
        &mut self,
        reason: &Reason,
        run: impl FnOnce(&mut Self) -> Result<Flow, Stop>,
    ) -> Result<Flow, Stop> {
        let saved = self.doubt.clone();
        self.doubt.branch.get_or_insert_with(|| reason.clone());
        self.doubt.branch_in_function = true;
        self.doubt.branch_in_loop = true;
        let result = run(self);
        self.doubt.branch = saved.branch;
        self.doubt.branch_in_function = saved.branch_in_function;
        self.doubt.branch_in_loop = saved.branch_in_loop;
        self.statuses.set(Err(reason.clone()));
        match result {
            Ok(_) => Ok(Flow::Next),
            // The error may not happen, and may skip the rest of the file.
            Err(Stop::Failed { .. } | Stop::Dynamic(_)) => {
                self.doubt.stuck_file.get_or_insert_with(|| reason.clone());
                Ok(Flow::Next)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Runs a loop, in which a `break` in doubt leaves doubt up to the loop's end.
    pub(crate) fn in_loop(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<Flow, Stop>,
    ) -> Result<Flow, Stop> {
        let saved = self.doubt.clone();
        self.doubt = Doubt {
            branch: saved.reason().cloned(),
            branch_in_function: saved.about_function(),
            branch_in_loop: false,
            stuck_loop: None,
            stuck_function: saved.stuck_function.clone(),
            stuck_file: saved.stuck_file.clone(),
            loops: saved.loops + 1,
        };
        let result = run(self);
        if let Some(reason) = self.doubt.stuck_loop.take() {
            self.statuses.set(Err(reason));
        }
        self.doubt = Doubt {
            stuck_function: self.doubt.stuck_function.take(),
            stuck_file: self.doubt.stuck_file.take(),
            ..saved
        };
        result
    }

    /// Runs a function's body; a `return` in doubt leaves doubt up to its end.
    pub(crate) fn in_function(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<Flow, Stop>,
    ) -> Result<Flow, Stop> {
        let saved = self.doubt.clone();
        self.doubt = Doubt {
            branch: saved.reason().cloned(),
            stuck_file: saved.stuck_file.clone(),
            ..Doubt::default()
        };
        let result = run(self);
        if let Some(reason) = self.doubt.stuck_function.take() {
            self.statuses.set(Err(reason));
        }
        self.doubt = Doubt {
            stuck_file: self.doubt.stuck_file.take(),
            ..saved
        };
        result
    }

    /// A `break` or `continue`: takes effect, or leaves doubt.
    pub(crate) fn leave_loop(&mut self, flow: Flow) -> Flow {
        if self.doubt.about_loop() {
            self.doubt.stuck_loop = self.doubt.reason().cloned();
            return Flow::Next;
        }
        flow
    }

    /// A `return`: takes effect, or leaves doubt.
    pub(crate) fn leave_function(&mut self) -> Flow {
        if self.doubt.about_function() {
            let reason = self.doubt.reason().cloned();
            if self.state.calls.is_empty() {
                if !self.was_read_to_end() {
                    self.doubt.stuck_file = reason;
                }
            } else {
                self.doubt.stuck_function = reason;
            }
            return Flow::Next;
        }
        Flow::Return
    }

    /// Whether leaving the file here would have shown where a shell read it.
    fn was_read_to_end(&self) -> bool {
        self.environment.facts.read_to_end && !self.state.subshell
    }

    /// An `exit`: takes effect, or leaves the whole outcome in doubt.
    pub(crate) fn leave_file(&mut self) -> Flow {
        if let Some(reason) = self.doubt.reason().cloned() {
            if !self.was_read_to_end() {
                self.doubt.stuck_file = Some(reason);
            }
            return Flow::Next;
        }
        Flow::Exit
    }
}
