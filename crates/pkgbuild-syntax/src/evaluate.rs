//! Interprets a recipe's top level as bash would, without running anything.

mod arithmetic;
mod assign;
mod assoc;
mod brace;
mod budget;
mod builtin;
mod command;
mod compound;
mod condition;
mod declare_f;
mod doubt;
mod dynamic;
mod environment;
mod expand;
mod filter;
mod glob;
mod host;
mod operation;
mod parameter;
mod pattern;
mod printf;
mod quote;
mod redirect;
mod regex;
mod scope;
mod shell;
mod stream;

use std::borrow::Cow;

use thiserror::Error;

pub use self::dynamic::{DynamicKind, DynamicReason, Evaluated};
pub use self::environment::{Budget, Environment, Uname};

use self::budget::{Exhausted, Fuel};
use self::dynamic::{Field, Stop};
use self::scope::{Content, List, Scope, Variable};
use self::shell::{Flow, Shell};
use crate::span::Span;
use crate::tree::File;

/// Why makepkg would refuse the recipe, or why its evaluation ended early.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The last command at the top level failed. makepkg then stops with status 6.
    #[error("the last command of the recipe returned {status}, which makepkg takes for a failure")]
    Status {
        /// The exit status.
        status: i32,
        /// The command.
        span: Span,
    },
    /// The recipe ends the shell, with `exit` or an error that bash does not survive.
    #[error("the recipe ends the shell with status {status}")]
    Exit {
        /// The exit status.
        status: i32,
        /// The command.
        span: Span,
    },
    /// An expansion that bash treats as fatal, such as `${x:?message}`.
    #[error("{message}")]
    Expansion {
        /// What bash reports.
        message: String,
        /// The command.
        span: Span,
    },
    /// makepkg refuses recipes with carriage returns.
    #[error("the recipe contains a carriage return; save it with Unix line ends")]
    CarriageReturn {
        /// The first one.
        span: Span,
    },
    /// More steps than the budget allows: an endless loop or an expansion bomb.
    #[error("the recipe takes more than {limit} steps; is there an endless loop?")]
    Steps {
        /// The budget.
        limit: u64,
        /// The command at which it ran out.
        span: Span,
    },
    /// More bytes than the budget allows.
    #[error("the recipe's values take more than {limit} bytes")]
    Memory {
        /// The budget.
        limit: u64,
        /// The command at which it ran out.
        span: Span,
    },
    /// Functions, substitutions or expressions nest too deeply.
    #[error("the recipe nests calls or expressions more than {limit} deep")]
    Depth {
        /// The budget.
        limit: u32,
        /// The command at which it ran out.
        span: Span,
    },
}

impl EvaluateError {
    /// Where in the recipe.
    pub fn span(&self) -> Span {
        match self {
            Self::Status { span, .. }
            | Self::Exit { span, .. }
            | Self::Expansion { span, .. }
            | Self::CarriageReturn { span }
            | Self::Steps { span, .. }
            | Self::Memory { span, .. }
            | Self::Depth { span, .. } => *span,
        }
    }
}

/// What a recipe's variables and functions are after its top level was interpreted.
///
/// Cloning copies the variables; a clone is the place to [`eval`](Self::eval) in.
#[derive(Debug, Clone)]
pub struct Evaluation {
    file: File,
    shell: Shell,
    /// makepkg has set its own variables on top of the recipe's.
    prepared: bool,
}

/// Interprets the top level of `file` as makepkg sources it.
///
/// Total: an endless loop, a failing command or a value that only a shell could find out are data
/// in the [`Evaluation`]. Nothing outside `environment` is looked at.
///
/// ```
/// use pkgbuild_syntax::{Environment, Evaluated, evaluate, parse};
///
/// let recipe = parse("pkgver=1.2.3\n_short=${pkgver%.*}\n_new=$(curl -s example.org)\n");
/// let evaluation = evaluate(&recipe.file, &Environment::default());
/// assert_eq!(evaluation.scalar("_short"), Some(Evaluated::Known("1.2".into())));
/// let reason = evaluation.dynamic().first().expect("`curl` is external");
/// assert_eq!(reason.describe(recipe.file.source()), "`curl` would have to run, line 3");
/// ```
pub fn evaluate(file: &File, environment: &Environment) -> Evaluation {
    let mut evaluation = Evaluation {
        file: file.clone(),
        shell: Shell::new(environment),
        prepared: false,
    };
    evaluation.source();
    evaluation
}

