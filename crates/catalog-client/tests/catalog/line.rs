//! Retries, mirrors, shared requests, cancellation, credentials, proxies and certificates.

use std::time::{Duration, Instant};

use catalog_client::{CatalogClient, CatalogConfig, CatalogError, Flavor, OtherOrigins, Token};
use e2e_tests::tls::TlsFront;
use network_policy::{Access, CROWDED, Outlook, Proxies};
use tokio_util::sync::CancellationToken;

use crate::support::*;

const GOOD: &str = r#"{"id":"w","worker_type":"cpu"}"#;

#[tokio::test]
async fn what_may_pass_is_repeated_and_nothing_else() {
    // 404 and 410 lead to the list, in which the worker may have another name.
    for status in (400..600).filter(|status| !matches!(status, 404 | 410)) {
        let repeated = Outlook::of_status(status).may_pass();
        let server = Scripted::start(move |n, _| {
            if n < 2 {
                reply(&format!("{status} X"), "", "")
            } else {
                json(GOOD)
            }
        })
        .await;
        let result = get(&client(&server.base_url)).await;
        assert_eq!(result.is_ok(), repeated, "{status}");
        assert_eq!(
            server.requests().len(),
            if repeated { 3 } else { 1 },
            "{status}"
        );
    }
    let server = Scripted::start(|n, _| if n < 2 { vec![] } else { json(GOOD) }).await;
    get(&client(&server.base_url)).await.unwrap();
    assert_eq!(server.requests().len(), 3, "lost connections are repeated");
}

#[tokio::test]
async fn retry_after_is_waited_for_or_ends_the_attempts() {
    let server = Scripted::start(|n, _| match n {
        0 => reply("503 X", "Retry-After: 1\r\n", ""),
        _ => json(GOOD),
    })
    .await;
    let start = Instant::now();
    get(&client(&server.base_url)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));

    let dates =
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 09:49:37 GMT\r\n";
    for asked in ["Retry-After: 3600\r\n", dates] {
        let server = Scripted::always(reply("503 X", asked, "")).await;
        get(&client(&server.base_url)).await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "the budget has no hour left");
    }
}

#[tokio::test]
async fn want_of_room_is_no_reason_to_give_up_soon() {
    let retries = config("").limits.retries;
    for (status, most) in [("503 X", retries * CROWDED), ("500 X", retries)] {
        let server = Scripted::always(reply(status, "", "")).await;
        get(&client(&server.base_url)).await.unwrap_err();
        assert_eq!(server.requests().len(), most as usize + 1, "{status}");
    }
}

