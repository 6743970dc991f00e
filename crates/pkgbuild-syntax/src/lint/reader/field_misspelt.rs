//! Variables that are nearly fields, such as `depend` and `sha256sum`.

use super::Subject;
use crate::lint::diagnostic::{Code, Diagnostic, Edit};
use crate::tree::{Command, File, Parameter, ParameterExpansion, Visitor, walk};

const MISSPELT: &[(&str, &str)] = &[
    ("b2sum", "b2sums"),
    ("backups", "backup"),
    ("checkdepend", "checkdepends"),
    ("conflict", "conflicts"),
    ("depend", "depends"),
    ("group", "groups"),
    ("licence", "license"),
    ("licenses", "license"),
    ("makedepend", "makedepends"),
    ("md5sum", "md5sums"),
    ("optdepend", "optdepends"),
    ("option", "options"),
    ("provide", "provides"),
    ("replace", "replaces"),
    ("sha1sum", "sha1sums"),
    ("sha224sum", "sha224sums"),
    ("sha256sum", "sha256sums"),
    ("sha384sum", "sha384sums"),
    ("sha512sum", "sha512sums"),
    ("sources", "source"),
    ("validpgpkey", "validpgpkeys"),
];

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let file = subject.file;
    for statement in &file.commands().statements {
        let Command::Simple(simple) = &statement.command else {
            continue;
        };
        for assignment in simple.assignments.as_slice() {
            let name = file.text_lossy(assignment.name);
            let Some((_, field)) = MISSPELT.iter().find(|(wrong, _)| *wrong == name) else {
                continue;
            };
            // A variable of the recipe's own is read somewhere.
            if !simple.arguments.is_empty() || is_read(file, &name) {
                continue;
            }
            let edit = Edit {
                span: assignment.name,
                text: (*field).to_owned(),
            };
            found.push(
                Code::FieldMisspelt
                    .found(
                        Some(assignment.name),
                        format!("`{name}` is no field, and nothing reads it"),
                        format!("write `{field}`"),
                    )
                    .with_edits(vec![edit]),
            );
        }
    }
}

struct Reads<'name> {
    name: &'name str,
    found: bool,
}

impl Visitor for Reads<'_> {
    fn expansion(&mut self, file: &File, expansion: &ParameterExpansion) {
        if let Parameter::Variable(name) = expansion.parameter {
            self.found |= file.text(name) == self.name.as_bytes();
        }
        walk::expansion(self, file, expansion);
    }
}

fn is_read(file: &File, name: &str) -> bool {
    let mut reads = Reads { name, found: false };
    walk::file(&mut reads, file);
    reads.found
}

#[cfg(test)]
pub(super) const CASES: &[crate::lint::cases::Case] = &[
    ("depend=(b)", &[(Code::FieldMisspelt, "depend")]),
    ("sha256sum=(x)", &[(Code::FieldMisspelt, "sha256sum")]),
    ("depend=b\ndepends=($depend)", &[]),
    ("_depend=(b)", &[]),
    ("group=x true", &[]),
];
