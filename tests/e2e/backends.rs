//! The backend that was asked for is the one installed, whatever the host has.
//!
//! The recipes have the shape of those in production: they choose by asking the host.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use e2e_tests::catalog_server::{CatalogContent, CatalogServer, Generation};
use e2e_tests::release::ReleaseServer;
use e2e_tests::worker;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Artifact as _, Happening, HostProbe, Isolation, IsolationChoice, Kernel, ProvisionError,
    ProvisionRequest, Provisioned, SystemProbe, WorkerType,
};

use crate::support::{Site, run};

const ALL: [WorkerType; 4] = [
    WorkerType::Cpu,
    WorkerType::Cuda,
    WorkerType::Rocm,
    WorkerType::Metal,
];

/// What a build for each backend has in it, as programs that look for their libraries have.
fn mark(backend: WorkerType) -> &'static str {
    match backend {
        WorkerType::Cpu => "nothing",
        WorkerType::Cuda => "libcuda.so.1",
        WorkerType::Rocm => "libamdhip64.so.6",
        WorkerType::Metal => "MTLCreateSystemDefaultDevice",
    }
}

/// A program that says which backend it is.
pub(crate) fn program(backend: WorkerType, linked: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let code = format!(
        "#include <stdio.h>\n{linked}\n\
         __attribute__((used)) static const char mark[] = \"{}\";\n\
         int main(void) {{ puts(\"{backend}\"); return 0; }}\n",
        mark(backend)
    );
    fs::write(at("w.c"), code).unwrap();
    let mut compiler = Command::new("cc");
    compiler.arg("-o").arg(at("w")).arg(at("w.c"));
    assert!(compiler.status().unwrap().success());
    fs::read(at("w")).unwrap()
}

pub(crate) static PROGRAMS: LazyLock<Vec<(WorkerType, Vec<u8>)>> =
    LazyLock::new(|| ALL.map(|backend| (backend, program(backend, ""))).into());

pub(crate) fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, *bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// How the recipe asks for a program.
#[derive(Debug, Clone, Copy)]
enum Asking {
    /// `command -v`, as it is read without running anything.
    Presence,
    /// By starting it, for which the recipe is sourced in the sandbox.
    Success,
}

impl Asking {
    fn choose(self) -> String {
        let ask = |program: &str| match self {
            Self::Presence => format!("command -v {program} &> /dev/null"),
            Self::Success => format!("{program} &> /dev/null"),
        };
        format!(
            "_backend() {{\n  if [[ \"$(uname -s)\" == Darwin ]]; then echo metal\n  \
             elif {}; then echo cuda\n  elif {}; then echo rocm\n  else echo cpu\n  fi\n}}\n",
            ask("nvidia-smi"),
            ask("rocminfo")
        )
    }
}

pub(crate) const HEAD: &str = "pkgname=demo-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
                    license=('GPL-3.0-or-later')\n";

/// Fetches the tarball of the backend that it finds.
fn evaluated(url: &str, asking: Asking) -> String {
    format!(
        "{HEAD}{}source=(\"{url}/demo-linux-$(_backend)-${{pkgver}}.tar.gz\")\n\
         sha256sums=('SKIP')\npackage() {{\n  \
         install -Dm755 \"$srcdir/demo\" \"$pkgdir/usr/local/bin/demo\"\n}}\n",
        asking.choose()
    )
}

/// Fetches one tarball for all, and takes out of it what it finds when it packages.
fn packaged(url: &str, asking: Asking) -> String {
    format!(
        "{HEAD}{}source=(\"{url}/demo-linux-${{pkgver}}.tar.gz\")\nsha256sums=('SKIP')\n\
         package() {{\n  install -Dm755 \"$srcdir/$(_backend)/demo\" \"$pkgdir/usr/local/bin/demo\"\n}}\n",
        asking.choose()
    )
}

fn variant(backend: WorkerType) -> Value {
    json!({
        "backend": backend, "platforms": ["linux", "macos"],
        "architectures": ["x86_64", "aarch64"],
        "pkgbuildUrl": "/pkgbuilds/arch/demo-bin.PKGBUILD", "binaryName": "demo",
    })
}

pub(crate) fn catalog(recipe: &str) -> CatalogContent {
    let entry = json!({
        "id": "demo", "implementation": "rust", "version": "1.0.0", "name": "Demo",
        "license": "MIT", "buildSystem": "cargo", "variants": ALL.map(variant),
        "capabilities": { "supportedFormats": [] },
    });
    CatalogContent::new(Generation::V2)
        .entry(entry)
        .pkgbuild("arch/demo-bin.PKGBUILD", recipe)
}

