//! Real builds of small projects, without a network, in every tier.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use build_sandbox::{BuildSpec, Mount, Network, NetworkPolicy, Phase, Sandbox, Silent, Writable};
use support::{Recorder, build, build_in, chain, have, sandbox, tiers};
use tokio_util::sync::CancellationToken;

async fn run_all(sandbox: &Sandbox, spec: &BuildSpec) {
    let token = CancellationToken::new();
    for phase in [
        Phase::Prepare,
        Phase::Build,
        Phase::Check,
        Phase::Package("demo".to_owned()),
    ] {
        let recorder = Recorder::default();
        let result = sandbox.run(spec, phase, &token, &recorder).await;
        result.unwrap_or_else(|error| panic!("{}\n{}", chain(&error), recorder.text()));
    }
}

#[tokio::test]
async fn a_c_project_with_make() {
    if !have("make") || !have("cc") {
        return;
    }
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            "pkgname=demo\nbuild() { make; }\ncheck() { ./demo | grep -x 'hello from c'; }\npackage() { install -Dm755 -o root -g root demo \"$pkgdir/usr/bin/demo\"; }\n",
        );
        build.spec.network = NetworkPolicy::NONE;
        build.spec.makeflags = "-j2".to_owned();
        fs::create_dir_all(&build.spec.srcdir).unwrap();
        fs::write(
            build.path("Makefile"),
            "demo: main.o text.o\n\t$(CC) -o $@ $^\n",
        )
        .unwrap();
        fs::write(
            build.path("main.c"),
            "void say(void); int main(void) { say(); return 0; }\n",
        )
        .unwrap();
        fs::write(
            build.path("text.c"),
            "#include <stdio.h>\nvoid say(void) { puts(\"hello from c\"); }\n",
        )
        .unwrap();
        run_all(&sandbox, &build.spec).await;
        let token = CancellationToken::new();
        let program = build.spec.pkgdir.join("usr/bin/demo").display().to_string();
        let outcome = sandbox
            .run_command(
                &build.spec,
                &[program],
                Network::None,
                Writable::Build,
                &token,
                &Silent,
            )
            .await
            .unwrap();
        assert_eq!(outcome.stdout, "hello from c\n", "{tier}");
    }
}

#[tokio::test]
async fn a_cmake_project() {
    if !have("cmake") || !have("make") || !have("cc") {
        return;
    }
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            "pkgname=demo\nbuild() { cmake -B out -S . -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_BUILD_TYPE=Release && cmake --build out; }\ncheck() { ctest --test-dir out --output-on-failure; }\npackage() { DESTDIR=\"$pkgdir\" cmake --install out; }\n",
        );
        build.spec.network = NetworkPolicy::NONE;
        fs::create_dir_all(&build.spec.srcdir).unwrap();
        fs::write(
            build.path("CMakeLists.txt"),
            "cmake_minimum_required(VERSION 3.13)\nproject(demo C)\nenable_testing()\nadd_executable(demo main.c)\nadd_test(NAME runs COMMAND demo)\ninstall(TARGETS demo DESTINATION bin)\n",
        )
        .unwrap();
        fs::write(build.path("main.c"), "int main(void) { return 0; }\n").unwrap();
        run_all(&sandbox, &build.spec).await;
        assert!(build.spec.pkgdir.join("usr/bin/demo").is_file(), "{tier}");
        assert!(build.survivors().is_empty());
    }
}

/// The toolchain that runs this test: its `bin` and the directory to show.
fn toolchain() -> Option<(PathBuf, PathBuf)> {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from)?;
    let bin = fs::canonicalize(cargo).ok()?.parent()?.to_owned();
    let root = bin.parent()?.to_owned();
    (bin.join("rustc").is_file() && root.join("lib").is_dir()).then_some((bin, root))
}

/// Whether the build user can read it: in the weaker tiers a toolchain in root's home is shut off.
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors()
        .all(|part| fs::metadata(part).is_ok_and(|m| m.permissions().mode() & 1 != 0))
}

