//! Compound commands: conditionals, loops, groups.

use super::dynamic::Stop;
use super::pattern::Pattern;
use super::scope::List as Fields;
use super::shell::{Flow, Shell};
use crate::tree::{
    Arithmetic, CaseArm, CaseEnd, Compound, CompoundCommand, File, IfArm, List, Operation, Word,
    WordPart,
};

/// How often a loop runs whose end is in doubt: what it assigns is unknown after the first turn,
/// and the second sees that.
const DOUBTFUL_TURNS: u32 = 2;

impl Shell {
    pub(crate) fn compound_body(
        &mut self,
        file: &File,
        command: &CompoundCommand,
    ) -> Result<Flow, Stop> {
        match &command.compound {
            Compound::Group(list) => self.list(file, list),
            Compound::Subshell(list) => {
                self.subshell(|shell| shell.list(file, list))?;
                Ok(Flow::Next)
            }
            Compound::If { arms, otherwise } => self.conditional(file, arms, otherwise.as_ref()),
            Compound::For { name, words, body } => {
                self.set_span(command.span);
                let words = match words {
                    Some(words) => self.fields(file, words)?,
                    None => self.positional(),
                };
                let name = self.utf8(file.text(*name))?.to_owned();
                self.in_loop(|shell| shell.for_words(file, &name, words, body))
            }
            Compound::ArithmeticFor {
                initial,
                condition,
                step,
                body,
            } => {
                self.set_span(command.span);
                self.in_loop(|shell| shell.arithmetic_for(file, [initial, condition, step], body))
            }
            Compound::While {
                until,
                condition,
                body,
            } => self.in_loop(|shell| shell.while_loop(file, *until, condition, body)),
            Compound::Select { body, .. } => {
                self.set_span(command.span);
                let Stop::Dynamic(reason) = self.unsupported("select", "it asks a person") else {
                    return Ok(Flow::Next);
                };
                self.in_loop(|shell| shell.guarded(&reason, |shell| shell.list(file, body)))?;
                self.forget_everything(&reason);
                Ok(Flow::Next)
            }
            Compound::Case { word, arms } => {
                self.set_span(command.span);
                self.case(file, word, arms)
            }
            Compound::Condition(condition) => {
                self.set_span(command.span);
                let status = match self.condition(file, condition) {
                    Ok(holds) => Ok(i32::from(!holds)),
                    Err(Stop::Dynamic(reason)) => Err(reason),
                    // A wrong number or pattern is a false condition, except where bash gives up.
                    Err(stop) => return Err(stop),
                };
                self.statuses.set(status);
                Ok(Flow::Next)
            }
            Compound::Arithmetic(expression) => {
                self.set_span(command.span);
                let status = match self.evaluate_arithmetic(file, expression) {
                    Ok(value) => Ok(i32::from(value == 0)),
                    Err(Stop::Dynamic(reason)) => Err(reason),
                    Err(Stop::Failed { fatal: false, .. }) => {
                        self.complain();
                        Ok(1)
                    }
                    Err(stop) => return Err(stop),
                };
                self.statuses.set(status);
                Ok(Flow::Next)
            }
        }
    }

    fn conditional(
        &mut self,
        file: &File,
        arms: &[IfArm],
        otherwise: Option<&List>,
    ) -> Result<Flow, Stop> {
        let Some((arm, rest)) = arms.split_first() else {
            return if let Some(list) = otherwise {
                self.list(file, list)
            } else {
                self.statuses.set(Ok(0));
                Ok(Flow::Next)
            };
        };
        match self.list(file, &arm.condition)? {
            Flow::Next => {}
            flow => return Ok(flow),
        }
        match self.statuses.last() {
            Ok(0) => self.list(file, &arm.body),
            Ok(_) => self.conditional(file, rest, otherwise),
            Err(reason) => {
                self.guarded(&reason, |shell| shell.list(file, &arm.body))?;
                self.guarded(&reason, |shell| shell.conditional(file, rest, otherwise))
            }
        }
    }