async fn releases() -> ReleaseServer {
    let server = ReleaseServer::start().await.unwrap();
    let mut all = Vec::new();
    let names = ALL.map(|backend| format!("{backend}/demo"));
    for ((backend, program), name) in PROGRAMS.iter().zip(&names) {
        let one = tarball(&[("demo", program)]);
        server.publish(&format!("demo-linux-{backend}-1.0.0.tar.gz"), one);
        all.push((name.as_str(), program.as_slice()));
    }
    server.publish("demo-linux-1.0.0.tar.gz", tarball(&all));
    server
}

/// A host: the programs it has beyond those of this machine, and whether it has CUDA's driver.
const HOSTS: [(&str, &[&str], bool); 6] = [
    ("bare", &[], false),
    ("nvidia", &["nvidia-smi"], true),
    ("amd", &["rocminfo", "rocm-smi"], false),
    ("both", &["nvidia-smi", "rocminfo"], true),
    ("driver-only", &[], true),
    ("tool-kit", &["nvcc", "nvidia-smi", "hipcc"], false),
];

#[derive(Debug)]
pub(crate) struct Machine {
    system: SystemProbe,
    has_driver: bool,
}

impl HostProbe for Machine {
    fn commands(&self) -> BTreeSet<String> {
        self.system.commands()
    }
    fn has_library(&self, name: &str) -> bool {
        name == "libcuda.so.1" && self.has_driver
    }
    fn has_metal(&self) -> bool {
        false
    }
    fn kernel(&self) -> Option<Kernel> {
        self.system.kernel()
    }
}