#[tokio::test]
async fn a_cargo_project_offline() {
    let Some((bin, root)) = toolchain().filter(|_| have("cc")) else {
        eprintln!("skipped: no cargo toolchain to show to the build");
        return;
    };
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let other_user = nix::unistd::Uid::effective().is_root();
        if tier < build_sandbox::Isolation::Namespaces && other_user && !is_open(&root) {
            eprintln!(
                "skipped: the build's user cannot reach {} in `{tier}`",
                root.display()
            );
            continue;
        }
        let mut build = build(
            tier,
            "pkgname=demo\nbuild() { cargo build --release --offline --frozen; }\npackage() { install -Dm755 target/release/demo \"$pkgdir/usr/bin/demo\"; }\n",
        );
        build.spec.network = NetworkPolicy::NONE;
        build.spec.path.insert(0, bin.clone());
        build.spec.mounts.push(Mount::read_only(&root));
        fs::create_dir_all(build.path("src")).unwrap();
        fs::write(
            build.path("Cargo.toml"),
            "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
        )
        .unwrap();
        fs::write(
            build.path("Cargo.lock"),
            "version = 3\n\n[[package]]\nname = \"demo\"\nversion = \"0.1.0\"\n",
        )
        .unwrap();
        fs::write(
            build.path("src/main.rs"),
            "fn main() { println!(\"hello from cargo\"); }\n",
        )
        .unwrap();
        run_all(&sandbox, &build.spec).await;
        assert!(build.spec.pkgdir.join("usr/bin/demo").is_file(), "{tier}");
        assert!(build.survivors().is_empty());
    }
}

#[tokio::test]
async fn a_python_wheel() {
    // The system's own, as a build sees no other.
    let ready = std::path::Path::new("/usr/bin/python3").exists()
        && std::process::Command::new("/usr/bin/python3")
            .args(["-c", "import setuptools, wheel, pip"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !ready {
        eprintln!("skipped: python3 with pip, setuptools and wheel is not installed");
        return;
    }
    let sandbox = sandbox();
    for tier in tiers(&sandbox).await {
        let mut build = build(
            tier,
            "pkgname=demo\nbuild() { /usr/bin/python3 -m pip wheel --no-build-isolation --no-deps --no-index -w dist .; }\npackage() { install -Dm644 -t \"$pkgdir/usr/share/demo\" dist/*.whl; }\n",
        );
        build.spec.network = NetworkPolicy::NONE;
        fs::create_dir_all(&build.spec.srcdir).unwrap();
        fs::write(build.path("setup.py"), "from setuptools import setup\nsetup(name='demo', version='1.0', py_modules=['demo'])\n").unwrap();
        fs::write(build.path("demo.py"), "print('hello')\n").unwrap();
        run_all(&sandbox, &build.spec).await;
        assert_eq!(
            fs::read_dir(build.spec.pkgdir.join("usr/share/demo"))
                .unwrap()
                .count(),
            1,
            "{tier}"
        );
    }
}

#[tokio::test]
async fn a_build_may_be_in_any_directory_for_temporary_files() {
    let sandbox = sandbox();
    let token = CancellationToken::new();
    let recipe =
        "pkgname=demo\nbuild() { echo built > made; }\npackage() { cp made \"$pkgdir\"; }\n";
    for tier in tiers(&sandbox).await {
        for parent in ["/tmp", "/var/tmp", "/dev/shm"].map(Path::new) {
            if !parent.is_dir() {
                continue;
            }
            let build = build_in(parent, tier, recipe);
            for phase in [Phase::Build, Phase::Package("demo".to_owned())] {
                let run = sandbox.run(&build.spec, phase, &token, &Silent).await;
                run.unwrap_or_else(|error| {
                    panic!("{tier}, {}: {}", parent.display(), chain(&error))
                });
            }
            let made = fs::read_to_string(build.spec.pkgdir.join("made")).unwrap();
            assert_eq!(made, "built\n", "{tier}, {}", parent.display());
        }
    }
}
