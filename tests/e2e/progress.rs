//! Events arrive in order, without gaps, and tell of every step.

use e2e_tests::sample;
use tokio_util::sync::CancellationToken;
use worker_provisioner::ProvisionPhase as Phase;
use worker_provisioner::{BACKLOG, FlavorPreference, Happening, ProvisionRequest};

use crate::support::{Site, recipe, run};

#[test]
fn every_step_of_a_source_build_is_told_in_order() {
    run(async {
        let mut site = Site::new("progress");
        site.config.flavor = FlavorPreference::Source;
        let provisioner = site.provisioner();
        let mut early = provisioner.subscribe("job-7");
        let request = ProvisionRequest::new(sample::WORKER).with_job_id("job-7");
        provisioner
            .provision_request(&request, CancellationToken::new())
            .await
            .unwrap();
        let mut late = provisioner.subscribe("job-7");

        let events = site.events.lock().unwrap().clone();
        for (expected, event) in (0..).zip(&events) {
            assert_eq!(event.sequence, expected);
            assert_eq!(event.job_id, "job-7");
            assert_eq!(early.next().await.as_ref(), Some(event));
            assert_eq!(late.next().await.as_ref(), Some(event));
        }
        assert!(early.next().await.is_none());

        let finished: Vec<_> = events
            .iter()
            .filter(|event| matches!(event.happening, Happening::Finished { .. }))
            .map(|event| event.phase)
            .collect();
        let expected = [
            Phase::Metadata,
            Phase::Platform,
            Phase::Recipe,
            Phase::Evaluate,
            Phase::Dependencies,
            Phase::Preflight,
            Phase::Workspace,
            Phase::Sources,
            Phase::Prepare,
            Phase::Pkgver,
            Phase::Build,
            Phase::Check,
            Phase::Package,
            Phase::Binary,
            Phase::Cleanup,
            Phase::Trial,
            Phase::Install,
            Phase::Artifact,
        ];
        assert_eq!(finished, expected);

        let output = |phase, part: &str| {
            events.iter().any(|event| {
                event.phase == phase
                    && matches!(&event.happening, Happening::Output { line, .. } if line.contains(part))
            })
        };
        assert!(output(Phase::Prepare, "Checking the toolchain"));
        assert!(output(Phase::Build, "Compiling"));
        assert!(output(Phase::Check, "test result: ok"));
    });
}

#[test]
fn progress_never_falls_and_never_passes_its_total() {
    run(async {
        let site = Site::new("monotonic");
        site.provision(sample::WORKER).await.unwrap();
        let mut highest = std::collections::HashMap::new();
        let mut seen = 0;
        for event in site.events.lock().unwrap().iter() {
            if let Happening::Progress {
                subject,
                done,
                total,
                ..
            } = &event.happening
            {
                let previous = highest.insert(subject.clone(), *done).unwrap_or(0);
                assert!(*done >= previous, "{event:?}");
                assert!(total.is_none_or(|total| *done <= total), "{event:?}");
                seen += 1;
            }
        }
        assert!(seen > 0, "the download told of no progress");
    });
}

#[test]
fn a_late_follower_of_a_chatty_build_sees_the_last_events_and_the_gap() {
    run(async {
        let mut site = Site::new("backlog");
        let lines = BACKLOG + 2_000;
        let body = format!(
            "  seq {lines}\n  printf '#!/bin/sh\\n' > demo\n  \
             install -Dm755 demo \"$pkgdir/usr/bin/demo\""
        );
        let _catalog = site.serve(&recipe(&body)).await;
        let provisioner = site.provisioner();
        let request = ProvisionRequest::new("demo").with_job_id("chatty");
        provisioner
            .provision_request(&request, CancellationToken::new())
            .await
            .unwrap();
        let mut late = provisioner.subscribe("chatty");
        let mut kept = Vec::new();
        while let Some(event) = late.next().await {
            kept.push(event.sequence);
        }
        let reported = site.events.lock().unwrap();
        let all: Vec<u64> = reported.iter().map(|event| event.sequence).collect();
        assert!(all.len() > lines, "the reporter sees every line");
        assert_eq!(kept.len(), BACKLOG);
        assert_eq!(kept, all[all.len() - BACKLOG..]);
    });
}
