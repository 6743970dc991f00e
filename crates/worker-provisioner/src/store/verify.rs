//! Whether what is installed is what was put there.

use std::io;
use std::path::Path;

use catalog_client::WorkerType;

use super::{Store, Version, sha256_of, tree};
use crate::error::ProvisionError;
use crate::names::{Names, Place};
use crate::receipt::Receipt;

impl Store {
    /// What is wrong with the installed version, file by file; nothing when it is intact.
    ///
    /// # Errors
    /// [`ProvisionError::NotInstalled`], or [`ProvisionError::Io`] when a file cannot be read.
    pub fn verify(
        &self,
        worker_id: &str,
        backend: WorkerType,
    ) -> Result<Vec<String>, ProvisionError> {
        let version = self.installed(worker_id, backend)?;
        let mut problems = version.tree_problems()?;
        let receipt = &version.receipt;
        if let (Some(artifact), Some(expected)) = (&receipt.artifact, &receipt.installed_sha256) {
            let path = crate::Artifact::path(artifact);
            match sha256_of(path) {
                Ok(found) if found == *expected => {}
                Ok(_) => problems.push(format!("`{}` was changed", path.display())),
                // Not even a file any more.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    problems.push(format!("`{}` was changed", path.display()));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    problems.push(format!("`{}` is missing", path.display()));
                }
                Err(source) => return Err(ProvisionError::io("read", path, source)),
            }
            problems.extend(self.plain_problem(receipt, path));
        }
        Ok(problems)
    }

    /// What is wrong with the plain name of the program at `path`.
    fn plain_problem(&self, receipt: &Receipt, path: &Path) -> Option<String> {
        let (bin_dir, names) = (path.parent()?, Names::recorded(receipt)?);
        let place = Place {
            store: self,
            worker_id: &receipt.worker_id,
            backend: receipt.backend,
            bin_dir,
            names: &names,
            force: false,
        };
        // A version that knew no other names has installed it under the plain one.
        let problem = (path == place.target()).then(|| place.plain_problem())??;
        let plain = bin_dir.join(names.plain.as_ref()?);
        Some(format!("`{}` {problem}", plain.display()))
    }
}

impl Version {
    /// What is wrong with the stored files, each in a line.
    pub(crate) fn tree_problems(&self) -> Result<Vec<String>, ProvisionError> {
        tree::verify(&self.tree(), &self.receipt.files)
    }
}
