//! What is known of an installed worker: where it came from and which files it has.

use std::fmt;
use std::path::PathBuf;

use catalog_client::{Flavor, WorkerType};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::WorkerBinary;

/// The version of [`Receipt`]'s serialised form.
pub const RECEIPT_VERSION: u32 = 1;

/// How far something was verified, from not at all to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verification {
    /// Nobody vouches for the content: the recipe says `SKIP`.
    #[default]
    Nothing,
    /// The content is what the recipe declares: a digest matched, or a git commit id names it.
    Checksum,
    /// A key that the recipe names has signed it.
    Signature,
}

impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Nothing => "nothing",
            Self::Checksum => "checksum",
            Self::Signature => "signature",
        })
    }
}

/// One source of an installed worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SourceRecord {
    /// The name in `srcdir`.
    pub name: String,
    /// How far it was verified.
    pub verification: Verification,
    /// The digest kinds that matched, such as `sha256`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// The fingerprint of the key whose signature was good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The commit that was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether it was transferred over TLS; absent where there was no transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
}

/// What a file of the package tree is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileContent {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Its sha256 in lower-case hexadecimal.
        sha256: String,
    },
    /// A symbolic link.
    Link {
        /// What it points at.
        target: PathBuf,
    },
}

/// One file of the package tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileRecord {
    /// Its path relative to the root of the tree.
    pub path: PathBuf,
    /// Its permission bits; meaningless for a link.
    pub mode: u32,
    /// What it is.
    #[serde(flatten)]
    pub content: FileContent,
}

/// Everything known of one installed version of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub receipt_version: u32,
    /// The worker's id, as it was asked for.
    pub worker_id: String,
    /// The backend it was built for.
    pub backend: WorkerType,
    /// Which recipe was used.
    pub flavor: Flavor,
    /// PKGBUILD(5), "pkgver", after `pkgver()`.
    pub pkgver: String,
    /// PKGBUILD(5), "pkgrel".
    pub pkgrel: String,
    /// The sha256 of the recipe's text.
    pub recipe_sha256: String,
    /// The sha256 of everything that decides what is built: recipe, backend, architecture and the
    /// variables the recipe sees.
    pub build_key: String,
    /// The sources.
    pub sources: Vec<SourceRecord>,
    /// Whether the catalog was asked over TLS.
    pub catalog_tls: bool,
    /// The recipe's values that only sourcing it in the sandbox could tell, by name; none when it
    /// could be read without running anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sandbox_evaluated: Vec<String>,
    /// The weakest isolation any of the recipe's functions ran in.
    pub isolation: String,
    /// The binary's path in the tree.
    pub program: PathBuf,
    /// What the catalog calls the program; what is installed is named after the backend too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_name: Option<String>,
    /// Every file of the tree, ordered by path.
    pub files: Vec<FileRecord>,
    /// When the tree was stored.
    pub stored_at: Timestamp,
    /// The artifact, once the binary is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<WorkerBinary>,
    /// The sha256 of the file that was put in place, which may start the binary from the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_sha256: Option<String>,
}

impl Receipt {
    /// How far the worker is verified: as far as the least verified of its sources. A recipe
    /// without sources brings its content itself, so nobody vouches for it.
    pub fn verification(&self) -> Verification {
        weakest(&self.sources)
    }
}

/// How far the least verified of `sources` is verified.
pub(crate) fn weakest(sources: &[SourceRecord]) -> Verification {
    sources
        .iter()
        .map(|source| source.verification)
        .min()
        .unwrap_or_default()
}
