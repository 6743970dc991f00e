//! Redirections.

use super::dynamic::{DynamicKind, Reason, Stop};
use super::shell::{Flow, Shell};
use super::stream::Target;
use crate::tree::{Descriptor, File, Redirect, RedirectOperator, RedirectTarget, WordPart};

/// What became of a redirection.
enum Opened {
    Known,
    /// It is not known whether it can be made.
    InDoubt(Reason),
    /// The file that it reads is not there: the command does not run, with status 1.
    Missing,
}

impl Shell {
    /// Runs with redirections in force. One that reaches outside the recipe leaves in doubt
    /// whether the command runs at all.
    pub(crate) fn with_redirects(
        &mut self,
        file: &File,
        redirects: &[Redirect],
        run: impl FnOnce(&mut Self) -> Result<Flow, Stop>,
    ) -> Result<Flow, Stop> {
        if redirects.is_empty() {
            return run(self);
        }
        let routes = self.streams.routes();
        let inputs = self.streams.inputs();
        let mut doubt = None;
        for redirect in redirects {
            match self.redirect(file, redirect) {
                Ok(Opened::Known) => {}
                Ok(Opened::InDoubt(reason)) | Err(Stop::Dynamic(reason)) => {
                    doubt.get_or_insert(reason);
                }
                Ok(Opened::Missing) => {
                    self.complain();
                    self.streams.reroute(routes);
                    self.streams.set_inputs(inputs);
                    self.statuses.set(Ok(1));
                    return Ok(Flow::Next);
                }
                Err(stop) => {
                    self.streams.reroute(routes);
                    self.streams.set_inputs(inputs);
                    return Err(stop);
                }
            }
        }
        let result = match &doubt {
            None => run(self),
            Some(reason) => self.guarded(reason, run),
        };
        self.streams.reroute(routes);
        // Reading on moves the position in inputs that were there before.
        let own: Vec<u32> = redirects.iter().filter_map(input_descriptor).collect();
        self.streams.restore_inputs(&own, inputs);
        result
    }

    fn redirect(&mut self, file: &File, redirect: &Redirect) -> Result<Opened, Stop> {
        let descriptor = match redirect.descriptor {
            None => None,
            Some(Descriptor::Number(number)) => Some(number),
            Some(Descriptor::Variable(_)) => {
                return Err(self.unsupported("{name}>", "a descriptor stored in a variable"));
            }
        };
        if let RedirectTarget::Word(word) = &redirect.target
            && redirect.operator == RedirectOperator::Read
            && let [WordPart::Process(process)] = word.parts()
            && !process.output
        {
            let status = self.statuses.last();
            let (text, ()) = self.deeper(|shell| {
                shell.capture(|shell| shell.subshell(|shell| shell.list(file, &process.body)))
            })?;
            self.statuses.set(status);
            self.input_text(descriptor.unwrap_or(0), text);
            return Ok(Opened::Known);
        }
        let target = match &redirect.target {
            RedirectTarget::HereDocument(id) => {
                let Some(document) = file.here_document(*id) else {
                    return Ok(Opened::Known);
                };
                let text = if document.quoted {
                    let bytes = document.static_text(file).unwrap_or_default();
                    self.utf8(&bytes).map(str::to_owned)
                } else {
                    known_or_dynamic(self.quoted_text(file, document.parts()))?
                };
                self.input_text(descriptor.unwrap_or(0), text);
                return Ok(Opened::Known);
            }
            RedirectTarget::Word(word) => known_or_dynamic(self.operand(file, word))?,
        };
        match redirect.operator {
            RedirectOperator::HereString => {
                self.input_text(descriptor.unwrap_or(0), target.map(|text| text + "\n"));
                Ok(Opened::Known)
            }
            RedirectOperator::HereDocument => Ok(Opened::Known),
            RedirectOperator::Read => {
                let path = target?;
                match self.read_file(&path) {
                    Ok(Some(text)) => {
                        self.input_text(descriptor.unwrap_or(0), Ok(text));
                        Ok(Opened::Known)
                    }
                    Ok(None) => Ok(Opened::Missing),
                    Err(Stop::Dynamic(reason)) => {
                        self.input_text(descriptor.unwrap_or(0), Err(reason.clone()));
                        Ok(Opened::InDoubt(reason))
                    }
                    Err(stop) => Err(stop),
                }
            }
            RedirectOperator::DuplicateInput => {
                let number = target?;
                if let Ok(number) = number.parse::<u32>()
                    && let Some(input) = self.streams.input_of(number)
                {
                    self.streams.set_input(descriptor.unwrap_or(0), input);
                }
                Ok(Opened::Known)
            }
            RedirectOperator::DuplicateOutput => {
                let word = target?;
                if let Ok(number) = word.parse::<u32>() {
                    let target = self.streams.target(number);
                    self.streams.set_target(descriptor.unwrap_or(1), target);
                    return Ok(Opened::Known);
                }
                if word == "-" {
                    self.streams
                        .set_target(descriptor.unwrap_or(1), Target::Closed);
                    return Ok(Opened::Known);
                }
                Ok(self.write_file(&[1, 2], &word))
            }
            RedirectOperator::WriteBoth | RedirectOperator::AppendBoth => {
                let path = target?;
                Ok(self.write_file(&[1, 2], &path))
            }
            RedirectOperator::Write | RedirectOperator::Append | RedirectOperator::Clobber => {
                let path = target?;
                Ok(self.write_file(&[descriptor.unwrap_or(1)], &path))
            }
            RedirectOperator::ReadWrite => {
                Err(self.unsupported("<>", "reading and writing a file"))
            }
        }
    }

