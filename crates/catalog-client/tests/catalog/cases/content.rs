//! Documents that are no catalog entries.

use super::*;

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn content_cases() -> Vec<Case> {
    let html = |status| {
        reply(
            status,
            "Content-Type: text/html; charset=utf-8\r\n",
            "<!doctype html><p>hello",
        )
    };
    let backend = r#"{"backend":"cpu"}"#;
    let list = |name, steps, expected| Case(name, Call::List, Hurry::No, steps, expected);
    vec![
        get_raw("HTML", html("200 OK"), "NotACatalog"),
        get_raw("HTML not found", html("404 Not Found"), "NotACatalog"),
        get_raw("HTML server error", html("500 Oops"), "Refused"),
        get_raw("JSON as plain text", text(GOOD), "NotACatalog"),
        get_raw(
            "JSON as bytes",
            reply("200 OK", "Content-Type: application/octet-stream\r\n", GOOD),
            "NotACatalog",
        ),
        get_raw(
            "JSON without a type",
            reply("200 OK", "", GOOD),
            "NotACatalog",
        ),
        get_raw(
            "type with escapes",
            reply("200 OK", "Content-Type: x/\u{9b}31m\r\n", GOOD),
            "NotACatalog",
        ),
        get_json("HTML as JSON", "<!doctype html><p>hello", "MalformedEntry"),
        list("list of HTML", html("200 OK"), "NotACatalog"),
        list(
            "list without workers",
            json(r#"{"items":[]}"#),
            "NotACatalog",
        ),
        list("list of null", json(r#"{"workers":null}"#), "NotACatalog"),
        list(
            "list that is an object",
            json(r#"{"workers":{}}"#),
            "MalformedEntry",
        ),
        list("bare list", json("[]"), "MalformedEntry"),
        list(
            "list cut short",
            json(r#"{"workers":[{"id":"a"}"#),
            "MalformedEntry",
        ),
        list(
            "no list",
            reply(
                "404 Not Found",
                "Content-Type: text/plain\r\n",
                "404 Not Found",
            ),
            "NotACatalog",
        ),
        get_json(
            "invalid UTF-8",
            b"{\"id\":\"w\",\n\"name\":\"\xff\"}",
            "MalformedEntry",
        ),
        get_json(
            "deep in a known field",
            format!("{{\"id\":\"w\",\"variants\":{}", "[".repeat(100_000)),
            "MalformedEntry",
        ),
        get_json(
            "deep in an unknown field",
            format!("{{\"id\":\"w\",\"x\":{}", "[".repeat(100_000)),
            "MalformedEntry",
        ),
        get_json(
            "a key twice",
            r#"{"id":"w","id":"v","variants":[]}"#,
            "MalformedEntry",
        ),
        get_json(
            "a key in two spellings",
            r#"{"id":"w","worker_type":"cpu","workerType":"cuda"}"#,
            "MalformedEntry",
        ),
        get_json(
            "number beyond range",
            r#"{"id":"w","worker_type":"cpu","max_context_length":99999999999999999999999}"#,
            "MalformedEntry",
        ),
        get_json(
            "number without end",
            r#"{"id":"w","worker_type":"cpu","max_context_length":1e999}"#,
            "MalformedEntry",
        ),
        get_json(
            "number below zero",
            r#"{"id":"w","worker_type":"cpu","max_context_length":-1}"#,
            "MalformedEntry",
        ),
        get_json(
            "number with a fraction",
            r#"{"id":"w","worker_type":"cpu","max_context_length":0.5}"#,
            "MalformedEntry",
        ),
        get_json(
            "cut short",
            r#"{"id":"w","variants":[{"backend":"cp"#,
            "MalformedEntry",
        ),
        get_json("nothing", "", "MalformedEntry"),
        get_json(
            "more than one document",
            format!("{GOOD} {GOOD}"),
            "MalformedEntry",
        ),
        get_json("a list", "[]", "MalformedEntry"),
        get_json("null", "null", "MalformedEntry"),
        list(
            "list of too many",
            json(format!("{{\"workers\":[{}0]}}", "0,".repeat(10_000))),
            "MalformedEntry",
        ),
        get_json(
            "too many variants",
            format!(
                "{{\"id\":\"w\",\"variants\":[{}{backend}]}}",
                format!("{backend},").repeat(1000)
            ),
            "MalformedEntry",
        ),
        get_json(
            "a list for a variant",
            r#"{"id":"w","variants":[["cpu",[],[],"","","","",null,[],[],"w",""]]}"#,
            "MalformedEntry",
        ),
        get_json(
            "a list for a source",
            r#"{"id":"w","worker_type":"cpu","source":["git","u","b","t","p"]}"#,
            "MalformedEntry",
        ),
        get_json(
            "no id",
            r#"{"variants":[{"backend":"cpu"}]}"#,
            "MalformedEntry",
        ),
        get_json("id is a number", r#"{"id":7}"#, "MalformedEntry"),
        get_json("id climbs", r#"{"id":"../../etc"}"#, "MalformedEntry"),
        get_json(
            "id with escapes",
            "{\"id\":\"\\u001b[31m\"}",
            "MalformedEntry",
        ),
        get_json(
            "another worker's entry",
            r#"{"id":"v","variants":[{"backend":"cpu"}]}"#,
            "MalformedEntry",
        ),
        get_json("no backend", r#"{"id":"w"}"#, "MalformedEntry"),
        get_json(
            "no variants",
            r#"{"id":"w","variants":[]}"#,
            "MalformedEntry",
        ),
        get_json(
            "variant without a backend",
            r#"{"id":"w","variants":[{"backend":"cpu"},{}]}"#,
            "MalformedEntry",
        ),
        get_json(
            "backend is a number",
            "{\"id\":\"w\",\n  \"variants\":[{\"backend\":7}]}",
            "MalformedEntry",
        ),
        get_json(
            "backend is empty",
            r#"{"id":"w","worker_type":" "}"#,
            "MalformedEntry",
        ),
        get_json(
            "platforms is a text",
            r#"{"id":"w","variants":[{"backend":"cpu","platforms":"linux"}]}"#,
            "MalformedEntry",
        ),
        get_json(
            "a platform is null",
            r#"{"id":"w","variants":[{"backend":"cpu","platforms":[null]}]}"#,
            "MalformedEntry",
        ),
        get_json(
            "binary name climbs",
            r#"{"id":"w","variants":[{"backend":"cpu","binaryName":"../sh"}]}"#,
            "MalformedEntry",
        ),
        get_json(
            "binary name is absolute",
            r#"{"id":"w","worker_type":"cpu","binary_name":"/bin/sh"}"#,
            "MalformedEntry",
        ),
    ]
}
