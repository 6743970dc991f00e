//! What makepkg sets and runs after it sourced a recipe.

use super::Evaluation;
pub(super) use super::dynamic::{DynamicKind, DynamicReason, Evaluated};
use super::dynamic::{Field, Stop};
use super::error::EvaluateError;
use super::scope::{Content, Scope, Variable};
use super::shell::Flow;
use crate::span::Span;
use crate::tree::File;

impl Evaluation {
    /// Sets a variable to a string, whatever it held; where makepkg itself would do so.
    pub fn assign(&mut self, name: &str, value: &str) {
        self.prepare();
        let variable = Variable {
            content: Content::Scalar(Ok(value.to_owned())),
            ..Variable::default()
        };
        let scope = self.shell.state.scopes.innermost_mut();
        scope.variables.insert(name.into(), variable);
    }

    /// Makes a variable unknown, kind and all.
    pub(crate) fn forget(&mut self, name: &str, reason: DynamicReason) {
        self.prepare();
        let variable = Variable {
            content: Content::Dynamic(reason.into()),
            ..Variable::default()
        };
        let scope = self.shell.state.scopes.innermost_mut();
        scope.variables.insert(name.into(), variable);
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
        let scope = self.shell.state.scopes.innermost_mut();
        scope.variables.insert(
            name.into(),
            Variable {
                content,
                ..Variable::default()
            },
        );
    }

    /// Runs `text` as bash's `eval` does, with the variables and functions as they are, extended
    /// globs on: that is how makepkg applies the assigning lines of a `package_*` function.
    ///
    /// Variables such as `srcdir`, which makepkg sets after sourcing, are dynamic here.
    /// A budget that runs out shows in [`failure`](Self::failure).
    pub fn eval(&mut self, text: &str) {
        self.eval_at(text, self.shell.place.last());
    }

    /// As [`eval`](Self::eval), of a text that stands at `span` in the recipe.
    pub(crate) fn eval_at(&mut self, text: &str, span: Span) {
        self.prepare();
        let shell = &mut self.shell;
        shell.renew();
        shell.state.options.extglob = true;
        let _ = shell.place.enter(Some(span));
        let result = shell.eval_text(text);
        let _ = shell.place.enter(None);
        match result {
            Err(Stop::Exhausted(exhausted)) => {
                let error = shell.exhausted(exhausted);
                shell.told.fail(error);
            }
            Err(Stop::Dynamic(reason)) => {
                shell.doubt.stick(&reason);
            }
            // bash gives up the function of makepkg that evaluates the line, hence the whole run.
            Err(Stop::Failed { message, .. }) => {
                let span = shell.place.last();
                shell.told.fail(EvaluateError::Expansion { message, span });
            }
            Ok(Flow::Exit) => {
                let (status, span) = (shell.statuses.last().unwrap_or(1), shell.place.last());
                let said = shell.streams.said("");
                shell.told.fail(EvaluateError::Exit { status, said, span });
            }
            Ok(_) => {}
        }
    }

    /// Sets what makepkg sets between sourcing the recipe and reading its functions.
    pub(super) fn prepare(&mut self) {
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
            shell
                .state
                .scopes
                .at_mut(scope)
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
        shell.state.scopes.open(Scope::default());
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
            shell
                .state
                .scopes
                .at_mut(1)
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
