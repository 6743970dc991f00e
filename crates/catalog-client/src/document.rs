//! A JSON text, and errors that say where in it.

use serde::de::DeserializeOwned;

use crate::error::{CatalogError, printable};

pub(crate) fn no_path() -> serde_path_to_error::Path {
    serde_path_to_error::Track::new().path()
}

/// A JSON text and where it came from.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) url: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Document<'a> {
    pub(crate) fn new(url: &'a str, body: &'a [u8]) -> Result<Self, CatalogError> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = std::str::from_utf8(body).map_err(|error| {
            let before = &body[..error.valid_up_to()];
            let start = line_start(before);
            CatalogError::MalformedEntry {
                url: url.to_owned(),
                path: String::new(),
                line: memchr::memchr_iter(b'\n', before).count() + 1,
                column: before.len() - start + 1,
                problem: "the text is not UTF-8".to_owned(),
            }
        })?;
        Ok(Self { url, text })
    }

    /// Decodes `part`, a slice of the document found at `path`.
    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        part: &str,
        path: &str,
    ) -> Result<T, CatalogError> {
        let mut json = serde_json::Deserializer::from_str(part);
        let value = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| self.failure(part, path, &error))?;
        json.end().map_err(|error| {
            self.complaint(part, path, error.line(), error.column(), &reason(&error))
        })?;
        Ok(value)
    }

    pub(crate) fn failure(
        &self,
        part: &str,
        path: &str,
        error: &serde_path_to_error::Error<serde_json::Error>,
    ) -> CatalogError {
        let inner = error.path().to_string();
        // A key that could not be read has no name.
        let inner = inner.strip_suffix('?').unwrap_or(&inner);
        let inner = inner.strip_suffix('.').unwrap_or(inner);
        let path = match (path, inner) {
            (path, "") => path.to_owned(),
            ("", inner) => inner.to_owned(),
            (path, inner) => format!("{path}.{inner}"),
        };
        let (line, column) = (error.inner().line(), error.inner().column());
        self.complaint(part, &path, line, column, &reason(error.inner()))
    }

    /// An error at a line and column of `part`, counted from the start of the document.
    pub(crate) fn complaint(
        &self,
        part: &str,
        path: &str,
        line: usize,
        column: usize,
        problem: &str,
    ) -> CatalogError {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(..start).unwrap_or_default();
        let first = line <= 1;
        CatalogError::MalformedEntry {
            url: self.url.to_owned(),
            path: printable(path, 200),
            line: memchr::memchr_iter(b'\n', before).count() + line.max(1),
            column: column.max(1)
                + if first {
                    before.len() - line_start(before)
                } else {
                    0
                },
            problem: printable(problem, 300),
        }
    }
}

/// Where the last line of `text` starts.
fn line_start(text: &[u8]) -> usize {
    text.iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)
}

/// `serde_json`'s message in JSON's words rather than Rust's, without the position, which has its
/// own fields.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let mut text = match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    };
    for (theirs, ours) in [
        ("invalid type: map,", "invalid type: an object,"),
        ("invalid type: sequence,", "invalid type: a list,"),
        ("EOF while parsing", "the text ends in the middle of"),
        (
            "trailing characters",
            "there is more text after the end of the document",
        ),
    ] {
        if let Some(rest) = text.strip_prefix(theirs) {
            text = format!("{ours}{rest}");
        }
    }
    match text.strip_suffix(", expected a sequence") {
        Some(start) => format!("{start}, expected a list"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn errors_are_placed_in_the_whole_document() {
        #[derive(Debug, serde::Deserialize)]
        struct Part {
            #[expect(dead_code, reason = "only decoded")]
            id: String,
        }
        let text = "{\n  \"workers\": [\n {\"id\": 7}]}";
        let document = Document::new("u", text.as_bytes()).unwrap();
        let part = &document.text[text.find("{\"id").unwrap()..text.len() - 2];
        let error = document.decode::<Part>(part, "workers[0]").unwrap_err();
        match error {
            CatalogError::MalformedEntry {
                path, line, column, ..
            } => assert_eq!((path.as_str(), line, column), ("workers[0].id", 3, 9)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_byte_that_is_no_text_has_a_place() {
        let error = Document::new("u", b"{\n \"a\": \"\xff\"}").err().unwrap();
        assert!(
            matches!(
                error,
                CatalogError::MalformedEntry {
                    line: 2,
                    column: 8,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}