impl Evaluation {
    fn source(&mut self) {
        if let Some(at) = self.file.source().iter().position(|&byte| byte == b'\r') {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let span = Span::new(at, at + 1);
            self.shell.failure = Some(EvaluateError::CarriageReturn { span });
            return;
        }
        let shell = &mut self.shell;
        shell.failure = None;
        shell.anchor = None;
        shell.span = Span::default();
        shell.status = Ok(0);
        shell.renew();
        // makepkg sources from inside a function, hence `declare` and `local` are local to it.
        let mut local = Scope::default();
        let restores = Variable {
            content: Content::Scalar(Ok("shopt -s extglob".to_owned())),
            inherited: true,
            ..Variable::default()
        };
        local.variables.insert("shellopts".into(), restores);
        shell.state.scopes.truncate(1);
        shell.state.scopes.push(local);
        let path = shell.reason(DynamicKind::Host("$1".to_owned()));
        shell.reasons.clear();
        shell.state.positional = List::Known(vec![Err(path)]);
        shell.state.options.extglob = false;
        let result = shell.source(&self.file);
        shell.state.scopes.truncate(1);
        shell.state.calls.clear();
        shell.loops = 0;
        let span = shell.span;
        shell.failure = match result {
            Ok(Flow::Exit) => shell
                .status
                .clone()
                .map_or(None, |status| Some(EvaluateError::Exit { status, span })),
            Ok(_) => match shell.status {
                Ok(0) | Err(_) => None,
                Ok(status) => Some(EvaluateError::Status { status, span }),
            },
            Err(Stop::Failed { message, .. }) => Some(EvaluateError::Expansion { message, span }),
            Err(Stop::Dynamic(reason)) => {
                shell.status = Err(reason);
                None
            }
            Err(Stop::Exhausted(exhausted)) => Some(shell.exhausted(exhausted)),
        };
        if let Err(reason) = &shell.status {
            shell.doubt.stuck_file.get_or_insert_with(|| reason.clone());
        }
        shell.check_left_over();
        shell.run_exit_trap();
    }

