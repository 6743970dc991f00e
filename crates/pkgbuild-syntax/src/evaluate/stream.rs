//! Standard input and output of interpreted commands.

use super::dynamic::{DynamicKind, Field, Reason, Stop};
use super::shell::Shell;

/// What is written to a captured stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    pub(crate) text: String,
    /// Set when what was written is not fully known.
    pub(crate) unknown: Option<Reason>,
}

/// Where a file descriptor leads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// An entry of the capture stack.
    Capture(usize),
    /// `/dev/null` or anything else that no value comes from.
    Discard,
    /// Standard error as the recipe got it.
    Messages,
    Closed,
}

/// What is left to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Input {
    pub(crate) text: String,
    pub(crate) at: usize,
    pub(crate) unknown: Option<Reason>,
}

/// The file descriptors, and what was written to them.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    /// Descriptors that lead somewhere else than to standard error: sorted by number.
    targets: Vec<(u32, Target)>,
    /// Inputs by descriptor; those of the terminal are not known.
    inputs: Vec<(u32, Input)>,
    /// What is captured, innermost last; the first is standard output.
    outputs: Vec<Output>,
    said: Said,
}

/// Where the descriptors led at some moment.
pub(crate) struct Routes(Vec<(u32, Target)>);

/// What the descriptors read at some moment.
pub(crate) struct Inputs(Vec<(u32, Input)>);

impl Default for Streams {
    fn default() -> Self {
        Self {
            targets: vec![(1, Target::Capture(0))],
            inputs: Vec::new(),
            outputs: vec![Output::default()],
            said: Said::default(),
        }
    }
}

/// The last lines that were written for people.
#[derive(Debug, Clone, Default)]
struct Said(String);

impl Said {
    /// Most bytes that are kept.
    const MOST: usize = 512;

    fn add(&mut self, text: &str) {
        let start = text.len().saturating_sub(Self::MOST);
        self.0.push_str(&text[text.ceil_char_boundary(start)..]);
        let excess = self.0.len().saturating_sub(Self::MOST);
        self.0.drain(..self.0.ceil_char_boundary(excess));
    }

    /// In one line that a terminal can show; `otherwise` is taken when nothing was said.
    fn line(&self, otherwise: &str) -> String {
        let mut said = Self::default();
        said.add(if self.0.trim().is_empty() {
            otherwise
        } else {
            &self.0
        });
        let lines = said
            .0
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let last: Vec<&str> = lines.rev().take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        printable::text(&last.join("; ")).replace('\t', " ")
    }
}

impl Streams {
    pub(crate) fn target(&self, descriptor: u32) -> Target {
        self.targets
            .iter()
            .find(|(number, _)| *number == descriptor)
            .map_or(
                if descriptor == 2 {
                    Target::Messages
                } else {
                    Target::Discard
                },
                |(_, target)| target.clone(),
            )
    }

    pub(crate) fn set_target(&mut self, descriptor: u32, target: Target) {
        self.targets.retain(|(number, _)| *number != descriptor);
        self.targets.push((descriptor, target));
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes(self.targets.clone())
    }

    pub(crate) fn reroute(&mut self, routes: Routes) {
        self.targets = routes.0;
    }

    pub(crate) fn inputs(&self) -> Inputs {
        Inputs(self.inputs.clone())
    }

    pub(crate) fn set_inputs(&mut self, inputs: Inputs) {
        self.inputs = inputs.0;
    }

    /// Gives the descriptors of `own` back what they read before.
    pub(crate) fn restore_inputs(&mut self, own: &[u32], inputs: Inputs) {
        if own.is_empty() {
            return;
        }
        self.inputs.retain(|(number, _)| !own.contains(number));
        let restored = inputs.0.into_iter();
        self.inputs
            .extend(restored.filter(|(number, _)| own.contains(number)));
    }

    pub(crate) fn input_of(&self, descriptor: u32) -> Option<Input> {
        let found = self.inputs.iter().find(|(number, _)| *number == descriptor);
        found.map(|(_, input)| input.clone())
    }

