//! What a careful reader looks for in the commands of a recipe: one rule a file.

mod absolute_link;
mod blank_around_equals;
mod comma_in_list;
mod field_misspelt;
mod network_offline;
mod outside_pkgdir;
mod pipe_to_shell;
mod secret_in_source;
mod tool_missing;
mod unquoted_directory;
mod user_changed;

use super::diagnostic::Diagnostic;
use super::invocation::{self, Invocation};
use crate::evaluate::Evaluation;
use crate::package::Package;
use crate::tree::File;

/// What a rule may look at.
struct Subject<'recipe> {
    file: &'recipe File,
    package: &'recipe Package,
    invocations: &'recipe [Invocation],
}

const RULES: [fn(&Subject<'_>, &mut Vec<Diagnostic>); 11] = [
    absolute_link::check,
    blank_around_equals::check,
    comma_in_list::check,
    field_misspelt::check,
    network_offline::check,
    outside_pkgdir::check,
    pipe_to_shell::check,
    secret_in_source::check,
    tool_missing::check,
    unquoted_directory::check,
    user_changed::check,
];

pub(super) fn check(evaluation: &Evaluation, package: &Package, found: &mut Vec<Diagnostic>) {
    let invocations = invocation::all(evaluation.file());
    let subject = Subject {
        file: evaluation.file(),
        package,
        invocations: &invocations,
    };
    for rule in RULES {
        rule(&subject, found);
    }
}
