//! The sample world: two catalogs, a git server, release downloads, and what they serve.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::catalog_server::{CatalogContent, CatalogServer, Generation};
use crate::git_server::GitServer;
use crate::release::{self, ReleaseServer};
use crate::repository;

/// A worker of the second generation that can be built or had prebuilt.
pub const WORKER: &str = "sample-worker-rbee";
/// A worker of the first generation.
pub const V1_WORKER: &str = "sample-worker-rbee-cpu";
/// A worker for an operating system nobody tests on.
pub const FOREIGN_WORKER: &str = "sample-worker-foreign";
/// A worker whose tarball is not what its recipe says.
pub const TAMPERED_WORKER: &str = "sample-worker-tampered";
/// A worker whose build takes ten minutes.
pub const SLOW_WORKER: &str = "sample-worker-slow";

/// The prebuilt worker's version.
const VERSION: &str = "0.3.0";
const REPOSITORY: &str = "sample-worker-rbee.git";

const GIT_RECIPE: &str = include_str!("../fixtures/recipes/sample-worker-rbee-git.PKGBUILD");
const BIN_RECIPE: &str = include_str!("../fixtures/recipes/sample-worker-rbee-bin.PKGBUILD");
const V1_RECIPE: &str = include_str!("../fixtures/recipes/sample-worker-rbee-cpu.PKGBUILD");
const SLOW_RECIPE: &str = include_str!("../fixtures/recipes/sample-worker-slow-git.PKGBUILD");

/// The hosts that the sample recipes fetch from, for configurations and `--allow-source-host`.
pub fn source_hosts() -> Vec<network_policy::HostRule> {
    let own = url::Host::Ipv4(std::net::Ipv4Addr::LOCALHOST);
    vec![network_policy::HostRule::new(own, None)]
}

/// How the sample world is set up.
#[derive(Debug, Clone)]
pub struct SampleOptions {
    /// The port of the second-generation catalog; 0 for a free one.
    pub port: u16,
    /// Where the prebuilt worker is compiled; kept between runs.
    pub target: PathBuf,
}

/// The sample world; everything stops when it is dropped.
#[derive(Debug)]
pub struct Sample {
    v1: CatalogServer,
    v2: CatalogServer,
    git: GitServer,
    releases: ReleaseServer,
    prebuilt: PathBuf,
}

impl Sample {
    /// Builds the prebuilt worker and the repository below `root` and starts all servers.
    ///
    /// # Errors
    /// When `cargo` or `git` is missing, or a port is taken.
    pub async fn start(root: &Path, options: &SampleOptions) -> Result<Self> {
        let repositories = root.join("repositories");
        std::fs::create_dir_all(&repositories)?;
        let target = options.target.clone();
        let folder = repositories.clone();
        let prebuilt = tokio::task::spawn_blocking(move || {
            repository::create(&folder, REPOSITORY)?;
            release::build_prebuilt(&repository::worker_source(), &target)
        })
        .await??;
        let git = GitServer::start(&repositories).await?;
        let releases = ReleaseServer::start().await?;
        let folder = format!("{WORKER}-linux-{}-cpu-{VERSION}", std::env::consts::ARCH);
        let tarball = release::tarball(&prebuilt, &folder)?;
        let digest = release::sha256(&tarball);
        releases.publish(&format!("{folder}.tar.gz"), tarball);

        let render = |recipe: &str| {
            recipe
                .replace("@GIT_URL@", &git.url(REPOSITORY))
                .replace("@RELEASE_URL@", &releases.base_url())
                .replace("@SHA256@", &digest)
        };
        let wrong = BIN_RECIPE.replace("@SHA256@", &"0".repeat(64));
        let v2 = CatalogContent::new(Generation::V2)
            .entry(v2_entry(WORKER, &["linux", "macos"], true, WORKER))
            .entry(v2_entry(FOREIGN_WORKER, &["windows"], true, WORKER))
            .entry(v2_entry(TAMPERED_WORKER, &["linux", "macos"], true, WORKER))
            .entry(v2_entry(
                SLOW_WORKER,
                &["linux", "macos"],
                false,
                SLOW_WORKER,
            ))
            .pkgbuild(format!("arch/{WORKER}-bin.PKGBUILD"), render(BIN_RECIPE))
            .pkgbuild(format!("arch/{WORKER}-git.PKGBUILD"), render(GIT_RECIPE))
            .pkgbuild(
                format!("arch/{FOREIGN_WORKER}-bin.PKGBUILD"),
                render(BIN_RECIPE),
            )
            .pkgbuild(
                format!("arch/{TAMPERED_WORKER}-bin.PKGBUILD"),
                render(&wrong),
            )
            .pkgbuild(
                format!("arch/{SLOW_WORKER}-git.PKGBUILD"),
                render(SLOW_RECIPE),
            );
        let v1 = CatalogContent::new(Generation::V1)
            .entry(v1_entry())
            .pkgbuild(format!("{V1_WORKER}.PKGBUILD"), render(V1_RECIPE));
        Ok(Self {
            v1: CatalogServer::start(0, v1).await?,
            v2: CatalogServer::start(options.port, v2)
                .await
                .context("the catalog cannot be served; choose another port with `--port`")?,
            git,
            releases,
            prebuilt,
        })
    }

    /// The base URL of the second-generation catalog.
    pub fn catalog_url(&self) -> String {
        self.v2.base_url()
    }

    /// The base URL of the first-generation catalog.
    pub fn v1_catalog_url(&self) -> String {
        self.v1.base_url()
    }

    /// The URL of the sample worker's repository.
    pub fn repository_url(&self) -> String {
        self.git.url(REPOSITORY)
    }