#[tokio::test]
async fn a_pause_ends_with_the_token() {
    let server = Scripted::always(reply("503 X", "Retry-After: 3600\r\n", "")).await;
    let mut config = config(&server.base_url);
    config.limits.retry_budget = Duration::from_hours(2);
    let client = CatalogClient::new(config).unwrap();
    let cancel = CancellationToken::new();
    let asking = tokio::spawn({
        let cancel = cancel.clone();
        async move { client.get(&id("w"), &cancel).await }
    });
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    let result = asking.await.unwrap();
    assert!(matches!(result, Err(CatalogError::Cancelled)), "{result:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_next_mirror_is_asked_at_once() {
    for bad in [
        vec![],
        reply("503 X", "", ""),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let (one, two) = (
            Scripted::always(bad).await,
            Scripted::always(json(GOOD)).await,
        );
        let mut config = config(&one.base_url);
        config.base_urls.push(two.base_url.clone());
        let client = CatalogClient::new(config).unwrap();
        let answer = client
            .get(&id("w"), &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(answer.url, format!("{}/workers/w", two.base_url));
        assert_eq!((one.requests().len(), two.requests().len()), (1, 1));
    }
    // A definite answer is an answer.
    let missing = Scripted::always(reply("404 X", "", "")).await;
    let two = Scripted::always(json(GOOD)).await;
    let mut config = config(&missing.base_url);
    config.base_urls.push(two.base_url.clone());
    get(&CatalogClient::new(config).unwrap()).await.unwrap_err();
    assert_eq!(two.requests().len(), 0);
}

/// A server that answers once the token is cancelled.
async fn gated() -> (Scripted, CancellationToken) {
    let gate = CancellationToken::new();
    let held = gate.clone();
    let server = Scripted::start(move |_, _| {
        let mut steps = vec![Step::Gate(held.clone())];
        steps.extend(json(GOOD));
        steps
    })
    .await;
    (server, gate)
}

#[tokio::test]
async fn concurrent_calls_make_one_request() {
    let (server, gate) = gated().await;
    let client = client(&server.base_url);
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { get(&client).await })
        })
        .collect();
    // One thread runs all tasks in turn: after the request was seen, let each start.
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    gate.cancel();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_shared_request_outlives_the_one_who_started_it() {
    let (server, gate) = gated().await;
    let client = client(&server.base_url);
    let leader_cancel = CancellationToken::new();
    let leader = {
        let (client, cancel) = (client.clone(), leader_cancel.clone());
        tokio::spawn(async move { client.get(&id("w"), &cancel).await.map(|_| ()) })
    };
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let follower = {
        let client = client.clone();
        tokio::spawn(async move { get(&client).await })
    };
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    leader_cancel.cancel();
    assert!(matches!(
        leader.await.unwrap(),
        Err(CatalogError::Cancelled)
    ));
    gate.cancel();
    follower.await.unwrap().unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_one_base_url_has_its_mirrors_have() {
    // The entry names the recipe by the first base URL, which then goes away.
    let two = Scripted::always(text("pkgname=w\n")).await;
    let one = Scripted::start(|_, request| {
        if request.starts_with("GET /workers/") {
            let host = request
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap();
            json(format!(
                r#"{{"id":"w","variants":[{{"backend":"cpu","pkgbuildUrlGit":"http://{host}/x"}}]}}"#
            ))
        } else {
            vec![]
        }
    })
    .await;
    let mut config = config(&one.base_url);
    config.base_urls.push(two.base_url.clone());
    let client = CatalogClient::new(config).unwrap();
    let entry = get(&client).await.unwrap();
    let cancel = CancellationToken::new();
    let variant = &entry.variants[0];
    let recipe = client.recipe(&entry, variant, Flavor::Source, &cancel);
    assert_eq!(
        recipe.await.unwrap().value.url,
        format!("{}/x", two.base_url)
    );
}

#[tokio::test]
async fn a_worker_is_not_missing_when_its_other_names_are_unknown() {
    let server = Scripted::start(|_, request| {
        if request.starts_with("GET /workers ") {
            reply("503 X", "", "")
        } else {
            reply("404 X", "", "")
        }
    })
    .await;
    let error = get(&client(&server.base_url)).await.unwrap_err();
    assert!(error.is_unreachable() && !error.is_not_found(), "{error:?}");
}

#[tokio::test]
async fn an_injected_client_that_follows_redirects_is_found_out() {
    let elsewhere = Scripted::always(json(GOOD)).await;
    let location = format!("Location: {}/there\r\n", elsewhere.base_url);
    let server = Scripted::always(reply("302 Found", &location, "")).await;
    let following = CatalogConfig {
        http: Some(reqwest::Client::builder().no_proxy().build().unwrap()),
        token: Some(Token::new("sesame")),
        ..config(&server.base_url)
    };
    let error = get(&CatalogClient::new(following).unwrap())
        .await
        .unwrap_err();
    assert_eq!(variant_name(&error), "OtherOrigin", "{error:?}");
    assert!(names_authorization(&server.requests()[0]));
    assert!(!names_authorization(&elsewhere.requests()[0]));
}

fn has_header(request: &str, header: &str) -> bool {
    request
        .lines()
        .any(|line| line.eq_ignore_ascii_case(header))
}

fn names_authorization(request: &str) -> bool {
    request.to_ascii_lowercase().contains("authorization")
}

#[tokio::test]
async fn requests_say_who_asks_and_for_what() {
    let server = Scripted::always(json(GOOD)).await;
    let mut config = config(&server.base_url);
    get(&CatalogClient::new(config.clone()).unwrap())
        .await
        .unwrap();
    config.http = Some(
        reqwest::Client::builder()
            .no_proxy()
            .user_agent("mine")
            .build()
            .unwrap(),
    );
    config.user_agent = "hive/1.2".to_owned();
    get(&CatalogClient::new(config).unwrap()).await.unwrap();
    let [first, second] = &server.requests()[..] else {
        panic!()
    };
    let name = format!("user-agent: catalog-client/{}", env!("CARGO_PKG_VERSION"));
    assert!(has_header(first, &name), "{first}");
    assert!(
        has_header(first, "accept: application/json") && has_header(first, "accept-encoding: gzip")
    );
    assert!(!names_authorization(first));
    assert!(has_header(second, "user-agent: hive/1.2"), "{second}");
}

#[tokio::test]
async fn credentials_stay_with_the_catalog() {
    let elsewhere = Scripted::always(text("pkgname=w\n")).await;
    let target = elsewhere.base_url.clone();
    let server = Scripted::start(move |_, request| {
        if request.starts_with("GET /redirect ") {
            return reply("302 Found", &format!("Location: {target}/there\r\n"), "");
        }
        json(format!(
            r#"{{"id":"w","variants":[{{"backend":"cpu","pkgbuildUrl":"{target}/x","pkgbuildUrlGit":"/redirect"}}]}}"#
        ))
    })
    .await;
    let cancel = CancellationToken::new();
    let bearer = CatalogConfig {
        token: Some(Token::new("sesame")),
        ..config(&server.base_url)
    };
    let basic = config(&server.base_url.replace("://", "://me:p%40ss@"));
    for (config, header) in [
        (bearer, "authorization: Bearer sesame"),
        (basic, "authorization: Basic bWU6cEBzcw=="),
    ] {
        for others in [
            // On the internet, that is.
            OtherOrigins::AllowAny,
            OtherOrigins::Allow(vec![elsewhere.base_url.clone()]),
            OtherOrigins::Refuse,
        ] {
            let allowed = matches!(others, OtherOrigins::Allow(_));
            let is_any = others == OtherOrigins::AllowAny;
            let config = CatalogConfig {
                other_origins: others,
                ..config.clone()
            };
            let client = CatalogClient::new(config).unwrap();
            let entry = get(&client).await.unwrap();
            for flavor in [Flavor::Binary, Flavor::Source] {
                let recipe = client
                    .recipe(&entry, &entry.variants[0], flavor, &cancel)
                    .await;
                assert_eq!(recipe.is_ok(), allowed, "{recipe:?}");
                let is_judged = matches!(recipe, Err(CatalogError::NotAllowed { .. }));
                assert_eq!(is_judged, is_any, "{recipe:?}");
            }
        }
        assert!(
            server
                .requests()
                .iter()
                .any(|request| has_header(request, header))
        );
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|request| names_authorization(request))
    );
    assert_eq!(elsewhere.requests().len(), 4);
    assert!(
        !elsewhere
            .requests()
            .iter()
            .any(|request| names_authorization(request))
    );
}

