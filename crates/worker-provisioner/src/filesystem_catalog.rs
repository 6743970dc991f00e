//! A catalog that keeps one folder with a `metadata.json` for each artifact.

use std::fs;
use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::WorkerBinary;
use crate::contract::{Artifact, ArtifactCatalog};
use crate::error::ProvisionError;
use crate::store::Store;

/// A larger file is not one that this catalog wrote.
const MAX_METADATA: u64 = 1 << 20;

/// What `metadata.json` holds; the outer keys are the hive's stored form.
#[derive(Debug, Serialize, Deserialize)]
struct Metadata<T> {
    artifact: T,
    added_at: Timestamp,
    last_accessed: Option<Timestamp>,
}

/// An [`ArtifactCatalog`] below one folder; safe for several processes.
///
/// Each artifact has the folder `<root>/<id>` with `/` and `:` in the id turned into `-`.
/// Files are replaced by rename, so a reader never sees half of one.
#[derive(Debug, Clone)]
pub struct FilesystemCatalog<T> {
    root: PathBuf,
    artifacts: PhantomData<fn() -> T>,
}

impl<T: Artifact> FilesystemCatalog<T> {
    /// Opens the catalog below `root`; the folder is made when something is added.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            artifacts: PhantomData,
        }
    }

    /// The folder that holds the catalog.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Records `artifact`, in place of an older record of the same id.
    ///
    /// # Errors
    /// [`ProvisionError::InvalidArtifactId`] or an I/O error.
    pub fn replace(&self, artifact: T) -> Result<(), ProvisionError> {
        let path = self.metadata_path(artifact.id())?;
        let metadata = Metadata {
            artifact,
            added_at: Timestamp::now(),
            last_accessed: None,
        };
        write(&path, &metadata, true)
    }

    fn metadata_path(&self, id: &str) -> Result<PathBuf, ProvisionError> {
        let folder: String = id
            .chars()
            .map(|character| {
                if matches!(character, '/' | ':') {
                    '-'
                } else {
                    character
                }
            })
            .collect();
        let harmless = !folder.is_empty()
            && !folder.starts_with('.')
            && folder.len() <= 255
            && !folder.contains(['\\', '\0']);
        if !harmless {
            return Err(ProvisionError::InvalidArtifactId { id: id.to_owned() });
        }
        Ok(self.root.join(folder).join("metadata.json"))
    }

    fn load(&self, id: &str) -> Result<Metadata<T>, ProvisionError> {
        let path = self.metadata_path(id)?;
        let metadata =
            read(&path)?.ok_or_else(|| ProvisionError::NotInCatalog { id: id.to_owned() })?;
        // `a/b` and `a-b` share a folder; only the one that is stored is there.
        if Artifact::id(&metadata.artifact) != id {
            return Err(ProvisionError::NotInCatalog { id: id.to_owned() });
        }
        Ok(metadata)
    }
}

impl FilesystemCatalog<WorkerBinary> {
    /// Records `binary` and removes the records that it has made untrue: those of other versions at
    /// its path.
    ///
    /// # Errors
    /// [`ProvisionError::InvalidArtifactId`], [`ProvisionError::MalformedMetadata`] or an I/O error.
    pub fn supersede(&self, binary: WorkerBinary) -> Result<(), ProvisionError> {
        for other in self.list() {
            if other.id() != binary.id() && is_same_file(other.path(), binary.path()) {
                self.forget(other.id())?;
            }
        }
        self.replace(binary)
    }