    /// Leads descriptors to a file, of which only those that keep nothing are harmless.
    fn write_file(&mut self, descriptors: &[u32], path: &str) -> Opened {
        let target = match path {
            "/dev/stdout" | "/dev/fd/1" => self.streams.target(1),
            "/dev/stderr" | "/dev/fd/2" => self.streams.target(2),
            _ => Target::Discard,
        };
        for descriptor in descriptors {
            self.streams.set_target(*descriptor, target.clone());
        }
        if path.starts_with("/dev/") && path != "/dev/full" {
            return Opened::Known;
        }
        let reason = self.reason(DynamicKind::File(path.to_owned()));
        self.state.files_changed = Some(reason.clone());
        Opened::InDoubt(reason)
    }

    /// The path of a file beside the recipe, relative to its folder.
    pub(crate) fn recipe_path(&mut self, path: &str) -> Result<String, Reason> {
        if let Some(reason) = self
            .state
            .moved
            .clone()
            .or_else(|| self.state.files_changed.clone())
        {
            return Err(reason);
        }
        self.told.look_at_files();
        let directory = self.environment.facts.directory.clone();
        let relative = match directory.as_deref().and_then(|dir| path.strip_prefix(dir)) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest.trim_start_matches('/'),
            _ => path,
        };
        let mut parts = Vec::new();
        for part in relative.split('/') {
            match part {
                "" | "." if !relative.starts_with('/') => {}
                ".." if parts.pop().is_some() => {}
                "" | ".." => return Err(self.reason(DynamicKind::File(path.to_owned()))),
                part => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }

    /// The text of a file beside the recipe; nothing when there is no such file.
    pub(crate) fn read_file(&mut self, path: &str) -> Result<Option<String>, Stop> {
        if path == "/dev/null" {
            return Ok(Some(String::new()));
        }
        if matches!(path, "/dev/stdin" | "/dev/fd/0") {
            return self.read_all().map(Some);
        }
        let facts = self.environment.facts.clone();
        if facts.missing.contains(path) {
            return Ok(None);
        }
        let relative = self.recipe_path(path)?;
        let Some(bytes) = facts.files.get(&relative) else {
            if facts.missing.contains(&relative) {
                return Ok(None);
            }
            return Err(self.reason(DynamicKind::File(path.to_owned())).into());
        };
        let text = self.utf8(bytes)?;
        self.fuel.store(text.len())?;
        Ok(Some(text.to_owned()))
    }
}

fn input_descriptor(redirect: &Redirect) -> Option<u32> {
    let reads = matches!(
        redirect.operator,
        RedirectOperator::Read
            | RedirectOperator::HereString
            | RedirectOperator::HereDocument
            | RedirectOperator::DuplicateInput
            | RedirectOperator::ReadWrite
    );
    match redirect.descriptor {
        None => reads.then_some(0),
        Some(Descriptor::Number(number)) => reads.then_some(number),
        Some(Descriptor::Variable(_)) => None,
    }
}

/// Parts a text that is not known from the failures that end the run.
fn known_or_dynamic(text: Result<String, Stop>) -> Result<Result<String, Reason>, Stop> {
    match text {
        Ok(text) => Ok(Ok(text)),
        Err(Stop::Dynamic(reason)) => Ok(Err(reason)),
        Err(stop) => Err(stop),
    }
}