    /// What the recipe printed.
    pub(crate) fn stdout(&self) -> &Output {
        &self.outputs[0]
    }

    /// Something unknown was, or will be, printed.
    pub(crate) fn taint_stdout(&mut self, reason: &Reason) {
        self.outputs[0]
            .unknown
            .get_or_insert_with(|| reason.clone());
    }

    pub(crate) fn forget_stdout(&mut self) {
        self.outputs[0] = Output::default();
    }

    /// The last lines for people; see [`Said::line`].
    pub(crate) fn said(&self, otherwise: &str) -> String {
        self.said.line(otherwise)
    }

    pub(crate) fn set_input(&mut self, descriptor: u32, input: Input) {
        self.inputs.retain(|(number, _)| *number != descriptor);
        self.inputs.push((descriptor, input));
    }
}

impl Shell {
    /// Writes to standard output.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Stop> {
        self.write_to(1, text)
    }

    pub(crate) fn write_to(&mut self, descriptor: u32, text: &str) -> Result<(), Stop> {
        let at = match self.streams.target(descriptor) {
            Target::Capture(at) => at,
            Target::Messages => {
                if self.doubt.reason().is_none() {
                    self.streams.said.add(text);
                }
                return Ok(());
            }
            Target::Discard | Target::Closed => return Ok(()),
        };
        self.fuel.store(text.len())?;
        self.fuel.spend(1 + text.len() as u64 / 64)?;
        let doubt = self.doubt.reason().cloned();
        let output = &mut self.streams.outputs[at];
        match doubt {
            Some(reason) => output.unknown = Some(reason),
            None => output.text.push_str(text),
        }
        Ok(())
    }

    /// Something unknown was written to standard output.
    pub(crate) fn taint_output(&mut self, reason: &Reason) {
        self.taint(1, reason);
    }

    pub(crate) fn taint(&mut self, descriptor: u32, reason: &Reason) {
        if let Target::Capture(at) = self.streams.target(descriptor) {
            self.streams.outputs[at]
                .unknown
                .get_or_insert_with(|| reason.clone());
        }
    }

    /// A message of bash itself, whose wording is not reproduced: harmless unless standard error
    /// is captured.
    pub(crate) fn complain(&mut self) {
        if let Target::Capture(_) = self.streams.target(2) {
            let reason = self.reason(DynamicKind::Unsupported {
                what: "2>&1".to_owned(),
                detail: "the wording of an error message is captured".to_owned(),
            });
            self.taint(2, &reason);
        }
    }

    /// Everything that is left on standard input.
    pub(crate) fn read_all(&mut self) -> Result<String, Stop> {
        let input = self.input(0)?;
        let text = input.text[input.at..].to_owned();
        input.at = input.text.len();
        self.fuel.store(text.len())?;
        Ok(text)
    }

    /// The input behind a descriptor, when it is known.
    pub(crate) fn input(&mut self, descriptor: u32) -> Result<&mut Input, Stop> {
        let found = self
            .streams
            .inputs
            .iter()
            .position(|(number, _)| *number == descriptor);
        let Some(found) = found else {
            let kind = DynamicKind::File("/dev/stdin".to_owned());
            return Err(self.reason(kind).into());
        };
        if let Some(reason) = &self.streams.inputs[found].1.unknown {
            return Err(reason.clone().into());
        }
        Ok(&mut self.streams.inputs[found].1)
    }

    /// Runs with a fresh capture as standard output and gives what was written.
    pub(crate) fn capture<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<(Field, T), Stop> {
        let saved = self.streams.targets.clone();
        let at = self.streams.outputs.len();
        self.streams.outputs.push(Output::default());
        self.streams.set_target(1, Target::Capture(at));
        let result = run(self);
        self.streams.targets = saved;
        self.streams.outputs.truncate(at + 1);
        let output = self.streams.outputs.pop().unwrap_or_default();
        let result = result?;
        let text = match output.unknown {
            Some(reason) => Err(reason),
            None => Ok(output.text),
        };
        Ok((text, result))
    }
}