    fn for_words(
        &mut self,
        file: &File,
        name: &str,
        words: Fields,
        body: &List,
    ) -> Result<Flow, Stop> {
        let words = match words {
            Fields::Known(words) => words,
            Fields::Dynamic(reason) => {
                for _ in 0..DOUBTFUL_TURNS {
                    self.guarded(&reason, |shell| {
                        shell.assign(name, Err(reason.clone()), false)?;
                        shell.list(file, body)
                    })?;
                }
                return Ok(Flow::Next);
            }
        };
        self.statuses.set(Ok(0));
        for word in words {
            self.fuel.spend(1)?;
            match self.assign(name, word, false) {
                Err(Stop::Failed { fatal: false, .. }) => {
                    self.complain();
                    self.statuses.set(Ok(1));
                    break;
                }
                other => other?,
            }
            match self.list(file, body)? {
                Flow::Next | Flow::Continue(1) => {}
                Flow::Break(1) => break,
                flow => return Ok(outer(flow)),
            }
        }
        Ok(Flow::Next)
    }

    fn arithmetic_for(
        &mut self,
        file: &File,
        [initial, condition, step]: [&Arithmetic; 3],
        body: &List,
    ) -> Result<Flow, Stop> {
        let mut doubtful = 0;
        let mut status = Ok(0);
        match self.evaluate_arithmetic(file, initial) {
            Ok(_) | Err(Stop::Dynamic(_)) => {}
            Err(stop) => return self.failed_clause(stop),
        }
        loop {
            self.fuel.spend(1)?;
            let blank = file
                .text(condition.span)
                .iter()
                .all(u8::is_ascii_whitespace);
            let holds = if blank {
                Ok(1)
            } else {
                self.evaluate_arithmetic(file, condition)
            };
            let flow = match holds {
                Ok(0) => break,
                Ok(_) => self.list(file, body)?,
                Err(Stop::Dynamic(reason)) => {
                    doubtful += 1;
                    status = Err(reason.clone());
                    self.guarded(&reason, |shell| {
                        shell.list(file, body)?;
                        shell.evaluate_arithmetic(file, step)?;
                        Ok(Flow::Next)
                    })?
                }
                Err(stop) => return self.failed_clause(stop),
            };
            if status.is_ok() {
                status = self.statuses.last();
            }
            match flow {
                Flow::Next | Flow::Continue(1) => {}
                Flow::Break(1) => break,
                flow => return Ok(outer(flow)),
            }
            if self.doubt.about_loop() {
                doubtful += 1;
            }
            if doubtful >= DOUBTFUL_TURNS {
                break;
            }
            if doubtful == 0 {
                match self.evaluate_arithmetic(file, step) {
                    Ok(_) | Err(Stop::Dynamic(_)) => {}
                    Err(stop) => return self.failed_clause(stop),
                }
            }
        }
        self.statuses.set(status);
        Ok(Flow::Next)
    }

    /// An expression of `for ((…))` that fails ends the loop with status 1.
    fn failed_clause(&mut self, stop: Stop) -> Result<Flow, Stop> {
        match stop {
            Stop::Failed { fatal: false, .. } => {
                self.complain();
                self.statuses.set(Ok(1));
                Ok(Flow::Next)
            }
            stop => Err(stop),
        }
    }

