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
mod elements;
mod environment;
mod error;
mod expand;
mod filter;
mod glob;
mod host;
mod makepkg;
mod operation;
mod parameter;
mod pattern;
mod place;
mod printf;
mod quote;
mod reading;
mod redirect;
mod regex;
mod scope;
mod shell;
mod sourcing;
mod statuses;
mod stream;
mod told;

pub use self::dynamic::{DynamicKind, DynamicReason, Evaluated};
pub use self::environment::{Budget, Environment, Uname};
pub use self::error::EvaluateError;
pub use self::makepkg::with_pkgver;
pub(crate) use self::shell::is_name;

use self::scope::Variable;
use self::shell::Shell;
use crate::tree::File;

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
    #[inline]
    fn variable(&self, name: &str) -> Option<&Variable> {
        self.shell
            .state
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.variables.get(name))
    }
}