    /// The file that was evaluated.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.shell
            .state
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.variables.get(name))
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
    /// the outcome depends on the files that the [`Environment`] was given.
    pub fn looks_at_files(&self) -> bool {
        self.shell.looks_at_files
    }

    /// The last assignment to a variable.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.variable(name)
            .filter(|variable| !variable.inherited)
            .map(|variable| variable.span)
    }

    /// The names of all set variables that the recipe assigned, sorted.
    pub fn variables(&self) -> Vec<&str> {
        let variables = self.shell.state.scopes[0].variables.iter();
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

    /// What `declare -f name` prints, to the byte.
    pub fn declare_f(&self, name: &str) -> Option<Evaluated<String>> {
        match self.shell.state.functions.get(name) {
            Some(Ok(function)) => Some(Evaluated::Known(declare_f::print(function))),
            Some(Err(reason)) => Some(Evaluated::Dynamic((**reason).clone())),
            None => {
                let unknown = self.shell.state.unknown.as_ref()?;
                Some(Evaluated::Dynamic((**unknown).clone()))
            }
        }
    }

    /// Every reason that was met, in order, whether or not its value reached a variable.
    pub fn dynamic(&self) -> &[DynamicReason] {
        &self.shell.reasons
    }

    /// Set when it is not even known whether the recipe can be sourced: a command with an unknown
    /// status decides about an `exit`, or a text that is not known was evaluated.
    pub fn uncertain(&self) -> Option<&DynamicReason> {
        self.shell.doubt.stuck_file.as_deref()
    }

    /// Why makepkg would refuse the recipe, or why the evaluation ended early.
    pub fn failure(&self) -> Option<&EvaluateError> {
        self.shell.failure.as_ref()
    }

    /// What the top level prints on standard output; makepkg's `.SRCINFO` begins with it.
    pub fn stdout(&self) -> Evaluated<&str> {
        let output = &self.shell.outputs[0];
        match &output.unknown {
            Some(reason) => Evaluated::Dynamic((**reason).clone()),
            None => Evaluated::Known(&output.text),
        }
    }

    /// Sets a variable to a string, whatever it held; where makepkg itself would do so.
    pub fn assign(&mut self, name: &str, value: &str) {
        self.prepare();
        let variable = Variable {
            content: Content::Scalar(Ok(value.to_owned())),
            ..Variable::default()
        };
        if let Some(scope) = self.shell.state.scopes.last_mut() {
            scope.variables.insert(name.into(), variable);
        }
    }

    /// Makes a variable unknown, kind and all.
    pub(crate) fn forget(&mut self, name: &str, reason: DynamicReason) {
        self.prepare();
        let variable = Variable {
            content: Content::Dynamic(reason.into()),
            ..Variable::default()
        };
        if let Some(scope) = self.shell.state.scopes.last_mut() {
            scope.variables.insert(name.into(), variable);
        }
    }

    /// Sets a variable to an indexed array, whatever it held; where makepkg itself would do so.
    pub fn assign_array<S: Into<String>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = Evaluated<S>>,
    ) {
        self.prepare();
        let values = values.into_iter().map(|value| match value {
            Evaluated::Known(text) => Ok(text.into()),
            Evaluated::Dynamic(reason) => Err(reason.into()),
        });
        let content = Content::Array(values.collect());
        if let Some(scope) = self.shell.state.scopes.last_mut() {
            scope.variables.insert(
                name.into(),
                Variable {
                    content,
                    ..Variable::default()
                },
            );
        }
    }

    /// Runs `text` as bash's `eval` does, with the variables and functions as they are, extended
    /// globs on: that is how makepkg applies the assigning lines of a `package_*` function.
    ///
    /// Variables such as `srcdir`, which makepkg sets after sourcing, are dynamic here.
    /// A budget that runs out shows in [`failure`](Self::failure).
    pub fn eval(&mut self, text: &str) {
        self.prepare();
        let shell = &mut self.shell;
        shell.renew();
        shell.state.options.extglob = true;
        shell.anchor = Some(shell.span);
        let result = shell.eval_text(text);
        shell.anchor = None;
        match result {
            Err(Stop::Exhausted(exhausted)) => {
                let error = shell.exhausted(exhausted);
                shell.failure.get_or_insert(error);
            }
            Err(Stop::Dynamic(reason)) => {
                shell.doubt.stuck_file.get_or_insert(reason);
            }
            // bash gives up the function of makepkg that evaluates the line, hence the whole run.
            Err(Stop::Failed { message, .. }) => {
                let span = shell.span;
                shell
                    .failure
                    .get_or_insert(EvaluateError::Expansion { message, span });
            }
            Ok(Flow::Exit) => {
                let (status, span) = (shell.status.clone().unwrap_or(1), shell.span);
                shell
                    .failure
                    .get_or_insert(EvaluateError::Exit { status, span });
            }
            Ok(_) => {}
        }
    }

    /// Sets what makepkg sets between sourcing the recipe and reading its functions.
    fn prepare(&mut self) {
        if std::mem::replace(&mut self.prepared, true) {
            return;
        }
        let base = self.scalar("pkgbase").or_else(|| self.scalar("pkgname"));
        let base = base.map(|base| match base {
            Evaluated::Known(text) => Ok(text.into_owned()),
            Evaluated::Dynamic(reason) => Err(reason.into()),
        });
        let shell = &mut self.shell;
        let mut set = |scope: usize, name: &str, value| {
            let content = Content::Scalar(value);
            let variable = Variable {
                content,
                inherited: true,
                ..Variable::default()
            };
            shell.state.scopes[scope]
                .variables
                .insert(name.into(), variable);
        };
        if let Some(base) = base {
            set(0, "pkgbase", base);
        }
        let unknown = |name: &str| -> Field {
            let kind = DynamicKind::Host(name.to_owned());
            Err(DynamicReason {
                kind,
                span: Span::default(),
            }
            .into())
        };
        for name in ["srcdir", "pkgdir", "pkgdirbase", "basever"] {
            set(0, name, unknown(name));
        }
        shell.state.scopes.push(Scope::default());
        for name in [
            "a",
            "all_list",
            "attr",
            "attr_regex",
            "attrname",
            "decl",
            "funcname",
            "i",
            "isarray",
            "keys",
            "list",
            "multivalued",
            "multivalued_arch_attrs",
            "name",
            "outputvar",
            "outvalue",
            "package_arch",
            "pkg",
            "r",
            "ref",
            "shellopts",
            "singlevalued",
            "values",
        ] {
            let variable = Variable {
                content: Content::Scalar(unknown(name)),
                inherited: true,
                ..Variable::default()
            };
            shell.state.scopes[1]
                .variables
                .insert(name.into(), variable);
        }
    }

    /// Sources the recipe again on top of what is there, as makepkg does once `pkgver()` has
    /// changed the file; see [`with_pkgver`].
    pub fn evaluate_again(&mut self, file: &File) {
        self.file = file.clone();
        self.prepared = false;
        self.source();
    }
}