    fn while_loop(
        &mut self,
        file: &File,
        until: bool,
        condition: &List,
        body: &List,
    ) -> Result<Flow, Stop> {
        let mut status = Ok(0);
        let mut doubtful = 0;
        loop {
            self.fuel.spend(1)?;
            match self.list(file, condition)? {
                Flow::Next => {}
                Flow::Break(1) => break,
                Flow::Continue(1) => continue,
                flow => return Ok(outer(flow)),
            }
            let flow = match self.statuses.last() {
                Ok(code) if (code == 0) == until => break,
                Ok(_) => {
                    let flow = self.list(file, body)?;
                    status = self.statuses.last();
                    flow
                }
                Err(reason) => {
                    doubtful += 1;
                    self.guarded(&reason, |shell| shell.list(file, body))?;
                    status = Err(reason);
                    Flow::Next
                }
            };
            match flow {
                Flow::Next | Flow::Continue(1) => {}
                Flow::Break(1) => {
                    status = self.statuses.last();
                    break;
                }
                flow => return Ok(outer(flow)),
            }
            if self.doubt.about_loop() {
                doubtful += 1;
            }
            if doubtful >= DOUBTFUL_TURNS {
                break;
            }
        }
        self.statuses.set(status);
        Ok(Flow::Next)
    }

    fn case(&mut self, file: &File, word: &Word, arms: &[CaseArm]) -> Result<Flow, Stop> {
        let mut subject = self.operand(file, word);
        if subject.is_ok() && leaves_marker(word) {
            subject = Err(self.unsupported("case", "a quoted change of case beside other parts"));
        }
        self.statuses.set(Ok(0));
        let mut subject = match subject {
            Ok(subject) => Ok(subject),
            Err(Stop::Dynamic(reason)) => Err(reason),
            Err(stop) => return Err(stop),
        };
        let mut falls_through = false;
        for arm in arms {
            let matched = match &subject {
                Ok(_) if falls_through => Ok(true),
                Ok(text) => self.case_matches(file, arm, text)?,
                Err(reason) => Err(reason.clone()),
            };
            falls_through = false;
            match matched {
                Ok(false) => {}
                Ok(true) => {
                    self.statuses.set(Ok(0));
                    let flow = self.list(file, &arm.body)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                    match arm.end {
                        CaseEnd::Break => return Ok(Flow::Next),
                        CaseEnd::FallThrough => falls_through = true,
                        CaseEnd::Continue => {}
                    }
                }
                Err(reason) => {
                    self.guarded(&reason, |shell| shell.list(file, &arm.body))?;
                    // Whether the later arms are reached is just as unknown.
                    subject = Err(reason);
                }
            }
        }
        Ok(Flow::Next)
    }

    fn case_matches(
        &mut self,
        file: &File,
        arm: &CaseArm,
        text: &str,
    ) -> Result<Result<bool, super::dynamic::Reason>, Stop> {
        for pattern in &arm.patterns {
            let pattern = match self.pattern_text(file, pattern) {
                Ok(pattern) => pattern,
                Err(Stop::Dynamic(reason)) => return Ok(Err(reason)),
                Err(stop) => return Err(stop),
            };
            let pattern = Pattern::compile(&pattern, self.state.options.extglob)?
                .ignoring_case(self.state.options.nocasematch);
            if pattern.matches(text, &mut self.fuel)? {
                return Ok(Ok(true));
            }
        }
        Ok(Ok(false))
    }
}

/// Whether bash may leave its mark of an empty quoted string in the subject, so that nothing
/// matches: when `"${x^^}"` or `"${x@U}"` is empty and another part follows or stands before.
fn leaves_marker(word: &Word) -> bool {
    word.parts().len() > 1
        && word.parts().iter().any(|part| match part {
            WordPart::DoubleQuoted(quoted) => quoted.parts().iter().any(|part| match part {
                WordPart::Parameter(expansion) => matches!(
                    expansion.operation,
                    Operation::Case { .. } | Operation::Transform(_)
                ),
                _ => false,
            }),
            _ => false,
        })
}

/// What a `break` or `continue` of several levels means one level further out.
fn outer(flow: Flow) -> Flow {
    match flow {
        Flow::Break(levels) => Flow::Break(levels - 1),
        Flow::Continue(levels) => Flow::Continue(levels - 1),
        flow => flow,
    }
}
