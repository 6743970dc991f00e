//! Variables, arrays, functions and the scopes they live in.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::assoc::Assoc;
use super::dynamic::{Field, Reason};
use crate::span::Span;
use crate::tree::{File, Function};

/// What a variable holds.
#[derive(Debug, Clone, Default)]
pub(crate) enum Content {
    /// Declared, or unset in a scope that hides outer ones.
    #[default]
    Unset,
    Scalar(Field),
    Array(Array),
    Assoc(Assoc),
    /// Nothing is known, not even the kind.
    Dynamic(Reason),
}

/// What `declare` can say about a variable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one attribute of declare"
)]
pub(crate) struct Attributes {
    pub(crate) readonly: bool,
    pub(crate) exported: bool,
    pub(crate) integer: bool,
    pub(crate) lower: bool,
    pub(crate) upper: bool,
    pub(crate) capital: bool,
    pub(crate) reference: bool,
    /// Whether and how it is declared depends on something unknown.
    pub(crate) unsure: bool,
}

/// A variable of one scope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub(crate) content: Content,
    pub(crate) attributes: Attributes,
    /// The last assignment.
    pub(crate) span: Span,
    /// The assignments that it adds to, oldest first.
    pub(crate) earlier: Vec<Span>,
    /// Not assigned by the recipe.
    pub(crate) inherited: bool,
}

/// How many assignments to one variable are remembered.
const MAX_ORIGINS: usize = 1_000;

impl Variable {
    /// Where it was assigned, when the recipe did.
    pub(crate) fn origins(&self) -> Option<Vec<Span>> {
        let was_set = !self.inherited && !matches!(self.content, Content::Unset);
        was_set.then(|| {
            let kept = self.earlier.iter().take(MAX_ORIGINS);
            kept.copied().chain([self.span]).collect()
        })
    }

    /// Notes where it is assigned; `adds` when what it holds stays in part.
    pub(crate) fn assigned_at(&mut self, span: Span, adds: bool) {
        let was_set = !self.inherited && !matches!(self.content, Content::Unset);
        if adds && was_set {
            if self.span != span && self.earlier.len() < MAX_ORIGINS {
                self.earlier.push(self.span);
            }
        } else {
            self.earlier.clear();
        }
        self.span = span;
    }
}

/// An indexed array: ascending indices, so that a dense one is indexed directly.
#[derive(Debug, Clone, Default)]
pub(crate) struct Array {
    items: Vec<(i64, Field)>,
}

impl Array {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    fn slot(&self, index: i64) -> Result<usize, usize> {
        if let Ok(at) = usize::try_from(index)
            && self.items.get(at).is_some_and(|(known, _)| *known == index)
        {
            return Ok(at);
        }
        if self.items.last().is_none_or(|(last, _)| *last < index) {
            return Err(self.items.len());
        }
        self.items.binary_search_by_key(&index, |(known, _)| *known)
    }

    pub(crate) fn get(&self, index: i64) -> Option<&Field> {
        self.slot(index).ok().map(|at| &self.items[at].1)
    }

    pub(crate) fn insert(&mut self, index: i64, value: Field) {
        match self.slot(index) {
            Ok(at) => self.items[at].1 = value,
            Err(at) => self.items.insert(at, (index, value)),
        }
    }

    pub(crate) fn remove(&mut self, index: i64) {
        if let Ok(at) = self.slot(index) {
            drop(self.items.remove(at));
        }
    }

    /// One past the highest index; what negative subscripts count from.
    pub(crate) fn end(&self) -> i64 {
        self.items
            .last()
            .map_or(0, |(last, _)| last.saturating_add(1))
    }

    /// The index that a negative one, counted from the end, means.
    pub(crate) fn counted(&self, index: i64) -> i64 {
        if index < 0 {
            index.wrapping_add(self.end())
        } else {
            index
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Field)> {
        self.items.iter().map(|(index, value)| (*index, value))
    }
}

impl FromIterator<Field> for Array {
    fn from_iter<I: IntoIterator<Item = Field>>(values: I) -> Self {
        Self {
            items: (0..).zip(values).collect(),
        }
    }
}

/// A function and the file that its spans refer to.
#[derive(Debug, Clone)]
pub(crate) struct FunctionValue {
    pub(crate) file: File,
    pub(crate) function: Arc<Function>,
    /// Where it came from in the evaluated file, when `file` is another text.
    pub(crate) anchor: Option<Span>,
}

/// What a name calls: a known function, or one whose text is not known.
pub(crate) type FunctionEntry = Result<FunctionValue, Reason>;

/// One level of variables: the global one or a function's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) variables: HashMap<Box<str>, Variable, RandomState>,
    /// The assignments in front of a command, not a function's level.
    pub(crate) temporary: bool,
    /// They are still expanded: what an expansion assigns is assigned outside too.
    pub(crate) unfinished: bool,
}

