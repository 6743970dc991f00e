//! One of several provisioning processes side by side, with servers and folders of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e_tests::catalog_server::CatalogServer;
use e2e_tests::git_server::GitServer;
use e2e_tests::proxy::{Manner, Proxy};
use e2e_tests::release::{self, ReleaseServer};
use e2e_tests::{repository, sample, worker};
use tokio::runtime::Handle;
use worker_provisioner::{Happening, ProvisionPhase, Store};

use super::child::{Child, Ended};
use super::report::{Finding, Standing};
use super::site::Site;

/// The worker that is provisioned.
pub(crate) const WORKER: &str = sample::WORKER;

const REPOSITORY: &str = "worker.git";
/// The name of the state in which the old version is installed.
const OLD: &str = "state-old";

/// Which recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// The prebuilt worker.
    Binary,
    /// Built from git.
    Source,
}

impl Flavor {
    fn argument(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Source => "source",
        }
    }
}

/// Which catalog is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Catalog {
    /// The one with the version that was installed before.
    Old,
    /// The one with the version that is being installed.
    New,
}

/// The servers that all lanes share.
#[derive(Debug)]
pub(crate) struct World {
    git: GitServer,
    releases: ReleaseServer,
    old_sha256: String,
    new_sha256: String,
    old_binary: String,
    runtime: Handle,
    /// `rbee-worker`.
    program: PathBuf,
}

impl World {
    /// Compiles the prebuilt worker and starts the servers; everything lies below `root`.
    pub(crate) async fn start(root: &Path) -> Result<Self> {
        let repositories = root.join("repositories");
        std::fs::create_dir_all(&repositories)?;
        repository::create(&repositories, REPOSITORY)?;
        let target = crate::catalog::target_dir();
        let prebuilt = release::build_prebuilt(&repository::worker_source(), &target)?;
        // What follows the last section of a program is not looked at: another file, same worker.
        let old = root.join("old-worker");
        let mut bytes = std::fs::read(&prebuilt)?;
        bytes.extend_from_slice(b"\nthe old version\n");
        let old_binary = release::sha256(&bytes);
        std::fs::write(&old, bytes)?;
        let permissions = std::fs::metadata(&prebuilt)?.permissions();
        std::fs::set_permissions(&old, permissions)?;
        let releases = ReleaseServer::start().await?;
        let publish = |binary: &Path, version: &str| -> Result<String> {
            let arch = std::env::consts::ARCH;
            let folder = format!("{WORKER}-linux-{arch}-cpu-{version}");
            let tarball = release::tarball(binary, &folder)?;
            let digest = release::sha256(&tarball);
            releases.publish(&format!("{folder}.tar.gz"), tarball);
            Ok(digest)
        };
        let old_sha256 = publish(&old, "0.2.0")?;
        let new_sha256 = publish(&prebuilt, "0.3.0")?;
        Ok(Self {
            program: crate::program::rbee_worker()?,
            git: GitServer::start(&repositories).await?,
            releases,
            old_sha256,
            new_sha256,
            old_binary,
            runtime: Handle::current(),
        })
    }
}

/// How an undisturbed run goes.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    /// From start to end of the process.
    pub(crate) total: Duration,
    /// The phases with their lengths.
    pub(crate) phases: Vec<(ProvisionPhase, Duration)>,
}

/// How undisturbed runs of both recipes go.
#[derive(Debug)]
pub(crate) struct Courses {
    pub(crate) binary: Course,
    pub(crate) source: Course,
}

impl Courses {
    /// Watches one run of each.
    pub(crate) fn watch(lane: &Lane<'_>) -> Result<Self> {
        Ok(Self {
            binary: lane.course(Flavor::Binary)?,
            source: lane.course(Flavor::Source)?,
        })
    }

    /// The one of `flavor`.
    pub(crate) fn of(&self, flavor: Flavor) -> &Course {
        match flavor {
            Flavor::Binary => &self.binary,
            Flavor::Source => &self.source,
        }
    }
}