#[tokio::test]
async fn redirects_within_the_catalog_are_followed() {
    let server = Scripted::start(|_, request| {
        if request.starts_with("GET /moved ") {
            json(GOOD)
        } else {
            reply("308 Permanent Redirect", "Location: /moved\r\n", "")
        }
    })
    .await;
    get(&client(&server.base_url)).await.unwrap();
}

#[tokio::test]
async fn gzip_is_understood() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, GOOD.as_bytes()).unwrap();
    let headers = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let server = Scripted::always(reply("200 OK", headers, encoder.finish().unwrap())).await;
    get(&client(&server.base_url)).await.unwrap();
}

#[tokio::test]
async fn a_proxy_carries_the_requests() {
    let proxy = Scripted::always(json(GOOD)).await;
    let mut config = config("http://catalog.invalid");
    config.access = Some(Access {
        proxies: Proxies::all(&proxy.base_url).unwrap(),
        ..Access::default()
    });
    get(&CatalogClient::new(config).unwrap()).await.unwrap();
    assert!(proxy.requests()[0].starts_with("GET http://catalog.invalid/workers/w "));
}

/// The child half of the next test: a client that looks at the environment.
#[tokio::test]
async fn child_of_the_proxy_variable_test() {
    if std::env::var("TEST_PROXY").is_ok() {
        let mut config = config("http://catalog.invalid");
        config.access = None;
        get(&CatalogClient::new(config).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn proxy_variables_count() {
    let proxy = Scripted::always(json(GOOD)).await;
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "line::child_of_the_proxy_variable_test"])
        .env("TEST_PROXY", "1")
        .env("http_proxy", &proxy.base_url)
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .unwrap();
    assert!(status.success());
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_private_authority_has_to_be_named() {
    let plain = Scripted::always(json(GOOD)).await;
    let front = TlsFront::start(plain.address).await.unwrap();
    let error = get(&client(&front.base_url())).await.unwrap_err();
    assert_eq!(variant_name(&error), "Tls", "{error:?}");
    let trusting = CatalogConfig {
        root_certificates: vec![front.certificate().as_bytes().to_vec()],
        ..config(&front.base_url())
    };
    get(&CatalogClient::new(trusting).unwrap()).await.unwrap();
}
