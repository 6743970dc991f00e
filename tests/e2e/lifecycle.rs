//! What is installed: kept, verified, rolled back, removed, never built twice.

use std::fs;

use e2e_tests::{sample, worker};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, ArtifactCatalog as _, FilesystemCatalog, Happening, ProvisionError,
    ProvisionPhase, ProvisionRequest, Verification, WorkerType,
};

use crate::support::{Site, recipe, run};

const CPU: WorkerType = WorkerType::Cpu;

/// A recipe for a script that prints its version.
fn script(version: &str) -> String {
    recipe(
        "  printf '#!/bin/sh\\necho demo %s\\n' \"$pkgver\" > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/bin/demo\"",
    )
    .replace("1.0.0", version)
}

fn says(path: &std::path::Path) -> String {
    let mut command = std::process::Command::new(path);
    let output = worker::when_not_busy(|| command.output()).unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_intact_worker_is_given_back_without_work() {
    run(async {
        let site = Site::new("again");
        let first = site.provision(sample::WORKER).await.unwrap();
        assert!(!first.reused);
        assert_eq!(first.receipt.verification(), Verification::Checksum);
        site.events.lock().unwrap().clear();
        let second = site.provision(sample::WORKER).await.unwrap();
        assert!(second.reused);
        assert_eq!(second.binary, first.binary);
        let worked = site.events.lock().unwrap().iter().any(|event| {
            event.phase >= ProvisionPhase::Evaluate && event.happening == Happening::Started
        });
        assert!(!worked, "nothing was to be done");

        fs::remove_file(first.binary.path()).unwrap();
        let third = site.provision(sample::WORKER).await.unwrap();
        assert!(!third.reused);
        let made = site.events.lock().unwrap().iter().any(|event| {
            matches!(
                event.phase,
                ProvisionPhase::Workspace | ProvisionPhase::Sources
            )
        });
        assert!(
            !made,
            "the stored build is installed again, without a build folder"
        );
        worker::answers(third.binary.path()).await.unwrap();
        site.assert_clean();
    });
}

#[test]
fn an_older_version_can_be_rolled_back_verified_and_removed() {
    run(async {
        let mut site = Site::new("rollback");
        let _catalog = site.serve(&script("1.0.0")).await;
        let old = site.provision("demo").await.unwrap().binary;
        assert_eq!(says(old.path()), "demo 1.0.0");
        let _catalog = site.serve(&script("1.1.0")).await;
        let new = site.provision("demo").await.unwrap().binary;
        assert_eq!(says(new.path()), "demo 1.1.0");

        let provisioner = site.provisioner();
        let cancel = CancellationToken::new();
        let back = provisioner.rollback("demo", CPU, &cancel).await.unwrap();
        assert_eq!(back.version(), "1.0.0");
        assert_eq!(says(back.path()), "demo 1.0.0");
        let store = provisioner.store();
        assert_eq!(store.list().unwrap()[0].pkgver, "1.0.0");
        assert_eq!(store.verify("demo", CPU).unwrap(), Vec::<String>::new());

        fs::write(back.path(), "tampered").unwrap();
        let problems = store.verify("demo", CPU).unwrap();
        assert!(
            problems.iter().any(|problem| problem.contains("changed")),
            "{problems:?}"
        );

        let collected = store.gc(0).unwrap();
        assert_eq!(collected.versions, 1);
        let error = provisioner
            .rollback("demo", CPU, &cancel)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ProvisionError::NoPreviousVersion { .. }),
            "{error}"
        );

        provisioner.remove("demo", CPU, &cancel).await.unwrap();
        assert!(store.list().unwrap().is_empty());
        // What somebody else wrote over the binary is not ours to remove.
        assert!(back.path().exists());
    });
}

#[test]
fn rolling_back_goes_by_the_order_of_the_installations() {
    run(async {
        let mut site = Site::new("history");
        site.config.allow_downgrade = true;
        let cancel = CancellationToken::new();
        for version in ["1.0.0", "1.1.0", "1.2.0", "1.0.0"] {
            let _catalog = site.serve(&script(version)).await;
            let binary = site.provision("demo").await.unwrap().binary;
            assert_eq!(says(binary.path()), format!("demo {version}"));
        }
        let provisioner = site.provisioner();
        for version in ["1.2.0", "1.1.0"] {
            let back = provisioner.rollback("demo", CPU, &cancel).await.unwrap();
            assert_eq!(back.version(), version);
            assert_eq!(says(back.path()), format!("demo {version}"));
        }
        let error = provisioner.rollback("demo", CPU, &cancel).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, ProvisionError::NoPreviousVersion { .. }),
            "{error}"
        );
    });
}

