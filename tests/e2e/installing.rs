//! Which program of a package is installed, and what keeps it from being.

use std::path::PathBuf;
use std::process::Command;

use e2e_tests::worker;
use worker_provisioner::{Artifact as _, ProvisionError};

use crate::support::{Site, recipe, run};

async fn provision(name: &str, text: &str) -> (Site, Result<PathBuf, ProvisionError>) {
    let mut site = Site::new(name);
    let _catalog = site.serve(text).await;
    let outcome = site.provision("demo").await;
    site.assert_clean();
    (site, outcome.map(|done| done.binary.path().to_owned()))
}

/// A recipe that installs a script that says its own path to each of `paths`.
fn scripts(paths: &[&str]) -> String {
    let lines: Vec<_> = paths
        .iter()
        .map(|path| {
            format!(
                "  printf '#!/bin/sh\\necho {path}\\n' > x; install -Dm755 x \"$pkgdir/{path}\""
            )
        })
        .collect();
    recipe(&lines.join("\n")) + "provides=('demo-provided=1.0')\n"
}

fn says(path: &std::path::Path) -> String {
    let mut command = Command::new(path);
    let output = worker::when_not_busy(|| command.output()).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_binary_is_found_by_name_then_package_then_provides_then_alone() {
    let cases: [(&[&str], &str); 5] = [
        (
            &["usr/bin/demo", "usr/local/bin/demo", "bin/demo-bin"],
            "usr/local/bin/demo",
        ),
        (&["usr/bin/demo-provided", "bin/demo"], "bin/demo"),
        (
            &["usr/bin/demo-provided", "usr/bin/demo-bin"],
            "usr/bin/demo-bin",
        ),
        (
            &["usr/bin/demo-provided", "usr/bin/other"],
            "usr/bin/demo-provided",
        ),
        (&["usr/bin/other"], "usr/bin/other"),
    ];
    run(async {
        for (paths, expected) in cases {
            let (_site, path) = provision("search", &scripts(paths)).await;
            let path = path.unwrap();
            assert_eq!(says(&path), expected, "{paths:?}");
            assert_eq!(path.file_name().unwrap(), "demo-cpu");
            assert_eq!(says(&path.with_file_name("demo")), expected, "{paths:?}");
        }
        let (site, outcome) = provision("ambiguous", &scripts(&["usr/bin/a", "bin/b"])).await;
        let error = outcome.unwrap_err().chain();
        assert!(
            error.contains("usr/bin/a") && error.contains("bin/b"),
            "{error}"
        );
        site.assert_nothing_installed();
    });
}

#[test]
fn a_relative_library_path_works_when_installed() {
    let body = "  echo 'int f(void) { return 0; }' > f.c\n  \
                echo '#include <stdio.h>' > main.c\n  \
                echo 'int f(void); int main(void) { puts(\"found\"); return f(); }' >> main.c\n  \
                cc -shared -fPIC -o libown.so f.c\n  \
                cc -o demo main.c -L. -lown -Wl,-rpath,'$ORIGIN/../lib/demo'\n  \
                install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n  \
                install -Dm644 libown.so \"$pkgdir/usr/lib/demo/libown.so\"";
    run(async {
        let (_site, path) = provision("origin", &recipe(body)).await;
        assert_eq!(says(&path.unwrap()), "found");
    });
}