/// Proxies, catalogs and folders of one series of provisions.
#[derive(Debug)]
pub(crate) struct Lane<'w> {
    world: &'w World,
    pub(crate) site: Site,
    pub(crate) catalog_proxy: Proxy,
    pub(crate) git_proxy: Proxy,
    pub(crate) release_proxy: Proxy,
    old: CatalogServer,
    _new: CatalogServer,
}

impl<'w> Lane<'w> {
    /// Starts the lane's servers and installs the old version once, to be put back at will.
    pub(crate) fn start(world: &'w World, root: PathBuf) -> Result<Self> {
        let site = Site::create(root)?;
        let lane = world.runtime.block_on(async {
            let git_proxy = Proxy::start(&base(&world.git.url(""))).await?;
            let release_proxy = Proxy::start(&world.releases.base_url()).await?;
            let release_url = release_proxy.base_url();
            let source = sample::source_recipe(&format!("{}/{REPOSITORY}", git_proxy.base_url()));
            let new = sample::binary_recipe(&release_url, &world.new_sha256);
            let old = sample::binary_recipe(&release_url, &world.old_sha256)
                .replace("pkgver=0.3.0", "pkgver=0.2.0");
            let new = CatalogServer::start(0, sample::catalog(WORKER, &new, &source)).await?;
            Ok::<_, anyhow::Error>(Self {
                world,
                site,
                catalog_proxy: Proxy::start(&new.base_url()).await?,
                git_proxy,
                release_proxy,
                old: CatalogServer::start(0, sample::catalog(WORKER, &old, &source)).await?,
                _new: new,
            })
        })?;
        lane.install_old()?;
        lane.site.snapshot(OLD)?;
        Ok(lane)
    }

    fn install_old(&self) -> Result<()> {
        let ended = self.run(Catalog::Old, Flavor::Binary)?;
        ensure!(
            ended.status.success(),
            "the old version is not installed: {}",
            ended.describe()
        );
        Ok(())
    }

    /// Puts the state back in which the old version, or nothing, is installed.
    pub(crate) fn reset(&self, with_old: bool) -> Result<()> {
        for proxy in [&self.catalog_proxy, &self.git_proxy, &self.release_proxy] {
            proxy.set(Manner::Serve);
        }
        if with_old {
            self.site.restore(OLD)
        } else {
            self.site.clear()
        }
    }

    /// `rbee-worker install` for this lane.
    pub(crate) fn provision(&self, catalog: Catalog, flavor: Flavor) -> Command {
        let url = match catalog {
            Catalog::Old => self.old.base_url(),
            Catalog::New => self.catalog_proxy.base_url(),
        };
        let mut command = self.worker(&["install", WORKER, "--json", "--backend", "cpu"]);
        let (name, value) = self.site.marker();
        command
            .args(["--catalog", &url, "--from", flavor.argument()])
            .args(["--set-env", &format!("{name}={value}")])
            .args([
                "--allow-source-host",
                "127.0.0.1",
                "--allow-insecure-sources",
                // One of two that race asks for the older version.
                "--allow-downgrade",
            ])
            .arg("--bin-dir")
            .arg(self.site.folder("bin"))
            .arg("--cache-dir")
            .arg(self.site.folder("cache"));
        command
    }