#[test]
fn a_worker_goes_into_the_hives_catalog_in_the_same_step() {
    run(async {
        let mut site = Site::new("add");
        let _catalog = site.serve(&script("1.0.0")).await;
        let hive = FilesystemCatalog::new(site.bin_dir().with_file_name("workers"));
        let request = ProvisionRequest::new("demo");
        let provisioner = site.provisioner();
        // The second time nothing is built, and the record is replaced.
        for _ in 0..2 {
            let cancel = CancellationToken::new();
            let added = provisioner.provision_and_add(&request, &hive, cancel).await;
            let added = added.unwrap();
            assert_eq!(added.id(), "demo-cpu-1.0.0-linux");
            assert_eq!(hive.get(added.id()).unwrap(), added);
            assert_eq!(hive.len(), 1);
        }
        let unknown = ProvisionRequest::new("unknown");
        let cancel = CancellationToken::new();
        let outcome = provisioner.provision_and_add(&unknown, &hive, cancel).await;
        outcome.unwrap_err();
        assert_eq!(hive.len(), 1);
    });
}

#[test]
fn a_foreign_file_stays_unless_forced() {
    run(async {
        let mut site = Site::new("foreign-file");
        let _catalog = site.serve(&script("1.0.0")).await;
        fs::create_dir(site.bin_dir()).unwrap();
        let path = site.bin_dir().join("demo");
        fs::write(&path, "somebody's").unwrap();
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::ForeignFile { .. }),
            "{}",
            error.chain()
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        let request = ProvisionRequest::new("demo").forced();
        let cancel = CancellationToken::new();
        site.provisioner()
            .provision_request(&request, cancel)
            .await
            .unwrap();
        assert_eq!(says(&path), "demo 1.0.0");
    });
}

#[test]
fn a_new_binary_that_does_not_run_leaves_the_old_one() {
    run(async {
        let mut site = Site::new("trial");
        let _catalog = site.serve(&script("1.0.0")).await;
        let old = site.provision("demo").await.unwrap().binary;
        let broken = script("1.1.0").replace("#!/bin/sh", "#!/no/such/interpreter");
        let _catalog = site.serve(&broken).await;
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::Trial { .. }),
            "{}",
            error.chain()
        );
        assert_eq!(says(old.path()), "demo 1.0.0");
        site.assert_clean();
    });
}

#[test]
fn a_worker_with_files_of_its_own_finds_them_when_installed() {
    run(async {
        let mut site = Site::new("tree");
        let body = "  mkdir -p \"$pkgdir/usr/bin\" \"$pkgdir/usr/lib/demo\"\n  \
                    echo weights > \"$pkgdir/usr/lib/demo/data\"\n  \
                    printf '#!/bin/sh\\ncat \"$(dirname \"$0\")/../lib/demo/data\"\\n' > demo\n  \
                    install -m755 demo \"$pkgdir/usr/bin/demo\"";
        let _catalog = site.serve(&recipe(body)).await;
        let binary = site.provision("demo").await.unwrap().binary;
        assert_eq!(says(binary.path()), "weights");
        assert!(fs::symlink_metadata(binary.path()).unwrap().is_file());
    });
}

#[test]
fn two_callers_of_one_worker_share_the_work_and_the_events() {
    run(async {
        let site = Site::new("join");
        let provisioner = site.provisioner();
        let request = |job: &str| ProvisionRequest::new(sample::WORKER).with_job_id(job);
        let (one, two) = (request("one"), request("two"));
        let (first, second) = tokio::join!(
            provisioner.provision_request(&one, CancellationToken::new()),
            provisioner.provision_request(&two, CancellationToken::new()),
        );
        assert_eq!(first.unwrap().binary, second.unwrap().binary);
        let events = site.events.lock().unwrap().clone();
        let of = |job: &str| -> Vec<u64> {
            let mine = events.iter().filter(|event| event.job_id == job);
            mine.map(|event| event.sequence).collect()
        };
        assert_eq!(of("one"), of("two"));
        assert!(!of("one").is_empty());
    });
}
