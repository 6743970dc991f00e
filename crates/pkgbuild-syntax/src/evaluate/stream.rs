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

/// The file descriptors.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    /// Descriptors that lead somewhere else than to standard error: sorted by number.
    pub(crate) targets: Vec<(u32, Target)>,
    /// Inputs by descriptor; those of the terminal are not known.
    pub(crate) inputs: Vec<(u32, Input)>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            targets: vec![(1, Target::Capture(0))],
            inputs: Vec::new(),
        }
    }
}

/// The last lines that were written for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said(String);

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
    pub(crate) fn line(&self, otherwise: &str) -> String {
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
                    self.said.add(text);
                }
                return Ok(());
            }
            Target::Discard | Target::Closed => return Ok(()),
        };
        self.fuel.store(text.len())?;
        self.fuel.spend(1 + text.len() as u64 / 64)?;
        let doubt = self.doubt.reason().cloned();
        let output = &mut self.outputs[at];
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
            self.outputs[at]
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
        let at = self.outputs.len();
        self.outputs.push(Output::default());
        self.streams.set_target(1, Target::Capture(at));
        let result = run(self);
        self.streams.targets = saved;
        self.outputs.truncate(at + 1);
        let output = self.outputs.pop().unwrap_or_default();
        let result = result?;
        let text = match output.unknown {
            Some(reason) => Err(reason),
            None => Ok(output.text),
        };
        Ok((text, result))
    }
}
