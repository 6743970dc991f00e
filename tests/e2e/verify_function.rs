//! Sources that the recipe's own `verify()` judges (PKGBUILD(5) of pacman 6.1).

use worker_provisioner::{Happening, ProvisionError, ProvisionPhase};

use crate::support::{Site, catalog_with, run, sample};

/// A tarball `verified.tar.gz` with the file `verified/greeting`, and what a recipe with `verify()`
/// makes of it.
fn recipe(name: &str, verify: &str) -> String {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    let mut header = tar::Header::new_gnu();
    header.set_size(6);
    header.set_mode(0o644);
    let path = format!("{name}/greeting");
    archive
        .append_data(&mut header, path, &b"hello\n"[..])
        .unwrap();
    let bytes = archive.into_inner().unwrap().finish().unwrap();
    let file = format!("{name}.tar.gz");
    sample().releases().publish(&file, bytes);
    let url = sample().releases().base_url();
    format!(
        "pkgname=demo-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
         license=('GPL-3.0-or-later')\nsource=('{url}/{file}')\nsha256sums=('SKIP')\n\
         verify() {{\n{verify}\n}}\npackage() {{\n  [[ $(<{name}/greeting) == hello ]]\n  \
         printf '#!/bin/sh\\necho demo\\n' > program\n  \
         install -Dm755 program \"$pkgdir/usr/bin/demo\"\n}}\n"
    )
}

async fn site(name: &str, verify: &str) -> (Site, e2e_tests::catalog_server::CatalogServer) {
    let mut site = Site::new(name);
    let catalog = catalog_with(&recipe(name, verify)).await;
    site.config.catalog_urls = vec![catalog.base_url()];
    (site, catalog)
}

#[test]
fn it_runs_in_startdir_after_the_digests_and_before_anything_is_unpacked() {
    run(async {
        let verify = "  [[ $PWD == \"$startdir\" && $SRCDEST == \"$startdir\" ]]\n  \
                      [[ -f PKGBUILD && -s verify-good.tar.gz && -d $srcdir ]]\n  \
                      [[ -z $(ls -A \"$srcdir\") ]]\n  \
                      [[ $(tar -xzOf verify-good.tar.gz) == hello ]]\n  echo 'all is well'";
        let (site, _catalog) = site("verify-good", verify).await;
        site.provision("demo")
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let events = site.events.lock().unwrap().clone();
        let at = |wanted: &dyn Fn(&Happening) -> bool, phase| {
            events
                .iter()
                .position(|event| event.phase == phase && wanted(&event.happening))
                .unwrap_or_else(|| panic!("{phase:?} is missing"))
        };
        let finished = |happening: &Happening| matches!(happening, Happening::Finished { .. });
        let said = |happening: &Happening| matches!(happening, Happening::Output { line, .. } if line == "all is well");
        let fetched = at(&finished, ProvisionPhase::Sources);
        let judged = at(&said, ProvisionPhase::Verify);
        let packaged = at(&finished, ProvisionPhase::Package);
        assert!(fetched < judged && judged < packaged);
        site.assert_clean();
    });
}

#[test]
fn sources_that_it_refuses_are_not_unpacked_and_nothing_is_installed() {
    run(async {
        for (name, verify) in [
            ("verify-returns", "  echo 'not by us' >&2\n  return 7"),
            ("verify-fails", "  false\n  true"),
            ("verify-exits", "  exit 1"),
        ] {
            let (site, _catalog) = site(name, verify).await;
            let error = site.provision("demo").await.unwrap_err();
            let ProvisionError::Build { phase, .. } = error else {
                panic!("{}", error.chain());
            };
            assert_eq!(phase, ProvisionPhase::Verify);
            assert!(error.to_string().contains("verify()"), "{error}");
            let events = site.events.lock().unwrap().clone();
            assert!(
                events
                    .iter()
                    .all(|event| event.phase < ProvisionPhase::Prepare
                        || event.phase == ProvisionPhase::Cleanup),
                "{name}"
            );
            site.assert_clean();
            site.assert_nothing_installed();
        }
    });
}

#[test]
fn what_it_does_to_the_sources_does_not_reach_what_is_unpacked() {
    run(async {
        let verify = "  echo other > verify-tampers.tar.gz\n  mkdir -p \"$srcdir/verify-tampers\"\n  \
                      echo other > \"$srcdir/verify-tampers/greeting\"";
        let (site, _catalog) = site("verify-tampers", verify).await;
        site.provision("demo")
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        site.assert_clean();
    });
}

#[test]
fn it_has_no_network() {
    run(async {
        let port = sample().releases().base_url();
        let port = port
            .rsplit(':')
            .next()
            .unwrap()
            .trim_matches('/')
            .to_owned();
        let verify = format!("  ! (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null");
        let (site, _catalog) = site("verify-offline", &verify).await;
        site.provision("demo")
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()));
    });
}
