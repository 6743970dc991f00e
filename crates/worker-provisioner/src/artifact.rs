//! The artifact of a provision: an installed worker binary.

use std::path::{Path, PathBuf};

use catalog_client::{Platform, WorkerType};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contract::{Artifact, ArtifactStatus};

/// The context length assumed when a catalog states none, in tokens.
const DEFAULT_MAX_CONTEXT_LENGTH: u32 = 8192;

/// An installed worker binary, in the form a hive stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerBinary {
    id: String,
    worker_type: WorkerType,
    platform: Platform,
    path: PathBuf,
    size: u64,
    status: ArtifactStatus,
    version: String,
    #[serde(default = "Timestamp::now")]
    added_at: Timestamp,
    #[serde(default)]
    supported_architectures: Vec<String>,
    #[serde(default)]
    supported_formats: Vec<String>,
    #[serde(default = "default_max_context_length")]
    max_context_length: u32,
    #[serde(default = "default_supports_streaming")]
    supports_streaming: bool,
    #[serde(default)]
    supports_batching: bool,
}

fn default_max_context_length() -> u32 {
    DEFAULT_MAX_CONTEXT_LENGTH
}

fn default_supports_streaming() -> bool {
    true
}

impl WorkerBinary {
    /// The same binary where it is now.
    pub(crate) fn at(mut self, path: PathBuf, size: u64) -> Self {
        self.path = path;
        self.size = size;
        self
    }

    /// An available binary with the default capabilities, added now.
    ///
    /// `size` is in bytes.
    pub fn new(
        id: impl Into<String>,
        worker_type: WorkerType,
        platform: Platform,
        path: impl Into<PathBuf>,
        size: u64,
        version: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            worker_type,
            platform,
            path: path.into(),
            size,
            status: ArtifactStatus::Available,
            version: version.into(),
            added_at: Timestamp::now(),
            supported_architectures: Vec::new(),
            supported_formats: Vec::new(),
            max_context_length: default_max_context_length(),
            supports_streaming: default_supports_streaming(),
            supports_batching: false,
        }
    }

    /// The same binary with stated capabilities.
    ///
    /// `supported_architectures` are model families, `max_context_length` is in tokens.
    #[must_use]
    pub fn with_capabilities(
        mut self,
        supported_architectures: Vec<String>,
        supported_formats: Vec<String>,
        max_context_length: u32,
        supports_streaming: bool,
        supports_batching: bool,
    ) -> Self {
        self.supported_architectures = supported_architectures;
        self.supported_formats = supported_formats;
        self.max_context_length = max_context_length;
        self.supports_streaming = supports_streaming;
        self.supports_batching = supports_batching;
        self
    }

    /// The backend it was built for.
    pub fn worker_type(&self) -> WorkerType {
        self.worker_type
    }

    /// The operating system it runs on.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The package's version (PKGBUILD(5), "pkgver").
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When it was installed.
    pub fn added_at(&self) -> Timestamp {
        self.added_at
    }

    /// The model families it can run; empty when not stated.
    pub fn supported_architectures(&self) -> &[String] {
        &self.supported_architectures
    }

    /// The model file formats it can read.
    pub fn supported_formats(&self) -> &[String] {
        &self.supported_formats
    }

    /// The longest context, in tokens.
    pub fn max_context_length(&self) -> u32 {
        self.max_context_length
    }

    /// Whether it can stream its answer.
    pub fn supports_streaming(&self) -> bool {
        self.supports_streaming
    }

    /// Whether it can answer several prompts at once.
    pub fn supports_batching(&self) -> bool {
        self.supports_batching
    }
}

impl Artifact for WorkerBinary {
    fn id(&self) -> &str {
        &self.id
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn status(&self) -> &ArtifactStatus {
        &self.status
    }

    fn set_status(&mut self, status: ArtifactStatus) {
        self.status = status;
    }
}

/// The id of an installed worker: `<worker id>-<backend>-<pkgver>-<platform>` in lower case.
///
/// The backend stands there once: the first generation's ids already end in it.
pub(crate) fn artifact_id(
    worker_id: &str,
    backend: WorkerType,
    pkgver: &str,
    platform: Platform,
) -> String {
    let backend = backend.to_string();
    let middle = if worker_id.ends_with(&format!("-{backend}")) {
        String::new()
    } else {
        format!("-{backend}")
    };
    format!("{worker_id}{middle}-{pkgver}-{platform}").to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ArtifactCatalog, FilesystemCatalog, ProvisionError};

    #[test]
    fn a_stored_artifact_keeps_working() {
        let stored = r#"{"id":"llm-worker-rbee-cuda-0.4.1-linux","workerType":"cuda","platform":"linux",
            "path":"/usr/local/bin/llm-worker-rbee-cuda","size":1234,"status":"Available",
            "version":"0.4.1","addedAt":"2025-11-04T10:00:00.123456789Z"}"#;
        let binary: WorkerBinary = serde_json::from_str(stored).unwrap();
        assert_eq!(binary.worker_type(), WorkerType::Cuda);
        assert_eq!(binary.max_context_length(), 8192);
        assert!(binary.supports_streaming() && !binary.supports_batching());
        let again = serde_json::to_value(&binary).unwrap();
        assert_eq!(again["addedAt"], "2025-11-04T10:00:00.123456789Z");
        assert_eq!(again["supportedFormats"], serde_json::json!([]));
        let failed = r#"{"Failed":{"error":"disk full"}}"#;
        let status: ArtifactStatus = serde_json::from_str(failed).unwrap();
        assert_eq!(serde_json::to_string(&status).unwrap(), failed);
    }

    #[test]
    fn ids_name_the_backend_once() {
        let id = |worker, backend| artifact_id(worker, backend, "1.0.R2", Platform::Linux);
        assert_eq!(id("w-cpu", WorkerType::Cpu), "w-cpu-1.0.r2-linux");
        assert_eq!(id("w", WorkerType::Rocm), "w-rocm-1.0.r2-linux");
    }

    fn binary(id: &str) -> WorkerBinary {
        WorkerBinary::new(id, WorkerType::Cpu, Platform::Linux, "/bin/w", 1, "1.0")
    }

    #[test]
    fn the_filesystem_catalog_keeps_the_stored_form() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = FilesystemCatalog::new(folder.path());
        catalog.add(binary("vendor/w:1")).unwrap();
        let path = folder.path().join("vendor-w-1/metadata.json");
        let stored: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(stored["artifact"]["id"], "vendor/w:1");
        assert!(stored["added_at"].is_string() && stored["last_accessed"].is_null());

        assert!(matches!(
            catalog.add(binary("vendor/w:1")),
            Err(ProvisionError::AlreadyInCatalog { .. })
        ));
        assert_eq!(catalog.get("vendor/w:1").unwrap().id(), "vendor/w:1");
        let stored: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(stored["last_accessed"].is_string());
        assert!(!catalog.contains("vendor-w-1"));
        assert_eq!(catalog.len(), 1);
        catalog.remove("vendor/w:1").unwrap();
        assert!(catalog.is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn ids_that_would_leave_the_catalog_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let catalog: FilesystemCatalog<WorkerBinary> = FilesystemCatalog::new(folder.path());
        for id in ["", "..", ".", ".hidden", "a\0b", "a\\b"] {
            assert!(
                matches!(
                    catalog.get(id),
                    Err(ProvisionError::InvalidArtifactId { .. })
                ),
                "{id:?}"
            );
        }
        // `/` becomes `-`, so this one is odd but harmless.
        assert!(matches!(
            catalog.get("a/../b"),
            Err(ProvisionError::NotInCatalog { .. })
        ));
    }
}
