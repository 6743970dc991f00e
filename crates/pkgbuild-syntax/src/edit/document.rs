//! A recipe's text that can be changed.

use super::array::{self, Change};
use super::error::EditError;
use super::find::Assignments;
use super::write::{Style, quoted, static_text};
use crate::evaluate::{Environment, Evaluated, Evaluation, evaluate};
use crate::package::{ArrayKey, StringField};
use crate::parse::parse;
use crate::span::{Position, Span};
use crate::tree::{ArrayLiteral, Assignment, Command, File, Value, Word};

/// A recipe whose values can be changed while every other byte of it stays: comments, order,
/// blanks and the style of quotes.
///
/// Each change is read back: the new text is evaluated, and where the variable would not hold
/// exactly what was set, the change is refused and the text is as it was.
///
/// ```
/// use pkgbuild_syntax::Document;
///
/// let mut recipe = Document::new("pkgver=1.0 # upstream's\npkgrel=3\nsource=(\"a-$pkgver.tar\")\n")?;
/// recipe.bump("1.1")?;
/// recipe.push("source", "fix.patch")?;
/// assert_eq!(
///     recipe.text(),
///     b"pkgver=1.1 # upstream's\npkgrel=1\nsource=(\"a-$pkgver.tar\" \"fix.patch\")\n"
/// );
/// # Ok::<(), pkgbuild_syntax::EditError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) file: File,
    environment: Environment,
}

