//! The cache: fresh, confirmed, stale, offline, damaged, and shared.

use std::path::Path;

use catalog_client::{CatalogClient, CatalogConfig, CatalogError, Freshness};
use e2e_tests::catalog_server::Generation;
use tokio_util::sync::CancellationToken;

use crate::recorded;
use crate::support::*;

const GOOD: &str = r#"{"id":"w","version":"1","worker_type":"cpu"}"#;
const NEW: &str = r#"{"id":"w","version":"2","worker_type":"cpu"}"#;

fn caching(base_url: &str, dir: &Path) -> CatalogConfig {
    CatalogConfig {
        cache_dir: Some(dir.to_owned()),
        ..config(base_url)
    }
}

fn cacheable(control: &str, etag: &str, body: &str) -> Vec<Step> {
    reply(
        "200 OK",
        &format!("Content-Type: application/json\r\nCache-Control: {control}\r\nETag: {etag}\r\n"),
        body,
    )
}

async fn ask(config: &CatalogConfig) -> Result<(String, Freshness, bool), CatalogError> {
    let client = CatalogClient::new(config.clone()).unwrap();
    let answer = client.get(&id("w"), &CancellationToken::new()).await?;
    let version = answer.value.version.unwrap();
    Ok((version, answer.freshness, answer.cause.is_some()))
}

#[tokio::test]
async fn within_its_time_nobody_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::always(cacheable("public, max-age=3600", "\"a\"", GOOD)).await;
    let config = caching(&server.base_url, dir.path());
    assert_eq!(ask(&config).await.unwrap().1, Freshness::Live);
    assert!(matches!(
        ask(&config).await.unwrap().1,
        Freshness::Fresh { .. }
    ));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn beyond_its_time_it_is_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start(|n, request| match n {
        0 => cacheable("max-age=0, must-revalidate", "\"a\"", GOOD),
        1 => {
            assert!(request.to_ascii_lowercase().contains("if-none-match: \"a\""), "{request}");
            raw("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=0\r\nConnection: close\r\n\r\n")
        }
        _ => cacheable("max-age=60", "\"b\"", NEW),
    })
    .await;
    let config = caching(&server.base_url, dir.path());
    for version in ["1", "1", "2"] {
        let (got, freshness, _) = ask(&config).await.unwrap();
        assert_eq!((got.as_str(), freshness), (version, Freshness::Live));
    }
}

#[tokio::test]
async fn a_304_for_another_version_asks_for_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start(|n, request| {
        let conditional = request.to_ascii_lowercase().contains("if-none-match");
        assert_eq!(conditional, n == 1);
        match n {
            0 => cacheable("max-age=0", "\"a\"", GOOD),
            1 => raw("HTTP/1.1 304 Not Modified\r\nETag: \"other\"\r\nConnection: close\r\n\r\n"),
            _ => cacheable("max-age=0", "\"b\"", NEW),
        }
    })
    .await;
    let config = caching(&server.base_url, dir.path());
    assert_eq!(ask(&config).await.unwrap().0, "1");
    assert_eq!(ask(&config).await.unwrap().0, "2");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_leaves_a_stale_copy() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bad) in [
        ("cut off", vec![]),
        ("unavailable", reply("503 Service Unavailable", "", "")),
        (
            "overloaded",
            reply("429 Too Many Requests", "Retry-After: 99999\r\n", ""),
        ),
    ] {
        let dir = dir.path().join(name);
        let server = Scripted::start(move |n, _| {
            if n == 0 {
                cacheable("max-age=0, must-revalidate", "\"a\"", GOOD)
            } else {
                bad.clone()
            }
        })
        .await;
        let config = caching(&server.base_url, &dir);
        ask(&config).await.unwrap();
        let (version, freshness, caused) = ask(&config).await.unwrap();
        assert!(
            version == "1" && freshness.is_stale() && caused,
            "{name}: {freshness:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_wrong_is_no_reason_for_a_stale_copy_nor_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bad, expected) in [
        (
            "html",
            reply("200 OK", "Content-Type: text/html\r\n", "<p>"),
            "NotACatalog",
        ),
        ("broken", json("{"), "MalformedEntry"),
        ("gone", reply("410 Gone", "", ""), "NotFound"),
        ("refused", reply("403 Forbidden", "", ""), "Refused"),
    ] {
        let dir = dir.path().join(name);
        let server = Scripted::start(move |n, _| {
            if n == 0 {
                cacheable("max-age=0", "\"a\"", GOOD)
            } else {
                bad.clone()
            }
        })
        .await;
        let config = caching(&server.base_url, &dir);
        ask(&config).await.unwrap();
        assert_eq!(
            variant_name(&ask(&config).await.unwrap_err()),
            expected,
            "{name}"
        );
        let offline = CatalogConfig {
            offline: true,
            ..config
        };
        assert_eq!(ask(&offline).await.unwrap().0, "1", "{name}");
    }
}

