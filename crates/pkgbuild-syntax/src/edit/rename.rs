//! Other names for functions.

use super::array::Change;
use super::document::Document;
use super::error::EditError;
use crate::span::Span;
use crate::tree::{File, LeafKind, SimpleCommand, Visitor, walk};

impl Document {
    /// Gives a function another name where it is defined and where it is called.
    ///
    /// # Errors
    /// [`EditError::Missing`] when it is not defined at the top level, [`EditError::Used`] where
    /// its name stands otherwise, as behind `declare -f`.
    pub fn rename_function(&mut self, name: &str, new: &str) -> Result<(), EditError> {
        let valid = |name: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+.@".contains(&byte);
            !name.is_empty() && name.bytes().all(plain)
        };
        if !valid(new) {
            return Err(EditError::Name {
                name: new.to_owned(),
            });
        }
        if let Some(taken) = self.file.functions().find(|f| self.is_called(f.name, new)) {
            return Err(EditError::Used {
                name: new.to_owned(),
                line: self.line(taken.span),
            });
        }
        let mut names = Names {
            name,
            found: Vec::new(),
        };
        let defined: Vec<Span> = self
            .file
            .functions()
            .map(|function| function.name)
            .filter(|span| self.is_called(*span, name))
            .collect();
        if defined.is_empty() {
            return Err(EditError::Missing {
                what: format!("function `{name}`"),
            });
        }
        walk::file(&mut names, &self.file);
        let spans: Vec<Span> = defined.into_iter().chain(names.found).collect();
        for leaf in self.file.leaves() {
            let mentioned = leaf.kind != LeafKind::Comment
                && !spans.iter().any(|span| span.contains(leaf.span))
                && unquoted(self.file.text(leaf.span)) == name.as_bytes();
            if mentioned {
                return Err(EditError::Used {
                    name: name.to_owned(),
                    line: self.line(leaf.span),
                });
            }
        }
        let changes = spans.into_iter().map(|span| Change {
            span,
            text: new.to_owned(),
        });
        self.file = self.changed(changes.collect())?.file;
        Ok(())
    }

    fn is_called(&self, span: Span, name: &str) -> bool {
        self.file.text(span) == name.as_bytes()
    }
}

/// Where a function is called by its name alone.
struct Names<'name> {
    name: &'name str,
    found: Vec<Span>,
}

impl Visitor for Names<'_> {
    fn command_line(&mut self, file: &File, command: &SimpleCommand) {
        if let Some(word) = command.arguments.first()
            && file.text(word.span()) == self.name.as_bytes()
        {
            self.found.push(word.span());
        }
        walk::command_line(self, file, command);
    }
}

/// What stands between the quotes of a leaf.
fn unquoted(text: &[u8]) -> &[u8] {
    let inner = text
        .strip_prefix(b"'")
        .and_then(|text| text.strip_suffix(b"'"));
    inner.unwrap_or(text)
}