/// A `PATH` on which the host's programs stand, each of which succeeds.
pub(crate) fn machine(site: &mut Site, programs: &[&str], has_driver: bool) -> Machine {
    let fakes = site.bin_dir().with_file_name("fakes");
    fs::create_dir(&fakes).unwrap();
    for name in programs {
        fs::write(fakes.join(name), "#!/bin/sh\necho the host\n").unwrap();
        fs::set_permissions(fakes.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let root = fakes.parent().unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    site.config.search_path.insert(0, fakes.clone());
    site.config.tool_dirs.push(fakes);
    Machine {
        system: SystemProbe::new(site.config.search_path.clone()),
        has_driver,
    }
}

fn says(path: &Path) -> String {
    let mut command = Command::new(path);
    let output = worker::when_not_busy(|| command.output()).unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) async fn install(
    site: &Site,
    machine: Machine,
    backend: Option<WorkerType>,
) -> Result<Provisioned, ProvisionError> {
    let mut request = ProvisionRequest::new("demo");
    request.backend = backend;
    site.provisioner()
        .with_probe(Arc::new(machine))
        .provision_request(&request, CancellationToken::new())
        .await
}

/// Asks `recipe` for every backend on every host in `isolation`; returns how many were installed.
async fn ask_all(world: &str, recipe: &str, isolation: IsolationChoice) -> usize {
    let catalog = CatalogServer::start(0, catalog(recipe)).await.unwrap();
    let mut installed = 0;
    for (name, programs, has_driver) in HOSTS {
        for backend in ALL.into_iter().map(Some).chain([None]) {
            let mut site = Site::new(world);
            site.config.backend = None;
            site.config.isolation = isolation;
            site.config.recipe_env.remove("RBEE_FEATURES");
            site.config.catalog_urls = vec![catalog.base_url()];
            let machine = machine(&mut site, programs, has_driver);
            match install(&site, machine, backend).await {
                Ok(provisioned) => {
                    let expected = backend.unwrap_or(provisioned.backend.backend);
                    let found = says(provisioned.binary.path());
                    assert_eq!(found, expected.to_string(), "{name}, {backend:?}");
                    assert_eq!(provisioned.receipt.backend, expected);
                    installed += 1;
                }
                Err(ProvisionError::WrongBackend { asked, .. }) => {
                    // What `uname` says cannot be otherwise than it is.
                    assert_eq!(asked, WorkerType::Metal, "{name}, {backend:?}");
                    site.assert_nothing_installed();
                }
                Err(error) => panic!("{name}, {backend:?}: {}", error.chain()),
            }
            site.assert_clean();
        }
    }
    installed
}

/// Three backends and what is detected, on six hosts; `metal` is refused on all.
const INSTALLED: usize = 24;

#[test]
fn a_recipe_that_asks_the_host_fetches_the_backend_that_was_asked_for() {
    run(async {
        let releases = releases().await;
        for asking in [Asking::Presence, Asking::Success] {
            let recipe = evaluated(&releases.base_url(), asking);
            let installed = ask_all("backend-read", &recipe, IsolationChoice::Auto).await;
            assert_eq!(installed, INSTALLED, "{asking:?}");
        }
    });
}

#[test]
fn a_recipe_that_asks_the_host_packages_the_backend_that_was_asked_for() {
    run(async {
        let releases = releases().await;
        for asking in [Asking::Presence, Asking::Success] {
            let recipe = packaged(&releases.base_url(), asking);
            let installed = ask_all("backend-build", &recipe, IsolationChoice::Auto).await;
            assert_eq!(installed, INSTALLED, "{asking:?}");
        }
    });
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn every_tier_answers_the_same() {
    run(async {
        let releases = releases().await;
        let recipe = packaged(&releases.base_url(), Asking::Presence);
        let strongest = strongest().await;
        for tier in [Isolation::Landlock, Isolation::Group] {
            if tier < strongest {
                let installed =
                    ask_all("backend-tier", &recipe, IsolationChoice::Exactly(tier)).await;
                assert_eq!(installed, INSTALLED, "{tier}");
            } else {
                eprintln!("skipped: tier `{tier}`: this host has no more than `{strongest}`");
            }
        }
    });
}

async fn strongest() -> Isolation {
    let site = Site::new("tier");
    let text = site.provision(e2e_tests::sample::WORKER).await.unwrap();
    let name = text.receipt.isolation;
    let mut tiers = Isolation::ALL.into_iter();
    tiers.find(|tier| tier.name() == name).unwrap()
}

/// Prints what a build can see of the host.
fn sight() -> String {
    let look = "for p in nvidia-smi rocminfo nvcc hipcc; do type -P $p >/dev/null && echo has $p; done; \
                for f in /proc/driver/nvidia /dev/nvidia0 /dev/kfd; do [ -e $f ] && echo has $f; done; \
                lspci | grep -o NVIDIA || true; lspci -nn 2>/dev/null | grep -o AMD || true; lsmod | cut -d' ' -f1; \
                echo \"is $RBEE_BACKEND $RBEE_FEATURES\"; true";
    format!(
        "{HEAD}package() {{\n  {{ {look}; }} | tr '\\n' , > seen\n  \
         printf '#!/bin/sh\\necho \"%s\"\\n' \"$(cat seen)\" > demo\n  \
         install -Dm755 demo \"$pkgdir/usr/local/bin/demo\"\n}}\n"
    )
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn devices_drivers_lists_and_variables_tell_of_the_chosen_backend_alone() {
    run(async {
        if strongest().await < Isolation::Namespaces {
            eprintln!("skipped: this host has no tier `namespaces`");
            return;
        }
        let catalog = CatalogServer::start(0, catalog(&sight())).await.unwrap();
        for (backend, expected) in [
            (WorkerType::Cpu, "is cpu cpu,"),
            (
                WorkerType::Cuda,
                "has nvidia-smi,has nvcc,has /proc/driver/nvidia,has /dev/nvidia0,NVIDIA,nvidia,is cuda cuda,",
            ),
            (
                WorkerType::Rocm,
                "has rocminfo,has hipcc,has /dev/kfd,AMD,amdgpu,is rocm rocm,",
            ),
        ] {
            let mut site = Site::new("sight");
            site.config.backend = None;
            site.config.recipe_env.remove("RBEE_FEATURES");
            site.config.catalog_urls = vec![catalog.base_url()];
            let machine = machine(
                &mut site,
                &["nvcc", "nvidia-smi", "hipcc", "rocminfo"],
                true,
            );
            let provisioned = install(&site, machine, Some(backend)).await.unwrap();
            assert_eq!(says(provisioned.binary.path()), expected);
        }
    });
}

/// A catalog of the first generation that has `demo-cpu` and `demo-cuda`.
fn first_generation(url: &str) -> CatalogContent {
    let mut content = CatalogContent::new(Generation::V1);
    for backend in ["cpu", "cuda"] {
        let id = format!("demo-{backend}");
        let entry = json!({
            "id": id, "implementation": "demo", "worker_type": backend, "version": "1.0.0",
            "platforms": ["linux", "macos"], "architectures": ["x86_64", "aarch64"],
            "name": "Demo", "description": "Demo", "license": "MIT",
            "pkgbuild_url": format!("/workers/{id}/PKGBUILD"), "build_system": "cargo",
            "source": { "type": "tarball", "url": url }, "depends": [], "makedepends": [],
            "binary_name": id, "install_path": format!("/usr/local/bin/{id}"),
            "supported_formats": ["gguf"], "supports_streaming": true, "supports_batching": false,
        });
        let recipe = packaged(url, Asking::Presence);
        content = content
            .entry(entry)
            .pkgbuild(format!("{id}.PKGBUILD"), recipe);
    }
    content
}

#[test]
fn an_id_of_the_first_generation_is_the_request() {
    run(async {
        let releases = releases().await;
        let url = releases.base_url();
        // In a catalog of the second generation it means the same.
        for content in [
            first_generation(&url),
            catalog(&packaged(&url, Asking::Presence)),
        ] {
            let catalog = CatalogServer::start(0, content).await.unwrap();
            for (programs, has_driver) in [(&["nvidia-smi"][..], true), (&[], false)] {
                for backend in ["cpu", "cuda"] {
                    let mut site = Site::new("suffix");
                    site.config.backend = None;
                    site.config.recipe_env.remove("RBEE_FEATURES");
                    site.config.catalog_urls = vec![catalog.base_url()];
                    let machine = Arc::new(machine(&mut site, programs, has_driver));
                    let provisioner = site.provisioner().with_probe(machine);
                    let mut request = ProvisionRequest::new(format!("demo-{backend}"));
                    let cancel = CancellationToken::new();
                    let done = provisioner.provision_request(&request, cancel).await;
                    let done = done.unwrap();
                    assert_eq!(done.binary.worker_type().to_string(), backend);
                    assert_eq!(says(done.binary.path()), backend);

                    request.backend = Some(WorkerType::Rocm);
                    let cancel = CancellationToken::new();
                    let error = provisioner.provision_request(&request, cancel).await;
                    let text = error.unwrap_err().chain();
                    let named = format!("`{backend}`");
                    assert!(text.contains(&named) && text.contains("`rocm`"), "{text}");
                }
            }
        }
    });
}

#[test]
fn a_variable_that_names_another_backend_is_refused() {
    run(async {
        let content = catalog(&sight());
        let catalog = CatalogServer::start(0, content).await.unwrap();
        for (name, value, refused) in [
            ("RBEE_FEATURES", "cuda,flash-attn", true),
            ("RBEE_FEATURES", "cpu,cuda", false),
            ("RBEE_FEATURES", "mkl", false),
            ("RBEE_BACKEND", "rocm", true),
        ] {
            let mut site = Site::new("variable");
            site.config.catalog_urls = vec![catalog.base_url()];
            site.config.recipe_env.remove("RBEE_FEATURES");
            site.config
                .recipe_env
                .insert(name.to_owned(), value.to_owned());
            let machine = machine(&mut site, &[], false);
            let outcome = install(&site, machine, Some(WorkerType::Cpu)).await;
            let error = outcome.err().map(|error| error.chain());
            assert_eq!(
                error.as_ref().is_some_and(|error| error.contains(value)),
                refused,
                "{name}={value}: {error:?}"
            );
        }
    });
}

#[test]
fn a_lister_and_a_probe_are_no_programs_of_the_installed_worker() {
    // The trial meets the host as it is, not what stands in for recipes.
    run(async {
        let body = "  printf '#!/bin/sh\\ncommand -v nvidia-smi lspci || echo none\\n' > demo\n  \
                    install -Dm755 demo \"$pkgdir/usr/bin/demo\"";
        let recipe = format!("{HEAD}package() {{\n{body}\n}}\n");
        let catalog = CatalogServer::start(0, catalog(&recipe)).await.unwrap();
        let mut site = Site::new("unveiled");
        site.config.catalog_urls = vec![catalog.base_url()];
        site.config.backend = None;
        site.config.recipe_env.remove("RBEE_FEATURES");
        let machine = machine(&mut site, &[], false);
        install(&site, machine, Some(WorkerType::Cuda))
            .await
            .unwrap();
        let events = site.events.lock().unwrap();
        let stood_in = events.iter().any(
            |event| matches!(&event.happening, Happening::Note { text } if text.contains(".host")),
        );
        assert!(!stood_in, "{events:?}");
    });
}