/// The levels of variables: the global one first, the innermost function's last.
#[derive(Debug, Clone)]
pub(crate) struct Scopes(Vec<Scope>);

impl Default for Scopes {
    fn default() -> Self {
        Self(vec![Scope::default()])
    }
}

impl Scopes {
    pub(crate) fn global(&self) -> &Scope {
        &self.0[0]
    }

    pub(crate) fn innermost_mut(&mut self) -> &mut Scope {
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// A level that [`find`](Self::find) or [`function_level`](Self::function_level) gave; 0 is the
    /// global one.
    pub(crate) fn at(&self, level: usize) -> &Scope {
        &self.0[level.min(self.0.len() - 1)]
    }

    pub(crate) fn at_mut(&mut self, level: usize) -> &mut Scope {
        let level = level.min(self.0.len() - 1);
        &mut self.0[level]
    }

    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn open(&mut self, scope: Scope) {
        self.0.push(scope);
    }

    /// Closes what was opened since the depth was `depth`; the global level stays.
    pub(crate) fn close(&mut self, depth: usize) {
        self.0.truncate(depth.max(1));
    }

    /// Closes the innermost level and gives what it holds; nothing for the global one.
    pub(crate) fn take(&mut self) -> Option<Scope> {
        if self.0.len() > 1 { self.0.pop() } else { None }
    }

    /// The innermost level that has the name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.0
            .iter()
            .rposition(|scope| scope.variables.contains_key(name))
    }

    /// Whether assignments that are still expanded, in front of a command, have the name.
    #[inline]
    pub(crate) fn holds_unfinished(&self, name: &str) -> bool {
        let innermost = self.0.last().filter(|scope| scope.unfinished);
        innermost.is_some_and(|scope| scope.variables.contains_key(name))
    }

    /// The innermost level that is a function's, or the global one.
    pub(crate) fn function_level(&self) -> usize {
        self.0
            .iter()
            .rposition(|scope| !scope.temporary)
            .unwrap_or(0)
    }

    /// Whether a level above the global one has the name.
    pub(crate) fn hides(&self, name: &str) -> bool {
        self.0[1..]
            .iter()
            .any(|scope| scope.variables.contains_key(name))
    }

    /// Puts all levels but the global one aside.
    pub(crate) fn hide(&mut self) -> Vec<Scope> {
        self.0.split_off(1)
    }

    /// Takes back what was put aside.
    pub(crate) fn show(&mut self, hidden: Vec<Scope>) {
        self.0.extend(hidden);
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Scope> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Scope> {
        self.0.iter_mut()
    }
}

/// `set` and `shopt` settings that change what recipes mean.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one setting of the shell"
)]
pub(crate) struct Options {
    pub(crate) extglob: bool,
    pub(crate) nullglob: bool,
    pub(crate) failglob: bool,
    pub(crate) nocasematch: bool,
    pub(crate) nocaseglob: bool,
    pub(crate) dotglob: bool,
    pub(crate) lastpipe: bool,
    pub(crate) noglob: bool,
    pub(crate) nounset: bool,
    pub(crate) errexit: bool,
    pub(crate) no_braces: bool,
    pub(crate) no_patsub: bool,
    pub(crate) pipefail: bool,
}

/// Everything that a subshell gets a copy of.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) scopes: Scopes,
    pub(crate) functions: HashMap<Box<str>, FunctionEntry, RandomState>,
    /// `$1` and on; unknown in number when `Err`.
    pub(crate) positional: List,
    pub(crate) options: Options,
    pub(crate) traps: HashMap<String, Field, RandomState>,
    /// Set by `cd` to a folder that is not the recipe's own.
    pub(crate) moved: Option<Reason>,
    /// An external command may have changed the files beside the recipe.
    pub(crate) files_changed: Option<Reason>,
    /// Names of the functions being called, innermost last.
    pub(crate) calls: Vec<Box<str>>,
    /// Inside `( … )`, `$( … )` or a pipeline, which `exit` leaves alone.
    pub(crate) subshell: bool,
    /// Anything may have been assigned and defined.
    pub(crate) unknown: Option<Reason>,
}

/// A list of fields, or why not even their number is known.
#[derive(Debug, Clone)]
pub(crate) enum List {
    Known(Vec<Field>),
    Dynamic(Reason),
}

impl Default for List {
    fn default() -> Self {
        Self::Known(Vec::new())
    }
}
