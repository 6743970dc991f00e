//! Every way to fail: the expected variant of each, and its message as a user reads it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use catalog_client::{
    Architecture, CatalogClient, CatalogConfig, CatalogError, Flavor, Host, Platform, Proxy, Token,
    WorkerEntry, WorkerType,
};
use tokio_util::sync::CancellationToken;

use crate::support::*;

const JSON: &str = "Content-Type: application/json\r\n";
const GOOD: &str = r#"{"id":"w","variants":[{"backend":"cpu"}]}"#;

/// What is asked of the server.
#[derive(Clone, Copy, PartialEq)]
enum Call {
    Get,
    List,
    /// The source recipe of an entry without a recipe URL.
    Recipe,
}

/// Limits that a case shortens.
#[derive(Clone, Copy, PartialEq)]
enum Hurry {
    No,
    Idle,
    Whole,
}

struct Case(&'static str, Call, Hurry, Vec<Step>, &'static str);

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn with(mut steps: Vec<Step>, last: Step) -> Vec<Step> {
    steps.push(last);
    steps
}

fn get_json(name: &'static str, body: impl AsRef<[u8]>, expected: &'static str) -> Case {
    Case(name, Call::Get, Hurry::No, json(body), expected)
}

fn get_raw(name: &'static str, steps: Vec<Step>, expected: &'static str) -> Case {
    Case(name, Call::Get, Hurry::No, steps, expected)
}

fn transport_cases() -> Vec<Case> {
    let stalled = |name, steps, hurry| Case(name, Call::Get, hurry, steps, "TimedOut");
    let open = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let chunked =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    vec![
        get_raw("closes at once", vec![], "Unreachable"),
        get_raw(
            "cut in the headers",
            raw("HTTP/1.1 200 OK\r\nContent-"),
            "Unreachable",
        ),
        get_raw(
            "cut in the body",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 500\r\n\r\n{{\"id\""
            )),
            "Unreachable",
        ),
        get_raw(
            "cut in a chunk",
            raw(format!("{chunked}40\r\n{{\"id\"")),
            "Unreachable",
        ),
        get_raw(
            "cut between chunks",
            raw(format!("{chunked}5\r\n{{\"id\"\r\n")),
            "Unreachable",
        ),
        stalled("stalls before the answer", vec![Step::Stall], Hurry::Idle),
        stalled(
            "stalls in the headers",
            with(raw("HTTP/1.1 200 OK\r\n"), Step::Stall),
            Hurry::Idle,
        ),
        stalled(
            "stalls in the body",
            with(raw(format!("{open}{{")), Step::Stall),
            Hurry::Idle,
        ),
        stalled(
            "trickles for ever",
            with(raw(open), Step::Trickle(b" ".to_vec())),
            Hurry::Whole,
        ),
        get_raw(
            "floods the body",
            with(raw(open), Step::Flood(vec![b' '; 1 << 16])),
            "TooLarge",
        ),
        get_raw(
            "floods in chunks",
            with(raw(chunked), Step::Flood(b"4\r\n    \r\n".repeat(1000))),
            "TooLarge",
        ),
        get_raw(
            "announces too much",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 99999999999\r\n\r\n"
            )),
            "TooLarge",
        ),
        get_raw(
            "length beyond any number",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 99999999999999999999999\r\n\r\n"
            )),
            "NotACatalog",
        ),
        get_raw(
            "two lengths",
            raw(format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"
            )),
            "NotACatalog",
        ),
        get_raw(
            "compressed bomb",
            reply(
                "200 OK",
                &format!("{JSON}Content-Encoding: gzip\r\n"),
                gzip(&vec![b' '; 64 << 20]),
            ),
            "TooLarge",
        ),
        get_raw(
            "damaged compression",
            reply(
                "200 OK",
                &format!("{JSON}Content-Encoding: gzip\r\n"),
                b"\x1f\x8b\x08\x00garbage that is no deflate",
            ),
            "NotACatalog",
        ),
        get_raw(
            "not compressed at all",
            reply("200 OK", &format!("{JSON}Content-Encoding: gzip\r\n"), GOOD),
            "NotACatalog",
        ),
        get_raw(
            "encoding not asked for",
            reply("200 OK", &format!("{JSON}Content-Encoding: br\r\n"), GOOD),
            "NotACatalog",
        ),
        get_raw(
            "floods the headers",
            with(
                raw("HTTP/1.1 200 OK\r\n"),
                Step::Flood(b"X-A: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100)),
            ),
            "NotACatalog",
        ),
        get_raw(
            "one endless header",
            with(
                raw("HTTP/1.1 200 OK\r\nX-A: "),
                Step::Flood(vec![b'a'; 1 << 16]),
            ),
            "NotACatalog",
        ),
        get_raw("speaks SSH", raw("SSH-2.0-OpenSSH_9.2\r\n"), "NotACatalog"),
        get_raw(
            "speaks nonsense",
            raw(b"\xff\xfe\0\0\r\n\r\n"),
            "NotACatalog",
        ),
    ]
}