    /// The ids of all workers of both catalogs.
    pub fn worker_ids(&self) -> Vec<&'static str> {
        vec![
            WORKER,
            V1_WORKER,
            FOREIGN_WORKER,
            TAMPERED_WORKER,
            SLOW_WORKER,
        ]
    }

    /// The prebuilt worker.
    pub fn prebuilt(&self) -> &Path {
        &self.prebuilt
    }

    /// The server of the release downloads, to publish more.
    pub fn releases(&self) -> &ReleaseServer {
        &self.releases
    }

    /// How many requests for sources have arrived, over git and as downloads.
    pub fn downloads(&self) -> u64 {
        self.releases.requests() + self.git.requests()
    }
}

/// The recipe of the prebuilt [`WORKER`], whose tarball of that digest lies below `release_url`.
pub fn binary_recipe(release_url: &str, sha256: &str) -> String {
    BIN_RECIPE
        .replace("@RELEASE_URL@", release_url)
        .replace("@SHA256@", sha256)
}

/// The recipe that builds [`WORKER`] from the repository at `git_url`.
pub fn source_recipe(git_url: &str) -> String {
    GIT_RECIPE.replace("@GIT_URL@", git_url)
}

/// A catalog of the second generation with the one worker `id`, which has both recipes.
pub fn catalog(id: &str, binary_recipe: &str, source_recipe: &str) -> CatalogContent {
    CatalogContent::new(Generation::V2)
        .entry(v2_entry(id, &["linux", "macos"], true, id))
        .pkgbuild(format!("arch/{id}-bin.PKGBUILD"), binary_recipe)
        .pkgbuild(format!("arch/{id}-git.PKGBUILD"), source_recipe)
}

/// A catalog of the second generation with the one worker `id`, which is only had prebuilt and
/// depends on nothing.
pub fn prebuilt_catalog(id: &str, recipe: &str) -> CatalogContent {
    let entry = json!({
        "id": id,
        "implementation": "rust",
        "version": "1.0.0",
        "name": id,
        "license": "GPL-3.0-or-later",
        "buildSystem": "cargo",
        "variants": [{
            "backend": "cpu",
            "platforms": ["linux", "macos"],
            "architectures": ["x86_64", "aarch64"],
            "pkgbuildUrl": format!("/pkgbuilds/arch/{id}-bin.PKGBUILD"),
            "binaryName": id,
        }],
        "capabilities": { "supportedFormats": ["gguf"] },
    });
    CatalogContent::new(Generation::V2)
        .entry(entry)
        .pkgbuild(format!("arch/{id}-bin.PKGBUILD"), recipe)
}

/// The recipe of a worker that is a script, made in `package()`.
pub fn script_recipe(id: &str) -> String {
    format!(
        "pkgname={id}-bin\npkgver=1.0.0\npkgrel=1\npkgdesc='Answers'\narch=(any)\nlicense=(MIT)\n\
         package() {{\n  mkdir -p \"$pkgdir/usr/bin\"\n  \
         printf '#!/bin/sh\\necho 1.0.0\\n' > \"$pkgdir/usr/bin/{id}\"\n  \
         chmod 755 \"$pkgdir/usr/bin/{id}\"\n}}\n"
    )
}

fn v2_entry(id: &str, platforms: &[&str], prebuilt: bool, binary_name: &str) -> Value {
    let variant = |backend: &str| {
        let mut variant = json!({
            "backend": backend,
            "platforms": platforms,
            "architectures": ["x86_64", "aarch64"],
            "pkgbuildUrlGit": format!("/pkgbuilds/arch/{id}-git.PKGBUILD"),
            "build": { "features": [backend], "profile": "release" },
            "depends": ["glibc"],
            "makedepends": ["cargo", "git"],
            "binaryName": binary_name,
            "installPath": format!("/usr/local/bin/{binary_name}"),
        });
        if prebuilt {
            variant["pkgbuildUrl"] = json!(format!("/pkgbuilds/arch/{id}-bin.PKGBUILD"));
        }
        variant
    };
    json!({
        "id": id,
        "implementation": "rust",
        "version": VERSION,
        "name": "Sample worker",
        "description": "Answers prompts with a Markov chain; there to be provisioned",
        "license": "GPL-3.0-or-later",
        "buildSystem": "cargo",
        "source": { "type": "git", "url": "https://samples.rbee.invalid/worker.git", "branch": "main" },
        "variants": [variant("cpu"), variant("cuda"), variant("rocm")],
        "capabilities": {
            "supportedFormats": ["gguf", "safetensors"],
            "maxContextLength": 4096,
            "supportsStreaming": true,
            "supportsBatching": false,
        },
    })
}

fn v1_entry() -> Value {
    json!({
        "id": V1_WORKER,
        "implementation": WORKER,
        "worker_type": "cpu",
        "version": VERSION,
        "platforms": ["linux", "macos"],
        "architectures": ["x86_64", "aarch64"],
        "name": "Sample worker (CPU)",
        "description": "Answers prompts with a Markov chain; there to be provisioned",
        "license": "GPL-3.0-or-later",
        "pkgbuild_url": format!("/workers/{V1_WORKER}/PKGBUILD"),
        "build_system": "cargo",
        "source": { "type": "git", "url": "https://samples.rbee.invalid/worker.git", "branch": "main" },
        "build": { "features": ["cpu"], "profile": "release" },
        "depends": ["glibc"],
        "makedepends": ["cargo"],
        "binary_name": V1_WORKER,
        "install_path": format!("/usr/local/bin/{V1_WORKER}"),
        "supported_formats": ["gguf"],
        "max_context_length": 2048,
        "supports_streaming": true,
        "supports_batching": false,
    })
}
