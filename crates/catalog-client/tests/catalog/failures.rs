//! Every way to fail: the expected variant of each, and its message as a user reads it.

use std::fmt::Write as _;
use std::time::Duration;

use catalog_client::{
    Architecture, CatalogClient, CatalogConfig, CatalogError, Flavor, Host, Platform, Token,
    WorkerEntry, WorkerType,
};
use tokio_util::sync::CancellationToken;

use crate::cases::{self, Call, Case, Hurry};
use crate::support::*;

#[tokio::test]
async fn a_served_failure_has_its_variant_and_message() {
    let mut report = String::new();
    let mut count = 0;
    for Case(name, call, hurry, steps, expected) in cases::all() {
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
#[expect(clippy::too_many_lines, reason = "a table")]
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
    let settings: [(&str, CatalogConfig); 11] = [
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
