//! Diagnostics for editors: what a plug-in would start once and talk to over its standard input.
//!
//! Each line of the input is a JSON object about one document, each line of the output the diagnostics
//! that it has then. Positions are those of the Language Server Protocol 3.17: lines and UTF-16 columns
//! from 0. A change without a range replaces the whole text:
//!
//! ```sh
//! echo '{"open": "file:///a/PKGBUILD", "text": "pkgname=a\npkgver = 1\n"}' |
//!   cargo run -q -p pkgbuild-syntax --example diagnostics
//! ```
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::io::{self, BufRead as _, Write as _};

use pkgbuild_syntax::{Diagnostic, Environment, LineIndex, Severity, Span, evaluate, lint, parse};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the editor says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Open { open: String, text: String },
    Change { change: String, edits: Vec<Change> },
    Close { close: String },
}

/// A piece of a document that is replaced.
#[derive(Deserialize)]
struct Change {
    /// Start and end; the whole document when it is left out.
    range: Option<[Point; 2]>,
    text: String,
}

/// A line and a UTF-16 column, from 0.
#[derive(Clone, Copy, Deserialize)]
struct Point {
    line: u32,
    character: u32,
}

impl Point {
    /// The byte that it means; a column behind the end of its line is the end.
    fn byte(self, text: &str) -> usize {
        let mut lines = text.split_inclusive('\n');
        let skipped = lines.by_ref().take(self.line as usize);
        let start: usize = skipped.map(str::len).sum();
        let line = lines.next().unwrap_or_default();
        let mut column = 0;
        for (at, character) in line.char_indices() {
            if column >= self.character as usize || character == '\n' {
                return start + at;
            }
            column += character.len_utf16();
        }
        start + line.len()
    }
}

/// The documents that are open.
#[derive(Default)]
struct Editor {
    documents: HashMap<String, String>,
}

impl Editor {
    /// Does what a line asks and gives the answer.
    fn answer(&mut self, line: &str) -> Value {
        match serde_json::from_str(line) {
            Ok(Message::Open { open, text }) => {
                let found = diagnostics(&text);
                let answer = json!({ "uri": open, "diagnostics": found });
                self.documents.insert(open, text);
                answer
            }
            Ok(Message::Change { change, edits }) => {
                let Some(text) = self.documents.get_mut(&change) else {
                    return json!({ "error": format!("`{change}` is not open") });
                };
                for edit in edits {
                    apply(text, &edit);
                }
                json!({ "uri": change, "diagnostics": diagnostics(text) })
            }
            Ok(Message::Close { close }) => {
                self.documents.remove(&close);
                json!({ "uri": close, "diagnostics": [] })
            }
            Err(error) => json!({ "error": error.to_string() }),
        }
    }
}

fn apply(text: &mut String, change: &Change) {
    match change.range {
        None => text.clone_from(&change.text),
        Some([start, end]) => {
            let (start, end) = (start.byte(text), end.byte(text));
            text.replace_range(start..end.max(start), &change.text);
        }
    }
}

/// Syntax errors, or else what the rules find.
fn diagnostics(text: &str) -> Vec<Value> {
    let index = LineIndex::new(text.as_bytes());
    let parsed = parse(text);
    if !parsed.errors.is_empty() {
        let errors = parsed.errors.iter();
        return errors
            .map(|error| {
                one(
                    &index,
                    Some(error.span),
                    1,
                    "syntax",
                    &error.kind.to_string(),
                )
            })
            .collect();
    }
    let evaluation = evaluate(&parsed.file, &Environment::default());
    // An editor knows the files beside the recipe; here each counts as there.
    match lint(&evaluation, |_| true) {
        Ok(found) => found.iter().map(|found| finding(&index, found)).collect(),
        Err(error) => vec![one(
            &index,
            error.span(),
            1,
            "recipe-fails",
            &error.to_string(),
        )],
    }
}

fn finding(index: &LineIndex<'_>, found: &Diagnostic) -> Value {
    let severity = match found.severity {
        Severity::Error => 1,
        _ => 2,
    };
    let message = format!("{}\n{}", found.message, found.fix);
    let mut value = one(index, found.span, severity, found.code.name(), &message);
    // What a code action of the editor would do.
    let edits = found.edits.iter();
    value["edits"] = edits
        .map(|edit| json!({ "range": range(index, edit.span), "newText": edit.text }))
        .collect();
    value
}

fn one(index: &LineIndex<'_>, span: Option<Span>, severity: u8, code: &str, text: &str) -> Value {
    json!({
        "range": range(index, span.unwrap_or_default()),
        "severity": severity,
        "code": code,
        "source": "pkgbuild",
        "message": text,
    })
}

fn range(index: &LineIndex<'_>, span: Span) -> Value {
    let range = index.range(span);
    let [start, end] = [range.start, range.end]
        .map(|place| json!({ "line": place.line, "character": place.utf16 }));
    json!({ "start": start, "end": end })
}

fn main() -> io::Result<()> {
    let (mut editor, mut out) = (Editor::default(), io::stdout().lock());
    for line in io::stdin().lock().lines() {
        writeln!(out, "{}", editor.answer(&line?))?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(line: u32, character: u32) -> Value {
        json!({ "line": line, "character": character })
    }

    #[test]
    fn an_editor_opens_changes_and_closes() {
        let mut editor = Editor::default();
        let mut say = |message: Value| editor.answer(&message.to_string());
        let text = "pkgname=a\npkgrel=1\narch=(any)\npkgdesc='\u{1f600}'; pkgver = 1\n";
        let answer = say(json!({ "open": "a", "text": text }));
        let blank = &answer["diagnostics"][0];
        assert_eq!(blank["code"], "blank-around-equals", "{answer}");
        assert_eq!(
            blank["range"],
            json!({ "start": point(3, 14), "end": point(3, 20) })
        );
        assert_eq!(blank["edits"].as_array().map(Vec::len), Some(2));
        let edits = json!([{ "range": [point(3, 20), point(3, 23)], "text": "=" }]);
        let answer = say(json!({ "change": "a", "edits": edits }));
        assert_eq!(answer["diagnostics"], json!([]));
        let edits = json!([{ "range": [point(1, 7), point(9, 9)], "text": "(" }, ]);
        let answer = say(json!({ "change": "a", "edits": edits }));
        assert_eq!(answer["diagnostics"][0]["code"], "syntax", "{answer}");
        let answer = say(json!({ "change": "a", "edits": [{ "text": "exit 3" }] }));
        assert_eq!(answer["diagnostics"][0]["code"], "recipe-fails", "{answer}");
        assert_eq!(say(json!({ "close": "a" }))["diagnostics"], json!([]));
        let gone = say(json!({ "change": "a", "edits": [] }));
        assert_eq!(gone["error"], "`a` is not open");
        assert!(editor.answer("{").get("error").is_some());
    }
}