    /// Another command of `rbee-worker` on this lane's store.
    pub(crate) fn worker(&self, arguments: &[&str]) -> Command {
        let (name, value) = self.site.marker();
        let mut command = Command::new(&self.world.program);
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(self.site.folder("data"))
            .env("TMPDIR", self.site.folder("tmp"))
            .env(name, value);
        for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(variable);
        }
        command
    }

    /// Provisions and waits for the end.
    pub(crate) fn run(&self, catalog: Catalog, flavor: Flavor) -> Result<Ended> {
        Child::start(self.provision(catalog, flavor))?.finish()
    }

    /// Where the worker is installed.
    pub(crate) fn installed(&self) -> PathBuf {
        self.site.folder("bin").join(format!("{WORKER}-cpu"))
    }

    /// Watches an undisturbed run.
    fn course(&self, flavor: Flavor) -> Result<Course> {
        self.reset(true)?;
        let started = Instant::now();
        let mut child = Child::start(self.provision(Catalog::New, flavor))?;
        let (mut phases, mut begun) = (Vec::new(), started);
        while let Some(event) = child.next_event() {
            match event.happening {
                Happening::Started => begun = Instant::now(),
                Happening::Finished { .. } => phases.push((event.phase, begun.elapsed())),
                _ => {}
            }
        }
        let ended = child.finish()?;
        let total = started.elapsed();
        ensure!(
            ended.status.success(),
            "an undisturbed provision failed: {}",
            ended.describe()
        );
        let left = self.site.left_behind(&[WORKER], false)?;
        ensure!(left.is_empty(), "an undisturbed provision left {left:?}");
        Ok(Course { total, phases })
    }

    /// Which worker stands in the folder of binaries, having talked to it.
    pub(crate) fn standing(&self) -> Result<Standing> {
        let path = self.installed();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Standing::Nothing);
            }
            Err(error) => return Err(error.into()),
        };
        let answer = self.world.runtime.block_on(worker::answers(&path));
        answer.context("the installed worker is broken")?;
        Ok(if release::sha256(&bytes) == self.world.old_binary {
            Standing::Old
        } else {
            Standing::New
        })
    }

    /// Judges a process that met a fault and ended by itself: it must have failed in an orderly way
    /// and cleaned up, or have succeeded.
    pub(crate) fn left_at_once(&self, ended: &Ended) -> Finding {
        let mut finding = Finding::default();
        if ended.hung || !matches!(ended.status.code(), Some(0 | 1 | 130)) {
            finding.lose(format!("it ended badly: {}", ended.describe()));
        }
        match self.site.left_behind(&[WORKER], true) {
            Ok(left) => finding.left.extend(left),
            Err(error) => finding.lose(format!("{error:#}")),
        }
        finding
    }

    /// Judges what a fault has done, once its process has ended: what stands, whether the next
    /// run succeeds and sweeps, whether the store is whole.
    pub(crate) fn judge(&self, flavor: Flavor, had_old: bool) -> Finding {
        let mut finding = Finding::default();
        match self.standing() {
            Ok(Standing::Nothing) if had_old => finding.lose("the old worker is gone"),
            Ok(standing) => finding.standing = Some(standing),
            Err(error) => finding.lose(format!("{error:#}")),
        }
        for pid in self.site.survivors() {
            finding.left.push(format!("process {pid}"));
        }
        let next = self.judge_any(flavor);
        finding.losses.extend(next.losses);
        finding.left.extend(next.left);
        let (versions, expected) = (self.site.versions(), 1 + usize::from(had_old));
        if versions != expected {
            finding.left.push(format!(
                "{versions} versions in the store instead of {expected}"
            ));
        }
        finding
    }

    /// Judges the next run alone, whatever was installed before.
    pub(crate) fn judge_any(&self, flavor: Flavor) -> Finding {
        let mut finding = Finding::default();
        match self.next_run(flavor) {
            Ok(left) => finding.left = left,
            Err(error) => finding.lose(format!("the next run: {error:#}")),
        }
        finding
    }

    fn next_run(&self, flavor: Flavor) -> Result<Vec<String>> {
        let ended = self.run(Catalog::New, flavor)?;
        ensure!(ended.status.success(), "{}", ended.describe());
        ensure!(
            self.standing()? == Standing::New,
            "the new worker is not installed"
        );
        self.verify()?;
        self.site.left_behind(&[WORKER], false)
    }

    /// Compares the store with its receipts.
    pub(crate) fn verify(&self) -> Result<()> {
        let store = Store::new(&self.site.folder("data"));
        for receipt in store.list()? {
            let problems = store.verify(&receipt.worker_id, receipt.backend)?;
            ensure!(problems.is_empty(), "the store is damaged: {problems:?}");
        }
        Ok(())
    }
}

fn base(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}
