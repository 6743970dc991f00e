//! The builtins of bash that change nothing outside the shell; one table.
//!
//! Adding one is a function and a line in [`TABLE`].

mod control;
mod declare;
pub(crate) mod names;
mod output;
mod reading;
mod settings;
mod test;

use super::assign::Declaration;
use super::dynamic::{Field, Reason, Stop};
use super::shell::{Flow, Shell, Status};
use crate::tree::{Assignment, File};

pub(crate) use test::file_test;

/// A command with its arguments expanded.
pub(crate) struct Call<'a> {
    /// What the spans of assignments refer to.
    pub(crate) file: &'a File,
    pub(crate) name: &'a str,
    pub(crate) args: Vec<Arg<'a>>,
    /// Set when not even the number of arguments is known.
    pub(crate) unknown: Option<Reason>,
    /// How many of `args` are sure to stand where they do, in front of those of unknown number.
    pub(crate) placed: usize,
}

/// An argument of a builtin.
#[derive(Debug, Clone)]
pub(crate) enum Arg<'a> {
    Field(Field),
    /// `name=value` behind `declare` and its kin.
    Declaration(Declaration),
    /// `name=value` behind `eval`, `let` and `alias`, not expanded yet.
    Assignment(&'a Assignment),
}

impl Call<'_> {
    /// The arguments when all are known.
    pub(crate) fn texts(&self) -> Result<Vec<&str>, Stop> {
        if let Some(reason) = &self.unknown {
            return Err(reason.clone().into());
        }
        let texts = self.args.iter().map(|arg| match arg {
            Arg::Field(Ok(text)) => Ok(text.as_str()),
            Arg::Field(Err(reason)) => Err(reason.clone().into()),
            Arg::Assignment(_) | Arg::Declaration(_) => {
                Err(Stop::failed("an assignment is no argument here"))
            }
        });
        texts.collect()
    }

    /// The arguments as fields; assignments become text.
    pub(crate) fn fields(&self, shell: &mut Shell) -> Result<Vec<Field>, Stop> {
        if let Some(reason) = &self.unknown {
            return Err(reason.clone().into());
        }
        let mut fields = Vec::with_capacity(self.args.len());
        for arg in &self.args {
            fields.push(match arg {
                Arg::Field(field) => field.clone(),
                Arg::Declaration(declaration) => {
                    let stop = shell.unsupported(self.name, &declaration.name);
                    return Err(stop);
                }
                Arg::Assignment(assignment) => {
                    super::assign::known(shell.assignment_text(self.file, assignment))?
                }
            });
        }
        Ok(fields)
    }
}

/// What a builtin gives back.
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) flow: Flow,
}

impl From<i32> for Outcome {
    fn from(status: i32) -> Self {
        Self {
            status: Ok(status),
            flow: Flow::Next,
        }
    }
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        Self {
            status,
            flow: Flow::Next,
        }
    }
}

pub(crate) struct Entry {
    pub(crate) run: fn(&mut Shell, &Call<'_>) -> Result<Outcome, Stop>,
    /// Prints, so that its output is unknown when its arguments are.
    pub(crate) writes: bool,
}

const fn silent(run: fn(&mut Shell, &Call<'_>) -> Result<Outcome, Stop>) -> Entry {
    Entry { run, writes: false }
}

const fn prints(run: fn(&mut Shell, &Call<'_>) -> Result<Outcome, Stop>) -> Entry {
    Entry { run, writes: true }
}

/// Sorted by name.
static TABLE: &[(&str, Entry)] = &[
    (".", prints(control::source)),
    (":", silent(control::succeed)),
    ("[", silent(test::bracket)),
    ("alias", silent(control::alias)),
    ("ask", prints(output::stdout_unknown)),
    ("break", silent(control::break_loop)),
    ("builtin", prints(names::builtin)),
    ("cd", silent(settings::cd)),
    ("command", prints(names::command)),
    ("continue", silent(control::continue_loop)),
    ("declare", prints(declare::declare)),
    ("echo", prints(output::echo)),
    ("error", silent(output::message)),
    ("eval", prints(control::eval)),
    ("exec", silent(control::exec)),
    ("exit", silent(control::exit)),
    ("export", prints(declare::export)),
    ("false", silent(control::fail)),
    ("hash", prints(names::hash)),
    ("let", silent(control::arithmetic)),
    ("local", prints(declare::local)),
    ("mapfile", silent(reading::mapfile)),
    ("msg", prints(output::stdout_unknown)),
    ("msg2", prints(output::stdout_unknown)),
    ("plain", prints(output::stdout_unknown)),
    ("plainerr", silent(output::message)),
    ("printf", prints(output::printf)),
    ("pwd", prints(settings::pwd)),
    ("read", silent(reading::read)),
    ("readarray", silent(reading::mapfile)),
    ("readonly", prints(declare::readonly)),
    ("return", silent(control::return_function)),
    ("set", prints(settings::set)),
    ("shift", silent(settings::shift)),
    ("shopt", prints(settings::shopt)),
    ("source", prints(control::source)),
    ("test", silent(test::test)),
    ("trap", prints(settings::trap)),
    ("true", silent(control::succeed)),
    ("type", prints(names::type_of)),
    ("typeset", prints(declare::declare)),
    ("ulimit", silent(settings::limit)),
    ("umask", silent(settings::limit)),
    ("unalias", silent(control::alias)),
    ("unset", silent(declare::unset)),
    ("wait", silent(control::wait)),
    ("warning", silent(output::message)),
];

/// Builtins of bash that are not interpreted: they exist all the same.
static OTHERS: &[&str] = &[
    "bg", "bind", "caller", "compgen", "complete", "compopt", "dirs", "disown", "enable", "fc",
    "fg", "getopts", "help", "history", "jobs", "kill", "logout", "popd", "pushd", "suspend",
    "times",
];

/// Names in the table that are functions of makepkg, not builtins.
pub(crate) const MAKEPKG_FUNCTIONS: &[&str] = &[
    "ask", "error", "msg", "msg2", "plain", "plainerr", "warning",
];

pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    if OTHERS.binary_search(&name).is_ok() {
        static UNSUPPORTED: Entry = prints(control::unsupported);
        return Some(&UNSUPPORTED);
    }
    TABLE
        .binary_search_by_key(&name, |(known, _)| known)
        .ok()
        .map(|at| &TABLE[at].1)
}

/// Whether bash itself has a builtin of that name.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some() && !MAKEPKG_FUNCTIONS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| *name));
        assert!(OTHERS.is_sorted());
    }
}
