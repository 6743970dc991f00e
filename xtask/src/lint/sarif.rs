//! Findings as a SARIF 2.1.0 log, which code hosts and editors read.

use pkgbuild_syntax::{Code, Severity};
use serde_json::{Value, json};

use super::Finding;

/// A log that is being written.
#[derive(Debug, Default)]
pub(super) struct Log(Vec<Value>);

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        _ => "warning",
    }
}

impl Log {
    pub(super) fn add(&mut self, finding: &Finding<'_>) {
        let uri = finding.file.display().to_string();
        let mut place = json!({ "artifactLocation": { "uri": uri } });
        if let (Some((start, end)), Some(span)) = (finding.range, finding.span) {
            // SARIF counts from 1, in UTF-16 code units.
            place["region"] = json!({
                "startLine": start.line + 1,
                "startColumn": start.utf16 + 1,
                "endLine": end.line + 1,
                "endColumn": end.utf16 + 1,
                "byteOffset": span.start,
                "byteLength": span.len(),
            });
        }
        let mut result = json!({
            "ruleId": finding.code,
            "level": level(finding.severity),
            "message": { "text": finding.message },
            "locations": [{ "physicalLocation": place }],
        });
        if !finding.edits.is_empty() {
            let replacements = finding.edits.iter().map(|edit| {
                json!({
                    "deletedRegion": {
                        "byteOffset": edit.span.start,
                        "byteLength": edit.span.len(),
                    },
                    "insertedContent": { "text": edit.text },
                })
            });
            result["fixes"] = json!([{
                "description": { "text": finding.fix },
                "artifactChanges": [{
                    "artifactLocation": { "uri": uri },
                    "replacements": replacements.collect::<Vec<_>>(),
                }],
            }]);
        }
        self.0.push(result);
    }

    pub(super) fn finish(self) -> Value {
        let rules: Vec<Value> = Code::ALL
            .iter()
            .map(|code| {
                json!({
                    "id": code.name(),
                    "shortDescription": { "text": code.reason() },
                    "defaultConfiguration": { "level": level(code.severity()) },
                })
            })
            .collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "pkgbuild-syntax", "rules": rules } },
                "columnKind": "utf16CodeUnits",
                "results": self.0,
            }],
        })
    }
}
