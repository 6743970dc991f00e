//! What a recipe came to: its variables, functions and output.

use super::Evaluation;
use super::dynamic::Field;
pub(super) use super::dynamic::{DynamicReason, Evaluated};
use super::error::EvaluateError;
use super::scope::Content;
use crate::span::Span;
use crate::tree::{File, Function};
use std::borrow::Cow;

impl Evaluation {
    /// The file that was evaluated.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// `${name}`: of an array the element 0. `None` when unset.
    pub fn scalar(&self, name: &str) -> Option<Evaluated<Cow<'_, str>>> {
        match &self.variable(name)?.content {
            Content::Unset => None,
            Content::Scalar(value) => Some(shown(value)),
            Content::Array(array) => array.get(0).map(shown),
            Content::Assoc(assoc) => assoc.get("0").map(shown),
            Content::Dynamic(reason) => Some(Evaluated::Dynamic((**reason).clone())),
        }
    }

    /// `"${name[@]}"`, in bash's order; a scalar is an array of one. `None` when unset.
    pub fn array(&self, name: &str) -> Option<Evaluated<Vec<Evaluated<Cow<'_, str>>>>> {
        Some(match &self.variable(name)?.content {
            Content::Unset => return None,
            Content::Scalar(value) => Evaluated::Known(vec![shown(value)]),
            Content::Array(array) => {
                Evaluated::Known(array.iter().map(|(_, value)| shown(value)).collect())
            }
            Content::Assoc(assoc) => {
                Evaluated::Known(assoc.iter().map(|(_, value)| shown(value)).collect())
            }
            Content::Dynamic(reason) => Evaluated::Dynamic((**reason).clone()),
        })
    }

    /// Whether the variable is an indexed array, as an `a` in `${name@a}` tells.
    pub fn is_array(&self, name: &str) -> bool {
        let content = self.variable(name).map(|variable| &variable.content);
        matches!(content, Some(Content::Array(_)))
    }

    /// Whether the variable is an indexed array with a gap before its last element.
    pub fn is_sparse(&self, name: &str) -> bool {
        match self.variable(name).map(|variable| &variable.content) {
            Some(Content::Array(array)) => i64::try_from(array.len()) != Ok(array.end()),
            _ => false,
        }
    }

    /// Whether the recipe looked for a file beside it, or expanded a pattern of file names: then
    /// the outcome depends on the files that the [`Environment`](crate::Environment) was given.
    pub fn looks_at_files(&self) -> bool {
        self.shell.told.looked_at_files()
    }

    /// Why the files beside the recipe may have changed while it was read.
    pub(crate) fn files_changed(&self) -> Option<&DynamicReason> {
        self.shell.state.files_changed.as_deref()
    }

    /// The last assignment to a variable.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.variable(name)
            .filter(|variable| !variable.inherited)
            .map(|variable| variable.span)
    }

    /// The commands whose assignments make what a variable holds, oldest first: the last plain one and
    /// what added to it or set single elements since. Empty for a variable that the recipe did not
    /// assign.
    pub fn origins(&self, name: &str) -> Vec<Span> {
        let assigned = self.variable(name).filter(|variable| !variable.inherited);
        let Some(variable) = assigned else {
            return Vec::new();
        };
        let mut spans = variable.earlier.clone();
        spans.push(variable.span);
        spans
    }

    /// The names of all set variables that the recipe assigned, sorted.
    pub fn variables(&self) -> Vec<&str> {
        let variables = self.shell.state.scopes.global().variables.iter();
        let mut names: Vec<&str> = variables
            .filter(|(_, variable)| {
                !variable.inherited && !matches!(variable.content, Content::Unset)
            })
            .map(|(name, _)| &**name)
            .collect();
        names.sort_unstable();
        names
    }

    /// The names of all functions, sorted; those that may or may not be defined are among them.
    pub fn functions(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .shell
            .state
            .functions
            .keys()
            .map(|name| &**name)
            .collect();
        names.sort_unstable();
        names
    }

    /// Whether a function is defined, and where; dynamic when that depends on something unknown.
    /// The span of a function that `eval` defined is that of the `eval`.
    pub fn function(&self, name: &str) -> Option<Evaluated<Span>> {
        match self.shell.state.functions.get(name) {
            Some(Ok(function)) => Some(Evaluated::Known(
                function.anchor.unwrap_or(function.function.span),
            )),
            Some(Err(reason)) => Some(Evaluated::Dynamic((**reason).clone())),
            None => {
                let unknown = self.shell.state.unknown.as_ref()?;
                Some(Evaluated::Dynamic((**unknown).clone()))
            }
        }
    }

    /// The tree of a function that the recipe's own text defines.
    pub(crate) fn function_tree(&self, name: &str) -> Option<&Function> {
        match self.shell.state.functions.get(name) {
            Some(Ok(function)) if function.anchor.is_none() => Some(&function.function),
            _ => None,
        }
    }

    /// What `declare -f name` prints, to the byte.
    pub fn declare_f(&self, name: &str) -> Option<Evaluated<String>> {
        match self.shell.state.functions.get(name) {
            Some(Ok(function)) => Some(Evaluated::Known(super::declare_f::print(function))),
            Some(Err(reason)) => Some(Evaluated::Dynamic((**reason).clone())),
            None => {
                let unknown = self.shell.state.unknown.as_ref()?;
                Some(Evaluated::Dynamic((**unknown).clone()))
            }
        }
    }

    /// Every reason that was met, in order, whether or not its value reached a variable.
    pub fn dynamic(&self) -> &[DynamicReason] {
        self.shell.told.reasons()
    }

    /// Set when it is not even known whether the recipe can be sourced: a command with an unknown
    /// status decides about an `exit`, or a text that is not known was evaluated.
    pub fn uncertain(&self) -> Option<&DynamicReason> {
        self.shell.doubt.about_file()
    }

    /// Why makepkg would refuse the recipe, or why the evaluation ended early.
    pub fn failure(&self) -> Option<&EvaluateError> {
        self.shell.told.failure()
    }

    /// What the top level prints on standard output; makepkg's `.SRCINFO` begins with it.
    pub fn stdout(&self) -> Evaluated<&str> {
        let output = self.shell.streams.stdout();
        match &output.unknown {
            Some(reason) => Evaluated::Dynamic((**reason).clone()),
            None => Evaluated::Known(&output.text),
        }
    }
}

fn shown(field: &Field) -> Evaluated<Cow<'_, str>> {
    match field {
        Ok(text) => Evaluated::Known(Cow::Borrowed(text)),
        Err(reason) => Evaluated::Dynamic((**reason).clone()),
    }
}
