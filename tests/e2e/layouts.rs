//! The layouts that real packages have: what works in a package works once it is installed, or is
//! refused with the reason.

use std::path::Path;
use std::process::Command;

use e2e_tests::worker;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{Artifact as _, ProvisionError, ProvisionRequest};

use crate::support::{Site, recipe, run};

/// A library in the sources, and a program that asks it.
const LIBRARY: &str = "  echo 'const char *part(void) { return \"asked\"; }' > part.c
  cc -shared -fPIC -Wl,-soname,libpart.so.1 -o libpart.so.1 part.c
  ln -sf libpart.so.1 libpart.so
  cat > main.c <<'END'
#include <stdio.h>
const char *part(void);
int main(void) { puts(part()); return 0; }
END
";

/// Installs a script as `$pkgdir/$1`.
const SCRIPT: &str = "  put() { install -Dm755 /dev/stdin \"$pkgdir/$1\"; }
";

#[allow(clippy::print_stderr, reason = "a test says that it was skipped")]
fn is_installed(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .unwrap();
    if !found.status.success() {
        eprintln!("skipped: `{program}` is not installed");
    }
    found.status.success()
}

/// The recipes of compiled programs that work, with what is needed to build them.
fn compiled() -> Vec<(&'static str, &'static str, String)> {
    vec![
        (
            "cc",
            "libraries in usr/lib, found by nothing",
            format!(
                "{LIBRARY}  cc -o demo main.c -L. -lpart\n  \
                 install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n  \
                 install -Dm755 libpart.so.1 \"$pkgdir/usr/lib/libpart.so.1\""
            ),
        ),
        (
            "cc",
            "libraries in a directory of the package, by an absolute RUNPATH",
            format!(
                "{LIBRARY}  cc -o demo main.c -L. -lpart -Wl,-rpath,/usr/lib/demo\n  \
                 install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n  \
                 install -Dm755 libpart.so.1 \"$pkgdir/usr/lib/demo/libpart.so.1\""
            ),
        ),
        (
            "cc",
            "libraries beside the program, by $ORIGIN",
            format!(
                "{LIBRARY}  cc -o demo main.c -L. -lpart -Wl,-rpath,'$ORIGIN'\n  \
                 install -Dm755 demo \"$pkgdir/opt/demo/demo\"\n  \
                 install -Dm755 libpart.so.1 \"$pkgdir/opt/demo/libpart.so.1\""
            ),
        ),
        (
            "cc",
            "files beside a program without libraries of its own",
            "  cat > main.c <<'END'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char path[4096], line[64];
    ssize_t n = readlink(\"/proc/self/exe\", path, sizeof path - 1);
    path[n] = 0;
    strcpy(strrchr(path, '/'), \"/words\");
    FILE *file = fopen(path, \"r\");
    if (!file || !fgets(line, sizeof line, file)) return 1;
    puts(line);
    return 0;
}
END
  cc -o demo main.c
  install -Dm755 demo \"$pkgdir/opt/demo/bin/demo\"
  printf asked | install -Dm644 /dev/stdin \"$pkgdir/opt/demo/bin/words\""
                .to_owned(),
        ),
        (
            "cmake",
            "a program and a library by cmake --install",
            format!(
                "{LIBRARY}  cat > CMakeLists.txt <<'END'\n\
                 cmake_minimum_required(VERSION 3.5)\nproject(demo C)\n\
                 add_library(part SHARED part.c)\nset_target_properties(part PROPERTIES SOVERSION 1)\n\
                 add_executable(demo main.c)\ntarget_link_libraries(demo part)\n\
                 install(TARGETS demo part)\nEND\n  \
                 rm libpart.so*\n  cmake -B out -DCMAKE_INSTALL_PREFIX=/usr > /dev/null\n  \
                 cmake --build out > /dev/null\n  \
                 DESTDIR=\"$pkgdir\" cmake --install out > /dev/null"
            ),
        ),
    ]
}

/// The recipes of scripts that work, with their interpreters.
fn scripts() -> Vec<(&'static str, &'static str, String)> {
    let script = |text: &str| format!("{SCRIPT}{text}");
    vec![
        (
            "sh",
            "an absolute link to a program in opt",
            script(
                "  put opt/demo/run <<'END'\n#!/bin/sh\necho asked\nEND\n  \
                 install -d \"$pkgdir/usr/bin\"\n  \
                 ln -s /opt/demo/run \"$pkgdir/usr/bin/demo\"",
            ),
        ),
        (
            "sh",
            "a program in usr/sbin",
            script("  put usr/sbin/demo <<'END'\n#!/bin/sh\necho asked\nEND"),
        ),
        (
            "sh",
            "an interpreter of the package in a #! line",
            script(
                "  put usr/lib/demo/sh <<'END'\n#!/bin/sh\nexec sh \"$@\"\nEND\n  \
                 put usr/bin/demo <<'END'\n#!/usr/lib/demo/sh\necho asked\nEND",
            ),
        ),
        (
            "sh",
            "a script that finds its files relative to itself",
            script(
                "  put usr/bin/demo <<'END'\n#!/bin/sh\n\
                 . \"$(dirname \"$(readlink -f \"$0\")\")/../lib/demo/part.sh\"\npart\nEND\n  \
                 echo 'part() { echo asked; }' | \
                 install -Dm644 /dev/stdin \"$pkgdir/usr/lib/demo/part.sh\"",
            ),
        ),
        (
            "python3",
            "a module of Python in site-packages",
            script(
                "  put usr/bin/demo <<'END'\n#!/usr/bin/env python3\n\
                 import demo_part\ndemo_part.answer()\nEND\n  \
                 version=$(python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])')\n  \
                 echo 'def answer(): print(\"asked\")' | install -Dm644 /dev/stdin \
                 \"$pkgdir/usr/lib/python$version/site-packages/demo_part.py\"",
            ),
        ),
        (
            "node",
            "a tree of Node behind a relative link",
            script(
                "  put usr/lib/node_modules/demo/cli.js <<'END'\n#!/usr/bin/env node\n\
                 console.log(require('./part.js'));\nEND\n  \
                 echo 'module.exports = \"asked\";' | install -Dm644 /dev/stdin \
                 \"$pkgdir/usr/lib/node_modules/demo/part.js\"\n  \
                 install -d \"$pkgdir/usr/bin\"\n  \
                 ln -s ../lib/node_modules/demo/cli.js \"$pkgdir/usr/bin/demo\"",
            ),
        ),
    ]
}

fn answer(program: &Path) -> String {
    let output = worker::when_not_busy(|| Command::new(program).env("PATH", path()).output());
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

#[test]
fn a_package_works_where_it_is_installed() {
    run(async {
        for (tool, what, body) in compiled().into_iter().chain(scripts()) {
            if !is_installed(tool) {
                continue;
            }
            let mut site = Site::new("layout");
            let _catalog = site.serve(&recipe(&body)).await;
            let done = site.provision("demo").await;
            let done = done.unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
            site.assert_clean();
            assert_eq!(answer(done.binary.path()), "asked", "{what}");
            assert_eq!(done.receipt.answered, Some(true), "{what}");
            let plain = site.bin_dir().join("demo");
            assert_eq!(answer(&plain), "asked", "{what}, by its plain name");
            let store = site.provisioner();
            let problems = store.store().verify("demo", done.receipt.backend).unwrap();
            assert_eq!(problems, Vec::<String>::new(), "{what}");
        }
    });
}

#[test]
fn split_packages_are_one_tree() {
    if !is_installed("cc") {
        return;
    }
    run(async {
        let mut site = Site::new("split");
        let text = format!(
            "pkgbase=demo\npkgname=(demo-bin demo-libs)\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\n\
             arch=('any')\nlicense=('GPL-3.0-or-later')\nbuild() {{\n{LIBRARY}  \
             cc -o demo main.c -L. -lpart\n}}\npackage_demo-bin() {{\n  \
             install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n}}\npackage_demo-libs() {{\n  \
             install -Dm755 libpart.so.1 \"$pkgdir/usr/lib/libpart.so.1\"\n}}\n"
        );
        let _catalog = site.serve(&text).await;
        let done = site.provision("demo").await;
        let done = done.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(answer(done.binary.path()), "asked");
        assert_eq!(done.receipt.relocation.library_dirs, [Path::new("usr/lib")]);
    });
}

/// The recipes of packages that cannot work, and what is said of each.
fn broken() -> Vec<(&'static str, &'static str, String)> {
    let script = |text: &str| format!("{SCRIPT}{text}");
    vec![
        (
            "cc",
            "RUNPATH",
            format!(
                "{LIBRARY}  cc -o demo main.c -L. -lpart -Wl,-rpath,\"$srcdir\"\n  \
                 install -Dm755 demo \"$pkgdir/usr/bin/demo\""
            ),
        ),
        (
            "sh",
            "line 1",
            script("  put usr/bin/demo <<END\n#!$srcdir/sh\necho asked\nEND\n  ln -s /bin/sh sh"),
        ),
        (
            "sh",
            "line 2",
            script(
                "  echo 'echo asked' > lib.sh\n  put usr/bin/demo <<END\n#!/bin/sh\n. $srcdir/lib.sh\nEND",
            ),
        ),
        (
            "sh",
            "link into the build directory",
            script(
                "  put usr/lib/demo/run <<'END'\n#!/bin/sh\necho asked\nEND\n  \
                 install -d \"$pkgdir/usr/bin\"\n  \
                 ln -s \"$pkgdir/usr/lib/demo/run\" \"$pkgdir/usr/bin/demo\"",
            ),
        ),
        (
            "sh",
            "line 2 of `usr/bin/demo` names `/usr/lib/demo/part.sh`",
            script(
                "  put usr/bin/demo <<'END'\n#!/bin/sh\n. /usr/lib/demo/part.sh\nEND\n  \
                 echo 'echo asked' | install -Dm644 /dev/stdin \"$pkgdir/usr/lib/demo/part.sh\"",
            ),
        ),
    ]
}

#[test]
fn what_cannot_work_is_refused_with_the_reason_and_nothing_is_replaced() {
    run(async {
        for (tool, says, body) in broken() {
            if !is_installed(tool) {
                continue;
            }
            let mut site = Site::new("broken");
            let works = format!("{SCRIPT}  put usr/bin/demo <<'END'\n#!/bin/sh\necho first\nEND");
            let _first = site.serve(&recipe(&works)).await;
            let first = site.provision("demo").await.unwrap();
            let _catalog = site.serve(&recipe(&body)).await;
            let error = site.provision("demo").await.unwrap_err();
            let text = error.chain();
            assert!(
                matches!(error, ProvisionError::NotRelocatable { .. }) && text.contains(says),
                "{says}: {text}"
            );
            assert_eq!(answer(first.binary.path()), "first", "{says}");
            site.assert_clean();
        }
    });
}

#[test]
fn a_program_that_fails_where_the_old_one_works_replaces_it_only_when_asked() {
    run(async {
        let mut site = Site::new("worse");
        let program =
            |text: &str| recipe(&format!("{SCRIPT}  put usr/bin/demo <<'END'\n{text}\nEND"));
        let _first = site.serve(&program("#!/bin/sh\necho works")).await;
        let first = site.provision("demo").await.unwrap();
        let worse = "#!/bin/sh\necho 'out of order' >&2\nexit 3";
        let _catalog = site.serve(&program(worse)).await;
        let error = site.provision("demo").await.unwrap_err();
        let text = error.chain();
        assert!(matches!(error, ProvisionError::Trial { .. }), "{text}");
        assert!(
            text.contains("out of order") && text.contains("--no-trial"),
            "its own words, and the switch: {text}"
        );
        assert_eq!(answer(first.binary.path()), "works");
        assert_eq!(site.provisioner().store().list().unwrap().len(), 1);
        site.config.trial = false;
        let done = site.provision("demo").await.unwrap();
        assert!(!done.reused);

        // Where nothing worked before, what starts may be installed.
        let mut site = Site::new("first");
        let _catalog = site.serve(&program(worse)).await;
        let done = site.provision("demo").await.unwrap();
        assert_eq!(done.receipt.answered, Some(false));

        let lacks = "#!/bin/sh\necho 'Error: Cannot find module ./part' >&2\nexit 1";
        let mut site = Site::new("lacks");
        let _catalog = site.serve(&program(lacks)).await;
        let error = site.provision("demo").await.unwrap_err();
        let text = error.chain();
        assert!(text.contains("Cannot find module"), "{text}");
        site.assert_nothing_installed();
    });
}

#[test]
fn what_was_stored_untried_is_tried_before_it_is_installed_again() {
    run(async {
        let mut site = Site::new("untried");
        let lacks = "#!/bin/sh\necho 'Error: Cannot find module ./part' >&2\nexit 1";
        let text = recipe(&format!("{SCRIPT}  put usr/bin/demo <<'END'\n{lacks}\nEND"));
        let _catalog = site.serve(&text).await;
        site.config.trial = false;
        let untried = site.provision("demo").await.unwrap();
        assert!(site.provision("demo").await.unwrap().reused);
        site.config.trial = true;
        let request = ProvisionRequest::new("demo");
        let provisioner = site.provisioner();
        let error = provisioner.provision_request(&request, CancellationToken::new());
        let text = error.await.unwrap_err().chain();
        assert!(text.contains("Cannot find module"), "{text}");
        // Whoever wanted it without a trial keeps it.
        assert!(untried.binary.path().exists());
        let store = site.provisioner();
        let problems = store
            .store()
            .verify("demo", untried.receipt.backend)
            .unwrap();
        assert_eq!(problems, Vec::<String>::new());
    });
}

#[test]
fn a_directory_with_a_colon_in_its_name_adds_none_of_somebody_elses() {
    if !is_installed("cc") {
        return;
    }
    run(async {
        let mut site = Site::new("colon");
        let body = format!(
            "{LIBRARY}  cc -o demo main.c -L. -lpart\n  \
             install -Dm755 demo \"$pkgdir/usr/bin/demo\"\n  \
             install -Dm755 libpart.so.1 \"$pkgdir/opt/x:/tmp/libpart.so.1\""
        );
        let _catalog = site.serve(&recipe(&body)).await;
        let error = site.provision("demo").await.unwrap_err();
        let text = error.chain();
        assert!(text.contains("colons between directories"), "{text}");
        site.assert_nothing_installed();
    });
}
