//! Recipes some of whose values only a shell can tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    EvaluationPolicy, Happening, HostProbe, Kernel, ProvisionError, ProvisionPhase,
    ProvisionRequest,
};

use crate::support::{Site, recipe, run};

const BODY: &str = "  printf '#!/bin/sh\\necho demo\\n' > demo\n  \
                    install -Dm755 demo \"$pkgdir/usr/bin/demo\"";

/// A recipe with its version computed by `command`.
fn computed(command: &str) -> String {
    recipe(BODY).replace("1.0.0", &format!("1.$({command})"))
}

async fn site(name: &str, recipe: &str) -> (Site, e2e_tests::catalog_server::CatalogServer) {
    let mut site = Site::new(name);
    let catalog = site.serve(recipe).await;
    (site, catalog)
}

#[test]
fn what_only_a_shell_knows_is_asked_in_the_sandbox_and_told() {
    run(async {
        let command = "od -An -N1 -tu1 /dev/zero | tr -d ' '";
        let (site, _catalog) = site("dynamic", &computed(command)).await;
        let first = site.provision("demo").await.unwrap();
        assert_eq!(first.binary.version(), "1.0");
        assert_eq!(first.receipt.sandbox_evaluated, ["pkgver"]);
        let told = site.events.lock().unwrap().iter().any(|event| {
            event.phase == ProvisionPhase::Evaluate
                && matches!(&event.happening, Happening::Note { text } if text.contains("`od`"))
        });
        assert!(told, "the sandboxed evaluation was not told");
        assert!(site.provision("demo").await.unwrap().reused);
        site.assert_clean();
    });
}

#[test]
fn a_command_that_may_end_the_recipe_is_asked_in_the_sandbox() {
    run(async {
        let text = recipe(BODY).replace(
            "pkgrel=1",
            "pkgrel=1\nod -An -N1 /dev/zero >/dev/null || exit 1",
        ) + "if ! od -An -N1 /dev/zero >/dev/null; then return 1; fi\n";
        let (site, _catalog) = site("exit", &text).await;
        let provisioned = site.provision("demo").await.unwrap();
        assert_eq!(provisioned.binary.version(), "1.0.0");
        site.assert_clean();
    });
}

#[test]
fn a_recipe_that_gives_up_is_told_in_its_own_words() {
    run(async {
        let start = recipe(BODY);
        let line = start.lines().count() + 1;
        // Once read here, once only a shell can tell.
        for key in ["", "$(od -An -N1 -tu1 /dev/zero)"] {
            let text =
                format!("{start}[[ '{key}' == 7 ]] || {{ error 'no key: buy one'; exit 1; }}\n");
            let text = text.replace("'$(", "\"$(").replace(")' ==", ")\" ==");
            let (site, _catalog) = site("words", &text).await;
            let error = site.provision("demo").await.unwrap_err();
            let told = error.chain();
            assert!(told.contains("no key: buy one"), "{told}");
            if key.is_empty() {
                assert!(told.contains(&format!("line {line}")), "{told}");
            }
            site.assert_clean();
            site.assert_nothing_installed();
        }
    });
}

#[test]
fn a_recipe_that_is_read_without_running_says_so() {
    run(async {
        let (site, _catalog) = site("static", &recipe(BODY)).await;
        let provisioned = site.provision("demo").await.unwrap();
        assert!(provisioned.receipt.sandbox_evaluated.is_empty());
    });
}

#[test]
fn a_recipe_that_is_sourced_can_write_nothing() {
    run(async {
        let command = "touch \"$startdir/x\" \"$PWD/x\" /x 2>/dev/null && echo wrote || echo kept";
        let (site, _catalog) = site("readonly-eval", &computed(command)).await;
        let provisioned = site.provision("demo").await.unwrap();
        assert_eq!(provisioned.binary.version(), "1.kept");
        site.assert_clean();
    });
}

#[test]
fn the_policy_can_forbid_to_run_anything_for_an_evaluation() {
    run(async {
        let (mut site, _catalog) = site("never", &computed("od -An -N1 -tu1 /dev/zero")).await;
        site.config.evaluation = EvaluationPolicy::Static;
        let error = site.provision("demo").await.unwrap_err();
        assert!(
            matches!(error, ProvisionError::NeedsShell { .. }),
            "{error:?}"
        );
        assert!(error.chain().contains("`od`"), "{}", error.chain());
        site.assert_clean();
        site.assert_nothing_installed();
    });
}

/// A host whose kernel is not the one the sandbox runs on.
#[derive(Debug)]
struct OtherKernel;

impl HostProbe for OtherKernel {
    fn commands(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
    fn has_library(&self, _name: &str) -> bool {
        false
    }
    fn has_metal(&self) -> bool {
        false
    }
    fn kernel(&self) -> Option<Kernel> {
        Some(Kernel {
            release: "0.0.1-other".to_owned(),
            version: "#1".to_owned(),
        })
    }
}

#[test]
fn a_value_that_both_know_differently_is_an_error() {
    run(async {
        let text = computed("od -An -N1 -tu1 /dev/zero | tr -d ' '")
            + "makedepends=(\"bash$(uname -r)\")\n";
        let (site, _catalog) = site("disagree", &text).await;
        let provisioner = site.provisioner().with_probe(Arc::new(OtherKernel));
        let request = ProvisionRequest::new("demo");
        let error = provisioner
            .provision_request(&request, CancellationToken::new())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ProvisionError::EvaluationsDisagree { name, .. } if name == "makedepends"),
            "{}",
            error.chain()
        );
        site.assert_clean();
        site.assert_nothing_installed();
    });
}
