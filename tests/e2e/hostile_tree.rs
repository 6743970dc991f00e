//! What a build leaves is handled without being followed, whatever it is.

use std::fs;

use worker_provisioner::{Artifact as _, ProvisionError};

use crate::support::{Site, recipe, run};

const PROGRAM: &str =
    "  install -Dm755 /dev/stdin \"$pkgdir/usr/bin/demo\" <<< $'#!/bin/sh\\necho good'";

/// A split recipe: `demo-bin`, which has the program, and `demo-data`.
fn split(first: &str, second: &str) -> String {
    recipe("")
        .replace(
            "pkgname=demo-bin",
            "pkgbase=demo-bin\npkgname=(demo-bin demo-data)",
        )
        .replace("package() {\n\n}", "")
        + &format!(
            "package_demo-bin() {{\n{PROGRAM}\n{first}\n}}\npackage_demo-data() {{\n{second}\n}}\n"
        )
}

#[test]
fn one_package_is_no_way_for_another_to_write_outside() {
    run(async {
        let mut site = Site::new("split");
        let victim = site.bin_dir().with_file_name("victim");
        fs::create_dir(&victim).unwrap();
        let link = format!("  ln -s '{}' \"$pkgdir/out\"", victim.display());
        let file = "  install -Dm644 /dev/stdin \"$pkgdir/out/.ssh/authorized_keys\" <<< evil";
        let _catalog = site.serve(&split(&link, file)).await;
        let error = site.provision("demo").await.unwrap_err();
        let ProvisionError::PackagesCollide {
            first,
            second,
            path,
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((first.as_str(), second.as_str()), ("demo-bin", "demo-data"));
        assert_eq!(path.to_str(), Some("out"));
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
        site.assert_clean();
        site.assert_nothing_installed();
        // Directories are shared as in any installed system.
        let data = "  install -Dm644 /dev/stdin \"$pkgdir/usr/share/data\" <<< data";
        let _catalog = site
            .serve(&split("  mkdir \"$pkgdir/usr/share\"", data))
            .await;
        let done = site.provision("demo").await.unwrap();
        let has_data = done
            .receipt
            .files
            .iter()
            .any(|file| file.path.ends_with("share/data"));
        assert!(has_data, "{:?}", done.receipt.files);
    });
}

#[test]
fn a_package_that_is_a_link_by_now_is_refused() {
    run(async {
        let mut site = Site::new("moved");
        let secret = site.bin_dir().with_file_name("secret");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("key"), "key").unwrap();
        let exchange = format!(
            "  mv \"$startdir/pkg/demo-bin\" \"$startdir/pkg/moved\" || :\n  \
             ln -s '{}' \"$startdir/pkg/demo-bin\" || :",
            secret.display()
        );
        let _catalog = site.serve(&split("", &exchange)).await;
        match site.provision("demo").await {
            // Where the tier keeps the packages apart, nothing was exchanged.
            Ok(done) => {
                let has_key = done
                    .receipt
                    .files
                    .iter()
                    .any(|file| file.path.ends_with("key"));
                assert!(!has_key);
            }
            Err(error) => assert!(error.chain().contains("not a directory"), "{error:?}"),
        }
        site.assert_clean();
    });
}

#[test]
fn a_deep_tree_is_removed_and_the_next_provision_works() {
    run(async {
        let mut site = Site::new("deep");
        // `srcdir` and `pkgdir` both; bash itself does not go beyond PATH_MAX.
        let deep =
            |levels| format!("perl -e 'for (1..{levels}) {{ mkdir \"d\"; chdir \"d\" or die }}'");
        let body = format!(
            "{PROGRAM}\n  ( cd \"$srcdir\" && {} )\n  false",
            deep(19_000)
        );
        let _catalog = site.serve(&recipe(&body)).await;
        site.provision("demo").await.unwrap_err();
        site.assert_clean();
        let body = format!("{PROGRAM}\n  ( cd \"$pkgdir\" && {} )", deep(2_500));
        let _catalog = site.serve(&recipe(&body)).await;
        let error = site.provision("demo").await.unwrap_err().chain();
        assert!(error.contains("bytes in a path"), "{error}");
        site.assert_clean();
        let _catalog = site.serve(&recipe(PROGRAM)).await;
        site.provision("demo").await.unwrap();
    });
}

#[test]
fn a_program_cannot_become_another_one_while_it_is_tried() {
    run(async {
        let mut site = Site::new("chameleon");
        let program = "#!/bin/sh\n# as it was built\nself=$(readlink -f \"$0\")\n\
                       rm -f \"$self\"\nln -s /proc/self/environ \"$self\"\necho 1.0";
        let body = format!(
            "  cat > demo <<'END'\n{program}\nEND\n  install -Dm755 demo \"$pkgdir/usr/bin/demo\""
        );
        let _catalog = site.serve(&recipe(&body)).await;
        let done = site.provision("demo").await.unwrap();
        let installed = fs::read_to_string(done.binary.path()).unwrap();
        assert!(installed.contains("as it was built"), "{installed}");
        assert!(done.binary.path().symlink_metadata().unwrap().is_file());
    });
}

#[test]
fn a_sparse_file_takes_no_space_in_the_store() {
    run(async {
        let mut site = Site::new("sparse");
        let body = format!("{PROGRAM}\n  truncate -s 8G \"$pkgdir/usr/huge\"");
        let _catalog = site.serve(&recipe(&body)).await;
        let request = worker_provisioner::ProvisionRequest::new("demo");
        let cancel = tokio_util::sync::CancellationToken::new();
        let soon = cancel.clone();
        let provisioner = site.provisioner().with_reporter(std::sync::Arc::new(
            move |event: &worker_provisioner::ProvisionEvent| {
                // Once the store is at work.
                if event.phase == worker_provisioner::ProvisionPhase::Binary {
                    soon.cancel();
                }
            },
        ));
        let outcome = provisioner.provision_request(&request, cancel).await;
        assert!(
            matches!(outcome, Err(ProvisionError::Cancelled)),
            "{outcome:?}"
        );
        site.assert_clean();
        assert_eq!(site.unfinished(), 0);
    });
}
