//! What a careful reader looks for, and what makepkg finds out only when it builds: one rule a file,
//! with its cases.

mod absolute_link;
mod blank_around_equals;
mod checksum_count;
mod checksum_invalid;
mod checksum_missing;
mod checksum_skipped;
mod checksum_weak;
mod comma_in_list;
mod duplicate_name;
mod field_misspelt;
mod network_offline;
mod outside_pkgdir;
mod path_escapes;
mod pipe_to_shell;
mod proofs;
mod secret_in_source;
mod source_escapes;
mod source_moving;
mod source_unprotected;
mod tool_missing;
mod top_level_command;
mod unquoted_directory;
mod user_changed;
mod value_unknown;

use self::proofs::{Group, Proven};
use super::diagnostic::Diagnostic;
use crate::evaluate::Evaluation;
use crate::invocation::{self, Invocation};
use crate::package::Package;
use crate::tree::File;

/// What a rule may look at.
struct Subject<'recipe> {
    evaluation: &'recipe Evaluation,
    file: &'recipe File,
    package: &'recipe Package,
    groups: Vec<Group<'recipe>>,
    invocations: Vec<Invocation>,
}

impl<'recipe> Subject<'recipe> {
    /// The sources of which it is known what proves them.
    fn judged(&self) -> impl Iterator<Item = &Proven<'recipe>> {
        let complete = self.groups.iter().filter(|group| group.complete);
        complete.flat_map(|group| &group.sources)
    }
}

const RULES: &[fn(&Subject<'_>, &mut Vec<Diagnostic>)] = &[
    absolute_link::check,
    blank_around_equals::check,
    checksum_count::check,
    checksum_invalid::check,
    checksum_missing::check,
    checksum_skipped::check,
    checksum_weak::check,
    comma_in_list::check,
    duplicate_name::check,
    field_misspelt::check,
    network_offline::check,
    outside_pkgdir::check,
    path_escapes::check,
    pipe_to_shell::check,
    secret_in_source::check,
    source_escapes::check,
    source_moving::check,
    source_unprotected::check,
    tool_missing::check,
    top_level_command::check,
    unquoted_directory::check,
    user_changed::check,
    value_unknown::check,
];

pub(super) fn check(evaluation: &Evaluation, package: &Package, found: &mut Vec<Diagnostic>) {
    let subject = Subject {
        evaluation,
        file: evaluation.file(),
        package,
        groups: proofs::groups(package),
        invocations: invocation::all(evaluation.file()),
    };
    for rule in RULES {
        rule(&subject, found);
    }
}

#[cfg(test)]
pub(super) const TABLES: &[&[super::cases::Case]] = &[
    absolute_link::CASES,
    blank_around_equals::CASES,
    checksum_count::CASES,
    checksum_invalid::CASES,
    checksum_missing::CASES,
    checksum_skipped::CASES,
    checksum_weak::CASES,
    comma_in_list::CASES,
    duplicate_name::CASES,
    field_misspelt::CASES,
    network_offline::CASES,
    outside_pkgdir::CASES,
    path_escapes::CASES,
    pipe_to_shell::CASES,
    secret_in_source::CASES,
    source_escapes::CASES,
    source_moving::CASES,
    source_unprotected::CASES,
    tool_missing::CASES,
    top_level_command::CASES,
    unquoted_directory::CASES,
    user_changed::CASES,
    value_unknown::CASES,
];