fn shown(field: &Field) -> Evaluated<Cow<'_, str>> {
    match field {
        Ok(text) => Evaluated::Known(Cow::Borrowed(text)),
        Err(reason) => Evaluated::Dynamic((**reason).clone()),
    }
}

impl Shell {
    fn renew(&mut self) {
        let budget = self.environment.facts.budget;
        self.fuel = Fuel {
            steps: budget.steps,
            bytes: budget.bytes,
        };
        self.depth = 0;
    }

    fn exhausted(&self, exhausted: Exhausted) -> EvaluateError {
        let (budget, span) = (self.environment.facts.budget, self.span);
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
            self.doubt.stuck_file.get_or_insert(reason);
        }
    }

    /// A trap on `EXIT` runs when makepkg ends; what it prints would stand behind the `.SRCINFO`.
    fn run_exit_trap(&mut self) {
        let Some(action) = self.state.traps.get("EXIT").cloned() else {
            return;
        };
        let mut copy = self.clone();
        copy.outputs[0] = stream::Output::default();
        let harmless = match action {
            Ok(text) => {
                let ended = copy.eval_text(&text);
                ended.is_ok()
                    && copy.outputs[0].text.is_empty()
                    && copy.outputs[0].unknown.is_none()
            }
            Err(_) => false,
        };
        if !harmless {
            let kind = DynamicKind::Unsupported {
                what: "trap".to_owned(),
                detail: "what it prints when makepkg ends".to_owned(),
            };
            let reason = self.reason(kind);
            self.outputs[0].unknown.get_or_insert(reason);
        }
    }
}

/// The recipe's text after makepkg has written the version that `pkgver()` printed into it: at the
/// start of a line `pkgver=` up to the next space is replaced, and `pkgrel=` becomes 1.
///
/// Source: makepkg, `update_pkgver`.
pub fn with_pkgver(text: &str, version: &str) -> String {
    let mut updated = String::with_capacity(text.len() + version.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |line| (line, "\n"));
        let replaced = [("pkgver=", version), ("pkgrel=", "1")]
            .into_iter()
            .find_map(|(key, value)| {
                let rest = line.strip_prefix(key)?;
                let kept = rest.find(' ').map_or("", |at| &rest[at..]);
                Some(format!("{key}{value}{kept}"))
            });
        updated.push_str(replaced.as_deref().unwrap_or(line));
        updated.push_str(end);
    }
    if !updated.is_empty() && !updated.ends_with('\n') {
        updated.push('\n');
    }
    updated
}
