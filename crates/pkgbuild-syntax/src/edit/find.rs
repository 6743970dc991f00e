//! Where a recipe assigns a variable.

use crate::tree::{Assignment, Command, File, Function, SimpleCommand, Visitor, walk};

/// The assignments to one variable.
#[derive(Debug, Default)]
pub(super) struct Assignments {
    /// Those that stand as commands of their own at the top level, in order.
    pub(super) plain: Vec<Assignment>,
    /// Where the first other one is: in a condition or loop, of one element, behind `declare`.
    pub(super) other: Option<u32>,
}

impl Assignments {
    pub(super) fn of(file: &File, name: &str) -> Self {
        let mut found = Self::default();
        for statement in &file.commands().statements {
            if let Command::Simple(simple) = &statement.command
                && simple.arguments.is_empty()
            {
                for assignment in simple.assignments.as_slice() {
                    if file.text(assignment.name) != name.as_bytes() {
                        continue;
                    }
                    if assignment.subscript.is_some() {
                        found.other.get_or_insert(assignment.span.start);
                    } else {
                        found.plain.push(assignment.clone());
                    }
                }
                continue;
            }
            let mut nested = Nested { name, found: None };
            nested.command(file, &statement.command);
            found.other = found.other.or(nested.found);
        }
        found
    }
}

/// Looks for an assignment outside functions.
struct Nested<'name> {
    name: &'name str,
    found: Option<u32>,
}

impl Visitor for Nested<'_> {
    fn function(&mut self, _: &File, _: &Function) {
        // What a package function assigns is for that package.
    }

    fn assignment(&mut self, file: &File, assignment: &Assignment) {
        if file.text(assignment.name) == self.name.as_bytes() {
            self.found.get_or_insert(assignment.span.start);
        }
        walk::assignment(self, file, assignment);
    }

    fn command_line(&mut self, file: &File, command: &SimpleCommand) {
        // In front of a command it is for that command alone.
        for assignment in command
            .assignments
            .as_slice()
            .iter()
            .filter(|_| command.arguments.is_empty())
        {
            self.assignment(file, assignment);
        }
        for argument in &command.arguments {
            if let crate::tree::Argument::Assignment(assignment) = argument {
                self.assignment(file, assignment);
            }
        }
    }
}
