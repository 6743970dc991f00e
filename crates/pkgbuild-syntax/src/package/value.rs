//! Values of fields, which may be unknown.

use serde::{Deserialize, Serialize};

use crate::evaluate::DynamicReason;
use crate::span::Span;

/// One string of a recipe, or why it is not known.
///
/// Two values are equal when they hold the same; where they stand does not count. Serialized, a
/// known value is a plain string without its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "StoredValue", into = "StoredValue")]
pub struct Value {
    text: Result<String, DynamicReason>,
    span: Option<Span>,
}

impl Value {
    /// A known value.
    pub fn known(text: impl Into<String>) -> Self {
        Self {
            text: Ok(text.into()),
            span: None,
        }
    }

    /// A value that only a shell could find out.
    pub fn dynamic(reason: DynamicReason) -> Self {
        Self {
            span: Some(reason.span),
            text: Err(reason),
        }
    }

    /// The same value with the place where it stands.
    #[must_use]
    pub fn at(mut self, span: Option<Span>) -> Self {
        self.span = span.or(self.span);
        self
    }

    /// The text.
    ///
    /// # Errors
    /// The reason why it is not known.
    pub fn get(&self) -> Result<&str, &DynamicReason> {
        self.text.as_deref()
    }

    /// Where it was assigned, if that is known.
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Value {}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::known(text)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredValue {
    Known(String),
    Dynamic { dynamic: DynamicReason },
}

impl From<StoredValue> for Value {
    fn from(stored: StoredValue) -> Self {
        match stored {
            StoredValue::Known(text) => Self::known(text),
            StoredValue::Dynamic { dynamic } => Self::dynamic(dynamic),
        }
    }
}

impl From<Value> for StoredValue {
    fn from(value: Value) -> Self {
        match value.text {
            Ok(text) => Self::Known(text),
            Err(dynamic) => Self::Dynamic { dynamic },
        }
    }
}

/// A list of a recipe; single elements may be unknown, or how many there are.
///
/// Equality and serialization are as for [`Value`]: places do not count.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "StoredArray", into = "StoredArray")]
pub struct Array {
    elements: Vec<Value>,
    unknown: Option<DynamicReason>,
    span: Option<Span>,
}

impl Array {
    /// A list of these elements.
    pub fn new(elements: Vec<Value>) -> Self {
        Self {
            elements,
            unknown: None,
            span: None,
        }
    }

    /// A list of which not even the number of elements is known.
    pub fn dynamic(reason: DynamicReason) -> Self {
        Self {
            span: Some(reason.span),
            elements: Vec::new(),
            unknown: Some(reason),
        }
    }

    /// The same list with the place where it was last assigned.
    #[must_use]
    pub fn at(mut self, span: Option<Span>) -> Self {
        self.span = span.or(self.span);
        self
    }

    /// The elements in order, each known or not.
    ///
    /// # Errors
    /// The reason why not even their number is known.
    pub fn elements(&self) -> Result<&[Value], &DynamicReason> {
        match &self.unknown {
            Some(reason) => Err(reason),
            None => Ok(&self.elements),
        }
    }

    pub(crate) fn push(&mut self, value: Value) {
        self.elements.push(value);
    }

    /// The elements' texts.
    ///
    /// # Errors
    /// Every reason why one is not known.
    pub fn texts(&self) -> Result<Vec<&str>, Vec<&DynamicReason>> {
        let reasons: Vec<_> = self.reasons().collect();
        if reasons.is_empty() {
            Ok(self.known().map(|(text, _)| text).collect())
        } else {
            Err(reasons)
        }
    }

    /// The elements that are known, with their places.
    pub fn known(&self) -> impl Iterator<Item = (&str, Option<Span>)> {
        self.elements
            .iter()
            .filter_map(|value| Some((value.get().ok()?, value.span().or(self.span))))
    }

    /// Why the list is not known in full.
    pub fn reasons(&self) -> impl Iterator<Item = &DynamicReason> {
        let elements = self.elements.iter().filter_map(|value| value.get().err());
        self.unknown.iter().chain(elements)
    }

    /// Where it was last assigned, if that is known.
    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.elements == other.elements && self.unknown == other.unknown
    }
}

impl Eq for Array {}

impl<S: Into<String>> FromIterator<S> for Array {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        Self::new(texts.into_iter().map(Value::known).collect())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredArray {
    Counted(Vec<Value>),
    Dynamic { dynamic: DynamicReason },
}

impl From<StoredArray> for Array {
    fn from(stored: StoredArray) -> Self {
        match stored {
            StoredArray::Counted(elements) => Self::new(elements),
            StoredArray::Dynamic { dynamic } => Self::dynamic(dynamic),
        }
    }
}

impl From<Array> for StoredArray {
    fn from(array: Array) -> Self {
        match array.unknown {
            None => Self::Counted(array.elements),
            Some(dynamic) => Self::Dynamic { dynamic },
        }
    }
}
