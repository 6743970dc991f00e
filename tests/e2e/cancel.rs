//! Cancelling and dropping, at any point, leave nothing.

use std::sync::Arc;
use std::time::Duration;

use e2e_tests::sample;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    FlavorPreference, Happening, ProvisionError, ProvisionEvent, ProvisionPhase, ProvisionRequest,
    WorkerProvisioner,
};

use crate::support::{Site, run};

/// A provisioner whose token is cancelled when the slow build has started its processes.
fn cancelling(site: &Site) -> (WorkerProvisioner, CancellationToken) {
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let provisioner = site
        .provisioner()
        .with_reporter(Arc::new(move |event: &ProvisionEvent| {
            if is_under_way(event) {
                token.cancel();
            }
        }));
    (provisioner, cancel)
}

fn is_under_way(event: &ProvisionEvent) -> bool {
    event.phase == ProvisionPhase::Build
        && matches!(&event.happening, Happening::Output { line, .. } if line.contains("very long time"))
}

fn slow_site(name: &str) -> Site {
    let mut site = Site::new(name);
    site.config.flavor = FlavorPreference::Source;
    site
}

#[test]
fn a_build_cancelled_by_its_token_leaves_nothing() {
    run(async {
        let site = slow_site("cancel");
        let (provisioner, cancel) = cancelling(&site);
        let request = ProvisionRequest::new(sample::SLOW_WORKER);
        let error = provisioner
            .provision_request(&request, cancel)
            .await
            .expect_err("cancelled");
        assert!(
            matches!(error, ProvisionError::Cancelled),
            "{}",
            error.chain()
        );
        site.assert_clean();
        site.assert_nothing_installed();
    });
}

#[test]
fn a_dropped_build_leaves_nothing() {
    run(async {
        let site = slow_site("drop");
        let (provisioner, under_way) = cancelling(&site);
        let mut subscription = provisioner.subscribe("drop-job");
        let request = ProvisionRequest::new(sample::SLOW_WORKER).with_job_id("drop-job");
        let provision = provisioner.provision_request(&request, CancellationToken::new());
        tokio::select! {
            outcome = provision => panic!("the slow build ended: {outcome:?}"),
            () = under_way.cancelled() => {}
        }
        site.assert_soon_clean().await;
        site.assert_nothing_installed();
        let mut cancelled = false;
        while let Some(event) = subscription.next().await {
            cancelled |= event.happening == Happening::Cancelled;
        }
        assert!(cancelled, "the job's followers were not told");
    });
}

#[test]
fn cancelling_at_any_event_leaves_nothing() {
    run(async {
        // How many events an undisturbed run has; each is a point to cancel at.
        let site = Site::new("events");
        site.provision(sample::WORKER).await.unwrap();
        let events = site.events.lock().unwrap().len() as u64;
        for at in (0..events).step_by(3) {
            let site = Site::new("any-event");
            let cancel = CancellationToken::new();
            let token = cancel.clone();
            let provisioner =
                site.provisioner()
                    .with_reporter(Arc::new(move |event: &ProvisionEvent| {
                        if event.sequence == at {
                            token.cancel();
                        }
                    }));
            let request = ProvisionRequest::new(sample::WORKER);
            let outcome = provisioner.provision_request(&request, cancel).await;
            if let Err(error) = &outcome {
                assert!(
                    matches!(error, ProvisionError::Cancelled),
                    "{}",
                    error.chain()
                );
                site.assert_nothing_installed();
            }
            site.assert_clean();
        }
    });
}

#[test]
fn dropping_at_any_instant_leaves_nothing() {
    run(async {
        for milliseconds in (0..240).step_by(12) {
            let site = Site::new("any-instant");
            let provisioner = site.provisioner();
            let request = ProvisionRequest::new(sample::WORKER);
            let provision = provisioner.provision_request(&request, CancellationToken::new());
            let _ = tokio::time::timeout(Duration::from_millis(milliseconds), provision).await;
            site.assert_soon_clean().await;
            // A step that was under way may still make the folder of binaries.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}