#[tokio::test]
async fn offline_answers_from_the_cache_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = recorded::serve(Generation::V2).await;
    let online = CatalogClient::new(caching(&server.base_url(), dir.path())).unwrap();
    let cancel = CancellationToken::new();
    let worker = id("llm-worker-rbee");
    let entry = online.get(&worker, &cancel).await.unwrap().value;
    let source = catalog_client::Flavor::Source;
    online
        .recipe(&entry, &entry.variants[0], source, &cancel)
        .await
        .unwrap();
    let asked = server.requests().len();

    let offline = CatalogConfig {
        offline: true,
        ..caching(&server.base_url(), dir.path())
    };
    let offline = CatalogClient::new(offline).unwrap();
    let entry = offline.get(&worker, &cancel).await.unwrap();
    assert!(matches!(entry.freshness, Freshness::Fresh { .. }));
    let variant = &entry.value.variants[0];
    let recipe = offline
        .recipe(&entry.value, variant, source, &cancel)
        .await
        .unwrap();
    assert!(
        recipe.freshness.is_stale(),
        "recipes are always to be confirmed"
    );
    let error = offline.list(&cancel).await.unwrap_err();
    assert!(matches!(error, CatalogError::Offline { .. }));
    assert_eq!(server.requests().len(), asked);
}

#[tokio::test]
async fn what_must_not_be_kept_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::always(cacheable("no-store", "\"a\"", GOOD)).await;
    let config = caching(&server.base_url, dir.path());
    ask(&config).await.unwrap();
    let offline = CatalogConfig {
        offline: true,
        ..config
    };
    assert_eq!(variant_name(&ask(&offline).await.unwrap_err()), "Offline");
}

#[tokio::test]
async fn answers_for_one_token_are_not_given_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::always(cacheable("max-age=3600", "\"a\"", GOOD)).await;
    let with = |token: Option<&str>| CatalogConfig {
        token: token.map(catalog_client::Token::new),
        ..caching(&server.base_url, dir.path())
    };
    for (n, token) in [Some("first"), None, Some("second")]
        .into_iter()
        .enumerate()
    {
        ask(&with(token)).await.unwrap();
        assert_eq!(server.requests().len(), n + 1);
    }
    for file in std::fs::read_dir(dir.path().join("catalog-1")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(
            !text.contains("first") && !text.contains("second"),
            "{text}"
        );
    }
}

type Damage = fn(Vec<u8>) -> Vec<u8>;

