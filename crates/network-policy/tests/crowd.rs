//! How much is asked of one host at once.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use network_policy::{Crowd, Turn};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;
use url::Host;

const HOST: Host<&str> = Host::Domain("example.org");

/// How many can have a place at once, and their turns.
async fn fill(crowd: &Crowd) -> Vec<Turn> {
    let mut turns = Vec::new();
    while let Ok(turn) = tokio::time::timeout(Duration::from_millis(1), crowd.enter(&HOST)).await {
        turns.push(turn);
    }
    turns
}

#[tokio::test(start_paused = true)]
async fn a_host_has_so_many_places_and_others_have_theirs() {
    let crowd = Crowd::default();
    let turns = fill(&crowd).await;
    assert_eq!(turns.len(), 4);
    let same = Host::Domain("EXAMPLE.org");
    let waiting = tokio::time::timeout(Duration::from_mins(1), crowd.enter(&same));
    assert!(
        waiting.await.is_err(),
        "it has another name for the same places"
    );
    crowd.enter(&Host::Domain("other.example.org")).await;
    drop(turns);
    assert_eq!(fill(&crowd.clone()).await.len(), 4);
    assert_eq!(
        fill(&Crowd::new(0)).await.len(),
        1,
        "none at all is never meant"
    );
}

#[tokio::test(start_paused = true)]
async fn a_crowded_host_is_asked_for_less_and_slowly_for_more_again() {
    let crowd = Crowd::default();
    let none = HeaderMap::new();
    for expected in [2, 1, 1] {
        let turn = crowd.enter(&HOST).await;
        turn.answered(503, &none);
        drop(turn);
        assert_eq!(fill(&crowd).await.len(), expected);
    }
    for (status, times, expected) in [
        (404, 9, 1),
        (302, 9, 1),
        (500, 9, 1),
        (200, 7, 1),
        (206, 1, 2),
        (200, 8, 3),
        (200, 8, 4),
        (200, 99, 4),
    ] {
        for _ in 0..times {
            crowd.enter(&HOST).await.answered(status, &none);
        }
        assert_eq!(fill(&crowd).await.len(), expected, "{status}");
    }
    // All of them are told so at once.
    let turns = fill(&crowd).await;
    for turn in &turns {
        turn.answered(429, &none);
    }
    drop(turns);
    assert_eq!(fill(&crowd).await.len(), 1);
    // One that is let go before its answer leaves its place.
    let turn = crowd.enter(&HOST).await;
    turn.answered(200, &none);
    turn.answered(429, &none);
    drop(turn);
    assert_eq!(fill(&crowd).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_before_the_time_that_a_host_names() {
    for (asked, expected) in [("30", 30), ("86400", 60), ("soon", 0)] {
        let crowd = Crowd::default();
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(asked).unwrap());
        crowd.enter(&HOST).await.answered(429, &headers);
        let before = Instant::now();
        crowd.enter(&HOST).await;
        assert_eq!(before.elapsed().as_secs(), expected, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_without_end_are_forgotten() {
    let crowd = Crowd::default();
    let kept = crowd.enter(&HOST).await;
    kept.answered(503, &HeaderMap::new());
    for number in 0..10_000 {
        let name = format!("{number}.example.org");
        crowd.enter(&Host::Domain(&name)).await;
    }
    drop(kept);
    // What was in use was not.
    assert_eq!(fill(&crowd).await.len(), 2);
}