impl Document {
    /// Takes a recipe's text.
    ///
    /// # Errors
    /// [`EditError::Syntax`] when it does not parse.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Self, EditError> {
        Self::with_environment(text, &Environment::default())
    }

    /// Takes a recipe's text, whose values are read in `environment`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_environment(
        text: impl AsRef<[u8]>,
        environment: &Environment,
    ) -> Result<Self, EditError> {
        let parsed = parse(text.as_ref());
        match parsed.errors.into_iter().next() {
            Some(error) => Err(EditError::Syntax {
                error: Box::new(error),
            }),
            None => Ok(Self {
                file: parsed.file,
                environment: environment.clone(),
            }),
        }
    }

    /// The text as it is now.
    pub fn text(&self) -> &[u8] {
        self.file.source()
    }

    /// The tree of the text as it is now.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What the recipe says as it is now.
    pub fn evaluation(&self) -> Evaluation {
        evaluate(&self.file, &self.environment)
    }

    /// Sets a variable of one value, in the quotes that stand there. One that is not there yet is
    /// added behind the last assignment to a field.
    ///
    /// # Errors
    /// When the value is not that of one plain assignment at the top level, and whatever else
    /// [`EditError`] tells.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        let change = match self.only(name)? {
            None => self.insertion(name, &quoted(value, Style::Bare))?,
            Some(assignment) => Change {
                span: self.scalar(name, &assignment)?.span,
                text: quoted(value, style(&assignment)),
            },
        };
        let new = self.changed(vec![change])?;
        self.keep_scalar(new, name, value)
    }

    /// Sets a list. Elements that hold what they shall keep their text; one that is not there yet
    /// is added behind the last assignment to a field.
    ///
    /// # Errors
    /// As [`set`](Self::set), and where elements come out of an expansion.
    pub fn set_array(&mut self, name: &str, values: &[&str]) -> Result<(), EditError> {
        let changes = match self.only(name)? {
            None => {
                let words: Vec<String> = values
                    .iter()
                    .map(|value| quoted(value, Style::Single))
                    .collect();
                vec![self.insertion(name, &format!("({})", words.join(" ")))?]
            }
            Some(assignment) => {
                let literal = self.array(name, &assignment)?;
                let current = self.elements(name, literal)?;
                array::set(&self.file, literal, &current, values)
            }
        };
        let new = self.changed(changes)?;
        self.keep_array(
            new,
            name,
            values.iter().map(|value| Some((*value).to_owned())),
        )
    }

    /// Adds an element to the end of a list, in the last assignment to it; a list that is not there
    /// yet is added.
    ///
    /// # Errors
    /// As [`set`](Self::set), except that several assignments are no obstacle.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        check_name(name)?;
        let found = Assignments::of(&self.file, name);
        let Some(last) = found.plain.last() else {
            return self.set_array(name, &[value]);
        };
        let literal = self.array(name, last)?;
        let changes = array::append(&self.file, literal, &[value]);
        let mut values = self.values(name)?;
        values.push(Some(value.to_owned()));
        let new = self.changed(changes)?;
        self.keep_array(new, name, values.into_iter())
    }

    /// Takes the first element that holds `value` out of a list.
    ///
    /// # Errors
    /// [`EditError::Missing`] when no element holds it; else as [`set`](Self::set), except that
    /// several assignments are no obstacle.
    pub fn remove(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        check_name(name)?;
        let found = Assignments::of(&self.file, name);
        let mut values = self.values(name)?;
        let missing = || EditError::Missing {
            what: format!("`{value}` in `{name}`"),
        };
        let index = values
            .iter()
            .position(|known| known.as_deref() == Some(value))
            .ok_or_else(missing)?;
        let mut before = 0;
        for assignment in &found.plain {
            let literal = self.array(name, assignment)?;
            let count = literal.elements.as_slice().len();
            if index < before + count {
                let change = array::remove(&self.file, literal, index - before);
                values.remove(index);
                let new = self.changed(vec![change])?;
                return self.keep_array(new, name, values.into_iter());
            }
            before += count;
        }
        Err(self.not_plain(name, &found))
    }

    /// Sets the version, and the release to 1.
    ///
    /// # Errors
    /// [`EditError::Computed`] where the version is put together from other variables; else as
    /// [`set`](Self::set).
    pub fn bump(&mut self, pkgver: &str) -> Result<(), EditError> {
        let mut changed = self.clone();
        for (field, value) in [(StringField::Pkgver, pkgver), (StringField::Pkgrel, "1")] {
            let name = field.name();
            if let Some(assignment) = changed.only(name)? {
                let word = changed.scalar(name, &assignment)?;
                if static_text(&changed.file, word).is_none() {
                    return Err(EditError::Computed {
                        name: name.to_owned(),
                        line: changed.line(assignment.span),
                        from: changed.file.text_lossy(word.span).into_owned(),
                    });
                }
            }
            changed.set(name, value)?;
        }
        *self = changed;
        Ok(())
    }

    /// Sets the checksums of one list of sources, one for each, in order.
    ///
    /// # Errors
    /// As [`set_array`](Self::set_array).
    pub fn set_sums(&mut self, key: &ArrayKey, digests: &[&str]) -> Result<(), EditError> {
        self.set_array(&key.to_string(), digests)
    }

    pub(super) fn line(&self, span: Span) -> u32 {
        Position::of(self.text(), span.start).line
    }

    /// The one assignment that makes the value; none when there is none at all.
    fn only(&self, name: &str) -> Result<Option<Assignment>, EditError> {
        check_name(name)?;
        let found = Assignments::of(&self.file, name);
        if found.other.is_some() {
            return Err(self.not_plain(name, &found));
        }
        match found.plain.as_slice() {
            [] => Ok(None),
            [only] if !only.append => Ok(Some(only.clone())),
            [first, .., second] => Err(EditError::Several {
                name: name.to_owned(),
                first: self.line(first.span),
                second: self.line(second.span),
            }),
            [only] => Err(EditError::Kind {
                name: name.to_owned(),
                line: self.line(only.span),
                found: "only added to",
                help: "write `=` for `+=`",
            }),
        }
    }

    fn not_plain(&self, name: &str, found: &Assignments) -> EditError {
        let (name, at) = (name.to_owned(), found.other.map(Span::empty));
        match (at, found.plain.first()) {
            (Some(at), _) => EditError::Conditional {
                name,
                line: self.line(at),
            },
            (None, Some(first)) => EditError::Expanded {
                name,
                line: self.line(first.span),
            },
            (None, None) => EditError::Missing {
                what: format!("`{name}`"),
            },
        }
    }

    fn scalar<'a>(&self, name: &str, assignment: &'a Assignment) -> Result<&'a Word, EditError> {
        match &assignment.value {
            Value::Scalar(word) => Ok(word),
            Value::Array(_) => Err(EditError::Kind {
                name: name.to_owned(),
                line: self.line(assignment.span),
                found: "a list",
                help: "set its elements",
            }),
        }
    }

    fn array<'a>(
        &self,
        name: &str,
        assignment: &'a Assignment,
    ) -> Result<&'a ArrayLiteral, EditError> {
        let kind = |found, help| {
            Err(EditError::Kind {
                name: name.to_owned(),
                line: self.line(assignment.span),
                found,
                help,
            })
        };
        match &assignment.value {
            Value::Scalar(_) => kind("one value", "write brackets round it"),
            Value::Array(literal) => {
                let elements = literal.elements.as_slice();
                if elements.iter().any(|element| element.index.is_some()) {
                    return kind("a list with indices", "drop the indices");
                }
                Ok(literal)
            }
        }
    }

    /// What each element holds; unknown ones are `None`.
    pub(super) fn values(&self, name: &str) -> Result<Vec<Option<String>>, EditError> {
        match self.evaluation().array(name) {
            None => Ok(Vec::new()),
            Some(Evaluated::Known(values)) => Ok(values
                .into_iter()
                .map(|value| value.known().map(std::borrow::Cow::into_owned))
                .collect()),
            Some(Evaluated::Dynamic(reason)) => Err(EditError::NotReadBack {
                name: name.to_owned(),
                why: reason.describe(self.text()),
            }),
        }
    }

    /// What the elements of the only assignment hold, each with a place of its own.
    fn elements(
        &self,
        name: &str,
        literal: &ArrayLiteral,
    ) -> Result<Vec<Option<String>>, EditError> {
        let values = self.values(name)?;
        if values.len() == literal.elements.as_slice().len() {
            return Ok(values);
        }
        Err(EditError::Expanded {
            name: name.to_owned(),
            line: self.line(literal.span),
        })
    }

    /// A line for a new variable behind the last plain assignment to a field.
    fn insertion(&self, name: &str, text: &str) -> Result<Change, EditError> {
        let mut at = None;
        for statement in &self.file.commands().statements {
            if let Command::Simple(simple) = &statement.command
                && simple.arguments.is_empty()
                && simple
                    .assignments
                    .as_slice()
                    .iter()
                    .any(|assignment| is_field(&self.file.text_lossy(assignment.name)))
            {
                at = Some(statement.span.end);
            }
        }
        let Some(at) = at else {
            return Err(EditError::Missing {
                what: "assignment to a field behind which the new one could stand".to_owned(),
            });
        };
        let rest = &self.text()[at as usize..];
        let line = memchr::memchr(b'\n', rest);
        let end = at + u32::try_from(line.unwrap_or(rest.len())).unwrap_or(0);
        let behind = self.file.text(Span::new(at, end)).trim_ascii();
        if !behind.is_empty() && !behind.starts_with(b"#") {
            return Err(EditError::Kind {
                name: name.to_owned(),
                line: self.line(Span::empty(at)),
                found: "missing, and other commands stand where it would go",
                help: "add it by hand",
            });
        }
        Ok(Change {
            span: Span::empty(end),
            text: format!("\n{name}={text}"),
        })
    }

    /// The document with the changes made.
    pub(super) fn changed(&self, mut changes: Vec<Change>) -> Result<Self, EditError> {
        changes.sort_by_key(|change| change.span);
        let mut text = Vec::with_capacity(self.text().len() + 64);
        let mut at = 0;
        for change in &changes {
            text.extend_from_slice(self.file.text(Span::new(at, change.span.start)));
            text.extend_from_slice(change.text.as_bytes());
            at = at.max(change.span.end);
        }
        text.extend_from_slice(&self.text()[at as usize..]);
        Self::with_environment(text, &self.environment)
    }
}

fn style(assignment: &Assignment) -> Style {
    match &assignment.value {
        Value::Scalar(word) if !word.is_empty() => Style::of(word),
        _ => Style::Bare,
    }
}

fn is_field(name: &str) -> bool {
    matches!(name, "pkgname" | "pkgbase")
        || name.parse::<ArrayKey>().is_ok()
        || name.parse::<StringField>().is_ok()
}

fn check_name(name: &str) -> Result<(), EditError> {
    if crate::evaluate::is_name(name) {
        return Ok(());
    }
    Err(EditError::Name {
        name: name.to_owned(),
    })
}