#[tokio::test]
async fn damaged_files_are_asked_for_again() {
    let damages: [(&str, Damage); 6] = [
        ("emptied", |_| Vec::new()),
        ("cut", |mut bytes| {
            bytes.truncate(bytes.len() - 5);
            bytes
        }),
        ("one bit", |mut bytes| {
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }),
        ("garbage", |_| b"\xff\xfe\n\n".to_vec()),
        ("no body", |bytes| {
            bytes.split(|b| *b == b'\n').next().unwrap().to_vec()
        }),
        ("grown", |mut bytes| {
            bytes.extend(vec![b' '; 4 << 20]);
            bytes
        }),
    ];
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let server = Scripted::always(cacheable("max-age=3600", "\"a\"", GOOD)).await;
        let config = caching(&server.base_url, dir.path());
        ask(&config).await.unwrap();
        let folder = dir.path().join("catalog-1");
        let path = std::fs::read_dir(&folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        std::fs::write(&path, damage(std::fs::read(&path).unwrap())).unwrap();
        assert_eq!(ask(&config).await.unwrap().1, Freshness::Live, "{name}");
        assert!(
            matches!(ask(&config).await.unwrap().1, Freshness::Fresh { .. }),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_costs_only_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let server = Scripted::always(cacheable("max-age=3600", "\"a\"", GOOD)).await;
    let config = caching(&server.base_url, &file);
    for _ in 0..2 {
        assert_eq!(ask(&config).await.unwrap().1, Freshness::Live);
    }
}

#[tokio::test]
async fn the_cache_stays_small_and_clean() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start(|_, request| {
        let id = request.split(['/', ' ']).nth(3).unwrap().to_owned();
        cacheable(
            "max-age=3600",
            "\"a\"",
            &format!(r#"{{"id":"{id}","worker_type":"cpu"}}"#),
        )
    })
    .await;
    let mut config = caching(&server.base_url, dir.path());
    config.limits.cached_answers = 3;
    let client = CatalogClient::new(config).unwrap();
    for n in 0..8 {
        client
            .get(&id(&format!("w{n}")), &CancellationToken::new())
            .await
            .unwrap();
    }
    assert_eq!(
        std::fs::read_dir(dir.path().join("catalog-1"))
            .unwrap()
            .count(),
        3
    );
}

/// The child half of the next test: asks again and again through the shared folder.
#[tokio::test]
async fn child_of_the_shared_cache_test() {
    let (Ok(base_url), Ok(dir)) = (std::env::var("TEST_CATALOG"), std::env::var("TEST_CACHE"))
    else {
        return;
    };
    let config = caching(&base_url, Path::new(&dir));
    for _ in 0..40 {
        let (version, _, _) = ask(&config).await.unwrap();
        assert!(version.len() > 20_000, "a torn answer");
    }
}

#[tokio::test]
async fn several_processes_share_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    // Never fresh and ever different: every ask writes.
    let server = Scripted::start(|n, _| {
        let version = format!("{n}-").repeat(20_000);
        let body = format!(r#"{{"id":"w","version":"{version}","worker_type":"cpu"}}"#);
        cacheable("max-age=0", &format!("\"{n}\""), &body)
    })
    .await;
    let spawn = |_| {
        tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kept::child_of_the_shared_cache_test"])
            .env("TEST_CATALOG", &server.base_url)
            .env("TEST_CACHE", dir.path())
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..3).map(spawn).collect();
    for mut child in children {
        assert!(child.wait().await.unwrap().success());
    }
    assert_eq!(server.requests().len(), 120);
    assert_eq!(
        std::fs::read_dir(dir.path().join("catalog-1"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn names_of_the_other_generation_work_without_the_service() {
    let cancel = CancellationToken::new();
    let (both, base) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = recorded::serve(Generation::V2).await;
    let listed = caching(&server.base_url(), both.path());
    let client = CatalogClient::new(listed.clone()).unwrap();
    client.list(&cancel).await.unwrap();
    let asked = caching(&server.base_url(), base.path());
    let client = CatalogClient::new(asked.clone()).unwrap();
    client.get(&id("llm-worker-rbee"), &cancel).await.unwrap();
    drop(server);
    let offline = |config: &CatalogConfig| CatalogConfig {
        offline: true,
        ..config.clone()
    };
    for (config, name, lost) in [
        (offline(&listed), "llm-worker-rbee", false),
        (offline(&listed), "llm-worker-rbee-cuda", false),
        (offline(&asked), "llm-worker-rbee-cuda", false),
        (listed.clone(), "llm-worker-rbee-cuda", true),
        (asked.clone(), "llm-worker-rbee-cuda", true),
    ] {
        let client = CatalogClient::new(config).unwrap();
        let answer = client.get(&id(name), &cancel).await.unwrap();
        assert_eq!(answer.value.id, id("llm-worker-rbee"));
        let variants = if name.ends_with("cuda") { 1 } else { 4 };
        assert_eq!(answer.value.variants.len(), variants);
        assert!(matches!(answer.freshness, Freshness::Fresh { .. }));
        assert_eq!(answer.cause.is_some(), lost, "{name}");
    }
    let client = CatalogClient::new(offline(&asked)).unwrap();
    let error = client.get(&id("other-cuda"), &cancel).await.unwrap_err();
    assert!(matches!(error, CatalogError::Offline { .. }), "{error:?}");
}

#[tokio::test]
async fn an_age_beyond_any_clock_is_old() {
    for age in ["18446744073709551615", "99999999999999999999999999"] {
        let dir = tempfile::tempdir().unwrap();
        let headers = format!(
            "Content-Type: application/json\r\nCache-Control: max-age=3600\r\nAge: {age}\r\n"
        );
        let server = Scripted::always(reply("200 OK", &headers, GOOD)).await;
        let config = caching(&server.base_url, dir.path());
        for _ in 0..2 {
            assert_eq!(ask(&config).await.unwrap().1, Freshness::Live);
        }
        let offline = CatalogConfig {
            offline: true,
            ..config
        };
        assert!(ask(&offline).await.unwrap().1.is_stale());
    }
}
