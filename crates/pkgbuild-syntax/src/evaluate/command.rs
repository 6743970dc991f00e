//! Running commands: lists, pipelines, simple commands, functions.

mod call;
mod substitute;

use super::builtin::{Arg, Call};
use super::dynamic::{Field, Stop};
use super::scope::{Content, FunctionValue, Scope, Variable};
use super::shell::{Flow, Shell, Status};
use super::stream::Input;
use crate::span::Span;
use crate::tree::{
    AndOr, AndOrOperator, Argument, Assignment, Command, CompoundCommand, File, List, Pipeline,
    Redirect, SimpleCommand, Terminator, Value,
};

impl Shell {
    /// Runs the commands of a file as `source` does: an expansion error skips to the next line.
    pub(crate) fn source(&mut self, file: &File) -> Result<Flow, Stop> {
        let mut skip_to = 0;
        for statement in &file.commands().statements {
            if statement.span.start < skip_to {
                continue;
            }
            match self.statement(file, statement) {
                Ok(Flow::Next) => {}
                Ok(flow) => return Ok(flow),
                Err(Stop::Failed { fatal: false, .. }) => {
                    self.complain();
                    self.statuses.set(Ok(1));
                    let rest = &file.source()[statement.span.end as usize..];
                    let line = rest
                        .iter()
                        .position(|&byte| byte == b'\n')
                        .unwrap_or(rest.len());
                    skip_to = statement.span.end + u32::try_from(line).unwrap_or(u32::MAX);
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(Flow::Next)
    }

    pub(crate) fn list(&mut self, file: &File, list: &List) -> Result<Flow, Stop> {
        for statement in &list.statements {
            match self.statement(file, statement)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, file: &File, statement: &crate::tree::Statement) -> Result<Flow, Stop> {
        if statement.terminator == Terminator::Background {
            self.set_span(statement.command.span());
            self.subshell(|shell| shell.command(file, &statement.command))?;
            self.statuses.set(Ok(0));
            return Ok(Flow::Next);
        }
        self.command(file, &statement.command)
    }

    pub(crate) fn set_span(&mut self, span: Span) {
        self.place.go_to(span);
    }

    pub(crate) fn command(&mut self, file: &File, command: &Command) -> Result<Flow, Stop> {
        self.fuel.spend(1)?;
        match command {
            Command::Simple(simple) => self.simple(file, simple),
            Command::Function(function) => {
                let name = self.utf8(file.text(function.name)).map(str::to_owned);
                let name = name?;
                self.fuel.store(64)?;
                let value = match self.doubt.reason() {
                    Some(reason) => Err(reason.clone()),
                    None => Ok(FunctionValue {
                        file: file.clone(),
                        function: function.clone(),
                        anchor: self.place.anchor(),
                    }),
                };
                self.state.functions.insert(name.into(), value);
                self.statuses.set(Ok(0));
                Ok(Flow::Next)
            }
            Command::Compound(compound) => self.deeper(|shell| shell.compound(file, compound)),
            Command::AndOr(list) => self.deeper(|shell| shell.and_or(file, list)),
            Command::Pipeline(pipeline) => self.deeper(|shell| shell.pipeline(file, pipeline)),
            Command::Coprocess(coprocess) => {
                self.set_span(coprocess.span);
                let Stop::Dynamic(reason) = self.unsupported("coproc", "coprocesses") else {
                    return Ok(Flow::Next);
                };
                self.forget_everything(&reason);
                Ok(Flow::Next)
            }
        }
    }

    fn and_or(&mut self, file: &File, list: &AndOr) -> Result<Flow, Stop> {
        let mut flow = self.command(file, &list.first)?;
        for (operator, command) in &list.rest {
            if flow != Flow::Next {
                return Ok(flow);
            }
            match self.statuses.last() {
                Ok(status) => {
                    if (status == 0) == (*operator == AndOrOperator::And) {
                        flow = self.command(file, command)?;
                    }
                }
                Err(reason) => {
                    flow = self.guarded(&reason, |shell| shell.command(file, command))?;
                }
            }
        }
        Ok(flow)
    }

    fn pipeline(&mut self, file: &File, pipeline: &Pipeline) -> Result<Flow, Stop> {
        let mut flow = Flow::Next;
        if let [only] = pipeline.stages.as_slice() {
            flow = self.command(file, &only.command)?;
            self.statuses.set_pipe(vec![self.statuses.last()]);
        } else if let Some((last, stages)) = pipeline.stages.split_last() {
            let inputs = self.streams.inputs();
            let mut statuses = Vec::new();
            for stage in stages {
                let ((), output) = self.stage(file, &stage.command, stage.joins_errors)?;
                statuses.push(self.statuses.last());
                self.streams.set_input(0, output);
            }
            if self.state.options.lastpipe {
                flow = self.command(file, &last.command)?;
            } else {
                self.subshell(|shell| shell.command(file, &last.command))?;
            }
            statuses.push(self.statuses.last());
            self.streams.set_inputs(inputs);
            if self.state.options.pipefail {
                self.statuses.set(worst(&statuses));
            }
            self.statuses.set_pipe(statuses);
        } else {
            self.statuses.set(Ok(0));
        }
        if pipeline.negated {
            self.statuses
                .set(self.statuses.last().map(|status| i32::from(status == 0)));
        }
        Ok(flow)
    }

    /// Runs one command of a pipeline and captures what the next one reads.
    fn stage(&mut self, file: &File, command: &Command, joined: bool) -> Result<((), Input), Stop> {
        let (text, ()) = self.capture(|shell| {
            if joined {
                let target = shell.streams.target(1);
                shell.streams.set_target(2, target);
            }
            shell.subshell(|shell| shell.command(file, command))
        })?;
        Ok(((), input_of(text)))
    }

    fn simple(&mut self, file: &File, simple: &SimpleCommand) -> Result<Flow, Stop> {
        self.set_span(simple.span);
        self.statuses.begin();
        if simple.arguments.is_empty() {
            return self.assignments_alone(file, simple);
        }
        let mut args = Vec::with_capacity(simple.arguments.len());
        let mut unknown = None;
        let mut unknown_name = None;
        let mut fields = Vec::new();
        let mut placed = None;
        for argument in &simple.arguments {
            if unknown.is_some() {
                placed.get_or_insert(args.len());
            }
            match argument {
                Argument::Word(word) => match self.word_fields(file, word, &mut fields) {
                    Ok(()) => args.extend(fields.drain(..).map(Arg::Field)),
                    Err(Stop::Dynamic(reason)) => {
                        fields.clear();
                        if args.is_empty() {
                            unknown_name.get_or_insert_with(|| reason.clone());
                        }
                        unknown = unknown.or(Some(reason));
                    }
                    Err(stop) => return Err(stop),
                },
                Argument::Assignment(assignment) if declares(&args) => {
                    let is_assoc = has_flag(&args, 'A');
                    let seen = args.iter().any(|arg| match arg {
                        Arg::Declaration(earlier) => {
                            earlier.is_array() && reads(file, assignment, &earlier.name)
                        }
                        _ => false,
                    });
                    if seen {
                        // bash has assigned the array by now, and the scalars beside it not yet.
                        let name = self.utf8(file.text(assignment.name))?.to_owned();
                        return Err(
                            self.unsupported("=(…)", format!("an array that `{name}=` reads"))
                        );
                    }
                    if let Value::Scalar(word) = &assignment.value
                        && word.may_expand_braces(file)
                    {
                        // bash makes several assignments of this one.
                        let stop = self.unsupported("{", "braces in an argument of `declare`");
                        if let Stop::Dynamic(reason) = stop {
                            unknown = unknown.or(Some(reason));
                        }
                        continue;
                    }
                    match self.declaration_argument(file, assignment, is_assoc) {
                        Ok(declaration) => args.push(Arg::Declaration(declaration)),
                        Err(Stop::Dynamic(reason)) => unknown = unknown.or(Some(reason)),
                        Err(stop) => return Err(stop),
                    }
                }
                Argument::Assignment(assignment) => args.push(Arg::Assignment(assignment)),
            }
        }
        if args.is_empty() && unknown.is_none() {
            // Everything expanded to nothing: only the assignments are left, and they stay.
            return self.assignments_alone(file, simple);
        }
        if let Some(reason) = unknown_name {
            return Ok(self.unknown_command(&reason));
        }
        let name = match args.first() {
            Some(Arg::Field(Ok(name))) => name.clone(),
            Some(Arg::Field(Err(reason))) => return Ok(self.unknown_command(&reason.clone())),
            Some(Arg::Assignment(_) | Arg::Declaration(_)) => return Ok(Flow::Next),
            None => match unknown {
                Some(reason) => return Ok(self.unknown_command(&reason)),
                None => return Ok(Flow::Next),
            },
        };
        args.remove(0);
        let call = Call {
            file,
            name: &name,
            placed: placed.unwrap_or(args.len() + 1) - 1,
            args,
            unknown,
        };
        let scope = self.temporary_scope(file, &simple.assignments)?;
        // Redirections are expanded before the assignments take effect.
        self.with_redirects(file, &simple.redirects, |shell| {
            let depth = shell.state.scopes.depth();
            shell.state.scopes.show(scope.into_iter().collect());
            let result = shell.call(&call);
            shell.state.scopes.close(depth);
            result
        })
    }

    /// A command without a name. Its assignments come first and stay, whatever becomes of its
    /// redirections.
    fn assignments_alone(&mut self, file: &File, simple: &SimpleCommand) -> Result<Flow, Stop> {
        for assignment in &simple.assignments {
            self.assignment(file, assignment)?;
        }
        // bash makes a process of its own for them when they concern its input, and forgets then
        // how substitutions ended.
        let own_process = simple.redirects.iter().any(Redirect::takes_input);
        let status = self.statuses.take_substituted().filter(|_| !own_process);
        let status = status.unwrap_or(Ok(0));
        self.with_redirects(file, &simple.redirects, |shell| {
            shell.statuses.set(status);
            Ok(Flow::Next)
        })
    }

    /// What stands in front of a command; each assignment sees those before it.
    fn temporary_scope(
        &mut self,
        file: &File,
        assignments: &[Assignment],
    ) -> Result<Option<Scope>, Stop> {
        if assignments.is_empty() {
            return Ok(None);
        }
        let depth = self.state.scopes.depth();
        self.state.scopes.open(Scope {
            temporary: true,
            unfinished: true,
            ..Scope::default()
        });
        let result = assignments.iter().try_for_each(|assignment| {
            let variable = self.temporary(file, assignment)?;
            let name = self.utf8(file.text(assignment.name))?;
            let scope = self.state.scopes.innermost_mut();
            scope.variables.insert(name.into(), variable);
            Ok(())
        });
        let mut scope = self.state.scopes.take();
        if let Some(scope) = &mut scope {
            scope.unfinished = false;
        }
        self.state.scopes.close(depth);
        result.map(|()| scope)
    }

    fn temporary(&mut self, file: &File, assignment: &Assignment) -> Result<Variable, Stop> {
        let value = match &assignment.value {
            Value::Scalar(word) => match self.text(file, word) {
                Ok(text) => Ok(text),
                Err(Stop::Dynamic(reason)) => Err(reason),
                Err(stop) => return Err(stop),
            },
            Value::Array(_) => {
                let stop = self.unsupported("=(…)", "an array in front of a command");
                return Err(stop);
            }
        };
        let mut variable = Variable {
            content: Content::Scalar(value),
            ..Variable::default()
        };
        variable.attributes.exported = true;
        Ok(variable)
    }

    pub(crate) fn compound(
        &mut self,
        file: &File,
        command: &CompoundCommand,
    ) -> Result<Flow, Stop> {
        if command.redirects.is_empty() {
            return self.compound_body(file, command);
        }
        self.set_span(command.span);
        self.with_redirects(file, &command.redirects, |shell| {
            shell.compound_body(file, command)
        })
    }

    /// `eval`: runs text in the current surroundings.
    pub(crate) fn eval_text(&mut self, text: &str) -> Result<Flow, Stop> {
        self.fuel.store(text.len() * 4)?;
        self.fuel.spend(text.len() as u64 / 8)?;
        let parse = crate::parse(text);
        if !parse.errors.is_empty() {
            self.complain();
            // bash runs what comes before the mistake, and its reader may take the reserved word
            // that follows the `eval` for a command.
            let stop = self.unsupported("eval", "the text has a syntax error");
            if let Stop::Dynamic(reason) = stop {
                self.forget_everything(&reason);
            }
            self.statuses.set(Ok(1));
            return Ok(Flow::Next);
        }
        let anchor = self.place.pin_here();
        let result = self.deeper(|shell| {
            shell.statuses.set(Ok(0));
            shell.list(&parse.file, parse.file.commands())
        });
        self.place.unpin(anchor);
        result
    }

    /// Makes a here-string or captured text the standard input.
    pub(crate) fn input_text(&mut self, descriptor: u32, text: Field) {
        self.streams.set_input(descriptor, input_of(text));
    }
}

fn input_of(text: Field) -> Input {
    match text {
        Ok(text) => Input {
            text,
            ..Input::default()
        },
        Err(reason) => Input {
            unknown: Some(reason),
            ..Input::default()
        },
    }
}

fn worst(statuses: &[Status]) -> Status {
    let mut last = Ok(0);
    for status in statuses {
        match status {
            Ok(0) => {}
            Ok(_) => last.clone_from(status),
            Err(reason) => return Err(reason.clone()),
        }
    }
    last
}

/// Whether the words so far call `declare` or one of its kin, whose assignments are expanded as such.
fn declares(args: &[Arg<'_>]) -> bool {
    let mut names = args.iter().map(|arg| match arg {
        Arg::Field(Ok(name)) => name.as_str(),
        _ => "",
    });
    let name = names.find(|name| !matches!(*name, "command" | "builtin"));
    matches!(
        name,
        Some("declare" | "typeset" | "local" | "export" | "readonly")
    )
}

/// Whether the assigned value has the name in it, in whatever way.
fn reads(file: &File, assignment: &Assignment, name: &str) -> bool {
    let text = file.text_lossy(assignment.span);
    text.contains('$') && text.contains(name)
}

fn has_flag(args: &[Arg<'_>], letter: char) -> bool {
    args.iter().any(|arg| match arg {
        Arg::Field(Ok(text)) => text.starts_with('-') && text.contains(letter),
        _ => false,
    })
}