fn content_cases() -> Vec<Case> {
    let html = |status| {
        reply(
            status,
            "Content-Type: text/html; charset=utf-8\r\n",
            "<!doctype html><p>hello",
        )
    };
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

fn status_cases() -> Vec<Case> {
    let refused = |name, status, body: &str| get_raw(name, reply(status, JSON, body), "Refused");
    let location = |to: &str| reply("302 Found", &format!("Location: {to}\r\n"), "");
    vec![
        refused(
            "invalid id, by the service",
            "400 Bad Request",
            r#"{"error":"Invalid worker ID format","message":"Worker ID must contain only lowercase letters, numbers, and hyphens"}"#,
        ),
        refused(
            "too long, by the service",
            "400 Bad Request",
            r#"{"error":"Worker ID too long"}"#,
        ),
        refused(
            "no token",
            "401 Unauthorized",
            r#"{"error":"Licence required"}"#,
        ),
        refused("wrong token", "403 Forbidden", ""),
        refused(
            "method",
            "405 Method Not Allowed",
            r#"{"error":"Method not allowed"}"#,
        ),
        refused("proxy", "407 Proxy Authentication Required", ""),
        refused("slow request", "408 Request Timeout", ""),
        refused("teapot", "418 I'm a teapot", ""),
        refused("too early", "425 Too Early", ""),
        refused(
            "internal",
            "500 Internal Server Error",
            r#"{"error":"Internal server error","message":"boom","timestamp":"2026-01-01T00:00:00Z"}"#,
        ),
        refused("not implemented", "501 Not Implemented", ""),
        refused("bad gateway", "502 Bad Gateway", ""),
        refused("unavailable", "503 Service Unavailable", ""),
        refused("gateway timeout", "504 Gateway Timeout", ""),
        refused("error is a number", "500 Oops", r#"{"error":5}"#),
        refused(
            "error with escapes",
            "400 Bad Request",
            r#"{"error":"\u001b[2Jgone","message":"a\r\nb\u202e"}"#,
        ),
        refused("error is no JSON", "400 Bad Request", "{{{"),
        refused("nothing to say", "206 Partial Content", GOOD),
        get_raw(
            "no content",
            raw("HTTP/1.1 204 No Content\r\n\r\n"),
            "Refused",
        ),
        get_raw(
            "plain refusal",
            reply("403 Forbidden", "Content-Type: text/plain\r\n", "go away"),
            "Refused",
        ),
        get_raw(
            "endless refusal",
            with(
                raw("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n\r\n"),
                Step::Flood(vec![b'x'; 1 << 16]),
            ),
            "Refused",
        ),
        get_raw(
            "asks for patience",
            reply("429 Too Many Requests", "Retry-After: 86400\r\n", ""),
            "Refused",
        ),
        get_raw(
            "unknown worker",
            reply("404 Not Found", JSON, r#"{"error":"Worker not found"}"#),
            "NotFound",
        ),
        get_raw(
            "unknown path",
            reply(
                "404 Not Found",
                "Content-Type: text/plain\r\n",
                "404 Not Found",
            ),
            "NotFound",
        ),
        get_raw("gone", reply("410 Gone", "", ""), "NotFound"),
        get_raw(
            "unasked 304",
            raw("HTTP/1.1 304 Not Modified\r\n\r\n"),
            "NotACatalog",
        ),
        get_raw(
            "redirects in circles",
            location("/workers/w"),
            "TooManyRedirects",
        ),
        get_raw(
            "redirects away",
            location("http://other.invalid/workers/w"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects to the metadata service",
            location("http://169.254.169.254/"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects to a file",
            location("file:///etc/passwd"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects nowhere",
            reply("301 Moved Permanently", "", ""),
            "NotACatalog",
        ),
        get_raw(
            "redirects to nonsense",
            location("http://[::"),
            "NotACatalog",
        ),
    ]
}

fn recipe_cases() -> Vec<Case> {
    let recipe = |name, steps, expected| Case(name, Call::Recipe, Hurry::No, steps, expected);
    vec![
        recipe(
            "recipe missing",
            reply("404 Not Found", JSON, r#"{"error":"PKGBUILD not found"}"#),
            "RecipeNotFound",
        ),
        recipe(
            "recipe of HTML",
            reply("200 OK", "Content-Type: text/html\r\n", "<p>"),
            "NotACatalog",
        ),
        recipe(
            "recipe of HTML without a type",
            reply("200 OK", "", "\n<!DOCTYPE html><p>"),
            "NotACatalog",
        ),
        recipe("recipe of JSON", json("{}"), "NotACatalog"),
        recipe(
            "recipe in Latin-1",
            text(b"pkgname=caf\xe9\n"),
            "MalformedRecipe",
        ),
        recipe("recipe empty", text(" \n"), "MalformedRecipe"),
        recipe("recipe with a zero byte", text("a\0b"), "MalformedRecipe"),
        recipe(
            "recipe too large",
            text(vec![b'#'; (1 << 20) + 1]),
            "TooLarge",
        ),
        recipe(
            "recipe refused",
            reply("500 Oops", JSON, r#"{"error":"Failed to fetch PKGBUILD"}"#),
            "Refused",
        ),
    ]
}

#[tokio::test]
async fn a_served_failure_has_its_variant_and_message() {
    let mut report = String::new();
    let mut count = 0;
    let cases = [
        transport_cases(),
        content_cases(),
        status_cases(),
        recipe_cases(),
    ];
    for Case(name, call, hurry, steps, expected) in cases.into_iter().flatten() {
        let server = Scripted::always(steps).await;
        let mut config = config(&server.base_url);
        let limit = Duration::from_millis(300);
        match hurry {
            Hurry::No => {}
            Hurry::Idle => (config.limits.idle, config.limits.connect) = (limit, limit),
            Hurry::Whole => config.limits.whole = limit,
        }
        let client = CatalogClient::new(config).unwrap();
        let cancel = CancellationToken::new();
        let error = match call {
            Call::Get => get(&client).await.err(),
            Call::List => client.list(&cancel).await.err(),
            Call::Recipe => {
                let entry = served_entry("").await;
                let variant = &entry.variants[0];
                let recipe = client.recipe(&entry, variant, Flavor::Source, &cancel);
                recipe.await.err()
            }
        };
        let error = error.unwrap_or_else(|| panic!("{name}: no error"));
        assert_eq!(variant_name(&error), expected, "{name}: {error:?}");
        let message = chain(&error).replace(&server.base_url, "http://catalog");
        assert!(
            !message.chars().any(char::is_control),
            "{name}: {message:?}"
        );
        writeln!(report, "{name}\n  {expected}: {message}").unwrap();
        count += 1;
    }
    assert!(count >= 60, "{count} cases");
    insta::assert_snapshot!("served_failures", report);
}

/// An entry as a catalog serves it, whose variant has `fields` beside its backend.
async fn served_entry(fields: &str) -> WorkerEntry {
    let body = format!(r#"{{"id":"w","variants":[{{"backend":"cpu"{fields}}}]}}"#);
    let server = Scripted::always(json(body)).await;
    get(&client(&server.base_url)).await.unwrap()
}

#[tokio::test]
async fn a_recipe_reference_cannot_leave_the_catalog() {
    let server = Scripted::always(text("pkgname=w\n")).await;
    let client = client(&server.base_url);
    let mut report = String::new();
    for (reference, expected) in [
        ("https://evil.invalid/PKGBUILD", "OtherOrigin"),
        ("//evil.invalid/PKGBUILD", "OtherOrigin"),
        ("HTTP://127.0.0.1:1/PKGBUILD", "OtherOrigin"),
        ("file:///etc/passwd", "OtherOrigin"),
        ("javascript:alert(1)", "OtherOrigin"),
        ("data:text/plain,pkgname=x", "OtherOrigin"),
        ("/pkgbuilds/../secret", "MalformedEntry"),
        ("/pkgbuilds/%2e%2E/secret", "MalformedEntry"),
        ("/pkgbuilds/.%2e/secret", "MalformedEntry"),
        ("\\\\\\\\evil.invalid\\\\PKGBUILD", "MalformedEntry"),
        ("/\\\\evil.invalid/PKGBUILD", "MalformedEntry"),
        ("/\\t/evil.invalid/PKGBUILD", "MalformedEntry"),
        ("/a b", "MalformedEntry"),
        ("/", "MalformedEntry"),
        ("http://", "MalformedEntry"),
        ("{base}", "MalformedEntry"),
    ] {
        let reference =
            reference.replace("{base}", &server.base_url.replace("://", "://user:secret@"));
        let entry = served_entry(&format!(r#","pkgbuildUrlGit":"{reference}""#)).await;
        let error = client
            .recipe(
                &entry,
                &entry.variants[0],
                Flavor::Source,
                &CancellationToken::new(),
            )
            .await
            .unwrap_err();
        assert_eq!(variant_name(&error), expected, "{reference}: {error:?}");
        let message = chain(&error).replace(&server.base_url, "http://catalog");
        assert!(!message.contains("secret@"), "{message}");
        let reference = reference.replace(&server.base_url.replace("http://", ""), "catalog");
        writeln!(report, "{reference}\n  {expected}: {message}").unwrap();
    }
    assert_eq!(server.requests().len(), 0, "nothing was asked for");
    insta::assert_snapshot!("recipe_references", report);
}

#[tokio::test]
async fn what_is_refused_without_asking() {
    let mut report = String::new();
    let mut note = |name: &str, error: &CatalogError, expected: &str| {
        assert_eq!(variant_name(error), expected, "{name}: {error:?}");
        writeln!(report, "{name}\n  {expected}: {}", chain(error)).unwrap();
    };
    for text in ["", "..", "Upper", "a/b", "\u{1b}[31m", &"x".repeat(101)] {
        let error = text.parse::<catalog_client::WorkerId>().unwrap_err();
        note(&format!("id {text:?}"), &error, "InvalidId");
    }
    let settings: [(&str, CatalogConfig); 12] = [
        ("no base URL", CatalogConfig::new::<String>([])),
        ("empty base URL", CatalogConfig::new([" "])),
        (
            "base URL without a scheme",
            CatalogConfig::new(["catalog.example"]),
        ),
        ("base URL of a file", CatalogConfig::new(["file:///srv"])),
        (
            "base URL with a query",
            CatalogConfig::new(["https://catalog.example/?token=secret"]),
        ),
        (
            "port out of range",
            CatalogConfig::new(["http://localhost:99999"]),
        ),
        (
            "token with a blank",
            CatalogConfig {
                token: Some(Token::new("a secret")),
                ..CatalogConfig::default()
            },
        ),
        (
            "token and user name",
            CatalogConfig {
                token: Some(Token::new("secret")),
                ..CatalogConfig::new(["http://me:secret@catalog.example"])
            },
        ),
        (
            "proxy",
            CatalogConfig {
                proxy: Proxy::Url("http://[".into()),
                ..CatalogConfig::default()
            },
        ),
        (
            "certificate",
            CatalogConfig {
                root_certificates: vec![b"secret".to_vec()],
                ..CatalogConfig::default()
            },
        ),
        (
            "user agent",
            CatalogConfig {
                user_agent: "a\nb".into(),
                ..CatalogConfig::default()
            },
        ),
        (
            "origin",
            CatalogConfig {
                other_origins: catalog_client::OtherOrigins::Allow(vec!["x".into()]),
                ..CatalogConfig::default()
            },
        ),
    ];
    for (name, config) in settings {
        let error = CatalogClient::new(config).unwrap_err();
        assert!(
            !format!("{error:?} {error}").contains("secret"),
            "{error:?}"
        );
        note(name, &error, "Config");
    }
    let entry = served_entry(
        r#","platforms":["linux","macos"],"architectures":["x86_64"],"pkgbuildUrl":"/x""#,
    )
    .await;
    let client = client("http://localhost:1");
    for (name, platform, architecture, backend) in [
        (
            "backend",
            Platform::Linux,
            Architecture::X86_64,
            WorkerType::Cuda,
        ),
        (
            "system",
            Platform::Windows,
            Architecture::X86_64,
            WorkerType::Cpu,
        ),
        (
            "architecture",
            Platform::Linux,
            Architecture::Aarch64,
            WorkerType::Cpu,
        ),
    ] {
        let host = Host {
            platform,
            architecture,
            backends: vec![backend],
        };
        note(
            name,
            &client.select(&entry, &host).unwrap_err(),
            "NoVariant",
        );
    }
    let cancel = CancellationToken::new();
    let variant = &entry.variants[0];
    let error = client
        .recipe(&entry, variant, Flavor::Source, &cancel)
        .await
        .unwrap_err();
    note("flavor", &error, "NoRecipe");
    let offline = CatalogClient::new(CatalogConfig {
        offline: true,
        ..config("http://catalog.invalid")
    })
    .unwrap();
    note("offline", &get(&offline).await.unwrap_err(), "Offline");
    cancel.cancel();
    let error = client.list(&cancel).await.unwrap_err();
    note("cancelled", &error, "Cancelled");
    insta::assert_snapshot!("refused_without_asking", report);
}

#[tokio::test]
async fn nobody_there() {
    // Bound and dropped: nothing listens on it.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let one = format!("http://user:secret@{free}");
    let error = get(&client(&one)).await.unwrap_err();
    assert_eq!(variant_name(&error), "Unreachable");
    let two = Scripted::always(vec![]).await;
    let mut mirrored = config(&one);
    mirrored.base_urls.push(two.base_url.clone());
    let all = get(&CatalogClient::new(mirrored).unwrap())
        .await
        .unwrap_err();
    assert_eq!(variant_name(&all), "AllMirrors");
    assert_eq!(two.requests().len(), 3, "tried once and repeated twice");
    let plain = Scripted::always(raw("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let tls = get(&client(&plain.base_url.replace("http:", "https:")))
        .await
        .unwrap_err();
    assert_eq!(variant_name(&tls), "Tls", "{tls:?}");
    let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
    let report = [&error, &all, &tls]
        .map(chain)
        .join("\n")
        .replace(&free.port().to_string(), "1001")
        .replace(&port(&two.base_url), "1002")
        .replace(&port(&plain.base_url), "1003");
    assert!(!report.contains("secret"), "{report}");
    insta::assert_snapshot!("nobody_there", report);
}