    /// Makes this catalog a view of `store`: what is installed is recorded as it is, and records of
    /// what was updated, rolled back or removed since are gone.
    ///
    /// Records of programs that stand somewhere and are no worker of the store stay: somebody else
    /// has installed them.
    ///
    /// # Errors
    /// Those of [`supersede`](Self::supersede) and [`Store::list`].
    pub fn follow(&self, store: &Store) -> Result<(), ProvisionError> {
        let installed: Vec<WorkerBinary> = store
            .list()?
            .into_iter()
            .filter_map(|receipt| receipt.artifact)
            .collect();
        for record in self.list() {
            let current = installed.iter().find(|binary| binary.id() == record.id());
            let is_gone = || {
                let metadata = record.path().symlink_metadata();
                metadata.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            };
            let is_superseded = || {
                let mut binaries = installed.iter();
                binaries.any(|binary| is_same_file(binary.path(), record.path()))
            };
            match current {
                Some(binary) if *binary == record => {}
                Some(binary) => self.replace(binary.clone())?,
                None if is_gone() || is_superseded() => self.forget(record.id())?,
                None => {}
            }
        }
        for binary in installed {
            match self.add(binary) {
                Err(ProvisionError::AlreadyInCatalog { .. }) => {}
                added => added?,
            }
        }
        Ok(())
    }

    /// Removes a record unless somebody else has removed it meanwhile.
    fn forget(&self, id: &str) -> Result<(), ProvisionError> {
        match self.remove(id) {
            Err(ProvisionError::NotInCatalog { .. }) => Ok(()),
            removed => removed,
        }
    }
}

/// Whether two paths lead to one file; the plain name of a worker is a link.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    one == other || real(one).is_some_and(|one| Some(one) == real(other))
}

impl<T: Artifact> ArtifactCatalog<T> for FilesystemCatalog<T> {
    fn add(&self, artifact: T) -> Result<(), ProvisionError> {
        let path = self.metadata_path(artifact.id())?;
        let id = artifact.id().to_owned();
        let metadata = Metadata {
            artifact,
            added_at: Timestamp::now(),
            last_accessed: None,
        };
        match write(&path, &metadata, false) {
            Err(ProvisionError::Io { source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Err(ProvisionError::AlreadyInCatalog { id })
            }
            other => other,
        }
    }

    fn get(&self, id: &str) -> Result<T, ProvisionError> {
        let mut metadata = self.load(id)?;
        metadata.last_accessed = Some(Timestamp::now());
        // Noting the access is a courtesy: a read-only catalog can still be read.
        if let Err(error) = write(&self.metadata_path(id)?, &metadata, true) {
            tracing::debug!(%error, id, "the access was not noted");
        }
        Ok(metadata.artifact)
    }

    fn list(&self) -> Vec<T> {
        let Ok(folders) = fs::read_dir(&self.root) else {
            return Vec::new();
        };
        let mut artifacts: Vec<T> = folders
            .flatten()
            .filter_map(|folder| {
                read::<T>(&folder.path().join("metadata.json"))
                    .ok()
                    .flatten()
            })
            .map(|metadata| metadata.artifact)
            .collect();
        artifacts.sort_by(|left, right| left.id().cmp(right.id()));
        artifacts
    }

    fn remove(&self, id: &str) -> Result<(), ProvisionError> {
        self.load(id)?;
        let path = self.metadata_path(id)?;
        fs::remove_file(&path).map_err(|source| ProvisionError::io("remove", &path, source))?;
        if let Some(folder) = path.parent() {
            // Only an empty folder goes: whatever else somebody put there is theirs.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn contains(&self, id: &str) -> bool {
        self.load(id).is_ok()
    }

    fn len(&self) -> usize {
        self.list().len()
    }
}

fn read<T: Artifact>(path: &Path) -> Result<Option<Metadata<T>>, ProvisionError> {
    let text = match fs::File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            io::Read::read_to_string(&mut io::Read::take(file, MAX_METADATA), &mut text)
                .map_err(|source| ProvisionError::io("read", path, source))?;
            text
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ProvisionError::io("open", path, source)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| ProvisionError::metadata(path, source))
}

fn write<T: Artifact>(
    path: &Path,
    metadata: &Metadata<T>,
    replace: bool,
) -> Result<(), ProvisionError> {
    let folder = path.parent().unwrap_or(path);
    let failed = |source| ProvisionError::io("write", path, source);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix(".metadata-")
        .tempfile_in(folder)
        .map_err(failed)?;
    let text = serde_json::to_string_pretty(metadata)
        .map_err(|source| ProvisionError::metadata(path, source))?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let persisted = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    persisted.map(drop).map_err(|error| failed(error.error))
}
