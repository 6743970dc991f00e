//! One sample world for all tests, and a private set of folders for each.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::processes;
use e2e_tests::sample::{self, Sample, SampleOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use worker_provisioner::{
    Config, ProvisionError, ProvisionEvent, ProvisionRequest, Provisioned, WorkerProvisioner,
    WorkerType,
};

/// The servers outlive every single test, so they need a runtime of their own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static WORLD: LazyLock<Sample> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    remove_old_worlds(target);
    let folder = target.join(format!("{WORLD_PREFIX}{}", std::process::id()));
    let options = SampleOptions {
        port: 0,
        target: target.join("sample-worker"),
    };
    RUNTIME.block_on(Sample::start(&folder, &options)).unwrap()
});

const WORLD_PREFIX: &str = "world-";

/// What is static is never dropped, so that each process leaves its folder to a later one.
fn remove_old_worlds(target: &Path) {
    for entry in target.read_dir().unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(WORLD_PREFIX);
        let processes = Path::new("/proc");
        if owner.is_some_and(|pid| processes.is_dir() && !processes.join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The sample catalogs, repository and releases.
pub(crate) fn sample() -> &'static Sample {
    &WORLD
}

/// Runs a test on the runtime that the servers run on.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    LazyLock::force(&WORLD);
    RUNTIME.block_on(test)
}

/// The folders of one test, and what to look for when it is over.
pub(crate) struct Site {
    root: TempDir,
    marker: String,
    pub(crate) config: Config,
    pub(crate) events: Arc<Mutex<Vec<ProvisionEvent>>>,
}

impl Site {
    /// Private folders and the second-generation sample catalog.
    pub(crate) fn new(name: &str) -> Self {
        let root = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let mut config = Config::from_env();
        config.catalog_urls = vec![sample().catalog_url()];
        config.backend = Some(WorkerType::Cpu);
        config.source_hosts = sample::source_hosts();
        config.insecure_sources = true;
        config.bin_dir = Some(root.path().join("bin"));
        config.cache_dir = root.path().join("cache");
        config.data_dir = root.path().join("data");
        config.temp_dir = root.path().join("tmp");
        std::fs::create_dir(&config.temp_dir).unwrap();
        let value = format!("{name}-{}", std::process::id());
        config
            .recipe_env
            .insert("RBEE_E2E_MARK".to_owned(), value.clone());
        let marker = format!("RBEE_E2E_MARK={value}");
        Self {
            root,
            marker,
            config,
            events: Arc::default(),
        }
    }

    pub(crate) fn bin_dir(&self) -> PathBuf {
        self.root.path().join("bin")
    }

    /// How much the store has begun and not ended.
    pub(crate) fn unfinished(&self) -> usize {
        let folder = self.config.data_dir.join("store/.unfinished");
        folder.read_dir().map_or(0, Iterator::count)
    }

    /// Asks from now on a catalog with one worker, `demo`, whose prebuilt recipe is `recipe`.
    pub(crate) async fn serve(&mut self, recipe: &str) -> CatalogServer {
        let catalog = catalog_with(recipe).await;
        self.config.catalog_urls = vec![catalog.base_url()];
        catalog
    }

    /// A provisioner that keeps every event.
    pub(crate) fn provisioner(&self) -> WorkerProvisioner {
        let events = Arc::clone(&self.events);
        WorkerProvisioner::new(self.config.clone())
            .unwrap()
            .with_reporter(Arc::new(move |event: &ProvisionEvent| {
                events.lock().unwrap().push(event.clone());
            }))
    }

    pub(crate) async fn provision(&self, id: &str) -> Result<Provisioned, ProvisionError> {
        let request = ProvisionRequest::new(id);
        self.provisioner()
            .provision_request(&request, CancellationToken::new())
            .await
    }

    /// Neither a build folder nor a process is left.
    pub(crate) fn assert_clean(&self) {
        let left: Vec<_> = self.config.temp_dir.read_dir().unwrap().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let survivors = processes::with_marker(&self.marker);
        assert!(survivors.is_empty(), "still running: {survivors:?}");
    }

    /// The same, once what a dropped future leaves to other threads is done.
    pub(crate) async fn assert_soon_clean(&self) {
        for _ in 0..1_000 {
            let is_empty = self.config.temp_dir.read_dir().unwrap().next().is_none();
            if is_empty && processes::with_marker(&self.marker).is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.assert_clean();
    }

    pub(crate) fn assert_nothing_installed(&self) {
        let installed = self.bin_dir().read_dir().map_or(0, Iterator::count);
        assert_eq!(installed, 0, "something was installed");
    }
}

/// A catalog with one worker, `demo`, whose prebuilt recipe is `recipe`.
pub(crate) async fn catalog_with(recipe: &str) -> CatalogServer {
    let content = sample::prebuilt_catalog("demo", recipe);
    CatalogServer::start(0, content).await.unwrap()
}

/// A recipe whose `package()` is `body`, valid in every other respect.
pub(crate) fn recipe(body: &str) -> String {
    format!(
        "pkgname=demo-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Demo'\narch=('any')\n\
         license=('GPL-3.0-or-later')\npackage() {{\n{body}\n}}\n"
    )
}
