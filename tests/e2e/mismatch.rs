//! A recipe that gives another backend than the one asked for.

use std::fs;
use std::process::Command;

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::release::ReleaseServer;
use worker_provisioner::{BackendPolicy, Happening, ProvisionError, Provisioned, WorkerType};

use crate::backends::{HEAD, PROGRAMS, catalog, install, machine, program, tarball};
use crate::support::{Site, run};

/// One tarball, named `name`, that holds the build for `inside`.
async fn one_build(
    name: &str,
    inside: &[u8],
    backend: WorkerType,
    policy: BackendPolicy,
) -> (Site, Result<Provisioned, ProvisionError>, u64) {
    let releases = ReleaseServer::start().await.unwrap();
    releases.publish(name, tarball(&[("demo", inside)]));
    let url = releases.base_url();
    let recipe = format!(
        "{HEAD}source=('{url}/{name}')\nsha256sums=('SKIP')\npackage() {{\n  \
         install -Dm755 \"$srcdir/demo\" \"$pkgdir/usr/local/bin/demo\"\n}}\n"
    );
    let catalog = CatalogServer::start(0, catalog(&recipe)).await.unwrap();
    let mut site = Site::new("mismatch");
    site.config.backend = None;
    site.config.trial = false;
    site.config.backend_check = policy;
    site.config.recipe_env.remove("RBEE_FEATURES");
    site.config.catalog_urls = vec![catalog.base_url()];
    let machine = machine(&mut site, &[], false);
    let outcome = install(&site, machine, Some(backend)).await;
    (site, outcome, releases.requests())
}

/// An ELF program that the loader starts only with `library`.
fn linked(library: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("l.c"), "int l(void) { return 0; }\n").unwrap();
    fs::write(at("m.c"), "int l(void); int main(void) { return l(); }\n").unwrap();
    let soname = format!("-Wl,-soname,{library}");
    for arguments in [
        vec!["-shared", "-fPIC", &soname, "-o", "libl.so", "l.c"],
        vec!["-o", "m", "m.c", "-L.", "-ll"],
    ] {
        let mut compiler = Command::new("cc");
        compiler.args(arguments).current_dir(folder.path());
        assert!(compiler.status().unwrap().success());
    }
    fs::read(at("m")).unwrap()
}

/// The source's name, the program, what is asked for, what the error says of all three, and whether
/// anything is fetched.
type Refused<'a> = (&'a str, &'a [u8], WorkerType, &'a [&'a str], bool);

#[test]
fn what_request_source_and_program_say_must_agree_and_the_error_names_all_three() {
    let of = |backend| &PROGRAMS.iter().find(|(one, _)| *one == backend).unwrap().1;
    let (cpu, cuda) = (of(WorkerType::Cpu), of(WorkerType::Cuda));
    let section = program(
        WorkerType::Cpu,
        "__attribute__((used, section(\".nv_fatbin\"))) static const int code = 1;",
    );
    let refused: [Refused<'_>; 6] = [
        (
            "demo-cuda.tar.gz",
            cuda,
            WorkerType::Cpu,
            &["`cpu`", "`demo-cuda.tar.gz`", "not fetched"],
            false,
        ),
        (
            "demo-cpu.tar.gz",
            cpu,
            WorkerType::Cuda,
            &["`cuda`", "`demo-cpu.tar.gz`", "not fetched"],
            false,
        ),
        (
            "demo.tar.gz",
            cpu,
            WorkerType::Cuda,
            &["`cuda`", "named after no backend", "this is a CPU build"],
            true,
        ),
        (
            "demo-cpu.tar.gz",
            &section,
            WorkerType::Cpu,
            &["`cpu`", "`demo-cpu.tar.gz`", "`cuda` (`.nv_fatbin`)"],
            true,
        ),
        (
            "demo-rocm.tar.gz",
            &linked("libcudart.so.12"),
            WorkerType::Rocm,
            &["`rocm`", "`demo-rocm.tar.gz`", "`libcudart.so.12`"],
            true,
        ),
        (
            "demo-cpu.tar.gz",
            &linked("libamdhip64.so.6"),
            WorkerType::Cpu,
            &["`cpu`", "`demo-cpu.tar.gz`", "`libamdhip64.so.6`"],
            true,
        ),
    ];
    run(async {
        for (name, program, backend, parts, fetched) in refused {
            let (site, outcome, requests) =
                one_build(name, program, backend, BackendPolicy::Require).await;
            let error = outcome.unwrap_err();
            let text = error.chain();
            assert!(
                matches!(error, ProvisionError::WrongBackend { .. }),
                "{text}"
            );
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert_eq!(requests > 0, fetched, "{text}");
            site.assert_clean();
            site.assert_nothing_installed();

            let (site, outcome, _) = one_build(name, program, backend, BackendPolicy::Warn).await;
            outcome.unwrap();
            let told = site.events.lock().unwrap().iter().any(|event| {
                matches!(&event.happening, Happening::Warning { text } if text.contains("was asked for"))
            });
            assert!(told, "{name}");
        }
        // A program that looks for its libraries itself, and one that may do so for more, are fine.
        for (name, program, backend) in [
            ("demo.tar.gz", cuda, WorkerType::Cuda),
            ("demo-cpu-cuda.tar.gz", cuda, WorkerType::Cuda),
            ("demo-cpu.tar.gz", cuda, WorkerType::Cpu),
            ("demo.tar.gz", cpu, WorkerType::Cpu),
        ] {
            let (_, outcome, _) = one_build(name, program, backend, BackendPolicy::Require).await;
            outcome.unwrap();
        }
    });
}
