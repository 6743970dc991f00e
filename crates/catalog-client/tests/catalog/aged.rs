//! How old a kept answer may be, whatever its service says, and how to ask all the same.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use catalog_client::{CatalogClient, CatalogConfig, CatalogError, Freshness};
use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use crate::support::*;

const GOOD: &str = r#"{"id":"w","version":"1","worker_type":"cpu"}"#;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Ten years.
const FROZEN: &str = "public, max-age=315360000, immutable";

fn caching(base_url: &str, dir: &Path) -> CatalogConfig {
    CatalogConfig {
        cache_dir: Some(dir.to_owned()),
        ..config(base_url)
    }
}

fn cacheable(control: &str) -> Vec<Step> {
    let headers = format!("Content-Type: application/json\r\nCache-Control: {control}\r\n");
    reply("200 OK", &headers, GOOD)
}

async fn ask(config: &CatalogConfig) -> Result<(Freshness, bool), CatalogError> {
    let client = CatalogClient::new(config.clone()).unwrap();
    let answer = client.get(&id("w"), &CancellationToken::new()).await?;
    Ok((answer.freshness, answer.cause.is_some()))
}

/// Makes the one kept answer `seconds` older, as if the machine's clock had gone on.
fn age(dir: &Path, seconds: u64) {
    let entries = std::fs::read_dir(dir.join("catalog-1")).unwrap();
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let [path] = paths.as_slice() else {
        panic!("{paths:?}");
    };
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    let (head, body) = rest.split_once('\n').unwrap();
    let mut head: serde_json::Value = serde_json::from_str(head).unwrap();
    let stored = head["stored"].as_u64().unwrap();
    head["stored"] = (stored - seconds).into();
    let rest = format!("{head}\n{body}");
    let seal = hex::encode(sha2::Sha256::digest(&rest));
    std::fs::write(path, format!("{seal}\n{rest}")).unwrap();
}

fn past_caches(request: &str) -> bool {
    let request = request.to_ascii_lowercase();
    request.contains("\r\ncache-control: no-cache\r\n")
}

#[tokio::test]
async fn no_service_freezes_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::always(cacheable(FROZEN)).await;
    let config = caching(&server.base_url, dir.path());
    assert_eq!(ask(&config).await.unwrap().0, Freshness::Live);
    age(dir.path(), 23 * HOUR);
    let (freshness, _) = ask(&config).await.unwrap();
    assert!(
        matches!(freshness, Freshness::Fresh { .. }),
        "{freshness:?}"
    );
    age(dir.path(), 2 * HOUR);
    let mut patient = config.clone();
    patient.limits.longest_fresh = Duration::from_hours(48);
    let (freshness, _) = ask(&patient).await.unwrap();
    assert!(
        matches!(freshness, Freshness::Fresh { .. }),
        "{freshness:?}"
    );
    assert_eq!(server.requests().len(), 1);
    assert_eq!(ask(&config).await.unwrap().0, Freshness::Live);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        !past_caches(&requests[0]) && past_caches(&requests[1]),
        "{requests:?}"
    );
}

#[tokio::test]
async fn who_wants_it_new_gets_it_new() {
    let dir = tempfile::tempdir().unwrap();
    let server = Scripted::start(|n, _| match n {
        0..3 => cacheable(FROZEN),
        _ => reply("503 Service Unavailable", "", ""),
    })
    .await;
    let config = caching(&server.base_url, dir.path());
    let cancel = CancellationToken::new();
    let client = CatalogClient::new(config.clone()).unwrap();
    let worker = id("w");
    client.get(&worker, &cancel).await.unwrap();
    let answer = client.refreshing().get(&worker, &cancel).await.unwrap();
    assert_eq!(answer.freshness, Freshness::Live);
    let refreshing = CatalogConfig {
        refresh: true,
        ..config.clone()
    };
    assert_eq!(ask(&refreshing).await.unwrap().0, Freshness::Live);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(
        requests[1..].iter().all(|request| past_caches(request)),
        "{requests:?}"
    );
    let (freshness, caused) = ask(&refreshing).await.unwrap();
    assert!(
        freshness.is_stale() && caused,
        "said to be old when nobody answers"
    );
    assert!(matches!(
        ask(&config).await.unwrap().0,
        Freshness::Fresh { .. }
    ));
    let asked = server.requests().len();
    let offline = CatalogConfig {
        offline: true,
        ..refreshing
    };
    assert!(matches!(
        ask(&offline).await.unwrap().0,
        Freshness::Fresh { .. }
    ));
    assert_eq!(server.requests().len(), asked);
}

#[tokio::test]
async fn an_old_copy_does_not_stand_in_for_ever() {
    for control in [FROZEN, "max-age=0"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Scripted::start(move |n, _| match n {
            0 => cacheable(control),
            _ => reply("503 Service Unavailable", "", ""),
        })
        .await;
        let config = caching(&server.base_url, dir.path());
        let offline = CatalogConfig {
            offline: true,
            ..config.clone()
        };
        ask(&config).await.unwrap();
        age(dir.path(), 6 * DAY);
        assert!(ask(&config).await.unwrap().0.is_stale(), "{control}");
        assert!(ask(&offline).await.unwrap().0.is_stale(), "{control}");
        age(dir.path(), 2 * DAY);
        for (config, reached) in [(&config, true), (&offline, false)] {
            let error = ask(config).await.unwrap_err();
            assert!(matches!(error, CatalogError::TooOld { .. }), "{error:?}");
            assert_eq!(error.source().is_some(), reached, "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("8 days old, and none older than 7 days"),
                "{text}"
            );
        }
        let mut patient = offline.clone();
        patient.limits.longest_stale = Duration::from_hours(9 * 24);
        assert!(ask(&patient).await.unwrap().0.is_stale(), "{control}");
    }
}
