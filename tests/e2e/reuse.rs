//! What an earlier provision has left is given back only while it is what would be installed now.

use std::fs;
use std::os::unix::fs::symlink;

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::sample;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    BackendPolicy, CheckPolicy, Concession, Config, EvaluationPolicy, ProgramNamePolicy,
    ProvisionError, ProvisionRequest, SignaturePolicy, WorkerType,
};

use crate::support::{Site, recipe, run};

const PROGRAM: &str = "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
                       install -Dm755 demo \"$pkgdir/usr/bin/demo\"";

#[test]
fn a_plain_name_that_somebody_else_has_taken_is_noticed() {
    run(async {
        let mut site = Site::new("plain-name");
        let _catalog = site.serve(&recipe(PROGRAM)).await;
        site.provision("demo").await.unwrap();
        let plain = site.bin_dir().join("demo");
        let problems = |site: &Site| {
            let provisioner = site.provisioner();
            provisioner.store().verify("demo", WorkerType::Cpu).unwrap()
        };
        assert_eq!(problems(&site), Vec::<String>::new());
        let elsewhere = site.bin_dir().join("elsewhere");
        fs::write(&elsewhere, "#!/bin/sh\n").unwrap();

        let taken: [(&str, &dyn Fn()); 2] = [
            ("a file", &|| {
                fs::write(&plain, "#!/bin/sh\necho theirs\n").unwrap();
            }),
            ("a link", &|| symlink(&elsewhere, &plain).unwrap()),
        ];
        for (what, take) in taken {
            fs::remove_file(&plain).unwrap();
            take();
            let theirs = fs::read(&plain).unwrap();
            let found = problems(&site);
            assert_eq!(found.len(), 1, "{what}: {found:?}");
            assert!(found[0].contains("bin/demo` was changed"), "{found:?}");
            let error = site.provision("demo").await.unwrap_err();
            assert!(
                matches!(
                    error,
                    ProvisionError::ForeignFile { .. } | ProvisionError::TargetNotAFile { .. }
                ),
                "{what}: {}",
                error.chain()
            );
            assert_eq!(fs::read(&plain).unwrap(), theirs, "{what}: it is theirs");
        }

        fs::remove_file(&plain).unwrap();
        assert!(problems(&site)[0].contains("is missing"));
        let again = site.provision("demo").await.unwrap();
        assert!(!again.reused, "the plain name was put back");
        assert_eq!(problems(&site), Vec::<String>::new());
        assert!(site.provision("demo").await.unwrap().reused);

        fs::remove_file(&plain).unwrap();
        fs::write(&plain, "theirs").unwrap();
        let request = ProvisionRequest::new("demo").replacing();
        let provisioner = site.provisioner();
        let done = provisioner.provision_request(&request, CancellationToken::new());
        done.await.unwrap();
        assert_eq!(problems(&site), Vec::<String>::new());
    });
}

#[test]
fn what_was_built_under_laxer_rules_is_built_again() {
    /// What makes a configuration lax, and strict again.
    type Rule = (&'static str, fn(&mut Config), fn(&mut Config));
    let rules: [Rule; 6] = [
        (
            "network",
            |config| config.build_network = true,
            |config| config.build_network = false,
        ),
        (
            "check",
            |config| config.check = CheckPolicy::Warn,
            |config| config.check = CheckPolicy::Run,
        ),
        (
            "trial",
            |config| config.trial = false,
            |config| config.trial = true,
        ),
        (
            "backend",
            |config| config.backend_check = BackendPolicy::Warn,
            |config| config.backend_check = BackendPolicy::Require,
        ),
        (
            "signatures",
            |config| config.signatures = SignaturePolicy::Skip,
            |config| config.signatures = SignaturePolicy::Verify,
        ),
        ("nothing", |_| {}, |_| {}),
    ];
    run(async {
        let mut site = Site::new("laxer");
        site.config.build_network = false;
        let text = recipe(PROGRAM) + "build() {\n  :\n}\ncheck() {\n  :\n}\n";
        let _catalog = site.serve(&text).await;
        site.provision("demo").await.unwrap();
        for (rule, loosen, tighten) in rules {
            loosen(&mut site.config);
            let force = ProvisionRequest::new("demo").forced();
            let provisioner = site.provisioner();
            let lax = provisioner.provision_request(&force, CancellationToken::new());
            let conceded = lax.await.unwrap().receipt.concessions.unwrap();
            assert_eq!(conceded.is_empty(), rule == "nothing", "{rule}");
            assert!(site.provision("demo").await.unwrap().reused, "{rule}");
            tighten(&mut site.config);
            let strict = site.provision("demo").await.unwrap();
            assert_eq!(strict.reused, rule == "nothing", "{rule}");
            assert_eq!(strict.receipt.concessions, Some([].into()), "{rule}");
        }
    });
}

#[test]
fn a_recipe_without_a_build_concedes_it_no_network() {
    run(async {
        let mut site = Site::new("prebuilt");
        let _catalog = site.serve(&recipe(PROGRAM)).await;
        site.config.trial = false;
        let done = site.provision("demo").await.unwrap();
        let conceded = done.receipt.concessions.unwrap();
        assert_eq!(conceded, [Concession::Untried].into());
    });
}

#[test]
fn what_was_read_by_a_shell_or_named_otherwise_is_not_given_back_to_a_stricter_caller() {
    run(async {
        let mut site = Site::new("stricter");
        let computed =
            recipe(PROGRAM).replace("1.0.0", "$(printf %s $(od -An -N1 -tu1 /dev/zero))");
        let _catalog = site.serve(&computed).await;
        site.provision("demo").await.unwrap();
        site.config.evaluation = EvaluationPolicy::Static;
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::NeedsShell { .. }),
            "{}",
            error.chain()
        );

        let mut content = sample::prebuilt_catalog("demo", &recipe(PROGRAM));
        for entry in &mut content.entries {
            entry["variants"][0]["binaryName"] = "other".into();
        }
        let other = CatalogServer::start(0, content).await.unwrap();
        let mut site = Site::new("named");
        site.config.catalog_urls = vec![other.base_url()];
        site.provision("demo").await.unwrap();
        site.config.program_name = ProgramNamePolicy::Worker;
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::NotNamedAfterWorker { .. }),
            "{}",
            error.chain()
        );
    });
}

#[test]
fn a_refresh_asks_for_what_a_kept_answer_would_have_said() {
    run(async {
        let mut site = Site::new("refresh");
        let catalog = site.serve(&recipe(PROGRAM)).await;
        let entries = || {
            let requests = catalog.requests();
            let asked = requests.iter().filter(|seen| seen.path == "/workers/demo");
            asked.count()
        };
        site.provision("demo").await.unwrap();
        let first = entries();
        assert!(first > 0);
        assert!(site.provision("demo").await.unwrap().reused);
        assert_eq!(entries(), first, "the kept entry is fresh");
        for request in [
            ProvisionRequest::new("demo").refreshed(),
            ProvisionRequest::new("demo").forced(),
        ] {
            let before = entries();
            let provisioner = site.provisioner();
            let done = provisioner.provision_request(&request, CancellationToken::new());
            done.await.unwrap();
            assert!(entries() > before, "{request:?}");
        }
    });
}
