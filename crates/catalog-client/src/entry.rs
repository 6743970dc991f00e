//! The one model of a worker, whatever shape its catalog sends.

use serde::Serialize;

use crate::id::WorkerId;
use crate::platform::{Architecture, Backend, Named, Platform};

/// A worker as a catalog describes it, from any of the three shapes in use.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WorkerEntry {
    /// The id the catalog lists the worker under, or the name asked for when several v1 entries
    /// were joined into one worker.
    pub id: WorkerId,
    /// A product name (v1) or a language (v2); informative.
    pub implementation: Option<String>,
    /// The worker's version, as sent; `None` also when joined v1 entries differ in it.
    pub version: Option<String>,
    /// The name to show; the id when the catalog gives none.
    pub name: String,
    /// What the worker does.
    pub description: Option<String>,
    /// An SPDX licence expression.
    pub license: Option<String>,
    /// A picture's URL (v2).
    pub cover_image: Option<String>,
    /// The manual's URL (v2).
    pub readme_url: Option<String>,
    /// `cargo`, `cmake`, `pip`, `npm` and others.
    pub build_system: Option<String>,
    /// Where the code comes from; informative, the recipe decides.
    pub source: Option<CodeSource>,
    /// One per backend; never empty.
    pub variants: Vec<Variant>,
    /// What the worker can do.
    pub capabilities: Capabilities,
    /// Which model markets the worker serves (v2), as sent.
    pub marketplace_compatibility: Option<serde_json::Value>,
}

impl WorkerEntry {
    /// The backends on offer, in the catalog's order, each once.
    pub fn backends(&self) -> Vec<&Backend> {
        let mut seen = Vec::new();
        for variant in &self.variants {
            if !seen.contains(&&variant.backend) {
                seen.push(&variant.backend);
            }
        }
        seen
    }

    /// The operating systems on offer, in the catalog's order, each once.
    pub fn platforms(&self) -> Vec<&Named<Platform>> {
        let mut seen = Vec::new();
        for platform in self.variants.iter().flat_map(|v| &v.platforms) {
            if !seen.contains(&platform) {
                seen.push(platform);
            }
        }
        seen
    }
}

/// One way to have a worker: a backend, where it runs, and its recipes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Variant {
    /// The id the service knows this variant by: the worker's (v2), or its own (v1).
    pub worker_id: WorkerId,
    /// What it computes on.
    pub backend: Backend,
    /// Operating systems; empty means the catalog states no limit.
    pub platforms: Vec<Named<Platform>>,
    /// Architectures; empty, or containing `any`, means no limit.
    pub architectures: Vec<Named<Architecture>>,
    /// Where the recipe for a pre-built binary is, as sent.
    pub binary_recipe: Option<String>,
    /// Where the recipe that builds from source is, as sent.
    pub source_recipe: Option<String>,
    /// The Homebrew formula for a pre-built binary, as sent.
    pub homebrew_formula: Option<String>,
    /// The Homebrew formula that builds from source, as sent.
    pub homebrew_formula_git: Option<String>,
    /// How it is built; informative, the recipe decides.
    pub build: Option<BuildOptions>,
    /// Run-time packages.
    pub depends: Vec<String>,
    /// Build-time packages.
    pub makedepends: Vec<String>,
    /// The installed file's name: one path component. It differs from the recipe's `pkgname`.
    pub binary_name: Option<String>,
    /// Where the catalog expects the file, such as `/usr/local/bin/<binary_name>`.
    pub install_path: Option<String>,
}

impl Variant {
    /// Whether a recipe of this flavor exists.
    ///
    /// A variant without any recipe URL still has `/workers/<id>/PKGBUILD`, taken for a source
    /// recipe.
    pub fn offers(&self, flavor: Flavor) -> bool {
        match flavor {
            Flavor::Binary => self.binary_recipe.is_some(),
            Flavor::Source => self.source_recipe.is_some() || self.binary_recipe.is_none(),
        }
    }

    /// Whether this variant runs on the operating system and architecture, by what it states.
    pub fn runs_on(&self, platform: Platform, architecture: Architecture) -> bool {
        let any = |name: &str| name == "any";
        let os = self.platforms.is_empty()
            || self
                .platforms
                .iter()
                .any(|p| p.known() == Some(platform) || any(p.as_str()));
        let arch = self.architectures.is_empty()
            || self
                .architectures
                .iter()
                .any(|a| a.known() == Some(architecture) || any(a.as_str()));
        os && arch
    }
}

/// Which of a variant's recipes is meant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Flavor {
    /// Installs a pre-built binary (`pkgbuildUrl`, a `-bin` recipe).
    Binary,
    /// Builds from source (`pkgbuildUrlGit`, a `-git` recipe, or v1's `pkgbuild_url`).
    Source,
}

impl std::fmt::Display for Flavor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Binary => "binary",
            Self::Source => "source",
        })
    }
}

/// What a worker can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Capabilities {
    /// Model file formats, such as `gguf`.
    pub supported_formats: Vec<String>,
    /// The longest context in tokens, when stated.
    pub max_context_length: Option<u32>,
    /// Whether it streams answers; true when not stated.
    pub supports_streaming: bool,
    /// Whether it answers several requests at once; false when not stated.
    pub supports_batching: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            supported_formats: Vec::new(),
            max_context_length: None,
            supports_streaming: true,
            supports_batching: false,
        }
    }
}

/// Where a worker's code comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CodeSource {
    /// `git` or `tarball`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The repository or archive.
    pub url: Option<String>,
    /// The branch; it may differ from the one in the recipe.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The folder inside the repository.
    pub path: Option<String>,
}

/// How a variant is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BuildOptions {
    /// Feature names for the build system.
    pub features: Vec<String>,
    /// The build profile.
    pub profile: Option<String>,
    /// Further flags.
    pub flags: Vec<String>,
}
